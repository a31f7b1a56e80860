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

from memos_integrations.core.cube import Descriptive, MemCube, Payload, Provenance, Relation
from memos_integrations.core.operator.telling import length_of, names_somebody, says_something, tells_when, units_of
from memos_integrations.core.operator.tokens import key_of
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.text import terms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Traits:
    """Of one memory: when it was said, what is searched of it, where it stands, and what its words look like.

    `seconds` is `said_at` since 1970. `numbers` are the words it has, and 0 or 1 for: names a time, says something (and
    does not only ask), holds a name; `units` counts the words and signs of what is searched, `key` names its token
    vectors.
    """

    said_at: datetime
    seconds: float
    text: str
    terms: frozenset[str]
    session: str | None
    follows: tuple[str, ...]
    speaker: str | None
    numbers: tuple[float, float, float, float]
    units: int
    key: bytes


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
    said, text, searched = cube.provenance, cube.text, search_text(cube)
    shape = length_of(text), tells_when(text), says_something(text), names_somebody(text)
    moment = said_at(cube)
    return Traits(
        said_at=moment,
        seconds=(moment - EPOCH).total_seconds(),
        text=searched,
        terms=frozenset(terms(text)),
        session=session_of(cube),
        follows=tuple(link.target for link in said.links if link.relation is Relation.FOLLOWS),
        speaker=said.speaker.casefold() if said.speaker else None,
        numbers=(float(shape[0]), float(shape[1]), float(shape[2]), float(shape[3])),
        units=units_of(searched),
        key=key_of(searched),
    )


def said_at(cube: MemCube) -> datetime:
    """When it was said or happened, else when it was written down."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def session_of(cube: MemCube) -> str | None:
    """The session in which it was said, else the thread."""
    return cube.provenance.session_id or cube.provenance.thread_id
