"""What was recalled, shown to an agent's model and to nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain.agents.middleware.types import OmitFromOutput
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.config import get_config

from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.cube import MemCube
from memos_integrations.core.turns import PREAMBLE, line_of
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.transcript import MARK
from memos_integrations.memos import MemOS

Answer = ModelResponse[Any]


class RecallingState(AgentState[Any]):
    """An agent's state with the `memory` that a memory subgraph left before it: ids and reasons, no words."""

    memory: NotRequired[Annotated[dict[str, Any], OmitFromOutput]]


class RecalledContext(AgentMiddleware[RecallingState, Any, Any]):
    """Lets the model of a `create_agent` agent read what `memory_subgraph` recalled before it.

    The state that reaches the agent names the memories; their words are read here, as whoever is asking, for each
    call of the model. What has been forgotten or withdrawn in between is not shown. The words stand in one human
    message before the last human message; they enter neither the agent's state, nor its answer, nor a checkpoint.
    Give it the same `principal` and `context` as the subgraph. Without `memory` in the state it changes nothing.

    Raises:
        IdentityError: At run time, when there is something to read and nobody is asking.
    """

    state_schema = RecallingState

    def __init__(
        self,
        memos: MemOS,
        *,
        principal: Identity | None = None,
        context: CallContext | None = None,
        preamble: str = PREAMBLE,
    ) -> None:
        super().__init__()
        self._memos = memos
        self._principal = principal
        self._context = context
        self._preamble = preamble

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Answer]) -> Answer:
        """Call the model with the recalled words in place."""
        named = _named(request)
        if not named:
            return handler(request)
        read = self._memos.get_many(named, by=self._identify(request), verb=Verb.USE_IN_PROMPT, context=self._context)
        return handler(self._shown(request, named, read))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[Answer]]
    ) -> Answer:
        """Call the model with the recalled words in place, without blocking the event loop."""
        named = _named(request)
        if not named:
            return await handler(request)
        by = self._identify(request)
        read = await self._memos.aget_many(named, by=by, verb=Verb.USE_IN_PROMPT, context=self._context)
        return await handler(self._shown(request, named, read))

    def _identify(self, request: ModelRequest[Any]) -> Principal:
        return identify(self._principal, request.runtime, get_config())

    def _shown(
        self, request: ModelRequest[Any], named: Mapping[str, Mapping[str, Any]], read: Sequence[MemCube]
    ) -> ModelRequest[Any]:
        lines = [line_of(cube, named[cube.id]) for cube in read]
        if not lines:
            return request
        block = HumanMessage("\n".join([self._preamble, *lines]), additional_kwargs={MARK: "recalled"})
        return request.override(messages=_before_last_human(request.messages, block))


def _named(request: ModelRequest[Any]) -> dict[str, Mapping[str, Any]]:
    """The recalled cubes, best first, each with what replaces or contradicts it."""
    memory: dict[str, Any] = request.state.get("memory") or {}  # type: ignore[assignment]
    return {cube["id"]: cube for cube in memory.get("cubes", ())}


def _before_last_human(messages: Sequence[AnyMessage], block: HumanMessage) -> list[AnyMessage]:
    """Not simply before the last message: that would part a tool's answer from the call it answers."""
    humans = [number for number, message in enumerate(messages) if isinstance(message, HumanMessage)]
    place = humans[-1] if humans else 0
    return [*messages[:place], block, *messages[place:]]
