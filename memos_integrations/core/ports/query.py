"""What is asked of a vault, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from memos_integrations.core.cube import MemCube, State, Tier
from memos_integrations.core.ports.embedder import Vectors

RECALLABLE = frozenset({State.GENERATED, State.ACTIVATED, State.FROZEN})
"""States in which a cube takes part in recall unless a filter names others."""


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
