"""What is asked of a vault, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from memos_integrations.core.cube import MemCube, State, Tier
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports.embedder import Vectors

RECALLABLE = frozenset({State.GENERATED, State.ACTIVATED, State.FROZEN})
"""States in which a cube takes part in recall unless a filter names others."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which cubes a query may touch at all: compiled by governance from principal and calling context.

    A cube is visible when it is in `tenant`, one of its readers is in `subjects`, it is not quarantined, not past
    its `expires_at` at `now`, its `purposes` (`applications`) are empty or hold `purpose` (`application`), and it
    passes none of the filters in `hidden` and is kept back by none of `limits` (whose filters name namespace, labels,
    ids or times of writing down, no states or tiers). `anywhere`: purposes and applications keep nothing back.
    """

    tenant: str
    subjects: frozenset[str]
    now: datetime
    purpose: str | None = None
    application: str | None = None
    hidden: tuple[CubeFilter, ...] = ()
    limits: tuple[Limit, ...] = ()
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """Keeps back what passes all filters in `of` (without any: everything) and none of those in `to`."""

    of: tuple[CubeFilter, ...]
    to: tuple[CubeFilter, ...]


Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ValueTest:
    """A condition on one place of a cube's structured payload (`PlaintextPayload.value`).

    `path` names the place from the outside in: keys, and positions in lists as text (`("offers", "0", "price")`).
    `op` compares what stands there with `operand`: `eq`, `ne`, `in` (a tuple) with scalars of any kind, where 1 equals
    1.0, but not True; `gt`, `gte`, `lt`, `lte` with numbers, in double precision; `exists` with nothing. Where nothing
    stands, no test passes, `ne` neither. The first 1,000 places of a payload count, breadth first.

    Raises:
        InvalidMemoryError: The operand does not fit the operation.
    """

    path: tuple[str, ...]
    op: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "exists"]
    operand: Scalar | tuple[Scalar, ...] = None

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        each = self.operand if isinstance(self.operand, tuple) else (self.operand,)
        if not all(
            isinstance(one, str | int | float | None) and not (isinstance(one, float) and not math.isfinite(one))
            for one in each
        ):
            raise InvalidMemoryError("A value test compares with texts, numbers, true, false or null.")
        if self.op not in {"eq", "ne", "gt", "gte", "lt", "lte", "in", "exists"}:
            raise InvalidMemoryError(f"{self.op!r} is no value test; use eq, ne, gt, gte, lt, lte, in or exists.")
        if isinstance(self.operand, tuple) != (self.op == "in"):
            raise InvalidMemoryError("The operand of `in` is a tuple, that of every other value test is not.")
        if self.op in {"gt", "gte", "lt", "lte"}:
            _ = self.number

    @property
    def number(self) -> int | float:
        """The operand of a test for order."""
        if isinstance(self.operand, bool) or not isinstance(self.operand, int | float):
            raise InvalidMemoryError(f"`{self.op}` compares numbers; {self.operand!r} is none.")
        return self.operand


@dataclass(frozen=True, slots=True)
class CubeFilter:
    """What the caller wants of what is visible. Every empty or None field means any.

    `namespace` is a prefix, part by part. `occurred` is half-open [start, end) on the time of the event
    (`provenance.occurred_at`, else `descriptive.created_at`), `recorded` likewise on the time of writing down
    (`descriptive.recorded_at` of the version), `created` on that of the first version
    (`descriptive.first_recorded_at`). `tags`, `entities`, `speakers`, `sessions` match when one is equal
    (entities and speakers without regard to case). `valid_at` keeps what held then in the world, `begins_after` what
    says that it began (`valid_from`) after that; `holding` leaves out what no longer holds (`valid_to` is over) at the
    moment of asking, or that of `as_of`, but neither what is still to begin, nor what was merged by hand, which stands
    for its sources until they are back. `value` are tests of the structured payload, all of which must pass.
    `folded`: namespace, types, tags, entities and speakers are compared as `text.folded_label` has them, as rules do.

    Raises:
        InvalidMemoryError: One text stands where several belong, or a time has no zone.
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
    begins_after: datetime | None = None
    recorded: tuple[datetime, datetime] | None = None
    sessions: tuple[str, ...] = ()
    value: tuple[ValueTest, ...] = ()
    holding: bool = False
    created: tuple[datetime, datetime] | None = None
    folded: bool = False

    def __post_init__(self) -> None:
        """Take lists and sets for what they say, and refuse what would find nothing without a word."""
        for name, kind in _SEVERAL.items():
            said = getattr(self, name)
            if type(said) is not kind:
                if isinstance(said, str) or not isinstance(said, Iterable):
                    raise InvalidMemoryError(f"`{name}` of a filter takes several, as ({said!r},); not {said!r} alone.")
                object.__setattr__(self, name, kind(said))
        for window in (self.occurred, self.recorded, self.created, (self.valid_at, self.begins_after)):
            for moment in window or ():
                if moment is not None and moment.tzinfo is None:
                    raise InvalidMemoryError(f"A time of a filter has a time zone; {moment} has none.")


