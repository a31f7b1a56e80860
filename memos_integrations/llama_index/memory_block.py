"""A memory block for LlamaIndex's own `Memory`: it keeps the short history, the block what is known for long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.memory.memory import BaseMemoryBlock
from pydantic import Field, PrivateAttr

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import Provenance, sha256
from memos_integrations.core.operator import Recall
from memos_integrations.core.operator.options import ORIGIN_OF_ROLE, TRUST_OF_ROLE
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.text import estimate_tokens
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import Fence, Policy, dispatcher, recalled, recalling, wrote
from memos_integrations.llama_index.transcript import ROLES, is_recalled, readable, words

WRITTEN = ("user", "assistant")
MOST_MET = 256
MOST_REPEATED = 8


class MemOSMemoryBlock(Attached, BaseMemoryBlock[str]):
    """What the principal may know about the last user message, one memory a line, within `token_budget`.

    `Memory` hands a block what falls out of its short history, and in a short chat nothing does. So this one also
    learns from the messages that `Memory` shows it each time it asks: what people and the assistant said is written
    once, however often it is shown. Recalled text, system messages and tools' results are not.

    `on_fault` says whether a failing engine ends the turn, or leaves the block empty (`continue`, the default).
    Recalled text is data: with `Memory(insert_method=InsertMethod.USER)` it stands in no privileged message.

    Raises:
        IdentityError: Nobody is asking.
    """

    name: str = "memory"
    k: int = Field(default=8, ge=1)
    token_budget: int = Field(default=2_000, ge=1)
    namespace: tuple[str, ...] = ()
    on_fault: Policy = "continue"
    _seen: dict[tuple[str, str, str], str] = PrivateAttr(default_factory=dict)
    _met: set[tuple[str, ...]] = PrivateAttr(default_factory=set)

    @dispatcher.span
    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        by, given = self.by, messages or []
        asked = [message.content for message in given if message.role is MessageRole.USER and message.content]
        with Fence("MemOSMemoryBlock", "write", self.on_fault):
            await self._learn(given, by, block_kwargs.get("session_id"))
        with Fence("MemOSMemoryBlock", "recall", self.on_fault):
            if asked and (question := readable(asked[-1])):
                recalling("MemOSMemoryBlock", by, question)
                recall = await self.memos.arecall(question, **self._wishes(by, given, block_kwargs.get("session_id")))
                recalled("MemOSMemoryBlock", by, recall)
                return "\n".join(_besides(recall, given)[: self.k])
        return ""

    @dispatcher.span
    async def _aput(self, messages: list[ChatMessage]) -> None:
        by = self.by
        session_id = next((said for m in messages if (said := m.additional_kwargs.get("session_id"))), None)
        with Fence("MemOSMemoryBlock", "write", self.on_fault):
            await self._learn(messages, by, session_id)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The best memories that are left when so many tokens are taken away; None when nothing is."""
        lines = content.split("\n")
        allowed = estimate_tokens(content) - tokens_to_truncate
        while lines and estimate_tokens("\n".join(lines)) > allowed:
            lines.pop()
        return "\n".join(lines) or None

    def _wishes(self, by: Principal, given: Sequence[ChatMessage], session_id: str | None) -> dict[str, Any]:
        # What stands in the short history is before the model anyway.
        shown = [cube_id for message in given if (cube_id := self._seen.get(_seen_as(by, message, session_id)))]
        return {
            "by": by,
            "k": self.k + len(given[-MOST_REPEATED:]),  # some may be found again as another part keeps them
            "token_budget": self.token_budget,
            "context": self.context,
            "shown": shown[-256:],
        }

    async def _learn(self, messages: Sequence[ChatMessage], by: Principal, session_id: str | None) -> None:
        """Write what was not written yet: once per session, speaker and words."""
        ids, namespace = [], (*(self.namespace or (by.tenant, by.user)), "said", session_id or self.name)
        if (place := (by.subject, *namespace)) not in self._met:
            await self._meet(messages, by, session_id, namespace)
            self._met.add(place)
        for message in messages:
            role, text, seen = ROLES.get(message.role, "assistant"), words(message), _seen_as(by, message, session_id)
            if seen in self._seen or role not in WRITTEN or is_recalled(message) or not text.strip():
                continue
            told = Provenance(speaker=role, thread_id=session_id, session_id=session_id)
            cube = await self.memos.aremember(
                text,
                by=by,
                context=self.context,
                key=seen[-1],
                namespace=namespace,
                semantic_type="message",
                provenance=told,
                trust=TRUST_OF_ROLE[role],
                origin=ORIGIN_OF_ROLE[role],
            )
            self._seen[seen] = cube.id
            ids.append(cube.id)
        if ids:
            wrote("MemOSMemoryBlock", by, "remember", ids)

    async def _meet(
        self, messages: Sequence[ChatMessage], by: Principal, session_id: str | None, namespace: tuple[str, ...]
    ) -> None:
        """Take a session up again: what stands before the last message known was offered then."""
        where = CubeFilter(namespace=namespace, semantic_types=("message",))
        found = await self.memos.afind(where, by=by, k=MOST_MET, context=self.context)
        known = {(cube.provenance.speaker, cube.text): cube.id for cube in found}
        said = [known.get((ROLES.get(message.role, "assistant"), words(message))) for message in messages]
        last = max((place for place, cube_id in enumerate(said) if cube_id), default=-1)
        for message, cube_id in zip(messages[: last + 1], said, strict=False):
            self._seen[_seen_as(by, message, session_id)] = cube_id or ""


def _seen_as(by: Principal, message: ChatMessage, session_id: str | None) -> tuple[str, str, str]:
    """Whose message it is, and the key under which it is written once."""
    said = repr((session_id, message.role.value, words(message)))
    return by.tenant, by.subject, f"said:{sha256(said.encode())}"


def _besides(recall: Recall, given: Sequence[ChatMessage]) -> list[str]:
    """The lines of what was recalled, each text once, without what the messages say anyway (another part keeps it)."""
    said = {words(message) for message in given}
    lines = []
    for hit, line in zip(recall.hits, recall.text.split("\n") if recall.text else [], strict=True):
        if hit.text not in said:
            said.add(hit.text)
            lines.append(line)
    return lines
