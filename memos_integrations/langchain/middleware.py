"""Memory for an agent made with `create_agent`: recalled before the model, written around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import TracePolicy, omit_payload

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import InvalidMemoryError, TooSlowError
from memos_integrations.core.fence import Fence, Owed, Policy, TimeBox
from memos_integrations.core.operator import MemoryOptions
from memos_integrations.core.turns import PREAMBLE, Namespace
from memos_integrations.langchain.agent_memory import AgentMemory, Recalled, Shown
from memos_integrations.langchain.identity import Identity, identify
from memos_integrations.langchain.transcript import is_recalled, recalled_message
from memos_integrations.memos import MemOS

Answer = ModelResponse[Any]
Placement = Literal["human", "system"]


def _merged(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    return {**(before or {}), **(after or {})}


class MemOSState(AgentState[Any]):
    """An agent's state, and privately what each middleware recalled for the last question: ids, no words."""

    memos_recalled: NotRequired[Annotated[dict[str, Any], PrivateStateAttr, _merged]]


class MemOSMiddleware(AgentMiddleware[MemOSState, Any, Any]):
    """Gives an agent a memory: `create_agent(model, tools, middleware=[MemOSMiddleware(memos)])`.

    Once per user message it recalls what is known about it. For each call of the model the words of what was recalled
    are read again, as whoever is asking, and stand in one human message before the last human message: what was
    forgotten in between is not shown, and no words enter the state, the result or a checkpoint (the state names cubes
    by their ids). What the user says is written before the model runs, so that it outlives a failing model; what the
    model answers is written after the agent. Each is durable when the agent goes on, and written once, however often
    the graph repeats it. An answer that restates recalled memories is kept as derived from them: it has no more
    readers than they, and is forgotten with them.

    Who asks comes from `principal`, `runtime.context` or `configurable`, in this order; see `identify`.

    Args:
        memos: The engine.
        principal: Whoever asks, or a function of the runtime that says who.
        name: Tells two of them in one agent apart.
        k: How many memories at most. token_budget: how many tokens of them at most.
        namespace: Where it recalls and writes, or a function of the principal; default: recalls everything that the
            principal may read, and writes to the principal's own.
        timeout: Seconds that each touch of memory may take; None for no limit.
        on_error: Whether the agent goes on without memory when memory fails or takes too long (`open`), or raises
            (`closed`). Identity and access are no faults: they always raise. With `open`, what could not be written is
            logged, told in the stream, and written with the next turn of this program, in its order.
        remember: Of whom messages are written: `human`, `ai`.
        options: What is said of every memory written (`ttl`, `readers`, `purposes`, …).
        placement: `human`, or `system` for words that are trusted like instructions.
        memory_ids: Whether ids and a fingerprint of what was recalled go to the model as settings. Default: if the
            model says that it reads them (`MemOSChatModel` does).
        tools: Tools that come with it, for instance `memory_tools(memos)`.
        reflection: Told of every thread that was written to; see `MemOSReflection`.

    Raises:
        IdentityError: At run time, when nobody is asking.
        TooSlowError, VaultError, EmbeddingError: At run time, with `on_error="closed"`.
    """

    state_schema = MemOSState
    trace_policy = TracePolicy(process_inputs=omit_payload, process_outputs=omit_payload)
    """The spans of its hooks keep their timing and record no messages; those stand in the spans of the model."""

    def __init__(
        self,
        memos: MemOS,
        *,
        principal: Identity | None = None,
        name: str = "MemOSMiddleware",
        k: int = 8,
        token_budget: int | None = None,
        namespace: Namespace = (),
        context: CallContext | None = None,
        timeout: float | None = 5.0,
        on_error: Policy = "open",
        remember: Collection[Literal["human", "ai"]] = ("human", "ai"),
        options: MemoryOptions | None = None,
        placement: Placement = "human",
        preamble: str = PREAMBLE,
        memory_ids: bool | None = None,
        tools: Sequence[BaseTool] = (),
        reflection: Callable[[Principal, str | None], None] | None = None,
    ) -> None:
        super().__init__()
        if on_error not in ("open", "closed") or placement not in ("human", "system"):
            raise InvalidMemoryError("on_error is 'open' or 'closed', placement 'human' or 'system'.")
        if not isinstance(k, int) or k < 1:
            raise InvalidMemoryError(f"k must be a whole number of at least 1, not {k!r}.")
        if wrong := set(remember) - {"human", "ai"}:
            raise InvalidMemoryError(f"remember= names 'human' and 'ai', not {sorted(wrong)}.")
        self.tools = list(tools)
        self._name = name
        self._principal = principal
        self._memory = AgentMemory(
            memos, name=name, k=k, token_budget=token_budget, namespace=namespace, context=context, options=options
        )
        self._box = TimeBox(timeout)
        self._owed = Owed()
        self._on_error: Policy = on_error
        self._remember = frozenset(remember)
        self._placement, self._preamble = placement, preamble
        self._memory_ids = memory_ids
        self._reflection = reflection

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    # --- before the agent: recall, then write what the user said ---------------------------------------------------

    def before_agent(self, state: MemOSState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Recall for the last user message, and write the user's new messages."""
        by, thread = self._identify(runtime), _thread()
        recalled, written = Recalled(), []
        with self._fence("recall") as recalling:
            recalled = self._box.run(lambda: self._memory.recall(state["messages"], by))
        write = self._writing(self._said(state["messages"]), by, thread)
        with self._fence("write") as writing:
            written = self._box.run(self._settling(write))
        self._owe(write, writing.fault)
        return self._begun(runtime, recalled, written, recalling.fault, writing.fault)

    async def abefore_agent(self, state: MemOSState, runtime: Runtime[Any]) -> dict[str, Any]:
        """`before_agent`, without blocking the event loop."""
        by, thread = self._identify(runtime), _thread()
        recalled, written = Recalled(), []
        with self._fence("recall") as recalling:
            recalled = await self._box.arun(lambda: self._memory.recall(state["messages"], by))
        write = self._writing(self._said(state["messages"]), by, thread)
        with self._fence("write") as writing:
            written = await self._box.arun(self._settling(write))
        self._owe(write, writing.fault)
        return self._begun(runtime, recalled, written, recalling.fault, writing.fault)

    # --- around each call of the model: show -----------------------------------------------------------------------

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Answer]) -> Answer:
        """Call the model with the recalled words in place."""
        by, named = self._identify(request.runtime), _named(request.state, self._name)
        shown = self._memory.nothing(by)
        if named:
            with self._fence("reading"):
                shown = self._box.run(lambda: self._memory.show(named, request.messages, by))
        return handler(self._with(request, shown))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[Answer]]
    ) -> Answer:
        """`wrap_model_call`, without blocking the event loop."""
        by, named = self._identify(request.runtime), _named(request.state, self._name)
        shown = self._memory.nothing(by)
        if named:
            with self._fence("reading"):
                shown = await self._box.arun(lambda: self._memory.show(named, request.messages, by))
        return await handler(self._with(request, shown))

    # --- after the agent: write what was answered ------------------------------------------------------------------

    def after_agent(self, state: MemOSState, runtime: Runtime[Any]) -> None:
        """Write what the model answered."""
        by, thread, written = self._identify(runtime), _thread(), list[str]()
        answers, named = self._answered(state["messages"]), _named(state, self._name)
        write = self._writing(answers, by, thread, named)
        with self._fence("write") as writing:
            if answers:
                written = self._box.run(self._settling(write))
        self._owe(write, writing.fault)
        self._ended(runtime, written, writing.fault, by, thread)

    async def aafter_agent(self, state: MemOSState, runtime: Runtime[Any]) -> None:
        """`after_agent`, without blocking the event loop."""
        by, thread, written = self._identify(runtime), _thread(), list[str]()
        answers, named = self._answered(state["messages"]), _named(state, self._name)
        write = self._writing(answers, by, thread, named)
        with self._fence("write") as writing:
            if answers:
                written = await self._box.arun(self._settling(write))
        self._owe(write, writing.fault)
        self._ended(runtime, written, writing.fault, by, thread)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _identify(self, runtime: Any) -> Principal:
        return identify(self._principal, get_config(), runtime)

    def _writing(
        self, messages: Sequence[Any], by: Principal, thread: str | None, named: Sequence[Any] | None = None
    ) -> Callable[[], list[str]]:
        if named is None:
            return lambda: self._memory.write(messages, by, thread)
        return lambda: self._memory.write_answers(messages, named, by, thread)

    def _settling(self, write: Callable[[], list[str]]) -> Callable[[], list[str]]:
        """The write, after those that failed before it; where nothing fails unseen, nothing is owed."""
        return write if self._on_error == "closed" else partial(self._owed.settle, write)

    def _owe(self, write: Callable[[], list[str]], fault: Exception | None) -> None:
        """What was late may not even have begun. Should it still end by itself, the second time changes nothing."""
        if isinstance(fault, TooSlowError):
            self._owed.add(write)

    def _fence(self, during: str) -> Fence:
        return Fence(self._on_error, f"{during} ({self._name})")

    def _said(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """What people said since the model last spoke: older messages were written when they came."""
        spoken = max((n for n, message in enumerate(messages) if isinstance(message, AIMessage)), default=-1)
        new = [message for message in messages[spoken + 1 :] if isinstance(message, HumanMessage)]
        return [message for message in new if not is_recalled(message)] if "human" in self._remember else []

    def _answered(self, messages: Sequence[BaseMessage]) -> list[AIMessage]:
        """What the model said since the last human message, but not what it said on the way to a tool."""
        asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
        new = [message for message in messages[asked + 1 :] if isinstance(message, AIMessage)]
        return [message for message in new if not message.tool_calls] if "ai" in self._remember else []

    def _with(self, request: ModelRequest[Any], shown: Shown) -> ModelRequest[Any]:
        reads_ids = getattr(request.model, "reads_memory_ids", False) if self._memory_ids is None else self._memory_ids
        if reads_ids:
            settings = {"memory_ids": list(shown.ids), "memory_fingerprint": shown.fingerprint}
            request = request.override(model_settings=_joined(request.model_settings, settings))
        if not shown.lines:
            return request
        block = recalled_message(shown.lines, self._preamble)
        if self._placement == "human":
            return request.override(messages=before_last_human(request.messages, block))
        said = f"{request.system_message.text}\n\n{block.text}" if request.system_message else block.text
        return request.override(system_message=SystemMessage(said))

    def _begun(
        self,
        runtime: Runtime[Any],
        recalled: Recalled,
        written: Sequence[str],
        unrecalled: Exception | None,
        unwritten: Exception | None,
    ) -> dict[str, Any]:
        self._tell(runtime, "recall", unrecalled, recall=recalled.id, cubes=[cube["id"] for cube in recalled.cubes])
        self._tell(runtime, "write", unwritten, cubes=list(written))
        return {"memos_recalled": {self._name: recalled.cubes}}

    def _ended(
        self, runtime: Runtime[Any], written: Sequence[str], fault: Exception | None, by: Principal, thread: str | None
    ) -> None:
        if written or fault is not None:
            self._tell(runtime, "write", fault, cubes=list(written))
        if self._reflection is not None and self._remember and fault is None:
            self._reflection(by, thread)

    def _tell(self, runtime: Runtime[Any], event: str, fault: Exception | None, **said: Any) -> None:
        """A custom event of the stream: which cubes, never their words."""
        failed = {"error": type(fault).__name__} if fault is not None else {}
        runtime.stream_writer({"type": f"memos.{event}", "middleware": self._name, **said, **failed})


def before_last_human(messages: Sequence[BaseMessage], block: BaseMessage) -> list[Any]:
    """Not simply before the last message: that would part a tool's answer from the call it answers."""
    place = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=0)
    return [*messages[:place], block, *messages[place:]]


def _named(state: Any, name: str) -> list[dict[str, Any]]:
    recalled: Mapping[str, Any] = state.get("memos_recalled") or {}
    return recalled.get(name) or []


def _joined(settings: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with ours beside those of another middleware."""
    ids = [*settings.get("memory_ids", ()), *ours["memory_ids"]]
    prints = "".join(filter(None, (settings.get("memory_fingerprint"), ours["memory_fingerprint"])))
    return {**settings, "memory_ids": list(dict.fromkeys(ids)), "memory_fingerprint": prints}


def _thread() -> str | None:
    thread = get_config().get("configurable", {}).get("thread_id")
    return None if thread is None else str(thread)
