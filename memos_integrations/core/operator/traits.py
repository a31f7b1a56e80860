"""What ranking asks of a memory, worked out once for as long as the memory stays in this process. Pure.

A recall looks at hundreds of memories, and most of them are looked at again by the next one. What their words and
headers say is kept beside them, so that a question costs arrays, not a walk over every text. Of what nobody looked at
before, only what the question asks for is worked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from memos_integrations.core.cube import Descriptive, MemCube, Once, Provenance, Relation
from memos_integrations.core.operator.telling import length_of, names_somebody, says_something, tells_when, units_of
from memos_integrations.core.operator.tokens import key_of
from memos_integrations.core.operator.write import spoken
from memos_integrations.core.text import english, pieces, terms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_KEPT = "_traits"
"""Under this name they stand beside the fields of the payload that they are made of, as its canonical form does."""


class Traits:
    """Of one memory: when it was said, what is searched of it, where it stands, and what its words look like."""

    def __init__(self, cube: MemCube) -> None:
        said = cube.provenance
        self.of: tuple[Provenance, Descriptive] = said, cube.descriptive
        self.words, self._speaker = cube.text, said.speaker
        self.said_at = moment = said_at(cube)
        self.seconds = (moment - EPOCH).total_seconds()
        """`said_at` since 1970."""
        self.session = session_of(cube)
        self.speaker = said.speaker.casefold() if said.speaker else None
        self.length = float(length_of(self.words))
        """How many words it has."""

    @Once
    def follows(self) -> tuple[str, ...]:
        """The ids of those before it."""
        return tuple(link.target for link in self.of[0].links if link.relation is Relation.FOLLOWS)

    @Once
    def text(self) -> str:
        """What is searched of it."""
        return spoken(self.words, self._speaker)

    @Once
    def terms(self) -> frozenset[str]:
        """The terms of its words."""
        return frozenset(terms(self.words))

    @Once
    def when(self) -> float:
        """1 when it names a time, else 0."""
        return float(tells_when(self.words))

    @Once
    def tells(self) -> float:
        """1 when it says something, and does not only ask, else 0."""
        return float(says_something(self.words))

    @Once
    def names(self) -> float:
        """1 when it holds a name, else 0."""
        return float(names_somebody(self.words))

    @Once
    def english(self) -> float:
        """The share of English function words among its words."""
        return english(self.words)

    @Once
    def pieces(self) -> frozenset[str]:
        """The pieces of its words."""
        return pieces(self.text)

    @Once
    def units(self) -> int:
        """How many words and signs there are in what is searched."""
        return units_of(self.text)

    @Once
    def key(self) -> bytes:
        """What its token vectors are kept under."""
        return key_of(self.text)


def traits_of(cubes: Sequence[MemCube]) -> list[Traits]:
    """The traits of each; what is kept of a memory goes when the memory itself is let go, also after an erasure.

    They are kept for the parts of it that they are made of: a use changes another one.
    """
    found = []
    for cube in cubes:
        beside = cube.payload.__dict__
        kept: Traits | None = beside.get(_KEPT)
        if kept is None or kept.of[0] is not cube.provenance or kept.of[1] is not cube.descriptive:
            kept = beside[_KEPT] = Traits(cube)
        found.append(kept)
    return found


def said_at(cube: MemCube) -> datetime:
    """When it was said or happened, else when it was written down."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def session_of(cube: MemCube) -> str | None:
    """The session in which it was said, else the thread."""
    return cube.provenance.session_id or cube.provenance.thread_id
