"""The past through each door, and clocks that go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.schema import QueryBundle

from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import State
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain import MemOSRetriever
from memos_integrations.langgraph import MemOSStore, memory_subgraph
from memos_integrations.llama_index import MemOSNodePostprocessor
from memos_integrations.llama_index import MemOSRetriever as NodeRetriever
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.lifetime import ANA, DAY, START, Clock

QUESTION = "Is it Lisbon or Porto where I live?"


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


def test_every_look_up_knows_the_past(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The gate code is old.", by=ANA, blob=b"old", media_type="text/plain")
    other = memos.remember("I live in Lisbon.", by=ANA)
    then = clock.now + DAY
    clock.now += 10 * DAY
    memos.update(cube.id, by=ANA, text="The gate code is new.")
    memos.remember("I moved to Porto.", by=ANA)
    ids = [cube.id, other.id]

    async def aside() -> list[str]:
        got = await memos.aget(other.id, by=ANA, as_of=then)
        many = await memos.aget_many(ids, by=ANA, as_of=then)
        found = await memos.afind(CubeFilter(ids=tuple(ids)), by=ANA, as_of=then)
        return [f"{each.text} {each.state}" for each in (got, *many, *sorted(found, key=lambda c: c.id))]

    old, lisbon = "The gate code is old. generated", "I live in Lisbon. generated"
    assert asyncio.run(aside()) == [lisbon, old, lisbon, old, lisbon]
    assert memos.get(other.id, by=ANA).state is State.ARCHIVED
    assert [each.text for each in memos.get_many(ids, by=ANA, valid_at=clock.now)] == ["The gate code is new."]
    held = {each.text for each in memos.find(CubeFilter(), by=ANA, valid_at=then)}
    assert held == {"I live in Lisbon.", "The gate code is old."}
    assert memos.get_many(ids, by=ANA, as_of=START - DAY) == memos.find(CubeFilter(), by=ANA, as_of=START - DAY) == []
    with memos.read_blob(cube.id, by=ANA, as_of=then) as stream:
        assert stream.read() == b"old"
    with pytest.raises(CubeNotFoundError):
        memos.read_blob(cube.id, by=ANA, as_of=START - DAY)
    for call in (memos.find, partial(memos.get_many, ids)):
        with pytest.raises(InvalidMemoryError):
            call(*([CubeFilter()] if call == memos.find else []), by=ANA, as_of=datetime(2026, 3, 3, 9))


def test_a_store_of_the_past_gives_what_it_held_and_is_not_written(memos: MemOS, clock: Clock) -> None:
    store = MemOSStore(memos, principal=ANA)
    store.put(("notes",), "gate", {"text": "red gate"})
    then = clock.now + DAY
    clock.now += 10 * DAY
    store.put(("notes",), "gate", {"text": "blue gate"})
    store.put(("lists",), "shop", {"text": "the gate oil"})
    past = MemOSStore(memos, principal=ANA, as_of=then)
    assert past.get(("notes",), "gate").value == {"text": "red gate"}
    assert past.get(("lists",), "shop") is None
    assert [item.value["text"] for item in past.search(())] == ["red gate"]
    assert [item.value["text"] for item in past.search((), query="gate")] == ["red gate"]
    assert [item.value["text"] for item in past.search((), filter={"text": "red gate"})] == ["red gate"]
    assert past.search((), offset=1) == []
    assert past.list_namespaces() == [("notes",)]
    with pytest.raises(InvalidMemoryError, match="the past"):
        past.put(("notes",), "gate", {"text": "green gate"})
    with pytest.raises(InvalidMemoryError, match="the past"):
        past.delete(("notes",), "gate")
    assert store.get(("notes",), "gate").value == {"text": "blue gate"}
    assert {each.key for each in store.search(())} == {"gate", "shop"}


@pytest.mark.answers("fault 34")
def test_a_clock_a_year_back_loses_nothing(memos: MemOS, clock: Clock) -> None:
    old = memos.remember("My favourite colour is teal.", by=ANA)
    clock.now -= 365 * DAY
    memos.remember("The car is parked behind the mill.", by=ANA)
    assert memos.tick(by=ANA).model_dump(include={"archived", "expired", "ahead"}) == {
        "archived": {},
        "expired": {},
        "ahead": (old.id,),
    }
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
