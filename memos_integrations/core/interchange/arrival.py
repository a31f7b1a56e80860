"""What becomes of a memory that arrives from elsewhere: whose it is, how far it is trusted, where it stands. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import (
    Behaviour,
    CubeRef,
    Governance,
    Layer,
    Link,
    MemCube,
    Origin,
    Provenance,
    State,
    Trust,
    TrustLabel,
)
from memos_integrations.core.interchange.manifest import Manifest

SCHEME = "mip1"
KEPT = (State.ARCHIVED, State.MERGED, State.EXPIRED)
"""States that a memory keeps on its way: what was out of recall there is out of recall here."""


def arrived_id(manifest: Manifest, caller: Caller, cube_id: str) -> str:
    """The id under which a memory of an issuer stands in a vault: always the same, and nobody can aim at another's."""
    parts = (manifest.key, caller.by.tenant, caller.by.subject, cube_id)
    told = b"MIP-1 id\n" + b"\0".join(part.encode() for part in parts)
    digest = int.from_bytes(hashlib.sha256(told).digest()[:16])
    # Version 8 of RFC 9562 (§5.8), which `uuid` of Python 3.11 does not know.
    return str(uuid.UUID(int=digest & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62))


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

    order, told = list(TrustLabel), cube.provenance
    rules = cube.governance
    label = min(cube.trust.label, most, key=order.index)
    return MemCube(
        id=moved(cube.id),
        version=version,
        namespace=(*namespace, *cube.namespace[1:])[:32],
        payload=cube.payload,
        descriptive=cube.descriptive.model_copy(update={"recorded_at": caller.now, "origin": Origin.IMPORT}),
        provenance=Provenance.model_validate(
            told.model_dump()
            | {
                "derived_from": [CubeRef(id=moved(ref.id), version=versions[ref.id]) for ref in told.derived_from],
                "links": [
                    Link(relation=each.relation, target=moved(each.target))
                    for each in told.links
                    if inside(each.target)
                ],
                "signature": mark_of(manifest, cube),
            }
        ),
        trust=Trust(channel=cube.trust.channel, label=label, quarantined=cube.trust.quarantined),
        governance=Governance(
            owner=caller.by.subject,
            layer=Layer.PRIVATE,
            purposes=rules.purposes,
            applications=rules.applications,
            expires_at=rules.expires_at,
            half_life=rules.half_life,
            priority=rules.priority,
            sensitivity=rules.sensitivity,
            licence=rules.licence,
            watermark=rules.watermark,
        ),
        state=cube.state if cube.state in KEPT else State.GENERATED,
        behaviour=Behaviour(fingerprint=cube.behaviour.fingerprint),
    )
