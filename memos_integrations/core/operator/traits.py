"""What ranking asks of a memory, worked out once for as long as the memory stays in this process. Pure.

A recall looks at hundreds of memories, and most of them are looked at again by the next one. What their words and
headers say is kept beside them, so that a question costs arrays, not a walk over every text.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from memos_integrations.core.cube import Descriptive, MemCube, Once, Payload, Provenance, Relation
from memos_integrations.core.operator.telling import length_of, names_somebody, says_something, tells_when, units_of
from memos_integrations.core.operator.tokens import key_of
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.text import terms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Traits:
    """Of one memory: when it was said, what is searched of it, where it stands, and what its words look like.

    `seconds` is `said_at` since 1970. `numbers` are the words it has, and 0 or 1 for: names a time, says something (and
    does not only ask), holds a name; `units` counts the words and signs of what is searched, `key` names its token
    vectors. What only some plans ask for is worked out when the first of them does.
    """

    said_at: datetime
    seconds: float
    words: str
    session: str | None
    follows: tuple[str, ...]
    speaker: str | None
    text: str
    numbers: tuple[float, float, float, float]

    @Once
    def terms(self) -> frozenset[str]:
        """The terms of its own words."""
        return frozenset(terms(self.words))

    @Once
    def units(self) -> int:
        """See `units_of`."""
        return units_of(self.text)

    @Once
    def key(self) -> bytes:
        """See `key_of`."""
        return key_of(self.text)


_Kept = tuple["weakref.ref[Payload]", "weakref.ref[Provenance]", "weakref.ref[Descriptive]", Traits]
_kept: dict[int, _Kept] = {}


def traits_of(cubes: Sequence[MemCube]) -> list[Traits]:
    """The traits of each; what is kept of a memory goes when the memory itself is let go, also after an erasure.

    They are kept for the parts of it that they are made of: a use changes another one.
    """
    found = []
    for cube in cubes:
        kept = _kept.get(id(cube.payload))
        if kept is None or not _is_of(kept, cube):
            kept = _keep(cube)
        found.append(kept[3])
    return found


def _is_of(kept: _Kept, cube: MemCube) -> bool:
    return kept[0]() is cube.payload and kept[1]() is cube.provenance and kept[2]() is cube.descriptive


def _keep(cube: MemCube) -> _Kept:
    number = id(cube.payload)
    of = (
        weakref.ref(cube.payload, partial(_let_go, number)),
        weakref.ref(cube.provenance),
        weakref.ref(cube.descriptive),
    )
    kept = _kept[number] = (*of, _made(cube))
    return kept


def _let_go(number: int, gone: weakref.ref[Payload], every: dict[int, _Kept] = _kept) -> None:
    kept = every.get(number)  # an argument: the module's own name may be gone when a program ends
    # Another memory may stand at the same place by now.
    if kept is not None and kept[0] is gone:
        del every[number]


def _made(cube: MemCube) -> Traits:
    said, words = cube.provenance, cube.text
    moment = said_at(cube)
    return Traits(
        said_at=moment,
        seconds=(moment - EPOCH).total_seconds(),
        words=words,
        session=session_of(cube),
        follows=tuple([each.target for each in said.links if each.relation is Relation.FOLLOWS]) if said.links else (),
        speaker=said.speaker.casefold() if said.speaker else None,
        text=search_text(cube),
        numbers=(
            float(length_of(words)),
            float(tells_when(words)),
            float(says_something(words)),
            float(names_somebody(words)),
        ),
    )


def said_at(cube: MemCube) -> datetime:
    """When it was said or happened, else when it was written down."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def session_of(cube: MemCube) -> str | None:
    """The session in which it was said, else the thread."""
    return cube.provenance.session_id or cube.provenance.thread_id
