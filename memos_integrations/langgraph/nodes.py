"""Nodes around memory for a graph of one's own: the turn written down, and a subgraph in a state that differs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.runtime import get_runtime

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator import MemoryOptions
from memos_integrations.core.turns import Namespace, TurnWriter
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.subgraph import tell
from memos_integrations.langgraph.transcript import last_turn
from memos_integrations.memos import MemOS

SOURCE = "langgraph.node"


def memory_writer(
    memos: MemOS,
    *,
    principal: Identity | None = None,
    namespace: Namespace = (),
    context: CallContext | None = None,
    remember: Collection[Literal["human", "ai"]] = ("human", "ai"),
    options: MemoryOptions | None = None,
) -> Runnable[Any, Any]:
    """A node that writes down what the last turn of `messages` said: durable when the graph goes on, each message once.

    It stands after the answer, by the rules of `MemOSMiddleware`: what a person said is theirs; what the model answered
    is unverified, without lines that only repeat what was recalled, and derived from the memories in `memory` that it
    restates (no more readers than they, forgotten with them). Recalled words are never written. However often the graph
    repeats it, and beside a middleware in the same thread, a message is written once; give messages ids (`add_messages`
    does). It changes nothing in the state, and tells `memos.write` with the ids to `stream_mode="custom"`.

    *namespace* is where it writes (default: the principal's own place), *options* is said of every memory written.

    Raises:
        IdentityError: At run time, when nobody is asking.
        AccessDeniedError, InvalidMemoryError, VaultError: At run time; what was written before stays, once.
    """
    if wrong := set(remember) - {"human", "ai"}:
        raise InvalidMemoryError(f"remember= names 'human' and 'ai', not {sorted(wrong)}.")
    turns = TurnWriter(
        memos.remember, memos.get_many, source=SOURCE, namespace=namespace, context=context, options=options
    )

    def write(state: Mapping[str, Any], by: Principal, thread: str | None) -> list[str]:
        said, answers = last_turn(state["messages"])
        named = (state.get("memory") or {}).get("cubes", ())
        written = turns.write(said, by, thread) if "human" in remember else []
        return written + (turns.write_answers(answers, named, by, thread) if "ai" in remember else [])

    def mem_writer(state: Mapping[str, Any], config: RunnableConfig) -> None:
        by, thread = identify(principal, get_runtime(), config), _thread(config)
        tell("memos.write", cubes=write(state, by, thread))

    async def amem_writer(state: Mapping[str, Any], config: RunnableConfig) -> None:
        by, thread = identify(principal, get_runtime(), config), _thread(config)
        tell("memos.write", cubes=await memos.off_loop(write, state, by, thread))

    return RunnableLambda(mem_writer, amem_writer)


def as_node(
    graph: Runnable[Any, Any], *, into: Callable[[Any], Mapping[str, Any]], out_of: Callable[[Any], dict[str, Any]]
) -> Runnable[Any, Any]:
    """A graph or node of memory as a node of a parent whose state shares nothing with it.

    *into* makes its input of the parent's state, *out_of* makes an update of the parent's state of what it gives. Who
    asks, streams, callbacks and interrupts go through.
    """

    def node(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return out_of(graph.invoke(into(state), config))

    async def anode(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return out_of(await graph.ainvoke(into(state), config))

    return RunnableLambda(node, anode)


def _thread(config: RunnableConfig) -> str | None:
    thread = config.get("configurable", {}).get("thread_id")
    return None if thread is None else str(thread)
