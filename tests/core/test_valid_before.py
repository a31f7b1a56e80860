"""What held before a memory was changed stays answerable at its time in the world."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import State
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from tests.lifetime import ANA, BEN, DAY, START, Clock, WalkingClock, judging

ASKED = "Where do I live?"
LISBON, PORTO, FARO = (f"I live in {place}." for place in ("Lisbon", "Porto", "Faro"))


@pytest.fixture
def clock() -> Clock:
    return WalkingClock()


@pytest.fixture(params=["memory", "sqlite", "staged"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging("memory" if request.param == "staged" else request.param, tmp_path, clock) as made:
        if request.param == "staged":
            with made.atomic(by=ANA) as inner:
                yield inner
        else:
            yield made


def at(memos: MemOS, when: datetime, by: Principal = ANA) -> list[str]:
    return [hit.text for hit in memos.recall(ASKED, by=by, needed=True, valid_at=when).hits]


def test_each_time_gets_what_was_said_to_hold_then(memos: MemOS, clock: Clock) -> None:
    clock.now = START
    cube = memos.remember(LISBON, by=ANA)
    memos.remember("The boiler was serviced.", by=ANA)
    times = [START + DAY]
    for text in (PORTO, FARO):
        clock.now += 30 * DAY
        memos.update(cube.id, by=ANA, text=text)
        times.append(clock.now + DAY)
    clock.now += 30 * DAY
    for when, text in zip(times, (LISBON, PORTO, FARO), strict=True):
        assert memos.get(cube.id, by=ANA, valid_at=when).text == text
        assert at(memos, when)[0] == text
        assert memos.answer(ASKED, by=ANA, valid_at=when).text in text
        assert text in [each.text for each in memos.find(CubeFilter(), by=ANA, valid_at=when)]
    assert memos.recall(ASKED, by=ANA, needed=True).hits[0].text == FARO
    assert at(memos, times[0], by=BEN) == []


def test_a_beginning_that_is_said_counts_and_what_ended_does_not_come_back(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember(LISBON, by=ANA)
    said = memos.update(cube.id, by=ANA, text=PORTO, valid_from=START - 9 * DAY)
    assert said.descriptive.valid_from == START - 9 * DAY
    assert at(memos, START) == [PORTO]
    assert at(memos, START - 20 * DAY) == [LISBON]
    clock.now += 5 * DAY
    memos.feedback(cube.id, "outdated", by=ANA)
    assert at(memos, clock.now + 9 * DAY) == []
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=ANA, valid_at=clock.now + 9 * DAY)


def test_what_is_written_otherwise_only_began_when_it_began(memos: MemOS) -> None:
    cube = memos.remember("i live in Lisbon", by=ANA)
    again = memos.update(cube.id, by=ANA, text="I live in Lisbon!", tags=["x"])
    assert again.descriptive.valid_from is None


def test_an_old_fact_that_was_replaced_and_then_changed_is_told_as_it_was(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember(LISBON, by=ANA)
    clock.now += 30 * DAY
    memos.update(cube.id, by=ANA, text=PORTO)
    clock.now += 30 * DAY
    new = memos.remember("I live in Faro now.", by=ANA)
    assert memos.get(cube.id, by=ANA).state is State.ARCHIVED
    assert at(memos, START + DAY) == [LISBON]
    assert at(memos, START + 31 * DAY) == [PORTO]
    assert at(memos, clock.now) == [new.text]


def test_what_was_known_and_held_are_asked_together(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember(LISBON, by=ANA)
    clock.now += 30 * DAY
    memos.update(cube.id, by=ANA, text=PORTO)
    known = clock.now + DAY
    clock.now += 30 * DAY
    memos.update(cube.id, by=ANA, text=FARO)
    hits = memos.recall(ASKED, by=ANA, needed=True, as_of=known, valid_at=START + DAY).hits
    assert [hit.text for hit in hits] == [LISBON]


CHESS, SWIM = "Kim plays chess on Monday.", "Kim swims on Tuesday."


def since(memos: MemOS, when: datetime) -> list[str]:
    return sorted(hit.text for hit in memos.recall("What does Kim do?", by=ANA, needed=True, valid_at=when).hits)


def test_what_is_merged_holds_since_all_of_it_holds_and_its_sources_answer_for_the_time_before(memos: MemOS) -> None:
    one = memos.remember(CHESS, by=ANA, valid_from=START - 200 * DAY)
    two = memos.remember(SWIM, by=ANA, valid_from=START - 100 * DAY)
    both = memos.merge([one.id, two.id], by=ANA)
    assert both.descriptive.valid_from == START - 100 * DAY
    assert since(memos, START) == [both.text]
    assert since(memos, START - 150 * DAY) == [CHESS]
    assert since(memos, START - 300 * DAY) == []
    with pytest.raises(CubeNotFoundError):
        memos.get(both.id, by=ANA, valid_at=START - 150 * DAY)


def test_a_summary_holds_since_all_of_its_sources_do(memos: MemOS) -> None:
    told = [memos.remember(text, by=ANA, valid_from=START - n * DAY) for n, text in ((200, CHESS), (100, SWIM))]
    memos.summarise([each.id for each in told], by=ANA)
    assert len(since(memos, START)) == 3
    assert since(memos, START - 150 * DAY) == [CHESS]
    assert since(memos, START - 300 * DAY) == []
