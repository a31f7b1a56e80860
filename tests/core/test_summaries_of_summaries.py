"""Summaries of summaries follow what they stand on, however far; and a merge takes nothing out of a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from memos_integrations import MemCube, MemOS, State
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ANA, BEN, DAY, Clock

BOILER, ROOF, CHIMNEY = "The boiler was repaired in May.", "The roof leaks.", "The chimney was swept."


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as made:
        yield made
        assert made.verify_audit().ok


def ids(cubes: list[MemCube]) -> list[str]:
    return [cube.id for cube in cubes]


def in_short(cubes: Sequence[MemCube]) -> str:
    return " ".join(["In short:", *(cube.text for cube in cubes)])


def towered(memos: MemOS, clock: Clock) -> tuple[MemCube, list[MemCube]]:
    """A memory, and three summaries each of the one before it; the second has a memory of its own besides."""
    base = memos.remember(BOILER, by=ANA)
    beside = memos.remember(ROOF, by=ANA)
    tower: list[MemCube] = []
    for more in ([base.id], [beside.id], []):
        clock.now += DAY
        tower.append(memos.summarise([*(each.id for each in tower[-1:]), *more], by=ANA, most=9))
    clock.now += DAY
    return base, tower


@pytest.mark.parametrize("made_by", ["tick", "renew", "feedback"])
def test_a_change_is_told_to_the_top(memos: MemOS, clock: Clock, made_by: str) -> None:
    base, tower = towered(memos, clock)
    if made_by == "feedback":
        memos.feedback(base.id, "wrong", by=ANA)
    else:
        memos.update(base.id, by=ANA, text="The boiler was repaired in June.")
        made = memos.tick(by=ANA).renewed if made_by == "tick" else memos.renew_summaries(by=ANA)
        assert made == tuple(ids(tower))
    said = BOILER if made_by == "feedback" else "The boiler was repaired in June."
    assert [set(memos.get(each, by=ANA).text.splitlines()) for each in ids(tower)] == [
        {said},
        {said, ROOF},
        {said, ROOF},
    ]
    assert [memos.get(each, by=ANA).version for each in ids(tower)] == [2, 2, 2]
    assert memos.tick(by=ANA).renewed == ()


def test_what_waits_for_a_source_that_is_not_made_anew_yet_loses_nothing(memos: MemOS, clock: Clock) -> None:
    base, beside = memos.remember(BOILER, by=ANA), memos.remember(ROOF, by=ANA)
    day = memos.summarise([base.id], by=ANA, write=in_short)
    clock.now += DAY
    week = memos.summarise([day.id, beside.id], by=ANA)
    memos.update(base.id, by=ANA, text="The boiler was repaired in June.")
    assert memos.tick(by=ANA).renewed == ()
    assert memos.recall("What about the roof?", by=ANA, k=1).hits[0].text == ROOF
    memos.renew_summaries(by=ANA, write=in_short)
    memos.tick(by=ANA)
    assert "In short: The boiler was repaired in June." in memos.get(week.id, by=ANA).text
    assert ROOF in memos.get(week.id, by=ANA).text


def test_a_limit_makes_the_lower_ones_first(memos: MemOS, clock: Clock) -> None:
    base, tower = towered(memos, clock)
    memos.update(base.id, by=ANA, text="The boiler was repaired in June.")
    assert [memos.renew_summaries(by=ANA, limit=1) for _ in range(4)] == [*((each,) for each in ids(tower)), ()]


def test_where_all_goes_the_whole_tower_leaves_recall(memos: MemOS, clock: Clock) -> None:
    base, beside = memos.remember(BOILER, by=ANA), memos.remember(ROOF, by=ANA)
    day = memos.summarise([base.id], by=ANA)
    clock.now += DAY
    week = memos.summarise([day.id], by=ANA, most=1)
    memos.move(base.id, "archived", by=ANA)
    memos.tick(by=ANA)
    states = [cube.state for cube in memos._governance.held([day.id, week.id], memos._caller(ANA, None)).values()]
    assert states == [State.ARCHIVED, State.ARCHIVED]
    assert memos.get(beside.id, by=ANA).text == ROOF


def test_a_merge_of_sources_stays_in_the_summary(memos: MemOS, clock: Clock) -> None:
    notes = [memos.remember(text, by=ANA) for text in (BOILER, ROOF, CHIMNEY)]
    summary = memos.summarise(ids(notes), by=ANA)
    clock.now += DAY
    both = memos.merge(ids(notes[1:]), by=ANA)
    assert memos.tick(by=ANA).renewed == (summary.id,)
    now = memos.get(summary.id, by=ANA)
    assert set(now.text.splitlines()) == {BOILER, ROOF, CHIMNEY}
    assert {ref.id for ref in now.provenance.derived_from} == {notes[0].id, both.id}
    assert memos.tick(by=ANA).renewed == ()
    memos.forget(both.id, by=ANA)
    assert {memos.get(each.id, by=ANA).state for each in notes[1:]} == {State.ACTIVATED}


def test_a_merge_that_the_owner_of_a_summary_may_not_read_is_left_out(memos: MemOS, clock: Clock) -> None:
    notes = [memos.remember(text, by=BEN, readers=["ana"]) for text in (ROOF, CHIMNEY)]
    mine = memos.remember(BOILER, by=ANA)
    summary = memos.summarise([mine.id, *ids(notes)], by=ANA)
    both = memos.merge(ids(notes), by=BEN)
    memos.update(both.id, by=BEN, readers=[])
    memos.tick(by=ANA)
    assert memos.get(summary.id, by=ANA).text == BOILER
