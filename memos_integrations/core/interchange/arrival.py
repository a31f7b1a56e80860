"""What becomes of a memory that arrives from elsewhere: whose it is, how far it is trusted, where it stands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import (
    Behaviour,
    CubeRef,
    Descriptive,
    Governance,
    Layer,
    Link,
    MemCube,
    Origin,
    Provenance,
    State,
    Trust,
    TrustLabel,
    Value,
)
from memos_integrations.core.interchange.manifest import Manifest

SCHEME = "mip1"
SHARED = 1024
"""So many parts of memories are kept with what became of them."""

_Part = TypeVar("_Part", bound=Value)
KEPT = (State.ARCHIVED, State.MERGED, State.EXPIRED)
"""States that a memory keeps on its way: what was out of recall there is out of recall here."""


def arrived_id(manifest: Manifest, caller: Caller, cube_id: str) -> str:
    """The id under which a memory of an issuer stands in a vault: always the same, and nobody can aim at another's."""
    return _arrived_id(manifest.key, caller.by.tenant, caller.by.subject, cube_id)


@lru_cache(4_096)
def _arrived_id(*parts: str) -> str:
    told = b"MIP-1 id\n" + b"\0".join([part.encode() for part in parts])
    digest = int.from_bytes(hashlib.sha256(told).digest()[:16])
    # Version 8 of RFC 9562 (§5.8), which `uuid` of Python 3.11 does not know.
    digits = f"{digest & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def mark_of(manifest: Manifest, cube: MemCube) -> str:
    """What stands in `provenance.signature`: by whose key, in which bundle, which version of what it was."""
    return f"{SCHEME}:{manifest.key[:16]}:{manifest.bundle}:{cube.version}"


def version_there(cube: MemCube) -> int:
    """The version that an arrived memory had where it came from."""
    mark = (cube.provenance.signature or "").split(":")
    return int(mark[3]) if len(mark) == 4 and mark[0] == SCHEME and mark[3].isdigit() else 0


class Arrivals:
    """Makes memories of one bundle the caller's own: private, no more trusted than *most*, their restrictions kept.

    What many of them share (see `core.cube.stored`) is made once for all of them.
    """

    def __init__(self, manifest: Manifest, caller: Caller, *, most: TrustLabel, inside: Callable[[str], bool]) -> None:
        self._manifest, self._caller, self._most, self._inside = manifest, caller, most, inside
        self._made: dict[tuple[int, str], tuple[Value, Any]] = {}

    def arrived(self, cube: MemCube, *, version: int, namespace: Sequence[str], versions: dict[str, int]) -> MemCube:
        """The memory as the caller's own below *namespace*, its links mapped to what is in the bundle.

        *versions* says at which version those stand here that others derive from.
        """
        mark = mark_of(self._manifest, cube)
        told = cube.provenance
        if told.derived_from or told.links:
            told = self._linked(told, versions).with_checked(signature=mark)
        else:
            told = self._once(told, mark, lambda: told.with_checked(signature=mark))
        return cube.with_checked(
            id=arrived_id(self._manifest, self._caller, cube.id),
            version=version,
            namespace=(*namespace, *cube.namespace[1:])[:32],
            descriptive=self._once(cube.descriptive, "", lambda: self._described(cube.descriptive)),
            provenance=told,
            trust=self._once(cube.trust, "", lambda: self._believed(cube.trust)),
            governance=self._once(cube.governance, "", lambda: self._governed(cube.governance)),
            state=cube.state if cube.state in KEPT else State.GENERATED,
            behaviour=_UNUSED,
        )

    def _once(self, part: _Part, mark: str, make: Callable[[], _Part]) -> _Part:
        # By what it is, not by what it says, which would have to be compared; so it is held as long as its number.
        known = self._made.get((id(part), mark))
        if known is not None:
            made: _Part = known[1]
            return made
        if len(self._made) >= SHARED:
            self._made.clear()
        made = make()
        self._made[id(part), mark] = part, made
        return made

    # Each part was checked as it came; what changes in it is of its kind, so nothing has to be checked again.

    def _linked(self, told: Provenance, versions: dict[str, int]) -> Provenance:
        def moved(cube_id: str) -> str:
            return arrived_id(self._manifest, self._caller, cube_id)

        sources = [CubeRef(id=moved(ref.id), version=versions[ref.id]) for ref in told.derived_from]
        there = [each for each in told.links if self._inside(each.target)]
        links = [Link(relation=each.relation, target=moved(each.target)) for each in there]
        return told.with_checked(derived_from=tuple(sources), links=tuple(links))

    def _described(self, part: Descriptive) -> Descriptive:
        return part.with_checked(recorded_at=self._caller.now, origin=Origin.IMPORT)

    def _believed(self, part: Trust) -> Trust:
        return part.with_checked(label=least(part.label, self._most), verified_by=None)

    def _governed(self, part: Governance) -> Governance:
        return part.with_checked(owner=self._caller.by.subject, layer=Layer.PRIVATE, **_NOBODY)


_UNUSED = Behaviour()
_NOBODY: dict[str, Any] = {"readers": (), "writers": (), "sharers": (), "legal_hold": False}
_ORDER = {label: number for number, label in enumerate(TrustLabel)}


def least(one: TrustLabel, other: TrustLabel) -> TrustLabel:
    """The lower of two labels."""
    return one if _ORDER[one] <= _ORDER[other] else other


ALWAYS = frozenset({"descriptive.recorded_at", "provenance.signature"})
"""What is another in every version."""


def differing(before: MemCube, after: MemCube) -> tuple[str, ...]:
    """The names of the fields in which two versions differ."""
    found = []
    for part in ("namespace", "payload", "descriptive", "provenance", "trust", "governance"):
        one, other = getattr(before, part), getattr(after, part)
        if not isinstance(one, Value) or type(one) is not type(other):
            found += [part] if one != other else []
            continue
        names = (name for name in type(one).model_fields if getattr(one, name) != getattr(other, name))
        found += [name for each in names if (name := f"{part}.{each}") not in ALWAYS]
    return tuple(found)
