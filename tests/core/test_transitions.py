"""Each way in which a memory passes to another state is on record and published, whatever set it off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core.cube import State
from memos_integrations.core.events import CubeMoved
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.memos import MemOS
from tests.lifetime import ADMIN, ANA, DAY, Clock, WalkingClock, judging

LISBON, PORTO = "I live in Lisbon.", "I moved to Porto."


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def used(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA)
    assert memos.recall("Where do I live?", by=ANA, needed=True).hits
    return cube.id


def contradicted(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA)
    clock.now += 2 * DAY
    memos.remember(PORTO, by=ANA)
    return cube.id


def repeated(memos: MemOS, clock: Clock) -> str:
    memos.remember(LISBON, by=ANA)
    clock.now += DAY
    return memos.remember(LISBON, by=ANA).id


def merged(memos: MemOS, clock: Clock) -> str:
    one, other = memos.remember(LISBON, by=ANA), memos.remember("I play the cello.", by=ANA)
    memos.merge([one.id, other.id], by=ANA)
    return one.id


def past_its_time(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA, ttl=DAY)
    clock.now += 2 * DAY
    memos.tick(by=ANA)
    return cube.id


def no_longer_valid(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA, valid_to=clock.now + DAY)
    clock.now += 2 * DAY
    memos.tick(by=ANA)
    return cube.id


def faded(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA, half_life=DAY)
    clock.now += 60 * DAY
    memos.tick(by=ANA, ageing=Ageing(idle=None))
    return cube.id


def unused(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA)
    clock.now += 90 * DAY
    memos.tick(by=ANA, ageing=Ageing(idle=30 * DAY))
    return cube.id


def frozen(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA)
    memos.move(cube.id, "frozen", by=ANA)
    return cube.id


def outdated(memos: MemOS, clock: Clock) -> str:
    cube = memos.remember(LISBON, by=ANA)
    memos.feedback(cube.id, "outdated", by=ANA)
    return cube.id


WAYS: dict[str, tuple[Callable[[MemOS, Clock], str], State]] = {
    each.__name__: (each, after)
    for each, after in (
        (used, State.ACTIVATED),
        (contradicted, State.ARCHIVED),
        (repeated, State.MERGED),
        (merged, State.MERGED),
        (past_its_time, State.EXPIRED),
        (no_longer_valid, State.ARCHIVED),
        (faded, State.ARCHIVED),
        (unused, State.ARCHIVED),
        (frozen, State.FROZEN),
        (outdated, State.ARCHIVED),
    )
}


@pytest.mark.parametrize("what", WAYS)
def test_every_transition_is_on_record_and_published(memos: MemOS, clock: Clock, what: str) -> None:
    act, after = WAYS[what]
    cube_id = act(memos, clock)
    operation = "recall" if after is State.ACTIVATED else f"to_{after.value}"
    entries = memos.audit(by=ADMIN, operation=operation, limit=1_000)  # records of reads are written behind it
    assert any(cube_id in str(entry.record) for entry in entries)
    vault = memos._governance._vault
    published = [event for _, event in vault.events(0, 1_000) if isinstance(event, CubeMoved)]
    assert [event.after for event in published if event.cube_id == cube_id][-1:] == [after]


def test_the_log_is_asked_by_time_caller_memory_and_operation(memos: MemOS, clock: Clock) -> None:
    first = memos.remember(LISBON, by=ANA)
    clock.now += DAY
    between = clock.now
    second = memos.remember("I play the cello.", by=ANA)
    memos.move(second.id, "archived", by=ADMIN)

    def asked(**filters: object) -> set[tuple[str, str | None]]:
        entries = memos.audit(by=ADMIN, limit=1_000, **filters)  # type: ignore[arg-type]
        return {(entry.record.operation, entry.record.cube_id) for entry in entries if entry.record.cube_id}

    assert {cube for _, cube in asked(until=between)} == {first.id}
    assert {cube for _, cube in asked(since=between)} == {second.id}
    assert {operation for operation, _ in asked(cube_id=first.id)} == {
        operation for operation, _ in asked(until=between)
    }
    assert asked(operation="to_archived") == {("to_archived", second.id)}
    assert ("to_archived", second.id) in asked(actor=ADMIN.subject)
    assert ("to_archived", second.id) not in asked(actor=ANA.subject)
