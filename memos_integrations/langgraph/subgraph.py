"""The walk of a prompt as nodes: `mem_reader`, `mem_scheduler`, `mem_look` (once per scope), `mem_operator`.

The state holds plain JSON. `memory` names what was recalled (ids, reasons, tokens) and may be kept anywhere; the
words themselves are in `recalled`, a channel that no checkpoint of this graph holds. LangGraph copies the whole input
of a checkpointed subgraph into that subgraph's own checkpoint, untracked channels included: a graph that goes on to
an agent declares `memory` alone (see `MemoryState`) and gives the agent a `RecalledContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.cache.base import BaseCache
from langgraph.channels import UntrackedValue
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Checkpointer, Command, RetryPolicy, Send

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.asked import aware
from memos_integrations.core.errors import IdentityError, InvalidMemoryError
from memos_integrations.core.operator import Finding, Hit, Recall, scopes_of
from memos_integrations.core.reader import Intent, MemoryCall
from memos_integrations.core.scheduler import MemoryPlan
from memos_integrations.core.turns import as_named
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.policies import RETRY, asker, kept_for
from memos_integrations.langgraph.transcript import question_in
from memos_integrations.memos import MemOS

Update = dict[str, Any]
WORDLESS = MemoryCall(
    prompt="", query="", intent=Intent.NONE, is_memory_needed=False, why_not="no human message has words"
)
MemoryGraph = CompiledStateGraph[Any, Any, Any, Any]

Ask = Callable[[Any], Any]
"""What a state asks of memory: a text, or messages of which the last human one asks."""


class MemoryState(TypedDict):
    """What a graph that has the memory subgraph as a node needs in its state, and may checkpoint.

    `memory` holds `recall` (its id), `needed`, `reasons`, `cubes` (best first: `id`, `score`, `why`, `superseded_by`,
    `conflicts_with`), `tokens` and `milliseconds` (of the search): what was recalled and why, without a word of it.
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


def _added(before: list[Update], after: list[Update] | None) -> list[Update]:
    """Findings beside each other; None clears those of the turn before."""
    return [] if after is None else [*before, *after]


class _Walk(_Recalled):
    memory_findings: NotRequired[Annotated[list[Update], _added]]


class _Task(TypedDict):
    """One scope to look through: nothing in it says who asks but a fingerprint, which is compared, not believed."""

    plan: Update
    call: Update
    scope: int
    asker: str
    generation: int


def memory_subgraph(
    memos: MemOS,
    *,
    principal: Identity | None = None,
    k: int = 8,
    token_budget: int | None = None,
    namespace: Sequence[str] = (),
    context: CallContext | None = None,
    as_of: datetime | None = None,
    valid_at: datetime | None = None,
    state_schema: type[Any] | None = None,
    ask: Ask | None = None,
    retry: RetryPolicy | None = RETRY,
    keep_s: float | None = None,
    cache: BaseCache[Any] | None = None,
    checkpointer: Checkpointer = False,
) -> MemoryGraph:
    """A compiled graph that recalls what is known about the last human message of `messages`.

    It runs alone or as a node of a parent that shares `messages`, and never writes messages itself. It gives back
    `memory` (see `MemoryState`), `recalled` (`text`, a block ready for a prompt, and `hits` as plain JSON),
    `memory_call` and `memory_plan` (how the prompt was read and what was planned, as JSON). Who asks comes from
    `principal`, `runtime.context` or `configurable`, in this order (see `identify`); one compiled graph serves all.
    With `stream_mode="custom"` it tells `memos.read`, `memos.plan` and `memos.recall` as they happen; the reasons of
    a plan may quote words of the prompt, what was recalled is told by ids.

    The steps of a plan that look through the same scope are one query; where a plan has several scopes, each is a
    task of its own (`Send`), and what they find is read, ranked and put on record once: the recall is that of
    `memos.recall`. The engine is the one given here, whatever store or cache a parent has.

    `as_of` recalls what was known then, `valid_at` what held then in the world, as in `memos.recall`.

    `state_schema` is a state of your own instead of `messages`, with *ask* to say what it asks: a text, or messages.
    For a parent that shares nothing with it, see `as_node`. `retry` says when a node is run again: by default three
    times when the engine is busy; what is denied raises at once. With `keep_s`, what a scope found may be used again
    for so many seconds from its own `cache`, by the same asker, while nothing changed (see `kept_for`). Give
    this node no `CachePolicy` of the parent's: LangGraph's key leaves out who asks. It keeps no checkpoints of its own
    unless it is given a `checkpointer`.

    Raises:
        InvalidMemoryError: One of `keep_s` and `cache` without the other, or a time without a time zone.
        IdentityError: At run time, when nobody is asking.
    """
    if (keep_s is None) != (cache is None):
        raise InvalidMemoryError("keep_s says for how long, cache where: give both, or neither.")
    nodes = _Nodes(memos, principal, context, ask, apart=keep_s is not None)
    nodes.times = {"as_of": aware(as_of), "valid_at": aware(valid_at)}
    nodes.plans = {"k": k, "namespace": tuple(namespace), "token_budget": token_budget}
    asked = state_schema or _Asked
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(_Walk, input_schema=asked, output_schema=_Recalled)
    _wire(graph, nodes, asked, retry, keep_s)
    return graph.compile(checkpointer=checkpointer, cache=cache, name="memory")


