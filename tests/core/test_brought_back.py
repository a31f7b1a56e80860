"""What somebody brings back is the newest of what it contradicts, and that the two contradict is a decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core.conflict import Ruling
from memos_integrations.core.cube import MemCube, Relation, State
from memos_integrations.memos import MemOS
from tests.lifetime import ANA, DAY, Clock, WalkingClock, judging

ASKED = "Where do I live?"


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def said(memos: MemOS, clock: Clock, *texts: str) -> list[MemCube]:
    """Memories told two days apart."""
    made = []
    for text in texts:
        clock.now += 2 * DAY
        made.append(memos.remember(text, by=ANA))
    clock.now += 2 * DAY
    return made


BACK: dict[str, Callable[[MemOS, str], object]] = {
    "restore": lambda m, i: m.restore(i, 1, by=ANA),
    "activate": lambda m, i: m.move(i, "activated", by=ANA),
    "update": lambda m, i: m.update(i, by=ANA, text="I live in Lisbon, near the river."),
}


@pytest.mark.parametrize("how", BACK)
def test_the_answer_is_what_was_brought_back_until_there_is_news(memos: MemOS, clock: Clock, how: str) -> None:
    old, _ = said(memos, clock, "I live in Lisbon.", "I live in Porto.")
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert "Porto" in memos.answer(ASKED, by=ANA).text
    BACK[how](memos, old.id)
    assert "Lisbon" in memos.answer(ASKED, by=ANA).text
    assert [each.ruling for each in memos.consolidate(by=ANA)] == []
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED
    said(memos, clock, "I live in Faro now.")
    assert "Faro" in memos.answer(ASKED, by=ANA).text
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED


def test_what_replaced_the_one_that_had_replaced_it_is_contradicted_too(memos: MemOS, clock: Clock) -> None:
    first, _, last = said(memos, clock, "I live in Lisbon.", "I live in Porto now.", "I live in Faro now.")
    back = memos.restore(first.id, 1, by=ANA)
    assert (Relation.CONTRADICTS, last.id) in {(link.relation, link.target) for link in back.provenance.links}
    assert "Lisbon" in memos.answer(ASKED, by=ANA).text
    assert memos.consolidate(by=ANA) == []


def test_what_was_archived_by_hand_contradicts_what_was_told_meanwhile(memos: MemOS, clock: Clock) -> None:
    (old,) = said(memos, clock, "I live in Lisbon.")
    memos.move(old.id, "archived", by=ANA)
    (new,) = said(memos, clock, "I live in Porto.")
    memos.restore(old.id, 1, by=ANA)
    assert "Lisbon" in memos.answer(ASKED, by=ANA).text
    (hit,) = (hit for hit in memos.recall(ASKED, by=ANA).hits if hit.cube.id == new.id)
    assert hit.conflicts_with == (old.id,)


def test_that_the_two_contradict_is_a_decision_which_undo_takes_back(memos: MemOS, clock: Clock) -> None:
    old, new = said(memos, clock, "I live in Lisbon.", "I live in Porto.")
    memos.restore(old.id, 1, by=ANA)
    flag = next(each for each in memos.decisions(old.id, by=ANA) if not each.undone)
    assert (flag.ruling, flag.newer, flag.older) == (Ruling.FLAG, old.id, new.id)
    assert memos.undo(flag, by=ANA).undone
    assert all(not hit.conflicts_with for hit in memos.recall(ASKED, by=ANA).hits)
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED
    assert all(each.undone for each in memos.decisions(old.id, by=ANA))
    assert memos.consolidate(by=ANA) == []


def test_what_is_told_later_of_a_time_before_a_restore_does_not_retire_what_was_restored(
    memos: MemOS, clock: Clock
) -> None:
    old, other = said(memos, clock, "I live in Lisbon.", "I live in Porto.")
    before = clock.now
    clock.now += 30 * DAY
    memos.restore(old.id, 1, by=ANA)
    clock.now += DAY
    told = memos.remember("I live in Faro.", by=ANA, occurred_at=before)
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED
    found = {each.older: each for each in memos.decisions(told.id, by=ANA)}
    assert (found[old.id].ruling, found[old.id].reason) == (Ruling.FLAG, "the older was restored by hand since")
    assert found[other.id].ruling is Ruling.SUPERSEDE
    clock.now += DAY
    memos.remember("I live in Silves now.", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
