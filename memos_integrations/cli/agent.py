"""The demo's agent: a LangGraph graph that recalls before a local model answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from memos_integrations.core.access import Principal
from memos_integrations.memos import MemOS

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]

SYSTEM = "You answer the last question in one short sentence, using only what is remembered from before."
MAX_ANSWER_TOKENS = 32
THREADS = 1
"""One: with more, torch waits by spinning, and a busy machine answers five times slower."""

Hear = Callable[[str], None]
See = Callable[[dict[str, Any]], None]


class Answered(NamedTuple):
    """One question's way through the graph: what the subgraph recalled, and what the model made of it."""

    memory: dict[str, Any]
    hits: list[dict[str, Any]]
    answer: str
    answer_ms: float


def remembering_agent(memos: MemOS, model: Path | None, *, k: int) -> Graph:
    """A graph `memory -> agent`: the memory subgraph, then `create_agent` with the causal LM in the folder *model*.

    Who asks is the graph's context, a `Principal`. Without *model* the graph ends with what was recalled.
    """
    from langgraph.graph import END, START, StateGraph

    from memos_integrations.langgraph import MemoryState, memory_subgraph

    graph = StateGraph(MemoryState, context_schema=Principal)
    graph.add_node("memory", memory_subgraph(memos, k=k))
    graph.add_edge(START, "memory")
    if model is None:
        graph.add_edge("memory", END)
        return graph.compile()
    graph.add_node("agent", _agent(memos, model))
    graph.add_edge("memory", "agent")
    graph.add_edge("agent", END)
    return graph.compile()


def _agent(memos: MemOS, model: Path) -> Graph:
    from langchain.agents import create_agent

    from memos_integrations.backends.huggingface import HuggingFaceModel
    from memos_integrations.langchain import MemOSChatModel
    from memos_integrations.langgraph import RecalledContext

    chat = MemOSChatModel(model=HuggingFaceModel(model, threads=THREADS), max_tokens=MAX_ANSWER_TOKENS)
    return create_agent(
        chat, tools=[], system_prompt=SYSTEM, middleware=[RecalledContext(memos)], context_schema=Principal
    )


def run_question(graph: Graph, question: str, by: Principal, *, seen: See, heard: Hear) -> Answered:
    """Put *question* to the graph as *by*: `seen` is given what was recalled, `heard` each piece of the answer."""
    from langchain_core.messages import AIMessageChunk

    found: dict[str, Any] = {"memory": {}, "recalled": {"hits": []}}
    pieces: list[str] = []
    started = time.perf_counter()
    stream = graph.stream(
        {"messages": [("user", question)]}, context=by, stream_mode=["updates", "messages"], subgraphs=True
    )
    for event in stream:
        _, mode, part = cast("tuple[Any, str, Any]", event)
        if mode == "updates" and "mem_operator" in part:
            found = part["mem_operator"]
            seen(found)
            started = time.perf_counter()
        elif mode == "messages" and isinstance(part[0], AIMessageChunk):
            pieces.append(part[0].text)
            heard(part[0].text)
    answer_ms = (time.perf_counter() - started) * 1e3
    return Answered(found["memory"], found["recalled"]["hits"], "".join(pieces).strip(), answer_ms)