def _wire(
    graph: StateGraph[Any, Any, Any, Any],
    nodes: _Nodes,
    asked: type[Any],
    retry: RetryPolicy | None,
    keep_s: float | None,
) -> None:
    graph.add_node("mem_reader", nodes.read, input_schema=asked, retry_policy=retry)
    graph.add_node("mem_scheduler", nodes.plan, retry_policy=retry, destinations=("mem_look", "mem_operator"))
    graph.add_node(
        "mem_look",
        RunnableLambda(nodes.look, nodes.alook),
        input_schema=_Task,
        retry_policy=retry,
        cache_policy=None if keep_s is None else kept_for(keep_s),
    )
    graph.add_node("mem_operator", RunnableLambda(nodes.execute, nodes.aexecute), retry_policy=retry)
    graph.add_edge(START, "mem_reader")
    graph.add_edge("mem_reader", "mem_scheduler")
    graph.add_edge("mem_look", "mem_operator")
    graph.add_edge("mem_operator", END)


class _Nodes:
    """What the nodes do: convert in, call the engine, convert out."""

    plans: dict[str, Any]
    times: dict[str, datetime | None]

    def __init__(
        self, memos: MemOS, principal: Identity | None, context: CallContext | None, ask: Ask | None, *, apart: bool
    ) -> None:
        self._memos, self._principal, self._context, self._ask = memos, principal, context, ask
        self._apart = apart

    def read(self, state: Any) -> Update:
        prompt, history = question_in(state["messages"] if self._ask is None else self._ask(state))
        call = self._memos.read(prompt, history=history) if prompt else WORDLESS
        tell("memos.read", intent=call.intent.value, needed=call.is_memory_needed)
        return {"memory_call": _plain(call)}

    def plan(self, state: _Walk, config: RunnableConfig) -> Command[Literal["mem_look", "mem_operator"]]:
        call = MemoryCall.model_validate(state["memory_call"])
        plan = self._memos.plan(call, **self.plans).model_copy(update=self.times)
        scopes = scopes_of(plan)
        reasons = [step.reason for step in plan.steps] or [plan.reason]
        tell("memos.plan", needed=plan.needed, reasons=reasons, scopes=len(scopes))
        update = {"memory_plan": _plain(plan), "memory_findings": None}
        # One scope alone is looked through where it is ranked; a task of its own would only read everything twice.
        if len(scopes) < (1 if self._apart else 2):
            return Command(update=update, goto="mem_operator")
        by = self._identify(config)
        task = {
            "plan": update["memory_plan"],
            "call": state["memory_call"],
            "asker": asker(self._memos, by, self._context),
            "generation": self._memos.generation(by=by) if self._apart else 0,
        }
        return Command(update=update, goto=[Send("mem_look", {**task, "scope": n}) for n in range(len(scopes))])

    def look(self, task: _Task, config: RunnableConfig) -> Update:
        by = self._asks(task, config)
        return _one(self._memos.look(*_planned(task), task["scope"], by=by, context=self._context))

    async def alook(self, task: _Task, config: RunnableConfig) -> Update:
        by = self._asks(task, config)
        return _one(await self._memos.alook(*_planned(task), task["scope"], by=by, context=self._context))

    def execute(self, state: _Walk, config: RunnableConfig) -> Update:
        by, findings = self._identify(config), _findings(state)
        recall = self._memos.execute(*_walked(state), by=by, context=self._context, findings=findings)
        return {**_found(recall), "memory_findings": None}

    async def aexecute(self, state: _Walk, config: RunnableConfig) -> Update:
        by, findings = self._identify(config), _findings(state)
        recall = await self._memos.aexecute(*_walked(state), by=by, context=self._context, findings=findings)
        return {**_found(recall), "memory_findings": None}

    def _identify(self, config: RunnableConfig) -> Principal:
        return identify(self._principal, get_runtime(), config)

    def _asks(self, task: _Task, config: RunnableConfig) -> Principal:
        """Who asks now, if it is the one for whom the task was made: else its result would be kept as theirs."""
        by = self._identify(config)
        if asker(self._memos, by, self._context) != task["asker"]:
            raise IdentityError("Somebody else goes on with a recall that was begun: ask again, as yourself.")
        return by


def tell(event: str, **told: Any) -> None:
    """Tell whoever streams the graph with `stream_mode="custom"`."""
    get_stream_writer()({"event": event, **told})


def _planned(task: _Task) -> tuple[MemoryPlan, MemoryCall]:
    return MemoryPlan.model_validate(task["plan"]), MemoryCall.model_validate(task["call"])


def _walked(state: _Walk) -> tuple[MemoryPlan, MemoryCall]:
    return MemoryPlan.model_validate(state["memory_plan"]), MemoryCall.model_validate(state["memory_call"])


def _one(finding: Finding) -> Update:
    return {"memory_findings": [_plain(finding)]}


def _findings(state: _Walk) -> list[Finding]:
    return [Finding.model_validate(each) for each in state.get("memory_findings") or ()]


def _plain(value: MemoryCall | MemoryPlan | Finding) -> Update:
    return value.model_dump(mode="json")


def _found(recall: Recall) -> Update:
    memory = {
        "recall": recall.id,
        "needed": recall.plan.needed,
        "reasons": [step.reason for step in recall.plan.steps] or [recall.plan.reason],
        "cubes": [{"score": hit.score, "why": hit.why, **as_named(hit)} for hit in recall.hits],
        "tokens": recall.token_count,
        "milliseconds": recall.cost.total_ms,
    }
    tell("memos.recall", **memory)
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
        "conflicts_with": list(hit.conflicts_with),
    }
