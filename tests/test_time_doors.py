"""The past through each door, and clocks that go wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.schema import QueryBundle

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import State
from memos_integrations.core.errors import ClockError, InvalidMemoryError
from memos_integrations.langchain import MemOSRetriever
from memos_integrations.langgraph import memory_subgraph
from memos_integrations.llama_index import MemOSNodePostprocessor
from memos_integrations.llama_index import MemOSRetriever as NodeRetriever
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
QUESTION = "Is it Lisbon or Porto where I live?"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    if request.param == "memory":
        made = MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=clock)
    else:
        made = MemOS.open(tmp_path, conflicts=ConflictRules(), clock=clock)
    with made:
        yield made
        assert made.verify_audit().ok


def by_chain(memos: MemOS, **times: datetime | None) -> list[str]:
    found = MemOSRetriever(memos=memos, principal=ANA, **times).invoke(QUESTION)
    return [document.page_content for document in found]


def by_call(memos: MemOS, **times: datetime | None) -> list[str]:
    return [each.page_content for each in MemOSRetriever(memos=memos, principal=ANA).invoke(QUESTION, **times)]


def by_graph(memos: MemOS, **times: datetime | None) -> list[str]:
    found = memory_subgraph(memos, principal=ANA, **times).invoke({"messages": [HumanMessage(QUESTION)]})
    return [hit["text"] for hit in found["recalled"]["hits"]]


def by_nodes(memos: MemOS, **times: datetime | None) -> list[str]:
    return [each.node.get_content() for each in NodeRetriever(memos, principal=ANA, **times).retrieve(QUESTION)]


def by_postprocessor(memos: MemOS, **times: datetime | None) -> list[str]:
    door = MemOSNodePostprocessor(memos, principal=ANA, **times)
    return [each.node.get_content() for each in door.postprocess_nodes([], query_bundle=QueryBundle(QUESTION))]


Door = Callable[..., list[str]]
DOORS: list[Door] = [by_chain, by_call, by_graph, by_nodes, by_postprocessor]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_tells_what_held_and_what_was_known_then(memos: MemOS, clock: Clock, door: Door) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    then = clock.now + DAY
    clock.now += 10 * DAY
    memos.remember("I moved to Porto.", by=ANA)
    clock.now += DAY
    assert door(memos) == ["I moved to Porto."]
    assert door(memos, valid_at=then) == ["I live in Lisbon."]
    assert door(memos, as_of=then) == ["I live in Lisbon."]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_refuses_a_time_without_a_zone(memos: MemOS, door: Door) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    with pytest.raises(InvalidMemoryError):
        door(memos, as_of=datetime(2026, 3, 3, 9))


@pytest.mark.answers("fault 34")
def test_a_clock_a_year_back_loses_nothing(memos: MemOS, clock: Clock) -> None:
    old = memos.remember("My favourite colour is teal.", by=ANA)
    clock.now -= 365 * DAY
    memos.remember("The car is parked behind the mill.", by=ANA)
    with pytest.raises(ClockError):
        memos.tick(by=ANA)
    clock.now += 366 * DAY
    assert memos.get(old.id, by=ANA).state is not State.ARCHIVED
    assert [hit.text for hit in memos.recall("Where is the car parked?", by=ANA, k=1).hits] == [
        "The car is parked behind the mill."
    ]


def test_at_one_moment_the_later_write_of_one_speaker_counts(memos: MemOS) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    new = memos.remember("I moved to Porto.", by=ANA)
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    assert memos.get(new.id, by=ANA).state is not State.ARCHIVED


def test_the_hour_that_comes_twice_is_told_apart(memos: MemOS, clock: Clock) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
    clock.now = first
    memos.remember("I live in Lisbon.", by=ANA)
    clock.now = second
    memos.remember("I moved to Porto.", by=ANA)
    clock.now = second + DAY
    between = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert by_call(memos, valid_at=between) == ["I live in Lisbon."]
    assert by_call(memos, as_of=between) == ["I live in Lisbon."]
    assert by_call(memos) == ["I moved to Porto."]
