"""Memories drawn from turns: derived, no more trusted than their turns, drawn once, gone with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from memos_integrations import MemCube, MemOS, Origin, Principal, TrustLabel
from memos_integrations.core.errors import CubeNotFoundError, ModelError
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2023, 7, 15, 12, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")


class Draws:
    """An extractor that answers as told, and counts."""

    def __init__(self, *drawn: object) -> None:
        self.drawn, self.seen = drawn, list[list[str]]()

    def __call__(self, turns: Sequence[MemCube]) -> list[object]:
        self.seen.append([turn.text for turn in turns])
        return list(self.drawn)


@pytest.fixture
def memos() -> MemOS:
    return MemOS(InMemoryVault(), clock=lambda: NOW)


def say(memos: MemOS, text: str, by: Principal = ANA, **options: object) -> MemCube:
    return memos.remember(text, by=by, semantic_type="message", **options)  # type: ignore[arg-type]


def test_what_is_drawn_names_its_turns_and_is_trusted_less(memos: MemOS) -> None:
    say(memos, "Hello!")
    turn = say(memos, "My sister Noor is allergic to nuts.", readers=["ben"])
    drawn = memos.extract(Draws({"text": "Noor is allergic to nuts.", "semantic_type": "fact", "sources": [1]}), by=ANA)
    assert [cube.provenance.derived_from for cube in drawn] == [(turn.ref,)]
    assert drawn[0].trust.label is TrustLabel.UNVERIFIED
    assert drawn[0].descriptive.origin is Origin.INFERENCE_EXTRACTION
    assert memos.get(turn.id, by=ANA).text == turn.text
    with pytest.raises(CubeNotFoundError):
        memos.get(drawn[0].id, by=BEN)


def test_the_same_turns_are_drawn_from_once(memos: MemOS) -> None:
    say(memos, "I prefer tea.")
    extractor = Draws("Ana prefers tea.", {"text": "Ana drinks tea.", "semantic_type": "preference"})
    first = memos.extract(extractor, by=ANA)
    assert [cube.id for cube in memos.extract(extractor, by=ANA)] == [cube.id for cube in first]
    assert len(extractor.seen) == 1


def test_a_growing_conversation_is_not_drawn_from_twice(memos: MemOS) -> None:
    turns = ["I prefer tea.", "I live in Lisbon.", "I have a dog.", "I sold the car."]

    def each(shown: Sequence[MemCube]) -> list[object]:
        return [{"text": f"Ana says: {turn.text}", "sources": [place]} for place, turn in enumerate(shown)]

    for count in range(1, len(turns) + 1):
        say(memos, turns[count - 1])
        drawn = memos.extract(each, by=ANA)
        assert sorted(cube.text for cube in drawn) == sorted(f"Ana says: {turn}" for turn in turns[:count])
    assert len({cube.id for cube in memos.extract(Draws("never asked"), by=ANA)}) == len(turns)


@pytest.mark.answers("ASI06 6", "poison 25")
def test_nothing_that_was_drawn_or_recalled_is_drawn_from_again(memos: MemOS) -> None:
    say(memos, "I prefer tea.")
    memos.extract(Draws({"text": "Ana prefers tea.", "semantic_type": "message"}), by=ANA)
    say(memos, "I moved to Lisbon.")
    extractor = Draws()
    memos.recall("What do I prefer?", by=ANA)
    memos.extract(extractor, by=ANA)
    assert extractor.seen == [["I moved to Lisbon."]]


def test_it_dies_with_its_turns(memos: MemOS) -> None:
    turn = say(memos, "I prefer tea.")
    drawn = memos.extract(Draws("Ana prefers tea."), by=ANA)
    memos.forget(turn.id, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(drawn[0].id, by=ANA)


def test_others_turns_are_not_drawn_from(memos: MemOS) -> None:
    say(memos, "Ben's words for all.", by=BEN, readers=["*"])
    assert memos.extract(Draws("x"), by=ANA) == []


@pytest.mark.parametrize(
    "garbage", ["a text", 7, None, {"text": "x"}, [{"words": "x"}], [{"text": ""}], [{"text": "x", "sources": [9]}]]
)
def test_garbage_is_refused_and_nothing_is_written(memos: MemOS, garbage: object) -> None:
    say(memos, "I prefer tea.")
    with pytest.raises(ModelError):
        memos.extract(lambda turns: garbage, by=ANA)  # type: ignore[arg-type, return-value]
    assert len(memos.recall("tea", by=ANA).hits) == 1


async def test_answers_and_draws_without_blocking() -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        say(memos, "I signed up for a pottery class yesterday.")
        assert (await memos.aanswer("When did I sign up for pottery?", by=ANA)).text == "14 July 2023"
        assert len(await memos.aextract(Draws("Ana does pottery."), by=ANA)) == 1
