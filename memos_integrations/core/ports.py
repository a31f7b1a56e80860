"""The ports: what the engine asks of a vault and of an embedder, and the values that cross.

Small protocols, filled by `vaults/` and `backends/` and passed in by the user. Nothing to register. A vault
stores and finds; it knows no access rule. Governance compiles what a principal may see into a `Visibility`, and
the subjects that may read a cube into its `Put`; a vault only compares the two, before it picks the best k.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from memos_integrations.core.cube import Digest, Json, Label, MemCube, Moment, State, Text, Tier, Value
from memos_integrations.core.events import MemEvent

Vectors = npt.NDArray[np.float32]

RECALLABLE = frozenset({State.GENERATED, State.ACTIVATED, State.FROZEN})
"""States in which a cube takes part in recall unless a filter names others."""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors of length `dim`.

    Same text, same vector, on every machine: a vault stores `name` and `dim` and refuses vectors of another.
    """

    @property
    def name(self) -> str:
        """What tells this embedder from every other, weights and settings included."""
        ...

    @property
    def dim(self) -> int:
        """Length of each vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row per text, float32, shape `(len(texts), dim)`.

        Raises:
            EmbeddingError: The model failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """Which embedder filled a vault."""

    name: str
    dim: int


# --- what goes in: a transaction -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Put:
    """Store one version: version 1 makes the cube, version n replaces n - 1 as the current one.

    `readers` are the subjects that may read it; `terms` its words for full text, with repeats; `vector` its unit
    row of shape `(dim,)`. `key` makes a first version happen at most once: a second Put with the same tenant and
    key is refused.
    """

    cube: MemCube
    readers: frozenset[str]
    terms: tuple[str, ...] = ()
    vector: Vectors | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class PutVector:
    """Give a current version the vector that it lacks (or another one). No new version."""

    cube_id: str
    version: int
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Erase:
    """Take a cube out of every place it stands in: versions, vectors, full text, links, keys, behaviour."""

    cube_id: str


@dataclass(frozen=True, slots=True)
class Use:
    """Count one use: reads + 1, warmer by one after cooling for the time since the last (see `cooled`)."""

    cube_id: str
    at: datetime
    recall_id: str


@dataclass(frozen=True, slots=True)
class Move:
    """Pass a cube to another state; refused when it is no longer in `before`."""

    cube_id: str
    before: State
    after: State


Change = Put | PutVector | Erase | Use | Move


class Outcome(StrEnum):
    """What was decided."""

    ALLOWED = "allowed"
    DENIED = "denied"


class AuditRecord(Value):
    """What the audit log says of one touch: digests and names, never payload text."""

    at: Moment
    tenant: Label
    actor: Label
    operation: Label
    outcome: Outcome
    reason: Text = ""
    cube_id: Label | None = None
    version: int | None = None
    owner: Label | None = None
    digest: Digest | None = None
    purpose: Label | None = None
    application: Label | None = None
    detail: Json = None


class AuditEntry(Value):
    """One link of the chain: `hash` is SHA-256 over `previous` and the canonical record with its number."""

    number: int
    record: AuditRecord
    previous: Digest
    hash: Digest


@dataclass(frozen=True, slots=True)
class Transaction:
    """Changes, audit records and events that become true together, or not at all."""

    changes: tuple[Change, ...] = ()
    audit: tuple[AuditRecord, ...] = ()
    events: tuple[MemEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction is durable: `commit` is its number, growing by at least one with each."""

    commit: int


