"""Chat stores over the vault: for LlamaIndex's chat buffers, and for its `Memory`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from memos_integrations.core.ports import CubeFilter
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import wrote
from memos_integrations.llama_index.transcript import HISTORY, KEPT_STATES, MOST, Transcript, spoken


class _Keyed(Attached):
    """Histories by key; a key is a session of `MemOSMemory` and the other way round."""

    namespace: tuple[str, ...] = ()

    def _transcript(self, key: str) -> Transcript:
        return Transcript(self.memos, self.by, key, self.namespace, self.context)

    def _keys(self) -> list[str]:
        by = self.by
        prefix = (*(self.namespace or (by.tenant, by.user)), "chat")
        where = CubeFilter(namespace=prefix, semantic_types=("message", HISTORY), states=KEPT_STATES)
        context = Transcript(self.memos, by, "all", self.namespace, self.context)._in_history()
        found = self.memos.find(where, by=by, k=MOST, context=context)
        own = [cube.namespace for cube in found if cube.governance.owner == by.subject]
        return sorted({namespace[len(prefix)] for namespace in own if len(namespace) == len(prefix) + 1})

    def _delete_at(self, key: str, idx: int) -> ChatMessage | None:
        entries = self._transcript(key).entries()
        if not -len(entries) <= idx < len(entries):
            return None
        self._erase(key, [entries[idx].cube_id or ""])
        return entries[idx].message

    def _replace(self, key: str, messages: Sequence[ChatMessage]) -> None:
        self._wrote(self._transcript(key).replace(messages))

    def _erase(self, key: str, cube_ids: Sequence[str] | None = None) -> None:
        self._wrote(self._transcript(key).erase(cube_ids), "forget")

    def _wrote(self, cube_ids: list[str], operation: str = "remember") -> None:
        if cube_ids:
            wrote(type(self).__name__, self.by, operation, cube_ids)


class MemOSChatStore(_Keyed, BaseChatStore):
    """Histories of one principal by key, durable message by message; for `ChatMemoryBuffer(chat_store=...)`.

    `set_messages` changes what a history shows: what it leaves out remains a memory. Deleting forgets: the message is
    gone from recall too.

    Raises:
        IdentityError: Nobody is asking.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Make *messages* the history of *key*."""
        self._replace(key, spoken(messages))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The history of *key*, in order; empty when there is none."""
        return [entry.message for entry in self._transcript(key).entries()]

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Write a message at the end; durable on return."""
        for said in spoken([message]):
            self._wrote([self._transcript(key).append(said).id])

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Forget the history of *key*; what it was, or None."""
        entries = self._transcript(key).entries()
        self._erase(key)
        return [entry.message for entry in entries] or None

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Forget the message at *idx*; None when there is none."""
        return self._delete_at(key, idx)

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Forget the last message; None when there is none."""
        return self._delete_at(key, -1)

    def get_keys(self) -> list[str]:
        """The keys under which something is written."""
        return self._keys()

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """`get_messages`, without blocking the event loop."""
        return await self._off_loop(self.get_messages, key)

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """`add_message`, in the order of the calls."""
        for said in spoken([message]):
            self._wrote([(await self._transcript(key).aappend(said)).id])


class MemOSAsyncChatStore(_Keyed, AsyncDBChatStore):
    """The short history of LlamaIndex's `Memory`, durable: `Memory.from_defaults(chat_store=MemOSAsyncChatStore(...))`.

    What `Memory` archives stays readable as archived, in the order of archiving.

    Raises:
        IdentityError: Nobody is asking.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSAsyncChatStore"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The settings: a workflow's context asks for them, and the framework's own class has none to give."""
        return {**self.model_dump(mode="json", **kwargs), "class_name": self.class_name()}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The store, from its settings."""
        return cls(**{name: value for name, value in (data | kwargs).items() if name != "class_name"})

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """The messages of *key* with this status (None: archived, then active), from *offset* on, *limit* at most."""
        messages = await self._off_loop(self._of_status, key, status)
        start = offset or 0
        return messages[start : None if limit is None else start + limit]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages there are."""
        return len(await self.get_messages(key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Write a message at the end, in the order of the calls."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Write messages at the end, in order."""
        worded = spoken(messages)
        for message in worded:
            self._wrote([(await self._transcript(key).aappend(message)).id])
        if status is MessageStatus.ARCHIVED and worded:
            await self._off_loop(self._transcript(key).archive_last, len(worded))

    async def set_messages(
        self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE
    ) -> None:
        """Make *messages* the active history (or the archived one)."""
        worded = spoken(messages)
        if status is MessageStatus.ARCHIVED:
            await self.delete_messages(key, status)
            await self.add_messages(key, worded, status)
        else:
            await self._off_loop(self._replace, key, worded)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Forget the active message at *idx*."""
        return await self._off_loop(self._delete_at, key, idx)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Forget the messages with this status; None: all."""
        await self._off_loop(self._delete_status, key, status)

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Forget the oldest *n* active messages; what they were."""
        return await self._off_loop(self._delete_oldest, key, n)

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Take the oldest *n* active messages into the archive; which they are."""
        return await self._off_loop(self._transcript(key).archive, n)

    async def get_keys(self) -> list[str]:
        """The keys under which something is written."""
        return await self._off_loop(self._keys)

    def _of_status(self, key: str, status: MessageStatus | None) -> list[ChatMessage]:
        transcript = self._transcript(key)
        archived = [] if status is MessageStatus.ACTIVE else transcript.archived()
        active = [] if status is MessageStatus.ARCHIVED else transcript.entries()
        return [entry.message for entry in (*archived, *active)]

    def _delete_status(self, key: str, status: MessageStatus | None) -> None:
        transcript = self._transcript(key)
        if status is None:
            self._erase(key)
            return
        entries = transcript.entries() if status is MessageStatus.ACTIVE else transcript.archived()
        self._erase(key, _ids(entries))

    def _delete_oldest(self, key: str, n: int) -> list[ChatMessage]:
        oldest = self._transcript(key).entries()[: max(0, n)]
        self._erase(key, _ids(oldest))
        return [entry.message for entry in oldest]


def _ids(entries: Sequence[Any]) -> list[str]:
    return [entry.cube_id for entry in entries if entry.cube_id]
