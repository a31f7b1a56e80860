"""What holds for a while retires nothing for good; and what is brought back by hand is retired no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core.conflict import Ruling
from memos_integrations.core.cube import MemCube, Relation, State
from memos_integrations.core.errors import LegalHoldError
from memos_integrations.memos import MemOS
from tests.lifetime import ADMIN, ANA, DAY, Clock, WalkingClock, judging

BERLIN, OSLO = "I live in Berlin.", "I live in Oslo."


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS, question: str = "Where do I live? Berlin or Oslo?") -> list[str]:
    """What is recalled, best first; what is set back in brackets."""
    hits = memos.recall(question, by=ANA, needed=True).hits
    return [f"({hit.text})" if hit.superseded_by else hit.text for hit in hits]


ENDS: dict[str, Callable[[Clock], dict[str, object]]] = {
    "ttl": lambda _: {"ttl": 7 * DAY},
    "valid_to": lambda clock: {"valid_to": clock.now + 9 * DAY},
}


def both(memos: MemOS, clock: Clock, end: str) -> tuple[MemCube, MemCube]:
    """A home for good, and one for a week."""
    old = memos.remember(BERLIN, by=ANA)
    clock.now += 2 * DAY
    new = memos.remember(OSLO, by=ANA, **ENDS[end](clock))
    return old, new


@pytest.mark.parametrize("end", ENDS)
def test_the_earlier_is_set_back_while_the_later_holds(memos: MemOS, clock: Clock, end: str) -> None:
    old, new = both(memos, clock, end)
    assert told(memos) == [OSLO, f"({BERLIN})"]
    (decision,) = memos.decisions(new.id, by=ANA)
    assert (decision.ruling, decision.older, decision.until is not None) == (Ruling.SUPERSEDE, old.id, True)
    assert memos.get(old.id, by=ANA).digest == old.digest
    assert memos.consolidate(by=ANA) == []


@pytest.mark.parametrize("ticks", [True, False])
@pytest.mark.parametrize("end", ENDS)
def test_the_earlier_stands_again_when_the_later_is_over(memos: MemOS, clock: Clock, end: str, ticks: bool) -> None:
    old, _ = both(memos, clock, end)
    clock.now += 10 * DAY
    if ticks:
        memos.tick(by=ANA)
    assert BERLIN in told(memos)
    assert memos.get(old.id, by=ANA).descriptive.valid_to is None
    assert memos.superseded([old], by=ANA) == {}


@pytest.mark.parametrize("end", ENDS)
def test_the_earlier_stands_again_when_the_later_is_forgotten_or_the_decision_undone(
    memos: MemOS, clock: Clock, end: str
) -> None:
    _, new = both(memos, clock, end)
    memos.undo(memos.decisions(new.id, by=ANA)[0], by=ANA)
    assert sorted(told(memos)) == [BERLIN, OSLO]
    assert memos.consolidate(by=ANA) == []
    memos.forget(new.id, by=ANA)
    assert told(memos) == [BERLIN]


@pytest.mark.parametrize("end", ENDS)
def test_what_is_given_an_end_later_gives_back_what_it_had_retired(memos: MemOS, clock: Clock, end: str) -> None:
    old = memos.remember(BERLIN, by=ANA)
    clock.now += 2 * DAY
    new = memos.remember(OSLO, by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    ends = ENDS[end](clock)
    memos.update(new.id, by=ANA, **({"expires_at": clock.now + 7 * DAY} if end == "ttl" else ends))
    assert told(memos) == [OSLO, f"({BERLIN})"]
    assert [(d.undone, d.until is None) for d in memos.decisions(new.id, by=ANA)] == [(True, True), (False, False)]
    clock.now += 10 * DAY
    memos.tick(by=ANA)
    assert BERLIN in told(memos)
    assert OSLO not in told(memos)


def test_what_holds_for_good_after_all_retires_the_earlier(memos: MemOS, clock: Clock) -> None:
    old, new = both(memos, clock, "valid_to")
    memos.update(new.id, by=ANA, valid_to=None)
    (decision,) = memos.consolidate(by=ANA)
    assert (decision.older, decision.until) == (old.id, None)
    assert told(memos) == [OSLO]
    memos.undo(decision, by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED


def test_a_later_home_for_good_retires_both(memos: MemOS, clock: Clock) -> None:
    old, new = both(memos, clock, "valid_to")
    clock.now += 2 * DAY
    memos.remember("I moved to Hamburg.", by=ANA)
    assert {memos.get(each.id, by=ANA).state for each in (old, new)} == {State.ARCHIVED}
    clock.now += 20 * DAY
    memos.tick(by=ANA)
    assert told(memos, "Where do I live? Berlin, Oslo, Hamburg?") == ["I moved to Hamburg."]


def test_what_is_to_come_for_a_while_sets_nothing_back_before(memos: MemOS, clock: Clock) -> None:
    memos.remember(BERLIN, by=ANA)
    clock.now += 2 * DAY
    memos.remember(OSLO, by=ANA, valid_from=clock.now + 5 * DAY, valid_to=clock.now + 9 * DAY)
    assert BERLIN in told(memos)
    clock.now += 6 * DAY
    assert f"({BERLIN})" in told(memos)
    clock.now += 6 * DAY
    assert BERLIN in told(memos)


# --- brought back by hand


def moved_house(memos: MemOS, clock: Clock) -> tuple[MemCube, MemCube]:
    old = memos.remember(BERLIN, by=ANA)
    clock.now += 2 * DAY
    return old, memos.remember("I moved to Oslo.", by=ANA)


BACK: dict[str, Callable[[MemOS, MemCube], object]] = {
    "restore": lambda m, c: m.restore(c.id, 1, by=ANA),
    "restore what was closed": lambda m, c: m.restore(c.id, 2, by=ANA),
    "activate": lambda m, c: m.move(c.id, "activated", by=ANA),
}


@pytest.mark.parametrize("how", BACK)
def test_what_is_brought_back_by_hand_is_retired_no_longer(memos: MemOS, clock: Clock, how: str) -> None:
    old, new = moved_house(memos, clock)
    BACK[how](memos, old)
    back, other = memos.get(old.id, by=ANA), memos.get(new.id, by=ANA)
    assert (back.state, back.descriptive.valid_to) == (State.ACTIVATED, None)
    assert other.descriptive.valid_from is None
    assert Relation.SUPERSEDES not in {link.relation for link in other.provenance.links}
    made = [(each.ruling, each.undone) for each in memos.decisions(new.id, by=ANA)]
    assert made == [(Ruling.SUPERSEDE, True), (Ruling.FLAG, False)]
    assert sorted(told(memos)) == [BERLIN, "I moved to Oslo."]
    clock.now += DAY
    memos.tick(by=ANA)
    assert memos.consolidate(by=ANA) == []
    assert BERLIN in told(memos)


@pytest.mark.parametrize("how", ["restore", "activate"])
def test_what_is_brought_back_by_hand_and_what_had_retired_it_are_said_to_contradict(
    memos: MemOS, clock: Clock, how: str
) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    clock.now += DAY
    new = memos.remember("I moved to Porto.", by=ANA)
    clock.now += DAY
    if how == "restore":
        memos.restore(old.id, 1, by=ANA)
    else:
        memos.move(old.id, "activated", by=ANA)
    memos.consolidate(by=ANA)
    memos.tick(by=ANA)
    hits = {hit.cube.id: hit for hit in memos.recall("Do I live in Lisbon or Porto?", by=ANA, needed=True).hits}
    assert {each: hit.conflicts_with for each, hit in hits.items()} == {old.id: (new.id,), new.id: (old.id,)}
    assert {hit.superseded_by for hit in hits.values()} == {None}
    memos.forget(new.id, by=ANA)
    (hit,) = memos.recall("Do I live in Lisbon or Porto?", by=ANA, needed=True).hits
    assert (hit.cube.id, hit.conflicts_with) == (old.id, ())


@pytest.mark.parametrize("how", ["restore", "activate"])
def test_a_repeat_that_is_brought_back_by_hand_is_merged_no_longer(memos: MemOS, how: str) -> None:
    first, again = memos.remember(BERLIN, by=ANA), memos.remember(BERLIN, by=ANA)
    BACK[how](memos, again)
    assert memos.get(first.id, by=ANA).provenance.links == ()
    assert [each.undone for each in memos.decisions(again.id, by=ANA)] == [True]
    memos.forget(first.id, by=ANA)
    assert told(memos) == [BERLIN]


@pytest.mark.parametrize("how", BACK)
def test_what_is_on_hold_is_not_changed_by_bringing_back_what_it_retired(memos: MemOS, clock: Clock, how: str) -> None:
    old, new = moved_house(memos, clock)
    memos.hold(new.id, by=ADMIN)
    with pytest.raises(LegalHoldError):
        BACK[how](memos, old)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED


def test_rolling_back_undoes_what_was_decided_since(memos: MemOS, clock: Clock) -> None:
    old = memos.remember(BERLIN, by=ANA)
    clock.now += 2 * DAY
    since = clock.now
    new = memos.remember("I moved to Oslo.", by=ANA)
    memos.roll_back(since, by=ANA)
    assert told(memos) == [BERLIN]
    assert [each.undone for each in memos.decisions(old.id, by=ANA)] == [True]
    assert memos.get(new.id, by=ANA).state is State.ARCHIVED


# --- corrected


def test_what_was_retired_by_a_mistake_comes_back_with_its_correction(memos: MemOS, clock: Clock) -> None:
    old, wrong = moved_house(memos, clock)
    memos.update(wrong.id, by=ANA, text="I visited Oslo.")
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED
    assert [each.undone for each in memos.decisions(wrong.id, by=ANA)] == [True]


def test_another_correction_leaves_it_retired(memos: MemOS, clock: Clock) -> None:
    old, new = moved_house(memos, clock)
    memos.update(new.id, by=ANA, text="I moved to Bergen.")
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert memos.restore(new.id, 1, by=ANA).text == "I moved to Oslo."
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    memos.update(new.id, by=ANA, text="I visited Bergen.")
    assert memos.get(old.id, by=ANA).state is State.ACTIVATED


def test_what_was_retired_and_is_given_other_words_is_retired_no_longer(memos: MemOS, clock: Clock) -> None:
    old, new = moved_house(memos, clock)
    changed = memos.update(old.id, by=ANA, text="I keep a boat in Berlin.")
    assert (changed.state, changed.descriptive.valid_to) == (State.ACTIVATED, None)
    assert [each.undone for each in memos.decisions(new.id, by=ANA)] == [True]
    assert sorted(told(memos, "Berlin boat Oslo moved")) == ["I keep a boat in Berlin.", "I moved to Oslo."]


def test_what_was_over_and_is_said_to_hold_on_is_recalled_again(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember(BERLIN, by=ANA, valid_to=clock.now + DAY)
    clock.now += 2 * DAY
    memos.tick(by=ANA)
    assert told(memos) == []
    memos.update(cube.id, by=ANA, valid_to=clock.now + 9 * DAY)
    assert told(memos) == [BERLIN]


def test_what_was_archived_by_hand_stays_archived_with_other_words(memos: MemOS) -> None:
    cube = memos.remember(BERLIN, by=ANA)
    memos.move(cube.id, "archived", by=ANA)
    assert memos.update(cube.id, by=ANA, text=OSLO).state is State.ARCHIVED
