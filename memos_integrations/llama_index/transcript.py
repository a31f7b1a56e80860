"""The messages of one session as memories: every one durable, in order, whole, and governed.

A message is a cube in a namespace of its session, its words as text and the whole of it as value, so that it comes
back as it was. What a tool or the application said is kept for the history only (its purpose is `chat_history`); what
people and the assistant said may be recalled elsewhere, too. Nothing is copied: an order that differs from that of
writing is one small cube that names others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import MemCube, PlaintextPayload, Provenance, State
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.options import ORIGIN_OF_ROLE, TRUST_OF_ROLE
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.reader import MAX_PROMPT
from memos_integrations.memos import MemOS

HISTORY = "chat_history"
"""The purpose for which a whole history may be read, and the type of the cube that says its order."""

RECALLED = {"memos": "recalled"}
"""In a message's `additional_kwargs`: it holds recalled memories, and is never written down again."""

OWN_BLOCKS = "memos_own"
"""In the same place, where memories were put into a message: from which block to which it is the message's own."""

MOST = 1_000_000
KEPT_STATES = frozenset(State) - {State.EXPIRED}
MAX_VALUE_BYTES = 900_000
ROLES = {
    MessageRole.USER: "user",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A message and the id of the cube that keeps it; None while it is not stored."""

    message: ChatMessage
    cube_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """How a session's history was set or archived: by ids, so that nothing that was written since is lost."""

    kept: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()
    archived: tuple[str, ...] = ()

    def active(self, cubes: Iterable[MemCube]) -> list[tuple[str, MemCube]]:
        """Ids and cubes of the active messages, in order."""
        left = {cube.id: cube for cube in sorted(cubes, key=lambda cube: cube.id)}
        ordered = [(cube_id, left.pop(cube_id)) for cube_id in self.kept if cube_id in left]
        gone = self.dropped | {*self.archived}
        return ordered + [(cube_id, cube) for cube_id, cube in left.items() if cube_id not in gone]


def is_recalled(message: ChatMessage) -> bool:
    """Whether a message holds recalled memories."""
    return message.additional_kwargs.get("memos") == RECALLED["memos"]


def spoken(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """The messages without what was recalled into them: those that hold nothing else are left out.

    Raises:
        InvalidMemoryError: One is no chat message.
    """
    kept = []
    for message in messages:
        if not isinstance(message, ChatMessage):
            raise InvalidMemoryError(f"A history is made of ChatMessage, not {type(message).__name__}.")
        own = message.additional_kwargs.get(OWN_BLOCKS)
        if not is_recalled(message):
            kept.append(message)
        elif own is not None:
            told = message.additional_kwargs.items()
            rest = {name: value for name, value in told if name not in (*RECALLED, OWN_BLOCKS)}
            blocks = message.blocks[slice(*own)]
            kept.append(message.model_copy(update={"blocks": blocks, "additional_kwargs": rest}))
    return kept


def words(message: ChatMessage) -> str:
    """The text of a message as a vault can keep it; the whole of it is kept beside."""
    text = (message.content or "").replace("\x00", " ").encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_VALUE_BYTES // 4 else text[: MAX_VALUE_BYTES // 4]


def readable(question: str) -> str:
    """A question as it can be asked: the end of one that is too long, and no characters that no vault can keep."""
    return question[-MAX_PROMPT:].replace("\x00", " ").encode("utf-8", "replace").decode().strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The history of one session, as one principal may read and write it.

    It is made of the principal's own messages; with *readers* it is a room, in which those of others count as well.
    """

    memos: MemOS
    by: Principal
    session_id: str
    prefix: tuple[str, ...] = ()
    context: CallContext | None = None
    readers: tuple[str, ...] = ()

    @property
    def namespace(self) -> tuple[str, ...]:
        """Where the session's messages are: under the prefix given, or under tenant and user."""
        return namespace_of(self.by, self.session_id, self.prefix)

    # --- writing

    def append(self, message: ChatMessage) -> MemCube:
        """Write a message; durable on return."""
        return self.memos.remember(words(message), **self._options(message))

    async def aappend(self, message: ChatMessage) -> MemCube:
        """Write a message; its place is settled before the first await."""
        return await self.memos.aremember(words(message), **self._options(message))

    def replace(self, messages: Sequence[ChatMessage]) -> list[str]:
        """Make *messages* the history. What is in it already stays the same memory; the rest remain memories.

        The ids of those that had to be written.
        """
        cubes, order, _ = self._read(None)
        active = order.active(cubes)
        known: dict[str, list[str]] = {}
        for cube_id, cube in active:
            known.setdefault(_as_json(self._decoded(cube)), []).append(cube_id)
        kept: list[str] = []
        written: list[str] = []
        wholes = [_as_json(message) for message in messages]  # one that cannot be written is refused before all others
        for message, whole in zip(messages, wholes, strict=True):
            same = known.get(whole)
            if not same:
                written.append(self.append(message).id)
            kept.append(same.pop(0) if same else written[-1])
        if kept != [cube_id for cube_id, _ in active]:
            gone = {cube.id for cube in cubes} - {*kept} - {*order.archived}
            self._reorder(Order(tuple(kept), order.dropped | gone, order.archived))
        return written

    def archive(self, count: int) -> list[ChatMessage]:
        """Take the oldest *count* messages out of the history; they stay readable as archived."""
        return self._archive(lambda active: active[: max(0, count)])

    def archive_last(self, count: int) -> list[ChatMessage]:
        """Take the newest *count* messages out of the history; they stay readable as archived."""
        return self._archive(lambda active: active[max(0, len(active) - count) :])

    def _archive(self, choose: Callable[[list[tuple[str, MemCube]]], list[tuple[str, MemCube]]]) -> list[ChatMessage]:
        cubes, order, _ = self._read(None)
        taken = choose(order.active(cubes))
        if taken:
            ids = tuple(cube_id for cube_id, _ in taken)
            left = tuple(cube_id for cube_id in order.kept if cube_id not in ids)
            self._reorder(Order(left, order.dropped, (*order.archived, *ids)))
        return [self._decoded(cube) for _, cube in taken]

    def erase(self, cube_ids: Sequence[str] | None = None) -> list[str]:
        """Forget these messages, or the whole session, all of them or none; verified, and gone from recall too.

        In a room, one's own; what others said is no longer shown, and remains. The ids of the messages forgotten.

        Raises:
            LegalHoldError: One is under legal hold; nothing was forgotten.
            VersionConflictError, CubeNotFoundError: One was changed meanwhile; nothing was forgotten. Do it again.
        """
        with self.memos.atomic(by=self.by, context=self.context) as memory:
            return replace(self, memos=memory)._erase(cube_ids)

    def _erase(self, cube_ids: Sequence[str] | None) -> list[str]:
        chosen = None if cube_ids is None else {*cube_ids}
        cubes = [cube for cube in self._find(None, ("message", HISTORY)) if chosen is None or cube.id in chosen]
        for cube in cubes:
            if self._is_own(cube):
                self.memos.forget(cube.id, by=self.by)
        others = {cube.id for cube in cubes if not self._is_own(cube) and cube.descriptive.semantic_type == "message"}
        if others:
            order = self._read(None)[1]
            left = [[each for each in ids if each not in others] for ids in (order.kept, order.archived)]
            self._reorder(Order(tuple(left[0]), order.dropped | others, tuple(left[1])))
        gone = [cube.id for cube in cubes if cube.descriptive.semantic_type == "message"]
        return [cube_id for cube_id in gone if cube_id not in others]

    # --- reading

    def entries(self) -> list[Entry]:
        """All active messages in order."""
        return self.portion(None)[0]

    def portion(self, limit: int | None) -> tuple[list[Entry], bool]:
        """The newest active messages in order, about *limit* of them, and whether these are all."""
        cubes, order, complete = self._read(limit)
        return [Entry(self._decoded(cube), cube_id) for cube_id, cube in order.active(cubes)], complete

    def archived(self) -> list[Entry]:
        """The archived messages in order."""
        cubes, order, _ = self._read(None)
        by_id = {cube.id: cube for cube in cubes}
        return [Entry(self._decoded(by_id[each]), each) for each in order.archived if each in by_id]

    # --- parts

    def _read(self, limit: int | None) -> tuple[list[MemCube], Order, bool]:
        """The messages, the order that was last set, and whether all are here.

        With a limit, a cut that goes through one moment is not trusted: the newest of that moment might be missing.
        """
        found = self._find(limit, ("message", HISTORY))
        cut = limit is not None and len(found) >= limit
        if cut and _said_at(found[0]) == _said_at(found[-1]):
            found, cut = self._find(None, ("message", HISTORY)), False
        elif cut:
            found = [cube for cube in found if _said_at(cube) > _said_at(found[-1])]
        messages = [cube for cube in found if cube.descriptive.semantic_type == "message"]
        orders = [cube for cube in found if cube.descriptive.semantic_type == HISTORY]
        if cut and not orders:
            orders = self._find(None, (HISTORY,))
        order = _order(max(orders, key=lambda cube: cube.id)) if orders else Order()
        missing = {*order.kept} - {cube.id for cube in messages} if cut else set()
        if missing:
            messages += self._find(None, ("message",), tuple(missing))
        return messages, order, not cut

    def _find(self, limit: int | None, types: tuple[str, ...], ids: tuple[str, ...] = ()) -> list[MemCube]:
        """Newest first, *limit* of them, of this session only: a namespace below it is another's."""
        where = CubeFilter(namespace=self.namespace, semantic_types=types, states=KEPT_STATES, ids=ids)
        wanted = limit or MOST
        while True:
            found = self.memos.find(where, by=self.by, k=wanted, context=self._in_history())
            here = [cube for cube in found if cube.namespace == self.namespace and (self.readers or self._is_own(cube))]
            if len(found) < wanted or len(here) == len(found):
                return here if limit is None else here[:limit]
            wanted = MOST

    def _is_own(self, cube: MemCube) -> bool:
        return cube.governance.owner == self.by.subject

    def _in_history(self) -> CallContext:
        return (self.context or CallContext()).model_copy(update={"purpose": HISTORY})

    def _reorder(self, order: Order) -> None:
        older = [cube for cube in self._find(None, (HISTORY,)) if self._is_own(cube)]
        value = {"kept": list(order.kept), "dropped": sorted(order.dropped), "archived": list(order.archived)}
        self.memos.remember("", value=value, semantic_type=HISTORY, purposes=(HISTORY,), **self._who(None))
        for cube in older:
            self.memos.forget(cube.id, by=self.by)

    def _who(self, role: str | None) -> dict[str, Any]:
        told = Provenance(speaker=role, thread_id=self.session_id, session_id=self.session_id)
        return {
            "by": self.by,
            "context": self._in_history(),
            "namespace": self.namespace,
            "provenance": told,
            "readers": self.readers,
        }

    def _options(self, message: ChatMessage) -> dict[str, Any]:
        role, whole = ROLES.get(message.role, "assistant"), _as_json(message)
        options: dict[str, Any] = {
            **self._who(role),
            "semantic_type": "message",
            "trust": TRUST_OF_ROLE[role],
            "origin": ORIGIN_OF_ROLE[role],
        }
        if role in ("tool", "system") or not (message.content or "").strip():
            options["purposes"] = (HISTORY,)
        if len(whole) > MAX_VALUE_BYTES:
            return options | {"blob": whole.encode(), "media_type": "application/json"}
        return options | {"value": {"chat_message": whole}}

    def _decoded(self, cube: MemCube) -> ChatMessage:
        """The message as it was; one whose words were changed since, as its role and these words."""
        value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
        whole = value.get("chat_message") if isinstance(value, dict) else None
        if whole is None and cube.blobs:
            with self.memos.read_blob(cube.id, by=self.by, context=self._in_history()) as stream:
                whole = stream.read()
        try:
            message = None if whole is None else ChatMessage.model_validate(json.loads(whole))
        except (ValidationError, ValueError) as exc:
            raise InvalidMemoryError(f"Cube {cube.id!r} holds no chat message: {exc}") from exc
        if message is not None and words(message) == cube.text:
            return message
        return ChatMessage(role=cube.provenance.speaker or "user", content=cube.text)


def namespace_of(by: Principal, session_id: str, prefix: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Where a session's messages are."""
    return (*(prefix or (by.tenant, by.user)), "chat", session_id)


def _as_json(message: ChatMessage) -> str:
    try:
        return json.dumps(message.model_dump(mode="json"), sort_keys=True)
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as exc:
        raise InvalidMemoryError(f"This message cannot be written as JSON: {exc}. Nothing was stored.") from exc


def _order(cube: MemCube) -> Order:
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    value = value if isinstance(value, dict) else {}
    return Order(tuple(value.get("kept", ())), frozenset(value.get("dropped", ())), tuple(value.get("archived", ())))


def _said_at(cube: MemCube) -> Any:
    return cube.provenance.occurred_at or cube.descriptive.created_at
