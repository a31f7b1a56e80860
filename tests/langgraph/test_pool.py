"""Two agents share a pool: what one wrote and offers, the other's model reads, and no checkpoint holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import CubeNotFoundError, IdentityError, InvalidMemoryError
from memos_integrations.langgraph import (
    PoolState,
    RecalledContext,
    memory_writer,
    pool_acknowledger,
    pool_publisher,
    pool_subscriber,
)
from memos_integrations.memos import MemOS
from tests.langgraph.test_subgraph import ANA, BOB, one_thread, stored

FINDING = "The glaze needs 1,240 degrees."
TASK = {"messages": [HumanMessage("Write the label of the jar.")]}


class Recording(GenericFakeChatModel):
    """Says what it is told to, and keeps what it was shown."""

    shown: list[Any] = []  # noqa: RUF012

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.shown.append(list(messages))
        return super()._generate(messages, *args, **kwargs)


def saying(*words: str) -> Recording:
    return Recording(messages=iter([AIMessage(each) for each in words]), shown=[])


def line(state: Any, saver: Any = None, **nodes: Any) -> Any:
    """A graph of these nodes, one after the other."""
    graph, before = StateGraph(state), START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph.compile(checkpointer=saver)


def researcher(memos: MemOS, **who: Any) -> dict[str, Any]:
    return {
        "research": lambda state: {"messages": [AIMessage(FINDING)]},
        "keep": memory_writer(memos, remember=["ai"], options={"tags": ["glaze"]}, **who),
        "offer": pool_publisher(memos, "findings", to=["bob"], tags=["glaze"], **who),
    }


def writer(memos: MemOS, model: Any, **who: Any) -> dict[str, Any]:
    return {
        "news": pool_subscriber(memos, "findings", replay=True, tags=["glaze"], **who),
        "write": create_agent(model, middleware=[RecalledContext(memos, **who)]),
        "done": pool_acknowledger(memos, "findings", **who),
    }


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_one_agent_found_the_other_reads_once(memos: MemOS, is_async: bool) -> None:
    saver, model = InMemorySaver(), saying("1240 °C", "Nothing new.")
    writes, reads = line(PoolState, **researcher(memos)), line(PoolState, saver, **writer(memos, model))
    asked, thread = {"messages": [HumanMessage("How hot?")]}, one_thread(BOB)

    async def run(graph: Any, given: Any, how: Any) -> list[Any]:
        if is_async:
            return [each async for each in graph.astream(given, how, stream_mode="custom")]
        return list(graph.stream(given, how, stream_mode="custom"))

    events = await run(writes, asked, ANA)
    assert events[-1] == {"event": "memos.publish", "offer": "findings", "renewed": False}
    told = await run(reads, TASK, thread)
    (news,) = told[0]["news"]
    assert (told[0]["event"], news["kind"], told[-1]["event"]) == ("memos.pull", "written", "memos.acknowledge")
    (seen,) = [each for each in model.shown[0] if FINDING in each.text]
    assert isinstance(seen, HumanMessage), "as data, never as an order"
    assert not [each for each in model.shown[0] if isinstance(each, SystemMessage) and FINDING in each.text]
    assert b"1,240" not in stored(saver), "no checkpoint holds a word of it"
    assert "1,240" not in json.dumps(told)
    again = await run(reads, TASK, thread)
    assert again[0]["news"] == []
    assert not [each for each in model.shown[1] if FINDING in each.text]


def test_two_agents_in_one_graph_are_two_principals(memos: MemOS, ana: Principal, bob: Principal) -> None:
    model = saying("1240 °C")
    graph = line(PoolState, **researcher(memos, principal=ana), **writer(memos, model, principal=bob))
    graph.invoke(TASK)
    assert [each for each in model.shown[0] if isinstance(each, HumanMessage) and FINDING in each.text]
    assert {each.record.actor for each in memos.audit(by=bob, operation="deliver")} == {"user:bob"}
    (offer,) = memos.store.offers(by=bob)
    assert (offer.publisher, offer.audience) == ("user:ana", ("user:bob",))


def test_a_graph_that_dies_before_the_end_is_given_the_same(memos: MemOS) -> None:
    line(PoolState, **researcher(memos)).invoke(TASK, ANA)
    nodes = writer(memos, saying("1240 °C"))

    def fails(state: Any) -> Any:
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        line(PoolState, **(nodes | {"write": fails})).invoke(TASK, BOB)
    first = line(PoolState, news=nodes["news"]).invoke(TASK, BOB)["pool"]["news"]
    assert len(first) == 1
    assert line(PoolState, **nodes).invoke(TASK, BOB)["pool"] == {}
    assert line(PoolState, news=nodes["news"]).invoke(TASK, BOB)["pool"]["news"] == []


def test_what_was_withdrawn_in_between_is_not_shown(memos: MemOS, ana: Principal) -> None:
    line(PoolState, **researcher(memos)).invoke(TASK, ANA)
    model = saying("I do not know.", "It is gone.")
    nodes = writer(memos, model)
    nodes = {"news": nodes["news"], "gone": lambda state: memos.store.withdraw("findings", by=ana) and {}} | nodes
    line(PoolState, **nodes).invoke(TASK, BOB)
    assert not [each for each in model.shown[0] if FINDING in each.text]
    told = line(PoolState, news=nodes["news"]).invoke(TASK, BOB)
    assert [each["kind"] for each in told["pool"]["news"]] == ["withdrawn"]
    assert told["memory"]["cubes"] == []


def test_what_came_later_is_shared_too_and_nothing_twice(memos: MemOS, ana: Principal) -> None:
    graph = line(PoolState, **researcher(memos))
    graph.invoke(TASK, ANA)
    memos.remember("The glaze dries in a day.", by=ana, tags=["glaze"])
    (*_, told) = graph.stream(TASK, ANA, stream_mode="custom")
    assert told == {"event": "memos.publish", "offer": "findings", "renewed": True, "changed": 2}
    offers = memos.store.offers(by=ana)
    line(PoolState, offer=researcher(memos)["offer"]).invoke(TASK, ANA)
    assert memos.store.offers(by=ana) == offers


def test_terms_that_the_author_changes_are_offered_anew(memos: MemOS, ana: Principal) -> None:
    line(PoolState, **researcher(memos)).invoke(TASK, ANA)
    line(PoolState, offer=pool_publisher(memos, "findings", to=["bob"], tags=["glaze"], price="2 EUR")).invoke(
        TASK, ANA
    )
    assert [each.price for each in memos.store.offers(by=ana)] == ["2 EUR"]


def test_the_state_says_neither_who_asks_nor_what_is_offered(memos: MemOS, bob: Principal) -> None:
    """A model may write the state; what it puts there gives it nothing."""
    line(PoolState, **researcher(memos)).invoke(TASK, ANA)
    forged = TASK | {"pool": {"subscription": "findings", "upto": 10**6, "news": [], "principal": "bob"}}
    nodes = writer(memos, saying("x"))
    with pytest.raises(IdentityError):
        line(PoolState, news=nodes["news"]).invoke(forged)
    cy = {"configurable": {"tenant": "home", "user_id": "cy"}}
    assert line(PoolState, news=nodes["news"]).invoke(forged, cy)["pool"]["news"] == []
    with pytest.raises(CubeNotFoundError):
        line(PoolState, done=pool_acknowledger(memos, "others")).invoke(
            forged | {"pool": {"subscription": "others", "upto": 1}}, cy
        )
    assert len(memos.store.subscriptions(by=bob)) == 0


def test_a_forged_place_and_an_audience_in_one_word_are_refused_by_our_errors(memos: MemOS) -> None:
    bob = Principal(tenant="home", user="bob")
    memos.store.subscribe("news", by=bob)
    graph = StateGraph(PoolState)
    graph.add_node("done", pool_acknowledger(memos, "news", principal=bob))
    graph.add_edge(START, "done")
    for upto in ({}, {"upto": "9"}, {"upto": 10**9}):
        with pytest.raises(InvalidMemoryError):
            graph.compile().invoke({"messages": [], "pool": {"subscription": "news", **upto}})  # type: ignore[call-overload]
    with pytest.raises(InvalidMemoryError, match="list of names"):
        pool_publisher(memos, "kiln", to="ben", tags=["kiln"])