_SEVERAL: dict[str, type[tuple[object, ...]] | type[frozenset[object]]] = {
    **dict.fromkeys(("namespace", "ids", "semantic_types", "tags", "entities", "speakers", "sessions", "value"), tuple),
    **dict.fromkeys(("states", "tiers"), frozenset),
}
"""The fields of a filter that hold several, and as what."""


NOTHING = ("\u2205",)
"""A wish that no cube meets: what is left when two filters exclude each other."""


def narrowed(scope: CubeFilter, where: CubeFilter) -> CubeFilter:
    """The cubes that pass *where*, within the namespace, types and time of *scope*.

    Raises:
        InvalidMemoryError: *where* names a namespace that is not within that of *scope*.
    """
    shorter, longer = sorted((scope.namespace, where.namespace), key=len)
    if longer[: len(shorter)] != shorter:
        raise InvalidMemoryError(f"The filter's namespace {where.namespace} is not within {scope.namespace}.")
    types = scope.semantic_types or where.semantic_types
    if scope.semantic_types and where.semantic_types:
        types = tuple(name for name in scope.semantic_types if name in where.semantic_types) or NOTHING
    occurred = scope.occurred or where.occurred
    if scope.occurred and where.occurred:
        start = max(scope.occurred[0], where.occurred[0])
        occurred = (start, max(start, min(scope.occurred[1], where.occurred[1])))
    return replace(where, namespace=longer, semantic_types=types, occurred=occurred)


@dataclass(frozen=True, slots=True)
class VaultQuery:
    """The best `k` by each signal asked for: `terms` by BM25, `vector` by cosine; neither: the latest `k`.

    Of many terms the rarest count (see `ranking.telling`). `as_of` searches what was known then: of each cube the
    newest version written down until that moment, if the asker may see that version and the present one too, and the
    filter wants that version, in the state of then (by the log's entries `to_...`); one that was replaced since is
    found by the words of its text. What was erased or has expired since is not in the past either.
    `around` also scores each cube with what stands beside it in its session (`ranking.around`) and finds the best `k`
    by that; not together with `as_of`. `skip` leaves out so many of the latest first, to page on: only for the latest.

    Raises:
        InvalidMemoryError: `skip` is negative, or stands beside terms, a vector or `as_of`.
    """

    k: int
    terms: tuple[str, ...] = ()
    vector: Vectors | None = None
    filter: CubeFilter = field(default_factory=CubeFilter)
    as_of: datetime | None = None
    around: bool = False
    skip: int = 0

    def __post_init__(self) -> None:
        """Refuse to page through what has no one order."""
        if self.skip < 0 or (self.skip and (self.terms or self.vector is not None or self.as_of is not None)):
            raise InvalidMemoryError("skip is at least 0, and pages through the latest only.")


@dataclass(frozen=True, slots=True)
class Match:
    """A cube that a query found. Scores not asked for are None; a score asked for is given for every match.

    `around` has the scores of `ranking.around` by name, where they were asked for.
    """

    cube: MemCube
    bm25: float | None = None
    cosine: float | None = None
    around: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """The current version of `source` points at `target`: a link's relation, or `derived_from`."""

    source: str
    relation: str
    target: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and how: `visible` counts the cubes that passed visibility and filter.

    `matching` says in how many of those each of the query's terms is.
    """

    matches: tuple[Match, ...]
    visible: int
    how: str
    matching: Mapping[str, int] = field(default_factory=dict)
