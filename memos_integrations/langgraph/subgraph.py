"""The walk of a prompt as three nodes: `mem_reader`, `mem_scheduler`, `mem_operator`.

The state holds plain JSON. `memory` names what was recalled (ids, reasons, tokens) and may be kept anywhere; the
words themselves are in `recalled`, a channel that no checkpoint of this graph holds. LangGraph copies the whole input
of a checkpointed subgraph into that subgraph's own checkpoint, untracked channels included: a graph that goes on to
an agent declares `memory` alone (see `MemoryState`) and gives the agent a `RecalledContext`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.channels import UntrackedValue
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Checkpointer

from memos_integrations.core.access import CallContext
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.core.reader import MAX_PROMPT, Intent, MemoryCall, Turn
from memos_integrations.core.scheduler import MemoryPlan
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.memos import MemOS

Update = dict[str, Any]
WORDLESS = MemoryCall(
    prompt="", query="", intent=Intent.NONE, is_memory_needed=False, why_not="no human message has words"
)
MemoryGraph = CompiledStateGraph[Any, Any, Any, Any]


class MemoryState(TypedDict):
    """What a graph that has the memory subgraph as a node needs in its state, and may checkpoint.

    `memory` holds `recall` (its id), `needed`, `reasons`, `cubes` (best first: `id`, `score`, `why`, `superseded_by`),
    `tokens` and `milliseconds` (of the search): what was recalled and why, without a word of it.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    memory: NotRequired[dict[str, Any]]


class _Asked(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class _Recalled(TypedDict):
    memory: NotRequired[dict[str, Any]]
    recalled: NotRequired[Annotated[dict[str, Any], UntrackedValue]]
    memory_call: NotRequired[dict[str, Any]]
    memory_plan: NotRequired[dict[str, Any]]


class _Walk(_Asked, _Recalled):
    pass


def memory_subgraph(
    memos: MemOS,
    *,
    principal: Identity | None = None,
    k: int = 8,
    token_budget: int | None = None,
    namespace: Sequence[str] = (),
    context: CallContext | None = None,
    checkpointer: Checkpointer = False,
) -> MemoryGraph:
    """A compiled graph that recalls what is known about the last human message of `messages`.

    It runs alone or as a node of a parent that shares `messages`, and never writes messages itself. It gives back
    `memory` (see `MemoryState`), `recalled` (`text`, a block ready for a prompt, and `hits` as plain JSON),
    `memory_call` and `memory_plan` (how the prompt was read and what was planned, as JSON). Who asks comes from
    `principal`, `runtime.context` or `configurable`, in this order (see `identify`); one compiled graph serves all.
    With `stream_mode="custom"` it tells `memos.read`, `memos.plan` and `memos.recall` as they happen; the reasons of
    a plan may quote words of the prompt, what was recalled is told by ids. It keeps no checkpoints of its own unless
    it is given a `checkpointer`.

    Raises:
        IdentityError: At run time, when nobody is asking.
    """

    def mem_reader(state: _Walk) -> Update:
        prompt, history = _asked(state["messages"])
        call = memos.read(prompt, history=history) if prompt else WORDLESS
        _tell("memos.read", intent=call.intent.value, needed=call.is_memory_needed)
        return {"memory_call": _plain(call)}

    def mem_scheduler(state: _Walk) -> Update:
        call = MemoryCall.model_validate(state["memory_call"])
        plan = memos.plan(call, k=k, namespace=namespace, token_budget=token_budget)
        _tell("memos.plan", needed=plan.needed, reasons=[step.reason for step in plan.steps] or [plan.reason])
        return {"memory_plan": _plain(plan)}

    def mem_operator(state: _Walk, config: RunnableConfig) -> Update:
        by = identify(principal, get_runtime(), config)
        return _found(memos.execute(*_walked(state), by=by, context=context))

    async def amem_operator(state: _Walk, config: RunnableConfig) -> Update:
        by = identify(principal, get_runtime(), config)
        return _found(await memos.aexecute(*_walked(state), by=by, context=context))

    graph = StateGraph(_Walk, input_schema=_Asked, output_schema=_Recalled)
    graph.add_node("mem_reader", mem_reader)
    graph.add_node("mem_scheduler", mem_scheduler)
    graph.add_node("mem_operator", RunnableLambda(mem_operator, amem_operator))
    graph.add_edge(START, "mem_reader")
    graph.add_edge("mem_reader", "mem_scheduler")
    graph.add_edge("mem_scheduler", "mem_operator")
    graph.add_edge("mem_operator", END)
    return graph.compile(checkpointer=checkpointer, name="memory")


def _tell(event: str, **told: Any) -> None:
    """Tell whoever streams the graph with `stream_mode="custom"`."""
    get_stream_writer()({"event": event, **told})


def _asked(messages: Sequence[Any]) -> tuple[str, list[Turn]]:
    """The text of the last human message that has any, and the turns before it."""
    worded = [message for message in convert_to_messages(messages) if message.text.strip()]
    spoken = [message for message in worded if isinstance(message, HumanMessage | AIMessage)]
    while spoken and not isinstance(spoken[-1], HumanMessage):
        spoken.pop()
    return (_readable(spoken[-1].text) if spoken else ""), [_turn(message) for message in spoken[:-1]]


def _readable(text: str) -> str:
    """What the reader takes of a message: its last part when it is very long, without what is no text."""
    return text[-MAX_PROMPT:].replace("\x00", " ").encode("utf-8", "replace").decode("utf-8").strip()


def _turn(message: BaseMessage) -> Turn:
    return Turn(
        role="user" if isinstance(message, HumanMessage) else "assistant", speaker=message.name, text=message.text
    )


def _walked(state: _Walk) -> tuple[MemoryPlan, MemoryCall]:
    return MemoryPlan.model_validate(state["memory_plan"]), MemoryCall.model_validate(state["memory_call"])


def _plain(value: MemoryCall | MemoryPlan) -> Update:
    return value.model_dump(mode="json")


def _found(recall: Recall) -> Update:
    memory = {
        "recall": recall.id,
        "needed": recall.plan.needed,
        "reasons": [step.reason for step in recall.plan.steps] or [recall.plan.reason],
        "cubes": [
            {"id": hit.cube.id, "score": hit.score, "why": hit.why, "superseded_by": hit.superseded_by}
            for hit in recall.hits
        ],
        "tokens": recall.token_count,
        "milliseconds": recall.cost.total_ms,
    }
    _tell("memos.recall", **memory)
    return {"memory": memory, "recalled": {"text": recall.text, "hits": [_hit(hit) for hit in recall.hits]}}


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.cube.id,
        "version": hit.cube.version,
        "text": hit.text,
        "score": hit.score,
        "parts": dict(hit.parts),
        "why": hit.why,
        "said_at": hit.said_at.isoformat(),
        "semantic_type": hit.cube.descriptive.semantic_type,
        "provenance": hit.provenance.model_dump(mode="json", exclude_defaults=True),
        "superseded_by": hit.superseded_by,
    }
