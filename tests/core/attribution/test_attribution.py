"""Which memories a text was taken from, and which licensee leaked it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.attribution import Canaries
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
MEMORY = "The kiln in the back shed is fired on Thursdays, and nobody may open its door before Friday noon."
EDITED = [
    MEMORY.upper(),
    "  ".join(MEMORY.replace(",", " ;").split()),
    MEMORY.replace(" ", "\n"),
    "\u200b".join(MEMORY),
    f"She wrote to me at length about her week. {MEMORY} " + "And then she spoke of her garden again. " * 40,
]


@pytest.fixture
def memos() -> Iterator[MemOS]:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as made:
        made.remember(MEMORY, by=ANA)
        made.remember_many(
            [f"Note {n} on the weather in the valley: {n * 7} drops of rain." for n in range(200)], by=ANA
        )
        yield made


@pytest.mark.parametrize("text", [MEMORY, *EDITED])
def test_wording_is_found_after_edits(memos: MemOS, text: str) -> None:
    best = memos.attribute(text, by=ANA).sources[0]
    assert best.cube.text == MEMORY
    assert best.share > 0.95


def test_most_memories_are_found_with_a_fifth_of_the_words_gone(memos: MemOS) -> None:
    draw, hits = random.Random(7), 0
    for _ in range(50):
        kept = " ".join(word for word in MEMORY.split() if draw.random() > 0.2)
        found = memos.attribute(kept, by=ANA).sources
        hits += bool(found) and found[0].cube.text == MEMORY
    assert hits >= 40


def test_other_words_are_not_attributed(memos: MemOS) -> None:
    other = "On Thursdays the door of the back shed is painted, and before Friday nobody may touch the new kiln."
    assert memos.attribute(other, by=ANA).sources == ()
    assert memos.attribute("The kiln is fired", by=ANA).note.startswith("Fewer than 6")
    assert memos.attribute("", by=ANA).sources == ()


def test_only_what_one_may_read_is_attributed(memos: MemOS) -> None:
    assert memos.attribute(MEMORY, by=BEN).sources == ()
    memos.forget(memos.attribute(MEMORY, by=ANA).sources[0].cube.id, by=ANA)
    assert memos.attribute(MEMORY, by=ANA).sources == ()


def test_asking_is_on_record() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        memos.remember(MEMORY, by=ANA)
        before = len(memos.audit(by=ANA))
        memos.attribute(MEMORY, by=ANA)
        assert len(memos.audit(by=ANA)) > before


def test_looking_uses_up_only_the_licence_of_what_is_given() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        memos.remember(MEMORY, by=BEN, readers=["ana"], licence=Licence(uses_left=1))
        other = "The kiln in the back shed is red, and its door is of iron."
        assert memos.attribute(other, by=ANA).sources == ()
        assert len(memos.attribute(MEMORY, by=ANA).sources) == 1
        assert memos.attribute(MEMORY, by=ANA).sources == ()


def test_what_cannot_be_asked_is_refused(memos: MemOS) -> None:
    for wrong in ({"text": 3}, {"text": "a" * 1_000_001}, {"text": "a", "k": 0}):
        with pytest.raises(InvalidMemoryError):
            memos.attribute(**{"by": ANA, **wrong})  # type: ignore[arg-type]


def test_a_canary_says_who_leaked() -> None:
    canaries = Canaries(os.urandom(32))
    licensees = [f"licensee {n}" for n in range(100)]
    leak = "\n".join(["What follows was on a paste site.", *canaries.texts("licensee 42")])
    for text in (leak, leak.lower(), leak.replace("-", " "), leak.replace("-", "\n")):
        assert canaries.found(text, licensees) == {"licensee 42": 5}
    assert canaries.found("\n".join(canaries.texts("licensee 42")[:1]), licensees) == {"licensee 42": 1}


def test_a_canary_cannot_be_made_without_the_secret() -> None:
    canaries, other = Canaries(b"a" * 32), Canaries(b"b" * 32)
    assert canaries.texts("x") == Canaries(b"a" * 32).texts("x")
    assert canaries.found(" ".join(other.texts("x")), ["x"]) == {}
    assert len({*canaries.texts("x"), *canaries.texts("y")}) == 10
    with pytest.raises(InvalidMemoryError, match="32 bytes"):
        Canaries(b"short")
