"""The turn written down by a node, once and by the middleware's rules; and a subgraph in a state that differs."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NotRequired, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import CubeNotFoundError, IdentityError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.turns import PREAMBLE
from memos_integrations.langchain import MemOSMiddleware
from memos_integrations.langgraph import MemoryState, RecalledContext, as_node, memory_subgraph, memory_writer
from memos_integrations.memos import MemOS
from tests.langgraph.test_subgraph import ANA, ASKED, one_thread

TURNS = CubeFilter(semantic_types=("message",))


def told(memos: MemOS, by: Principal) -> list[str]:
    """What was written of turns, oldest first."""
    found = sorted(memos.find(TURNS, by=by), key=lambda cube: cube.id)
    return [f"{cube.provenance.speaker}: {cube.text}" for cube in found]


def answering(*answers: Any) -> Any:
    """A node that answers."""
    left = iter(answers)
    return lambda state: {"messages": [next(left)]}


def graph_of(memos: MemOS, answer: Any, saver: Any = None, **how: Any) -> Any:
    graph = StateGraph(MemoryState)
    graph.add_node("memory", memory_subgraph(memos))
    graph.add_node("answer", answer)
    graph.add_node("keep", memory_writer(memos, **how))
    graph.add_edge(START, "memory")
    graph.add_edge("memory", "answer")
    graph.add_edge("answer", "keep")
    return graph.compile(checkpointer=saver or InMemorySaver())


@pytest.mark.parametrize("is_async", [False, True])
async def test_each_turn_is_written_once_and_told(memos: MemOS, ana: Principal, is_async: bool) -> None:
    graph = graph_of(memos, answering(AIMessage("Noted."), AIMessage("She plays the cello.")))
    thread = one_thread(ANA)
    events: list[dict[str, Any]] = []
    for question in ("My sister Inês plays the cello.", "What does Inês play?"):
        given = {"messages": [HumanMessage(question)]}
        if is_async:
            events += [each async for each in graph.astream(given, thread, stream_mode="custom", subgraphs=False)]
        else:
            events += graph.stream(given, thread, stream_mode="custom")
    assert told(memos, ana) == [
        "user: My sister Inês plays the cello.",
        "assistant: Noted.",
        "user: What does Inês play?",
        "assistant: She plays the cello.",
    ]
    writes = [each for each in events if each["event"] == "memos.write"]
    assert [len(each["cubes"]) for each in writes] == [2, 2]
    assert "cello" not in json.dumps(writes)
    first = memos.get(writes[0]["cubes"][0], by=ana)
    assert (first.provenance.thread_id, first.provenance.source) == ("1", "langgraph.node")
    assert (first.trust.label, memos.get(writes[0]["cubes"][1], by=ana).trust.label) == ("stated", "unverified")


def test_all_four_events_are_told_in_order(memos: MemOS) -> None:
    graph = graph_of(memos, answering(AIMessage("Green tea.")))
    steps = graph.stream(ASKED, one_thread(ANA), stream_mode="custom", subgraphs=True)
    assert [event["event"] for _, event in steps] == ["memos.read", "memos.plan", "memos.recall", "memos.write"]


def test_repeated_from_any_checkpoint_nothing_is_written_twice(memos: MemOS, ana: Principal) -> None:
    graph = graph_of(memos, answering(AIMessage("Green tea.")))
    graph.invoke(ASKED, one_thread(ANA))
    before = [cube.ref for cube in memos.find(TURNS, by=ana)]
    assert len(before) == 2
    for state in list(graph.get_state_history(one_thread(ANA))):
        if state.next == ("keep",):
            graph.invoke(None, state.config | {"configurable": state.config["configurable"] | ANA["configurable"]})
    assert [cube.ref for cube in memos.find(TURNS, by=ana)] == before


@pytest.mark.answers("ASI06 6", "poison 25")
def test_recalled_words_are_never_written(memos: MemOS, ana: Principal, bob: Principal) -> None:
    line = "- [2026-03-09] Ana likes green tea with honey."
    block = HumanMessage(f"{PREAMBLE}\n{line}", additional_kwargs={"memos": "recalled"})
    graph = graph_of(
        memos, lambda _: {"messages": [block, AIMessage(f"{PREAMBLE}\n{line}\nShall I put the kettle on?")]}
    )
    graph.invoke(ASKED, one_thread(ANA))
    assert told(memos, ana) == [f"user: {ASKED['messages'][0].text}", "assistant: Shall I put the kettle on?"]


def test_an_answer_that_restates_a_memory_is_derived_from_it_and_dies_with_it(memos: MemOS, ana: Principal) -> None:
    graph = graph_of(memos, answering(AIMessage("You like green tea with honey.")), options={"readers": ["bob"]})
    graph.invoke(ASKED, one_thread(ANA))
    (answer,) = [cube for cube in memos.find(TURNS, by=ana) if cube.provenance.speaker == "assistant"]
    (source,) = answer.provenance.derived_from
    assert "honey" in memos.get(source.id, by=ana).text
    assert answer.governance.readers == ()
    memos.forget(source.id, by=ana)
    with pytest.raises(CubeNotFoundError):
        memos.get(answer.id, by=ana)


@pytest.mark.answers("AISVS 8.2.3", "poison 24")
def test_neither_tools_nor_what_leads_to_them_is_an_answer(memos: MemOS, ana: Principal) -> None:
    call = {"name": "clock", "args": {}, "id": "1"}
    said = [
        AIMessage("Let me look.", tool_calls=[call]),
        ToolMessage("noon", tool_call_id="1"),
        AIMessage("It is noon."),
    ]
    graph_of(memos, lambda _: {"messages": said}).invoke({"messages": "What time is it?"}, one_thread(ANA))
    assert told(memos, ana) == ["user: What time is it?", "assistant: It is noon."]


def test_beside_a_middleware_in_the_same_thread_a_message_is_written_once(memos: MemOS, ana: Principal) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Very well.", id="answer-1")]))
    agent = create_agent(model, [], middleware=[RecalledContext(memos), MemOSMiddleware(memos)])
    graph_of(memos, agent).invoke({"messages": [HumanMessage("I moved to Lisbon.")]}, one_thread(ANA))
    assert told(memos, ana) == ["user: I moved to Lisbon.", "assistant: Very well."]


async def test_who_asks_where_it_is_written_and_of_whom(memos: MemOS, ana: Principal, bob: Principal) -> None:
    place = lambda by: (by.tenant, by.user, "desk")  # noqa: E731
    graph = graph_of(memos, lambda _: {"messages": [AIMessage("Yes.")]}, namespace=place, remember=("human",))
    who = [one_thread({"configurable": {"tenant": "home", "user_id": name}}, name) for name in ("ana", "bob")]
    await asyncio.gather(*(graph.ainvoke({"messages": f"I am number {n}."}, each) for n, each in enumerate(who)))
    for number, by in enumerate((ana, bob)):
        assert told(memos, by) == [f"user: I am number {number}."]
        assert memos.find(TURNS, by=by)[0].namespace == ("home", by.user, "desk")
    with pytest.raises(IdentityError):
        graph.invoke(ASKED, {"configurable": {"thread_id": "1"}})
    with pytest.raises(InvalidMemoryError):
        memory_writer(memos, remember=("tool",))  # type: ignore[arg-type]


class Desk(TypedDict):
    question: str
    note: NotRequired[str]


@pytest.mark.parametrize("is_async", [False, True])
async def test_in_a_parent_that_shares_nothing_who_asks_and_the_stream_go_through(memos: MemOS, is_async: bool) -> None:
    node = as_node(
        memory_subgraph(memos),
        into=lambda state: {"messages": [HumanMessage(state["question"])]},
        out_of=lambda found: {"note": f"{len(found['memory']['cubes'])} memories"},
    )
    parent = StateGraph(Desk)
    parent.add_node("memory", node)
    parent.add_edge(START, "memory")
    graph = parent.compile()
    given = {"question": "Which tea or coffee do I like?"}
    if is_async:
        steps = [each async for each in graph.astream(given, ANA, stream_mode=["custom", "values"], subgraphs=True)]
    else:
        steps = list(graph.stream(given, ANA, stream_mode=["custom", "values"], subgraphs=True))
    assert [told["event"] for _, mode, told in steps if mode == "custom"] == [
        "memos.read",
        "memos.plan",
        "memos.recall",
    ]
    assert steps[-1][2] == {**given, "note": "4 memories"}
    with pytest.raises(IdentityError):
        graph.invoke(given)


def test_the_writer_fits_a_state_that_shares_nothing_too(memos: MemOS, ana: Principal) -> None:
    node = as_node(
        memory_writer(memos),
        into=lambda state: {"messages": [HumanMessage(state["question"]), AIMessage("Noted.")]},
        out_of=lambda _: {"note": "kept"},
    )
    parent = StateGraph(Desk)
    parent.add_node("keep", node)
    parent.add_edge(START, "keep")
    assert parent.compile().invoke({"question": "I moved to Lisbon."}, ANA)["note"] == "kept"
    assert told(memos, ana) == ["user: I moved to Lisbon.", "assistant: Noted."]
