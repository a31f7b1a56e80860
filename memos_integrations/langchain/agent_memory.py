"""What a middleware asks of the engine: recall around a conversation, show, write once. Blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import MemCube, canonical_json, sha256
from memos_integrations.core.operator import MemoryOptions
from memos_integrations.core.scheduler import DEFAULT_TOKEN_BUDGET
from memos_integrations.core.text import estimate_tokens
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.turns import Namespace, TurnWriter, as_named, part_of_line
from memos_integrations.langchain.transcript import asked, said_by
from memos_integrations.memos import MemOS

SOURCE = "langchain.agent"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was recalled, without its words: each cube's id, and the id of the one that supersedes it."""

    id: str | None = None
    cubes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Shown:
    """Recalled memories ready for a prompt, one line each; `fingerprint` tells them, and whose they are, apart."""

    ids: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    fingerprint: str = ""


class AgentMemory:
    """The engine, as one agent uses it."""

    def __init__(
        self,
        memos: MemOS,
        *,
        name: str,
        k: int,
        token_budget: int | None,
        namespace: Namespace,
        context: CallContext | None,
        options: MemoryOptions | None,
    ) -> None:
        self._memos, self._name, self._k, self._context = memos, name, k, context
        self._budget = token_budget or DEFAULT_TOKEN_BUDGET
        self._turns = TurnWriter(
            memos.remember,
            memos.get_many,
            source=SOURCE,
            namespace=namespace,
            context=context,
            options=options,
        )

    def recall(self, messages: Sequence[BaseMessage], by: Principal) -> Recalled:
        """What is known about the last question, besides what stands in the conversation already."""
        prompt, history = asked(messages)
        if not prompt:
            return Recalled()
        here = {message.id for message in messages if message.id}
        found = self._memos.recall(
            prompt,
            by=by,
            k=self._k + min(len(here), 4 * self._k),
            history=history,
            namespace=self._turns.place(by),
            token_budget=2 * self._budget,
            context=self._context,
        )
        new = [hit for hit in found.hits if hit.provenance.message_id not in here]
        return Recalled(found.id, [as_named(hit) for hit in new[: self._k]])

    def show(self, named: Sequence[Mapping[str, Any]], messages: Sequence[BaseMessage], by: Principal) -> Shown:
        """The words of what was recalled, as far as *by* may still use them in a prompt, within the budget."""
        cubes, spent = self._turns.read(named, by), 0
        standing = {each["id"]: each for each in named}
        terms = tuple(terms_of(asked(messages)[0]))
        kept: list[tuple[MemCube, str]] = []
        for cube in cubes:
            line = part_of_line(cube, standing[cube.id], terms, self._budget * 3 // 2)
            tokens = estimate_tokens(line) + 1
            if spent + tokens <= self._budget:
                kept.append((cube, line))
                spent += tokens
        told = _fingerprint(by, [cube for cube, _ in kept])
        return Shown(tuple(cube.id for cube, _ in kept), tuple(line for _, line in kept), told)

    def nothing(self, by: Principal) -> Shown:
        """No memories, for *by*: who asks is in the fingerprint even then."""
        return Shown(fingerprint=_fingerprint(by, []))

    def write(self, messages: Sequence[BaseMessage], by: Principal, thread: str | None) -> list[str]:
        """Write messages, each once; the ids of their cubes. Durable on return."""
        return self._turns.write([said_by(message) for message in messages], by, thread)

    def write_answers(
        self, answers: Sequence[AIMessage], named: Sequence[Mapping[str, Any]], by: Principal, thread: str | None
    ) -> list[str]:
        """Write what the model answered, without what it repeated of the prompt; derived from what it restates."""
        return self._turns.write_answers([said_by(answer) for answer in answers], named, by, thread)


def _fingerprint(by: Principal, cubes: Sequence[MemCube]) -> str:
    return sha256(canonical_json([by.tenant, by.user, [f"{cube.id}@{cube.version}" for cube in cubes]]))
