"""What a merge was made of stays known: what its words do not tell, what outlives it, and what is over by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core.cube import State
from memos_integrations.memos import MemOS
from tests.lifetime import ANA, DAY, Clock, WalkingClock, judging

LISBON, CELLO = "Ana lives in Lisbon.", "Ana plays the cello."
TEAL = "My favourite colour is teal."


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS) -> list[str]:
    question = "Ana lives in Lisbon Porto plays the cello, favourite colour teal red dog called Rex"
    return sorted(hit.text for hit in memos.recall(question, by=ANA, needed=True).hits)


def of_two(memos: MemOS, **how: object) -> tuple[str, str]:
    """The ids of two memories, the first written as *how* says."""
    return memos.remember(LISBON, by=ANA, **how).id, memos.remember(CELLO, by=ANA).id


def repeated(memos: MemOS) -> tuple[str, str]:
    """The ids of a memory, and of its repeat."""
    return memos.remember(TEAL, by=ANA).id, memos.remember(TEAL, by=ANA).id


AFTER: dict[str, Callable[[MemOS, str], object]] = {
    "nothing": lambda m, i: None,
    "archived": lambda m, i: m.move(i, "archived", by=ANA),
    "outdated": lambda m, i: m.feedback(i, "outdated", by=ANA),
    "updated": lambda m, i: m.update(i, by=ANA, text="Ana lives in Porto."),
    "replaced": lambda m, i: m.remember("Ana lives in Porto now.", by=ANA),
}


@pytest.mark.parametrize("what", AFTER)
def test_what_the_words_of_a_merge_do_not_tell_stays_in_recall(memos: MemOS, what: str) -> None:
    merged = memos.merge(of_two(memos), by=ANA, text="Ana lives in Lisbon, by the river.")
    AFTER[what](memos, merged.id)
    assert CELLO in told(memos)
    assert LISBON not in told(memos)


@pytest.mark.parametrize("text", ["Ana, who plays the cello, lives in Lisbon.", "Ana lives in Porto. Ana plays cello."])
def test_what_the_words_of_a_merge_tell_or_replace_is_in_it(memos: MemOS, text: str) -> None:
    merged = memos.merge(of_two(memos), by=ANA, text=text)
    assert told(memos) == [merged.text]


def test_words_given_to_a_merge_bring_back_nothing_that_they_replace(memos: MemOS) -> None:
    merged = memos.merge(of_two(memos), by=ANA)
    new = memos.update(merged.id, by=ANA, text="Ana lives in Porto. Ana plays the cello.")
    assert told(memos) == [new.text]
    memos.update(merged.id, by=ANA, text="Ana lives in Porto.")
    assert told(memos) == sorted(["Ana lives in Porto.", CELLO])


def test_words_on_another_matter_leave_a_repeat_what_it_says(memos: MemOS) -> None:
    first, again = repeated(memos)
    memos.update(first, by=ANA, text="My dog is called Rex.")
    assert told(memos) == sorted([TEAL, "My dog is called Rex."])
    assert memos.get(again, by=ANA).state is State.ACTIVATED


def test_words_on_the_same_matter_correct_a_repeat_too(memos: MemOS) -> None:
    first, _ = repeated(memos)
    memos.update(first, by=ANA, text="My favourite colour is red.")
    assert told(memos) == ["My favourite colour is red."]


def test_a_merge_lives_as_long_as_the_longest_of_its_sources(memos: MemOS, clock: Clock) -> None:
    merged = memos.merge(of_two(memos, half_life=DAY, priority=20), by=ANA)
    assert (merged.governance.half_life, merged.governance.priority) == (None, 20)


@pytest.mark.parametrize("how", ["a merge", "a repeat"])
def test_what_fades_gives_back_what_lives_longer(memos: MemOS, clock: Clock, how: str) -> None:
    faded = memos.merge(of_two(memos), by=ANA).id if how == "a merge" else repeated(memos)[0]
    memos.update(faded, by=ANA, half_life=DAY)
    clock.now += 20 * DAY
    done = memos.tick(by=ANA)
    assert done.archived == {faded: "decay"}
    assert told(memos) == ([LISBON, CELLO] if how == "a merge" else [TEAL])
    assert memos.tick(by=ANA).archived == {}


@pytest.mark.parametrize("how", ["forgotten", "a source forgotten", "a source updated"])
def test_what_is_over_does_not_come_back_with_a_merge_that_is_undone(memos: MemOS, clock: Clock, how: str) -> None:
    ended, music = of_two(memos, valid_to=clock.now + DAY)
    merged = memos.merge([ended, music], by=ANA)
    clock.now += 3 * DAY
    if how == "forgotten":
        memos.forget(merged.id, by=ANA)
        assert told(memos) == [CELLO]
    elif how == "a source forgotten":
        memos.forget(music, by=ANA)
        assert told(memos) == []
    else:
        memos.update(music, by=ANA, text="Ana plays the viola.")
        assert told(memos) == ["Ana plays the viola."]
    assert memos.get(ended, by=ANA).state is State.ARCHIVED


def test_a_repeat_that_is_over_does_not_come_back_when_the_decision_is_undone(memos: MemOS, clock: Clock) -> None:
    end = clock.now + DAY
    memos.remember(TEAL, by=ANA, valid_to=end)
    again = memos.remember(TEAL, by=ANA, valid_to=end)
    assert again.state is State.MERGED
    (decision,) = memos.decisions(again.id, by=ANA)
    clock.now += 3 * DAY
    memos.undo(decision, by=ANA)
    assert memos.get(again.id, by=ANA).state is State.ARCHIVED
