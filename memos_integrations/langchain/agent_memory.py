"""What a middleware asks of the engine: recall around a conversation, show, write once. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.cube import CubeRef, MemCube, canonical_json, sha256
from memos_integrations.core.errors import CubeNotFoundError, VersionConflictError
from memos_integrations.core.operator import Hit, MemoryOptions, excerpt, render
from memos_integrations.core.scheduler import DEFAULT_TOKEN_BUDGET
from memos_integrations.core.text import estimate_tokens
from memos_integrations.core.text import terms as terms_of
from memos_integrations.langchain.transcript import PREAMBLE, asked, key_of, memories_of, words_of
from memos_integrations.memos import MemOS

Namespace = Sequence[str] | Callable[[Principal], Sequence[str]]
"""A namespace, tenant first, or a function of who asks that gives one."""

SOURCE = "langchain.agent"
RESTATED = 0.5
"""An answer that holds this share of a memory's words restates it."""

FEWEST_WORDS = 2
MAX_TRIES = 5


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
        self._namespace = namespace
        self._options: dict[str, Any] = dict(options or {})

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
            namespace=self._place(by),
            token_budget=2 * self._budget,
            context=self._context,
        )
        new = [hit for hit in found.hits if hit.provenance.message_id not in here]
        return Recalled(found.id, [{"id": hit.cube.id, "superseded_by": hit.superseded_by} for hit in new[: self._k]])

    def show(self, named: Sequence[Mapping[str, Any]], messages: Sequence[BaseMessage], by: Principal) -> Shown:
        """The words of what was recalled, as far as *by* may still use them in a prompt, within the budget."""
        cubes, spent = self._read(named, by), 0
        replaced = {each["id"]: each["superseded_by"] for each in named}
        terms = tuple(terms_of(asked(messages)[0]))
        kept: list[tuple[MemCube, str]] = []
        for cube in cubes:
            line = excerpt(_line(cube, replaced[cube.id]), terms, self._budget * 3 // 2)
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
        return [
            cube_id for message in messages for cube_id in self._write(message, words_of(message), by, thread, refs=())
        ]

    def write_answers(
        self, answers: Sequence[AIMessage], named: Sequence[Mapping[str, Any]], by: Principal, thread: str | None
    ) -> list[str]:
        """Write what the model answered, without what it repeated of the prompt; derived from what it restates."""
        written: list[str] = []
        for answer in answers:
            for attempt in range(MAX_TRIES):
                cubes = self._read(named, by) if named else []
                words = _without(words_of(answer), cubes)
                refs = [cube.ref for cube in cubes if restates(words, cube)]
                try:
                    written += self._write(answer, words, by, thread, refs=refs)
                    break
                except (VersionConflictError, CubeNotFoundError):
                    # A memory was changed or forgotten since it was read; look again at what is left of it.
                    if attempt == MAX_TRIES - 1:
                        raise
        return written

    def _write(
        self, message: BaseMessage, words: str, by: Principal, thread: str | None, *, refs: Sequence[CubeRef]
    ) -> list[str]:
        place = self._place(by)
        options = {name: value for name, value in self._options.items() if not (refs and name in _AUDIENCE)}
        ids = []
        for number, said in enumerate(memories_of(message, words, source=SOURCE, thread_id=thread)):
            provenance = said["provenance"].model_copy(update={"derived_from": tuple(refs)})
            key = key_of(message, said["text"], SOURCE, *place, thread or "", str(number))
            told = {**said, **({"namespace": place} if place else {}), **options, "provenance": provenance}
            ids.append(self._memos.remember(**told, by=by, key=key, context=self._context).id)
        return ids

    def _read(self, named: Sequence[Mapping[str, Any]], by: Principal) -> list[MemCube]:
        ids = [each["id"] for each in named]
        return self._memos.get_many(ids, by=by, verb=Verb.USE_IN_PROMPT, context=self._context)

    def _place(self, by: Principal) -> tuple[str, ...]:
        return tuple(self._namespace(by) if callable(self._namespace) else self._namespace)


_AUDIENCE = ("readers", "writers", "sharers", "layer")


def restates(answer: str, cube: MemCube) -> bool:
    """Whether the answer says again what the memory says: half of its words, and at least two."""
    words = set(terms_of(cube.text))
    again = words & set(terms_of(answer))
    return len(again) >= FEWEST_WORDS and len(again) >= RESTATED * len(words)


def _fingerprint(by: Principal, cubes: Sequence[MemCube]) -> str:
    return sha256(canonical_json([by.tenant, by.user, [f"{cube.id}@{cube.version}" for cube in cubes]]))


def _line(cube: MemCube, superseded_by: str | None) -> str:
    return render(Hit(cube=cube, score=0.0, superseded_by=superseded_by))


def _without(words: str, cubes: Sequence[MemCube]) -> str:
    """An answer without lines that only repeat the recalled block: they would be remembered a second time."""
    shown = {PREAMBLE, *(_line(cube, None) for cube in cubes), *(_line(cube, "x") for cube in cubes)}
    return "\n".join(line for line in words.splitlines() if line.strip() not in shown).strip()