# --- what comes out ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which cubes a query may touch at all: compiled by governance from principal and calling context.

    A cube is visible when it is in `tenant`, one of its readers is in `subjects`, it is not quarantined, not past
    its `expires_at` at `now`, and its `purposes` (`applications`) are empty or hold `purpose` (`application`).
    """

    tenant: str
    subjects: frozenset[str]
    now: datetime
    purpose: str | None = None
    application: str | None = None


@dataclass(frozen=True, slots=True)
class CubeFilter:
    """What the caller wants of what is visible. Every empty or None field means any.

    `namespace` is a prefix, part by part. `occurred` is half-open [start, end) on the time of the event
    (`provenance.occurred_at`, else `descriptive.created_at`). `tags`, `entities`, `speakers` match when one is
    equal (entities and speakers without regard to case). `valid_at` keeps what held then in the world.
    """

    namespace: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    semantic_types: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    thread_id: str | None = None
    session_id: str | None = None
    states: frozenset[State] = RECALLABLE
    tiers: frozenset[Tier] = frozenset({Tier.PLAINTEXT})
    occurred: tuple[datetime, datetime] | None = None
    valid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VaultQuery:
    """The best `k` by each signal asked for: `terms` by BM25, `vector` by cosine; neither: the latest `k`."""

    k: int
    terms: tuple[str, ...] = ()
    vector: Vectors | None = None
    filter: CubeFilter = field(default_factory=CubeFilter)


@dataclass(frozen=True, slots=True)
class Match:
    """A cube that a query found. Scores not asked for are None; a score asked for is given for every match."""

    cube: MemCube
    bm25: float | None = None
    cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """The current version of `source` points at `target`: a link's relation, or `derived_from`."""

    source: str
    relation: str
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and how: `visible` counts the cubes that passed visibility and filter."""

    matches: tuple[Match, ...]
    visible: int
    how: str


class LogQuery(Value):
    """Which audit entries (paper §5.2, LogQuery). Every None means any; the oldest `limit` after `after` come first."""

    tenant: Label
    since: Moment | None = None
    until: Moment | None = None
    actor: Label | None = None
    owner: Label | None = None
    cube_id: Label | None = None
    operation: Label | None = None
    outcome: Outcome | None = None
    after: int = 0
    limit: int = 100


class AuditReport(Value):
    """Whether the chain holds: `problems` is empty when it does."""

    entries: int
    head: Digest
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems


class Vault(Protocol):
    """The truth: cubes, versions, vectors, full text, audit chain and outbox, in one transaction.

    Thread-safe. A write is a future that is done when the transaction is durable. After it is done, every read,
    in every thread, sees it. Only `MemGovernance` holds a vault.
    """

    def submit(self, transaction: Transaction) -> Future[Receipt]:
        """Queue a transaction; the future gives the receipt when it is durable, or the reason why nothing happened.

        The future raises:
            VersionConflictError: A Put is not the next version of its cube, or a Move not from its state.
            AlreadyRememberedError: A Put's key is taken.
            CubeNotFoundError: A change names a cube that is not there (Use of an erased cube is ignored).
            VaultError: The store failed; nothing of the transaction happened.
        """
        ...

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The current versions of those of *ids* that exist in *tenant*, in the order asked, states of all kinds.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        ...

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version of a cube, oldest first; empty when there is none."""
        ...

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key."""
        ...

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible: exact, never fewer than k when k match."""
        ...

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges that end at one of *ids*: links of current versions, and their `derived_from`."""
        ...

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector, of all tenants."""
        ...

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that this vault's vectors came from."""
        ...

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, once.

        Raises:
            EmbedderMismatchError: Another one is remembered.
        """
        ...

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries, oldest first."""
        ...

    def verify_audit(self) -> AuditReport:
        """Walk the whole chain, and hold every stored version against what the chain says was written."""
        ...

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Outbox events with a number above *after*, oldest first, each with its number."""
        ...

    def traces(self, cube_id: str) -> dict[str, int]:
        """How many rows of a cube each place still holds (place -> count); all zero after an Erase."""
        ...

    def close(self) -> None:
        """Finish what is queued, save what can be saved, release files. Safe to call twice."""
        ...


HEAT_HALF_LIFE_S = 7 * 24 * 3600.0


def cooled(heat: float, last: datetime | None, now: datetime) -> float:
    """Heat after the time since *last*: half of it is gone after a week (paper §5.4.2: frequency with decay)."""
    if last is None:
        return heat
    seconds: float = max(0.0, (now - last).total_seconds())
    return float(heat * 0.5 ** (seconds / HEAT_HALF_LIFE_S))
