"""A conversation, word for word, as LangChain's chat history: for `RunnableWithMessageHistory` and older code.

LangChain has deprecated this interface in favour of checkpointers; it is here for code that uses it. The history is
the verbatim log and nothing else: recall belongs beside it (`MemOSRetriever`, `MemOSMiddleware`), never in it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_to_dict, messages_from_dict

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import Channel, MemCube, PlaintextPayload, State, check_text, thawed
from memos_integrations.core.errors import CubeNotFoundError, IdentityError, InvalidMemoryError
from memos_integrations.core.operator import MemoryOptions
from memos_integrations.core.pipeline.running import MOST_ATTEMPTS, OVERTAKEN
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.turns import LONGEST_LABEL, memories_of
from memos_integrations.langchain.transcript import said_by, words_of
from memos_integrations.memos import MemOS

SOURCE = "langchain.history"
PAGE = 1_000
KEPT_STATES = frozenset(State) - {State.EXPIRED}


class _Turnstile:
    """One at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


# Histories are made anew for each request; those of one session share the lock that keeps its batches together.
_turnstiles: WeakValueDictionary[tuple[int, str, str, str], _Turnstile] = WeakValueDictionary()
_guard = threading.Lock()


class MemOSChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session of one principal, in the order in which they were added, durable when added.

    Every message comes back as it was: kind, id, tool calls, additional fields. Messages added together stay
    together, also when several threads of this program add to the session. They are memories like any other, of the
    type `message`: recall finds them, `forget` takes one out, and one that `update` gave other words says these. What
    was archived stays in the log. A session is of one namespace: that given, or the principal's own.

    Raises:
        IdentityError: *principal* is not a principal.
    """

    def __init__(
        self,
        memos: MemOS,
        session_id: str,
        *,
        principal: Principal,
        namespace: Sequence[str] = (),
        context: CallContext | None = None,
        options: MemoryOptions | None = None,
    ) -> None:
        if not isinstance(principal, Principal):
            raise IdentityError(f"A history belongs to a Principal(tenant=..., user=...), not {principal!r}.")
        if not isinstance(session_id, str) or not session_id.strip() or len(session_id) > LONGEST_LABEL:
            raise InvalidMemoryError(f"A session is named by text of at most {LONGEST_LABEL:,} characters.")
        try:
            check_text(session_id)
        except ValueError as exc:
            raise InvalidMemoryError(f"A session is named by text, and this {exc}.") from exc
        self._memos, self._session, self._by = memos, session_id, principal
        self._options: dict[str, Any] = dict(options or {})
        self._context = context
        self._namespace = tuple(self._options.pop("namespace", ()) or namespace or (principal.tenant, principal.user))
        with _guard:
            place = (id(memos), principal.tenant, principal.user, session_id)
            self._turnstile = _turnstiles.setdefault(place, _Turnstile())

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The log, oldest first."""
        return [_message(cube) for cube in self._cubes()]

    async def aget_messages(self) -> list[BaseMessage]:
        """The log, without blocking the event loop."""
        return await asyncio.to_thread(lambda: self.messages)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages; durable on return.

        Raises:
            InvalidMemoryError: One of them cannot be written as JSON, or is too large; those before it are stored.
        """
        with self._turnstile.lock:
            for message in messages:
                self._memos.remember(**self._memory(message), by=self._by, context=self._context)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """`add_messages`, without blocking the event loop."""
        await asyncio.to_thread(self.add_messages, messages)

    def clear(self) -> None:
        """Erase every message of the session, and what was derived from them, in one transaction.

        Raises:
            LegalHoldError, IllegalTransitionError: One, or what is derived from it, is on hold or frozen; all stay.
            VersionConflictError, CubeNotFoundError: Another program changes the same messages; all stay. Do it again.
        """
        with self._turnstile.lock:
            for attempt in range(MOST_ATTEMPTS):
                try:
                    return self._erase(self._cubes())
                except OVERTAKEN:
                    if attempt == MOST_ATTEMPTS - 1:
                        raise

    def _erase(self, cubes: Sequence[MemCube]) -> None:
        if not cubes:
            return
        with self._memos.atomic(by=self._by, context=self._context) as memory:
            for cube in reversed(cubes):
                with suppress(CubeNotFoundError):  # it went with another, which it repeats or was derived from
                    memory.forget(cube.id, by=self._by, context=self._context)

    async def aclear(self) -> None:
        """`clear`, without blocking the event loop."""
        await asyncio.to_thread(self.clear)

    def _memory(self, message: BaseMessage) -> dict[str, Any]:
        words = words_of(message) or f"({message.type} message without words)"
        said = next(memories_of(said_by(message), words, source=SOURCE, thread_id=self._session))
        return {**said, "namespace": self._namespace, **self._options, "value": {"message": _as_json(message)}}

    def _cubes(self) -> list[MemCube]:
        """The session's own cubes, oldest first: ids grow with time, and within a program one by one."""
        where = CubeFilter(
            namespace=self._namespace, semantic_types=("message",), thread_id=self._session, states=KEPT_STATES
        )
        k, found = PAGE, list[MemCube]()
        while len(found := self._memos.find(where, by=self._by, k=k, context=self._context)) == k:
            k *= 4
        mine = [cube for cube in found if cube.provenance.source == SOURCE and cube.namespace == self._namespace]
        return sorted((cube for cube in mine if cube.governance.owner == self._by.subject), key=lambda cube: cube.id)


def _message(cube: MemCube) -> BaseMessage:
    """The message as it was; of one whose words were changed since, which are all that is left, these words."""
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    if isinstance(value, dict) and "message" in value:
        return messages_from_dict([thawed(value["message"])])[0]
    kind = HumanMessage if cube.trust.channel is Channel.USER else AIMessage
    return kind(cube.text, id=cube.provenance.message_id)


def _as_json(message: BaseMessage) -> Any:
    """The message in LangChain's own form, without what UTF-8 and SQL cannot carry.

    Raises:
        InvalidMemoryError: It holds something that is not JSON.
    """
    try:
        return _storable(json.loads(json.dumps(message_to_dict(message))))
    except (TypeError, ValueError) as exc:
        raise InvalidMemoryError(f"A {message.type} message holds what JSON cannot: {exc}.") from exc


def _storable(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
        case list():
            return [_storable(each) for each in value]
        case dict():
            return {_storable(name): _storable(each) for name, each in value.items()}
    return value
