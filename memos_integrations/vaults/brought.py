"""What a stage brought up from the vault below: whether it still stands there, and what the stage did with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Change, Direct, Expect, Put, Room, Stage, Transaction, Use, Vault


class Brought:
    """Cubes of a tenant as they stood when they were brought up from *base*; *before* grows while it is used."""

    def __init__(self, base: Vault, tenant: str, before: Mapping[str, MemCube]) -> None:
        self._base, self._tenant, self._before = base, tenant, before
        self._below = base if isinstance(base, Stage) else None
        self._generation = -1
        self._otherwise: dict[str, MemCube | None] = {}
        self._there: dict[str, MemCube | None] = {}

    def otherwise(self) -> Mapping[str, MemCube | None]:
        """Those that are another version below by now, as they stand there; None: they were erased."""
        now = self._base.generation(self._tenant) if self._before else self._generation
        if now != self._generation:
            there = {cube.id: cube for cube in self._base.get(self._tenant, list(self._before))}
            self._there = {each: there.get(each) for each in self._before}
            self._otherwise = {
                each: now_there
                for each, now_there in self._there.items()
                if now_there is None or now_there.version != self._before[each].version
            }
            self._generation = now
        return self._otherwise

    def beneath(self, ids: Sequence[str]) -> dict[str, list[tuple[MemCube, MemCube | None]]]:
        """Those of *ids* that were brought up, as they were then and as they stand, here and below a stage."""
        self.otherwise()
        mine = ((each, self._before[each]) for each in ids if each in self._before)
        found = {each: [(was, self._there.get(each, was))] for each, was in mine}
        for each, pairs in self._below.beneath(ids).items() if self._below is not None else ():
            found[each] = found.get(each, []) + pairs
        return found

    def followed(self, there: Mapping[str, MemCube], as_below: Collection[str]) -> dict[str, MemCube]:
        """Cubes that are about to be given, as they stand below where they are *as_below*; without what was erased."""
        other = self.otherwise()
        said = {each: other.get(each, cube) for each, cube in there.items()}
        return {each: cube if each in as_below else there[each] for each, cube in said.items() if cube is not None}

    def follows(self, cube_id: str, as_below: Collection[str]) -> bool:
        """Whether what stands below counts, not what was brought up: it is erased, or another version *as_below*."""
        other = self.otherwise()
        return cube_id in other and (other[cube_id] is None or cube_id in as_below)


def reads(changes: Sequence[Change]) -> bool:
    """Whether a transaction only recorded reading: a recall counts uses, and activates what it used first."""
    used = {change.cube_id for change in changes if isinstance(change, Use)}
    return all(not isinstance(change, Put) and change.cube_id in used for change in changes)


def differs(was: MemCube, now: MemCube) -> bool:
    """Whether a cube has another version or state."""
    return (was.version, was.state) != (now.version, now.state)


def licensed_uses(staged: Iterable[Transaction]) -> Iterator[Direct]:
    """The uses of licences among what is staged, each with what it holds on to: words that were read stay read."""
    for each in staged:
        if reads(each.changes) and any(isinstance(change, Use) and change.licence for change in each.changes):
            yield from (change for change in each.changes if isinstance(change, Use | Expect | Room))
