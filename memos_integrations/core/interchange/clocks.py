"""Which writes a memory has seen, vault by vault: version vectors, and who wins where two wrote at once. Pure.

After Parker et al. 1983 (version vectors) and Kulkarni et al. 2014 (hybrid logical clocks). Of two vectors one is
older, or both are the same, or they were written apart. Of what was written apart, the later stamp wins; a stamp is
later than all that its writer had seen, whatever the clocks say, so that every vault decides the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import Field

from memos_integrations.core.cube import SAFE, Count, Label, MemCube, Moment, Value

SCHEME = "sync1"
MOST_REPLICAS = 24
"""So many names a vector holds: it stands in a label of the memory. See `_kept` for what becomes of more."""

MOST_MARK = 1_000
_NAME = re.compile(r"[0-9A-Za-z._-]{1,64}")

TICK = timedelta(microseconds=1)


class Clock(Value):
    """What a version has seen: of each replica how many writes. `at` and `by` are the stamp of its content."""

    vector: dict[Label, Count] = Field(min_length=1, max_length=MOST_REPLICAS)
    at: Moment
    by: Label

    def covers(self, other: Clock) -> bool:
        """Whether it has seen all that the other has."""
        return all(self.vector.get(name, 0) >= count for name, count in other.vector.items())

    @property
    def stamp(self) -> tuple[datetime, str]:
        """What decides between versions that were written apart."""
        return self.at, self.by

    def merged(self, other: Clock) -> Clock:
        """The clock of what becomes of two versions: it has seen both, and has the stamp of the later one."""
        names = self.vector.keys() | other.vector.keys()
        later = max(self, other, key=lambda each: each.stamp)
        vector = {name: max(self.vector.get(name, 0), other.vector.get(name, 0)) for name in names}
        return Clock(vector=_kept(vector), at=later.at, by=later.by)

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {"vector": dict(sorted(self.vector.items())), "at": self.at.isoformat(), "by": self.by}

    def mark(self, version: int) -> str:
        """As it stands in `provenance.signature` of what arrived as this *version*."""
        vector = ",".join(f"{name}={count}" for name, count in sorted(self.vector.items()))
        return f"{SCHEME} {version} {self.at.isoformat()} {self.by} {vector}"

    @property
    def can_be_kept(self) -> bool:
        """Whether it can stand in a label of a memory, and count another write."""
        names = (self.by, *self.vector)
        is_plain = all(_NAME.fullmatch(name) for name in names) and max(self.vector.values()) < SAFE
        return is_plain and len(self.mark(SAFE)) <= MOST_MARK

    @classmethod
    def of_version(cls, cube: MemCube) -> Self | None:
        """The clock that a version arrived with; None: it was written here (a later one keeps the mark of its like)."""
        parts = (cube.provenance.signature or "").split(" ")
        if len(parts) != 5 or parts[:2] != [SCHEME, str(cube.version)]:
            return None
        try:
            vector = {name: int(count) for name, _, count in (each.partition("=") for each in parts[4].split(","))}
            return cls(vector=vector, at=datetime.fromisoformat(parts[2]), by=parts[3])
        except ValueError:
            return None


def counted(vector: Mapping[str, int], name: str) -> dict[str, int]:
    """A vector with one more write of a replica: a number that none of its writes had before, even if it fell out."""
    fresh = 1 + max(vector.values()) if len(vector) >= MOST_REPLICAS else 1
    return _kept({**vector, name: vector[name] + 1 if name in vector else fresh})


def _kept(vector: Mapping[str, int]) -> dict[str, int]:
    """The names with the most writes, by name. Every vault lets the same ones fall out, in whatever order it merges.

    What saw a write of one that fell out looks as if it had not: the two are then taken for written apart, the later
    holds, the other is in its history, and both are flagged. Nothing is lost by it.
    """
    most = sorted(vector, key=lambda name: (vector[name], name), reverse=True)[:MOST_REPLICAS]
    return {name: vector[name] for name in sorted(most)}


def clock_of(versions: Sequence[MemCube], replica: Callable[[MemCube], str]) -> Clock:
    """The clock of the last of a memory's versions here: what arrived, and what was written since.

    *replica* says under which name this vault wrote a version.
    """
    written: list[str] = []
    known = None
    for version in reversed(versions):
        known = Clock.of_version(version)
        if known is not None:
            break
        written.append(replica(version))
    if known is not None and not written:
        return known
    vector = {} if known is None else known.vector
    for name in reversed(written):
        vector = counted(vector, name)
    at = versions[-1].descriptive.recorded_at
    by = written[0]
    if known is not None:
        at = max(at, known.at + TICK)
    return Clock(vector=vector, at=at, by=by)
