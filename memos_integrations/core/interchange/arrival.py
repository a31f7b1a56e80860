"""What becomes of a memory that arrives from elsewhere: whose it is, how far it is trusted, where it stands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import (
    Behaviour,
    CubeRef,
    Layer,
    Link,
    MemCube,
    Origin,
    State,
    TrustLabel,
)
from memos_integrations.core.interchange.manifest import Manifest

SCHEME = "mip1"
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


def arrived(
    cube: MemCube,
    manifest: Manifest,
    caller: Caller,
    *,
    version: int,
    namespace: Sequence[str],
    most: TrustLabel,
    inside: Callable[[str], bool],
    versions: dict[str, int],
) -> MemCube:
    """The memory as the caller's own: private, no more trusted than *most*, its restrictions kept, its links mapped.

    *inside* says which ids are in the bundle; *versions* at which version those stand here that others derive from.
    """

    def moved(cube_id: str) -> str:
        return arrived_id(manifest, caller, cube_id)

    # Each part was checked as it came; what changes in it is of its kind, so nothing has to be checked again.
    told = cube.provenance.with_checked(signature=mark_of(manifest, cube))
    if told.derived_from:
        sources = [CubeRef(id=moved(ref.id), version=versions[ref.id]) for ref in told.derived_from]
        told = told.with_checked(derived_from=tuple(sources))
    if told.links:
        links = [Link(relation=each.relation, target=moved(each.target)) for each in told.links if inside(each.target)]
        told = told.with_checked(links=tuple(links))
    return cube.with_checked(
        id=moved(cube.id),
        version=version,
        namespace=(*namespace, *cube.namespace[1:])[:32],
        descriptive=cube.descriptive.with_checked(recorded_at=caller.now, origin=Origin.IMPORT),
        provenance=told,
        trust=cube.trust.with_checked(label=least(cube.trust.label, most), verified_by=None),
        governance=cube.governance.with_checked(owner=caller.by.subject, layer=Layer.PRIVATE, **_NOBODY),
        state=cube.state if cube.state in KEPT else State.GENERATED,
        behaviour=Behaviour.of_checked(fingerprint=cube.behaviour.fingerprint),
    )


_NOBODY: dict[str, Any] = {"readers": (), "writers": (), "sharers": (), "legal_hold": False}
_ORDER = {label: number for number, label in enumerate(TrustLabel)}


def least(one: TrustLabel, other: TrustLabel) -> TrustLabel:
    """The lower of two labels."""
    return one if _ORDER[one] <= _ORDER[other] else other
