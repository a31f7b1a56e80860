"""Recall on material of other shapes than a chat between two, beside SQLite FTS5; and token vectors of what is gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.operator import tokens
from memos_integrations.core.operator.scopes import LATE_EACH
from memos_integrations.core.operator.tokens import TokenCache
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.invented import (
    BLIND,
    FRESH,
    HELD_OUT,
    LATER,
    LATEST,
    SHAPES,
    TRIED,
    UNSEEN,
    Only,
    collection,
    measured,
)

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def minilm(models: dict[str, Path]) -> MiniLMEmbedder:
    return MiniLMEmbedder(models["minilm"])


def test_the_invented_collections_are_what_they_say() -> None:
    words = {}
    for shape in SHAPES:
        made = collection(shape)
        assert len(made.questions) >= 80
        assert len(made.texts) > 500
        words[shape] = sum(len(text.split()) for text in made.texts) / len(made.texts)
        long = [len(t.split()) for t, who in zip(made.texts, made.speakers, strict=True) if who == "assistant"]
        if shape == "assistant":
            assert min(long) >= 140
            assert max(long) <= 370
    assert words["notes"] < words["talk"] < words["tasks"] < words["documents"] < words["assistant"]


def test_the_shapes_held_out_tell_of_other_things_in_other_lengths() -> None:
    known = set(collection("notes").texts)
    words = {}
    for shape in (*HELD_OUT, *UNSEEN, *LATER):
        made = collection(shape)
        assert len(made.questions) >= 40
        assert not known.intersection(made.texts)
        assert len({gold for _, gold in made.questions}) == len(made.questions) // 2, "each fact stands once"
        words[shape] = sum(len(text.split()) for text in made.texts) / len(made.texts)
    assert words["italian"] < words["german"] < words["review"] < words["choir"] < words["tickets"]
    assert words["german"] < words["review"] < words["tickets"] < 50 < 200 < words["manual"]
    assert words["french"] < words["kitchen"] < 50 < 200 < words["helpdesk"]


@pytest.mark.parametrize("shape", [*SHAPES, *TRIED, *HELD_OUT])
def test_without_a_model_it_finds_no_less_than_full_text_search(shape: str) -> None:
    found = measured(collection(shape), None)
    assert found["memos"] >= found["fts5"]


@pytest.mark.parametrize("shape", [*UNSEEN, *LATER, *FRESH, *LATEST, *BLIND])
def test_nor_on_what_nothing_was_weighed_on_but_for_one_question(shape: str) -> None:
    made = collection(shape)
    found = measured(made, None)
    assert found["memos"] >= found["fts5"] - 100.1 / len(made.questions)


@pytest.mark.parametrize("shape", ["talk", "log"])
def test_with_minilm_it_finds_ten_points_more(shape: str, minilm: MiniLMEmbedder) -> None:
    found = measured(collection(shape, first=40), minilm, k=3)
    assert found["memos"] >= found["fts5"] + 10


WITHIN = 2.0
"""Questions, of each hundred, that are chance; of the small collections two questions."""


OF_OTHER_LANGUAGES = ("chinese", "projektlog", "taches")
"""Of these MiniLM, which was made for English, reads little: what words find is what can be had."""


MISSED = {
    "italian": "of 40 questions 67.5 %, late interaction alone 77.5: words by chance lift others over the answer",
    "svenska": "of 30 questions 3 points more than full text search, not 10: MiniLM reads little Swedish",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(each, marks=pytest.mark.xfail(reason=MISSED[each], strict=True)) if each in MISSED else each
        for each in (*SHAPES, *TRIED, *HELD_OUT, *UNSEEN, *LATER, *FRESH, *LATEST, *BLIND)
    ],
)
def test_all_signals_together_find_no_less_than_the_best_alone(shape: str, minilm: MiniLMEmbedder) -> None:
    made = collection(shape)
    found = measured(made, minilm, alone=("late", "dense", "bm25", "context"))
    together, full_text = found.pop("memos"), found.pop("fts5")
    assert together >= max(found.values()) - max(WITHIN, 200.1 / len(made.questions))
    assert together >= full_text + (10 if shape not in OF_OTHER_LANGUAGES else -100.1 / len(made.questions))


def test_what_an_embedder_does_not_read_is_found_by_its_words(minilm: MiniLMEmbedder) -> None:
    made = collection("chinese")
    found = measured(made, minilm, alone=("bm25",))
    assert found["memos"] >= found["bm25"] - 100.1 / len(made.questions)


@pytest.mark.parametrize("signal", ["late", "dense", "bm25", "context", "speaker"])
def test_a_scheduler_may_weigh_one_signal_alone(signal: str, minilm: MiniLMEmbedder) -> None:
    with MemOS(InMemoryVault(), embedder=minilm, scheduler=Only({signal: 1.0})) as memos:
        memos.remember("The kettle is blue.", by=ANA)
        assert set(memos.recall("What colour is the kettle?", by=ANA).hits[0].parts) == {signal}


def test_of_many_memories_only_the_most_promising_are_read(minilm: MiniLMEmbedder) -> None:
    made = collection("notes", first=90)
    with MemOS(InMemoryVault(), embedder=minilm) as memos:
        memos.remember_many(made.texts, by=ANA)
        found = memos.recall(made.questions[0][0], by=ANA, k=10, needed=True)
    assert len(made.texts) == 540
    assert LATE_EACH <= found.cost.candidates <= 1.5 * LATE_EACH
    assert all(hit.parts["late"] > 0.0 for hit in found.hits)


def test_what_a_long_memory_says_at_its_end_is_found_in_other_words(minilm: MiniLMEmbedder) -> None:
    page = "The harbour office opens at eight and the crane is oiled on the first of the month. " * 20
    with MemOS(InMemoryVault(), embedder=minilm) as memos:
        for end in ("The ferry was late.", "The soup is cold.", "My sister adopted twins.", "Nobody found the ladder."):
            memos.remember(f"{page}{end}", by=ANA)
        first = memos.recall("Which children joined her sibling's family?", by=ANA, k=4, needed=True).hits[0]
    assert first.text.endswith("My sister adopted twins.")
    assert first.parts["late"] > 0.0


def held(memos: MemOS) -> int:
    cache = memos._embedding._tokens
    assert cache is not None
    return len(cache._held)


def test_token_vectors_of_old_and_forgotten_words_are_let_go(minilm: MiniLMEmbedder) -> None:
    with MemOS(InMemoryVault(), embedder=minilm) as memos:
        cube = memos.remember("The kettle is blue.", by=ANA)
        memos.remember("The train leaves at noon.", by=ANA)
        assert held(memos) == 2
        memos.update(cube.id, by=ANA, text="The kettle is red.")
        assert held(memos) == 2, "the old words' are gone, the new words' are there"
        memos.recall("What colour has the kettle?", by=ANA)
        assert held(memos) == 2
        memos.forget(cube.id, by=ANA)
        assert held(memos) == 1


def test_after_a_restart_tokens_are_made_within_a_budget_and_the_rest_later(
    minilm: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MADE_AT_ONCE", 58)
    cache, texts = TokenCache(minilm), [f"Sentence number {number} of several." for number in range(6)]
    first = cache.of(texts)
    assert [each is not None for each in first] == [True, True, False, False, False, False]
    assert [each is not None for each in cache.of(texts)] == [True] * 4 + [False] * 2
    assert all(each is not None for each in cache.of(texts))
    again, fresh = cache.of(texts[:1])[0], first[0]
    assert again is not None
    assert fresh is not None
    assert np.array_equal(again[0], fresh[0])


def test_after_a_restart_recall_is_as_before_and_nothing_is_embedded_again(
    tmp_path: Path, minilm: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "Which children joined her sibling's family?"
    texts = ["The kettle is blue.", "The train leaves at noon.", "My sister adopted twins.", "Twins like the train."]

    def scores(memos: MemOS) -> list[tuple[str, dict[str, float]]]:
        return [(hit.text, hit.parts) for hit in memos.recall(asked, by=ANA, k=4).hits]

    with MemOS.open(tmp_path, embedder=minilm, clock=lambda: NOW) as memos:
        memos.remember_many(texts, by=ANA)
        before = scores(memos)
    monkeypatch.setattr(tokens, "MADE_AT_ONCE", 0)
    with MemOS.open(tmp_path, embedder=minilm, clock=lambda: NOW) as memos:
        assert scores(memos) == before
        assert held(memos) == 4
    assert any(parts.get("late") for _, parts in before)


def test_what_is_not_reached_yet_is_judged_by_its_vector(
    tmp_path: Path, minilm: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemOS.open(tmp_path, embedder=minilm) as memos:
        for text in ("The kettle is blue.", "The train leaves at noon.", "My sister adopted twins."):
            memos.remember(text, by=ANA)
    with closing(sqlite3.connect(tmp_path / "vault.db")) as connection, connection:
        connection.execute("DELETE FROM tokens")
    monkeypatch.setattr(tokens, "MADE_AT_ONCE", 0)
    with MemOS.open(tmp_path, embedder=minilm) as memos:
        hits = memos.recall("Which children joined her sibling's family?", by=ANA, k=3).hits
        assert held(memos) == 0
        assert hits[0].text == "My sister adopted twins."
        assert hits[0].parts["late"] > hits[-1].parts["late"]
