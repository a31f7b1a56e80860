"""Questions that nobody plans for: each gets an answer or an error of our own, from both kinds of vault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.cube import Provenance
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
BOB = Principal(tenant="acme", user="bob")


@pytest.fixture(scope="module")
def minilm(models: dict[str, Path]) -> MiniLMEmbedder:
    return MiniLMEmbedder(models["minilm"])


@pytest.fixture(params=["sqlite", "memory", "minilm"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    embedder = request.getfixturevalue("minilm") if request.param == "minilm" else None
    opened = MemOS(InMemoryVault()) if request.param == "memory" else MemOS.open(tmp_path, embedder=embedder)
    with opened as memos:
        for text in ("The kettle is blue.", "Yes, since Friday.", "東京でお茶を飲んだ", "Чайник стоит на кухне"):
            memos.remember(text, by=ANA, provenance=Provenance(thread_id="t"))
        yield memos


@pytest.mark.answers("input 4", "input 6")
@pytest.mark.parametrize(
    "question",
    [
        "the of and", "🫖🫖", "東京 お茶", "чайник кухня", "(a|b)*[", 'NEAR("kettle" blue) OR NOT *',
        "'; DROP TABLE cubes", "zzyzx quux", "kettle " * 10_000, "Kettle " * 10_000,
        "What did Ana say of " + "A" * 2_000, "%_%", "\t?\n!",
    ],
)  # fmt: skip
def test_odd_questions_are_answered(memos: MemOS, question: str) -> None:
    recall = memos.recall(question, by=ANA, k=3, needed=True)
    assert len(recall.hits) <= 3
    assert not memos.recall(question, by=BOB, k=3, needed=True).hits


def test_other_scripts_are_found(memos: MemOS) -> None:
    assert memos.recall("東京でお茶", by=ANA, k=1, needed=True).hits[0].text.startswith("東京")
    assert memos.recall("чайник", by=ANA, k=1, needed=True).hits[0].text.startswith("Чайник")


@pytest.mark.parametrize("question", ["", "   "])
def test_an_empty_question_is_refused(memos: MemOS, question: str) -> None:
    with pytest.raises(InvalidMemoryError):
        memos.recall(question, by=ANA)


def test_k_at_its_ends(memos: MemOS) -> None:
    with pytest.raises(InvalidMemoryError):
        memos.recall("kettle", by=ANA, k=0)
    assert len(memos.recall("Which colour has the kettle?", by=ANA, k=10**9).hits) <= 4


def test_an_answer_is_found_beside_its_question(memos: MemOS) -> None:
    found = memos.recall("Is the kettle blue?", by=ANA, k=2, needed=True)
    assert [hit.text for hit in found.hits] == ["The kettle is blue.", "Yes, since Friday."]
    assert found.hits[1].parts["context"] > 0.0


def test_a_neighbour_that_one_may_not_see_lends_no_words(memos: MemOS) -> None:
    memos.remember("The secret code is swordfish.", by=BOB, provenance=Provenance(thread_id="u"))
    memos.remember("Understood.", by=BOB, provenance=Provenance(thread_id="u"), readers=("ana",))
    found = memos.recall("swordfish code", by=ANA, k=9, needed=True)
    assert all(hit.parts.get("context", 0.0) == 0.0 for hit in found.hits)


def test_a_filter_takes_lists_and_sets_for_what_they_say(memos: MemOS) -> None:
    told = memos.remember("The kettle is blue.", by=ANA, tags=["kitchen"])
    for wanted in (["kitchen"], {"kitchen"}, ("kitchen",)):
        assert [cube.id for cube in memos.find(CubeFilter(tags=wanted), by=ANA)] == [told.id]  # type: ignore[arg-type]
    assert memos.find(CubeFilter(states={"archived"}), by=ANA) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": "kitchen"},
        {"states": "archived"},
        {"value": 5},
        {"occurred": (datetime(2026, 1, 1), datetime(2026, 2, 1))},
        {"valid_at": datetime(2026, 1, 1)},
    ],
)
def test_a_filter_that_would_find_nothing_without_a_word_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidMemoryError, match="filter"):
        CubeFilter(**wrong)
