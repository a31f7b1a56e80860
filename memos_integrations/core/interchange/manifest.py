"""The manifest of a bundle: what is in it, from whom, for whom, until when. MIP.md §4."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from memos_integrations.core.cube import SAFE, Digest, Label, Moment, Value, first_problem
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.canonical import canonical, strict_json
from memos_integrations.core.interchange.refusal import Refusal

MAJOR, MINOR = 1, 1
CONTEXT = b"MIP-1 manifest\n"
"""What is signed begins with this, so that a signature of a manifest is one of nothing else."""

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
CUBES, ACCESS_LOG, REDACTIONS, DECLINED = "cubes.jsonl", "access_log.jsonl", "redactions.jsonl", "declined.jsonl"
CLOCKS, DELETIONS = "clocks.jsonl", "deletions.jsonl"
LISTS = (CUBES, ACCESS_LOG, REDACTIONS, DECLINED, CLOCKS, DELETIONS)
SAID = (ACCESS_LOG, REDACTIONS, CLOCKS, DELETIONS)
"""Lists that `requires` names, without the ending."""
BLOBS = "blobs/"
SKEW = timedelta(minutes=5)
"""How far the clocks of two machines may stand apart."""

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
MemberName = Annotated[str, StringConstraints(pattern=r"^(?:[a-z_]{1,40}\.jsonl|blobs/[0-9a-f]{64})$")]
Count = Annotated[int, Field(ge=0, le=SAFE, strict=True)]
Version = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}\.(?:0|[1-9][0-9]{0,3})$")]


TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
"""A time with its zone, as RFC 3339 spells it."""


class Capability(StrEnum):
    """What a reader has to understand to read a bundle, and may say that it understands."""

    TEXT = "text"
    HISTORY = "history"
    ACCESS_LOG = "access_log"
    REDACTIONS = "redactions"
    BLOBS = "blobs"
    ACTIVATION = "activation"
    PARAMETER = "parameter"
    CLOCKS = "clocks"
    DELETIONS = "deletions"


SINCE_1_1 = frozenset({Capability.CLOCKS.value, Capability.DELETIONS.value})
"""What a reader of MIP 1.0 does not know."""


class Member(Value):
    """One file of a bundle. `records` are the lines of a list, 0 of a blob."""

    name: MemberName
    size: Count
    sha256: Digest
    records: Count = 0


class Covers(Value):
    """Which part of one vault's life a bundle for `sync` carries: what changed after one of its moments, up to another.

    `replica` names the vault, the two numbers are places in its own count (of audit entries, here).
    """

    replica: Label
    after: Count
    to: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to < self.after:
            raise ValueError("to is before after")
        return self


def signed(manifest: bytes) -> bytes:
    """What the signature of a manifest covers."""
    return CONTEXT + manifest


class Manifest(Value):
    """What the signature covers: every other byte of the bundle is in it by its digest. `covers` came with MIP 1.1."""

    mip: Version
    bundle: Hex32
    created_at: Moment
    expires_at: Moment
    issuer: Label
    key: Hex64
    recipient: Label
    purpose: Label
    digest: Literal["sha-256"]
    signature: Literal["ed25519"]
    requires: tuple[Label, ...]
    cube_schema: Annotated[Count, Field(ge=1)]
    members: tuple[Member, ...]
    covers: Covers | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise ValueError("members: a name stands twice")
        if not any(name == CUBES for name in names):
            raise ValueError(f"members: {CUBES} is missing")
        if any(member.records and member.name.startswith(BLOBS) for member in self.members):
            raise ValueError("members: a blob has no records")
        if self.expires_at <= self.created_at:
            raise ValueError("expires_at is not after created_at")
        later = SINCE_1_1 & {*self.requires, *(name.partition(".")[0] for name in names)}
        if self.mip == "1.0" and (self.covers is not None or later):
            raise ValueError("mip: 1.0 has no `covers`, `clocks` or `deletions`")
        return self

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return signed(self.canonical())

    def canonical(self) -> bytes:
        """The manifest in its one spelling (RFC 8785)."""
        return canonical(self.model_dump(mode="json", exclude_none=True))

    def by_name(self) -> dict[str, Member]:
        """The members, each under its name."""
        return {member.name: member for member in self.members}

    def check(self, *, recipient: str, purposes: frozenset[str] | None, now: datetime, skew: timedelta = SKEW) -> None:
        """Refuse what is not for this reader, here and now.

        Raises:
            BundleError: It is for somebody or something else, from the future, or past its time.
        """
        if self.recipient != recipient:
            raise BundleError(Refusal.NOT_YOURS, "The bundle is for another recipient")
        if purposes is not None and self.purpose not in purposes:
            raise BundleError(Refusal.PURPOSE, f"The bundle is for the purpose {self.purpose!r} only")
        if now > self.expires_at:
            raise BundleError(Refusal.EXPIRED, f"The bundle ended at {self.expires_at:%Y-%m-%d %H:%M} UTC")
        if self.created_at > now + skew:
            raise BundleError(Refusal.NOT_YET, "The bundle says that it was made in the future; compare the clocks")


class BundleSignature(Value):
    """Who signed a manifest: an Ed25519 public key (RFC 8032) and the signature, in hexadecimal."""

    algorithm: Literal["ed25519"]
    key: Hex64
    signature: Hex128


_UTC = ("Z", "+00:00")
_VERSION = re.compile(r"^([1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$")
KNOWN = frozenset(Capability)


def read_manifest(content: bytes) -> Manifest:
    """The manifest in *content*, which must be in its one spelling.

    Raises:
        BundleError: Another major version, an algorithm or capability that this reader does not know, or no manifest.
    """
    said = strict_json(content, MANIFEST)
    if not isinstance(said, dict):
        raise BundleError(Refusal.MALFORMED, f"{MANIFEST} is not an object")
    _check_version(said)
    for name, known in (("digest", "sha-256"), ("signature", "ed25519")):
        if said.get(name) != known:
            raise BundleError(Refusal.ALGORITHM, f"{MANIFEST} names the {name} {said.get(name)!r}; it is {known}")
    for name in ("created_at", "expires_at"):
        if not isinstance(said.get(name), str) or not TIME.fullmatch(said[name]) or not said[name].endswith(_UTC):
            raise BundleError(Refusal.MALFORMED, f"{MANIFEST}: {name} is no time in UTC (RFC 3339)")
    if None in said.values():
        raise BundleError(Refusal.MALFORMED, f"{MANIFEST} names a field without a value")
    manifest: Manifest = _validated(Manifest, said, MANIFEST)
    if unknown := sorted(set(manifest.requires) - KNOWN):
        raise BundleError(Refusal.CAPABILITY, f"The bundle needs a reader that understands {', '.join(unknown)}")
    if not _is_canonical(said, content):
        raise BundleError(Refusal.MALFORMED, f"{MANIFEST} is not in canonical form (RFC 8785)")
    return manifest


def _is_canonical(said: Any, content: bytes) -> bool:
    try:
        return canonical(said) == content  # as it was said: there is more than one spelling of a time
    except (TypeError, ValueError):
        return False


def read_signature(content: bytes) -> BundleSignature:
    """The signature in *content*.

    Raises:
        BundleError: It is none, or of another algorithm.
    """
    said = strict_json(content, SIGNATURE)
    if isinstance(said, dict) and said.get("algorithm") != "ed25519":
        raise BundleError(Refusal.ALGORITHM, f"{SIGNATURE} names the algorithm {said.get('algorithm')!r}")
    found: BundleSignature = _validated(BundleSignature, said, SIGNATURE)
    return found


def _check_version(said: Mapping[str, Any]) -> None:
    version = said.get("mip")
    found = _VERSION.match(version) if isinstance(version, str) else None
    if found is None:
        raise BundleError(Refusal.MALFORMED, f"{MANIFEST} does not say its version")
    if int(found[1]) != MAJOR:
        raise BundleError(Refusal.VERSION, f"The bundle is in MIP {version}; this reader knows MIP {MAJOR}.x")
    if int(found[2]) > MINOR:
        # A later minor version may add fields; this reader must not guess what they mean.
        raise BundleError(Refusal.VERSION, f"The bundle is in MIP {version}; this reader knows {MAJOR}.{MINOR}")


def _validated(kind: type[Any], said: Any, what: str) -> Any:
    try:
        return kind.model_validate_json(json.dumps(said), strict=True)
    except ValidationError as exc:
        raise BundleError(Refusal.MALFORMED, f"{what}: {first_problem(exc)}") from exc
