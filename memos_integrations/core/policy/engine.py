"""What decides over the wall: anything that can say of a caller, a verb and a memory whether it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from memos_integrations.core.cube import Governance, MemCube, Relation
from memos_integrations.core.ports.query import CubeFilter, Limit


class _Subjects(Protocol):
    @property
    def subjects(self) -> frozenset[str]: ...


class _Context(Protocol):
    @property
    def purpose(self) -> str | None: ...

    @property
    def application(self) -> str | None: ...

    @property
    def agent(self) -> str | None: ...


class Asker(Protocol):
    """What a rule looks at of a caller (`access.Caller`)."""

    @property
    def by(self) -> _Subjects:
        """Who asks."""
        ...

    @property
    def context(self) -> _Context:
        """From where."""
        ...

    @property
    def now(self) -> datetime:
        """When."""
        ...


class Part(StrEnum):
    """A part of a memory that a rule can keep back.

    Its words, and who said them, are not among them: it is found by those, and a query would tell. Keep back the whole.
    """

    TAGS = "tags"
    TOPIC = "topic"
    ENTITIES = "entities"
    AUTHOR = "author"
    SOURCE = "source"
    THREAD = "thread"
    VALUE = "value"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What of a policy a query is told: what is `hidden` or kept back by `limits`, and whether that is all of it.

    The rest is decided memory by memory.
    """

    hidden: tuple[CubeFilter, ...]
    is_whole: bool
    limits: tuple[Limit, ...] = ()


class Slip(NamedTuple):
    """What is probably not meant: the rule (empty: the whole), what is wrong with it, and the word that it is about."""

    rule: str
    what: str
    word: str = ""

    def __str__(self) -> str:
        """As a sentence."""
        return f"{self.rule!r} {self.what}" if self.rule else self.what


class Engine(Protocol):
    """Rules over the wall. They only narrow: what the wall refuses is refused before an engine is asked."""

    @property
    def revision(self) -> str:
        """SHA-256 of what is said."""
        ...

    @property
    def says(self) -> list[str]:
        """The names of its rules."""
        ...

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects that are named: `user:NAME`, `group:NAME`, `role:NAME`."""
        ...

    @property
    def hides_fields(self) -> bool:
        """Whether it keeps parts of memories back at all."""
        ...

    @property
    def kept(self) -> tuple[str, str] | None:
        """A kind (`rules`, `cedar`) and words, of which it is made again; None: who has it has to bring it along."""
        ...

    def refusal(self, cube: MemCube, verb: str, caller: Asker) -> str | None:
        """Why the caller may not do this, in words; None when nothing says so."""
        ...

    def hidden_fields(self, cube: MemCube, caller: Asker) -> frozenset[Part]:
        """The parts of a memory that the caller may not read."""
        ...

    def compiled(self, caller: Asker) -> Compiled:
        """What the caller does not get to read, as far as filters say it."""
        ...

    def partly(self, caller: Asker, wanted: CubeFilter) -> tuple[CubeFilter, ...]:
        """What the caller sees without the parts by which *wanted* looks: else a filter would tell what is in them."""
        ...

    def holds_until(self, cubes: Sequence[MemCube], now: datetime) -> datetime | None:
        """The last moment at which what is decided of *cubes* now still holds; None: until somebody writes."""
        ...

    def faults(self) -> list[str]:
        """What could not be decided since this was last asked, and was refused for that."""
        ...

    def governed(self, cube: MemCube) -> Governance:
        """What a memory that is to be written says of itself, on the terms that hold for it."""
        ...

    def unmatched(self, cubes: Sequence[MemCube], tenant: str, now: datetime) -> list[Slip]:
        """What in its rules is about nothing that *cubes* of a tenant have."""
        ...


_PARTS: dict[Part, tuple[str, dict[str, object]]] = {
    Part.TAGS: ("descriptive", {"tags": ()}),
    Part.TOPIC: ("descriptive", {"topic": None, "concept": None}),
    Part.ENTITIES: ("descriptive", {"entities": ()}),
    Part.AUTHOR: ("provenance", {"author": None, "signature": None}),
    Part.SOURCE: ("provenance", {"source": None, "message_id": None, "trigger": None}),
    Part.THREAD: ("provenance", {"thread_id": None, "session_id": None}),
    Part.VALUE: ("payload", {"value": None}),
    Part.BLOB: ("payload", {"blob": None}),
}


def without(cube: MemCube, hidden: frozenset[Part]) -> MemCube:
    """The memory without these parts, for showing only: it is no version of it, and is never written."""
    parts: dict[str, dict[str, object]] = {}
    for each in hidden:
        name, empty = _PARTS[each]
        there = {key: value for key, value in empty.items() if hasattr(getattr(cube, name), key)}
        parts.setdefault(name, {}).update(there)
    if cube.provenance.links and Part.ENTITIES in hidden:
        links = tuple(link for link in cube.provenance.links if link.relation is not Relation.MENTIONS)
        parts.setdefault("provenance", {})["links"] = links
    return cube.model_copy(update={name: getattr(cube, name).model_copy(update=each) for name, each in parts.items()})


def looks_at(wanted: CubeFilter) -> frozenset[Part]:
    """The parts of a memory by which a filter looks."""
    asked = {
        Part.TAGS: wanted.tags,
        Part.ENTITIES: wanted.entities,
        Part.THREAD: (wanted.thread_id, wanted.session_id, *wanted.sessions),
        Part.VALUE: wanted.value,
    }
    return frozenset(each for each, said in asked.items() if any(said))
