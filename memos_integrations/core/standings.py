"""How memories stand to others: which were replaced, and which are contradicted by what stands beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from memos_integrations.core.access import Verb, subjects_for
from memos_integrations.core.cube import MemCube, Relation
from memos_integrations.core.ports import RECALLABLE, Edge

TELLING = frozenset({Relation.SUPERSEDES.value, Relation.CONTRADICTS.value})
"""Relations that say how a memory stands."""


class Standings(NamedTuple):
    """Ids of memories, with the one that supersedes each, and with those that contradict each, both kept."""

    superseded: Mapping[str, str] = {}
    contradicted: Mapping[str, tuple[str, ...]] = {}

    def of(self, cube_id: str) -> tuple[str | None, tuple[str, ...]]:
        """What supersedes one memory, and what contradicts it."""
        return self.superseded.get(cube_id), self.contradicted.get(cube_id, ())


def contradicting(cubes: Sequence[MemCube]) -> list[tuple[str, str]]:
    """(memory, the one that it says it contradicts)."""
    return [
        (cube.id, link.target)
        for cube in cubes
        for link in cube.provenance.links
        if link.relation is Relation.CONTRADICTS
    ]


def told_by(cubes: Sequence[MemCube], edges: Sequence[Edge], seen: Mapping[str, MemCube]) -> list[Edge]:
    """The edges that count: from a memory in *seen* whose owner may write the one of *cubes* that it points at."""
    known = {cube.id: cube for cube in cubes}
    return [
        edge
        for edge in edges
        if edge.source in seen
        and seen[edge.source].governance.owner in subjects_for(Verb.WRITE, known[edge.target].governance)
    ]


def standings_of(
    told: Sequence[Edge],
    ours: Sequence[tuple[str, str]],
    seen: Mapping[str, MemCube],
    now: datetime,
    ends: Mapping[str, datetime | None],
) -> Standings:
    """The standings by what counts; a memory that was replaced, or is not recalled now, contradicts nothing.

    *ends* says until when those hold that may be replaced: one that holds on is replaced only while the other holds.
    """
    replaced = {
        edge.target: edge.source
        for edge in told
        if edge.relation == Relation.SUPERSEDES and (_ended(ends[edge.target], now) or _holds(seen[edge.source], now))
    }
    against = [(edge.target, edge.source) for edge in told if edge.relation == Relation.CONTRADICTS]
    beside: dict[str, dict[str, None]] = {}
    for cube_id, other in [*ours, *against]:
        if other in seen and cube_id not in replaced and _is_recalled(seen[other], now):
            beside.setdefault(cube_id, {})[other] = None
    return Standings(replaced, {cube_id: tuple(others) for cube_id, others in beside.items()})


def _is_recalled(cube: MemCube, now: datetime) -> bool:
    return cube.state in RECALLABLE and not cube.trust.quarantined and not _ended(cube.descriptive.valid_to, now)


def _ended(ends: datetime | None, now: datetime) -> bool:
    return ends is not None and ends <= now


def _holds(cube: MemCube, now: datetime) -> bool:
    begins = cube.descriptive.valid_from
    return (begins is None or begins <= now) and not _ended(cube.descriptive.valid_to, now)
