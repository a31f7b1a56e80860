"""How `InMemoryVault` searches: every rule of visibility, filter and score, one cube at a time, to be read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.core.cube import (
    Behaviour,
    Governance,
    MemCube,
    PlaintextPayload,
    Relation,
    State,
    sha256,
    unique,
)
from memos_integrations.core.lifecycle.then import Moves, state_then
from memos_integrations.core.ports import (
    Change,
    CubeFilter,
    Found,
    Limit,
    Match,
    Put,
    Use,
    ValueTest,
    VaultQuery,
    Vectors,
    Visibility,
)
from memos_integrations.core.ranking import CONTEXT_ROWS
from memos_integrations.core.text import folded_label
from memos_integrations.core.text import terms as terms_of
from memos_integrations.vaults.leaves import leaves
from memos_integrations.vaults.leaves import passes as passes_test
from memos_integrations.vaults.rules import cosines, occurred_at
from memos_integrations.vaults.sealing import unseal

BEST, REACH = 200, 2
"""Among very many cubes: how many of the best by their own words are looked at, and how far around each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cube: its sealed versions, and what stands beside the current one."""

    cube: MemCube
    bodies: tuple[bytes, ...]
    readers: frozenset[str]
    terms: tuple[str, ...]
    vector: Vectors | None
    state: State
    behaviour: Behaviour
    keys: frozenset[tuple[str, str]] = frozenset()
    readers_then: tuple[frozenset[str], ...] = ()

    def version(self, number: int) -> MemCube:
        """One version, with the present state and behaviour."""
        body = self.bodies[number - 1]
        cube = unseal(body, sha256(body), cube_id=self.cube.id, version=number)
        return cube.model_copy(update={"state": self.state, "behaviour": self.behaviour})

    def versions(self) -> list[MemCube]:
        """Every version, oldest first."""
        return [self.version(number) for number in range(1, len(self.bodies) + 1)]

    def then(self, moment: datetime, moves: Moves) -> Row | None:
        """The cube as of a moment: its newest version until then; what was replaced by its text's words."""
        state = state_then(self.state, moves.get(self.cube.id, ()), moment)
        for number in range(len(self.bodies), 0, -1):
            cube = self.version(number)
            if cube.descriptive.recorded_at <= moment:
                newest = number == len(self.bodies)
                return replace(
                    self,
                    cube=cube.model_copy(update={"state": state}),
                    state=state,
                    bodies=self.bodies[:number],
                    readers=self.readers_then[number - 1],
                    terms=self.terms if newest else tuple(terms_of(cube.text)),
                    vector=self.vector if newest else None,
                )
        return None

    def current(self) -> MemCube:
        """The newest version."""
        return self.version(len(self.bodies))


def search(
    everything: Iterable[Row], query: VaultQuery, asked: Vectors | None, visible: Visibility, moves: Moves
) -> Found:
    """The best k by each signal asked for, or the latest k; *asked* is the query's vector, checked.

    For the past, *moves* say what states the cubes were in.
    """
    if query.as_of is not None:
        present = [row for row in everything if is_visible(row, visible)]
        everything = [there for row in present if (there := row.then(query.as_of, moves)) is not None]
        everything = held_then(everything, query.filter, query.as_of)
    wanted = replace(query.filter, holding=query.filter.holding and query.as_of is None)
    rows = {row.cube.id: row for row in everything if is_found(row, wanted, visible)}
    if not query.terms and asked is None:
        return _latest(rows, query)
    bm25 = bm25_scores(rows, query.terms) if query.terms else None
    cosine = _cosine_scores(rows, asked) if asked is not None else None
    around = _around(rows, query.terms, bm25) if query.around and query.as_of is None and bm25 is not None else {}
    context = {cube_id: scores["context"] for cube_id, scores in around.items()}
    best = {cube_id for scores in (bm25, cosine, context) if scores for cube_id in top(scores, query.k)}
    found = tuple(
        Match(
            rows[cube_id].current(),
            bm25=None if bm25 is None else bm25.get(cube_id, 0.0),
            cosine=None if cosine is None else cosine.get(cube_id),
            around=around.get(cube_id, {}),
        )
        for cube_id in sorted(best)
    )
    signals = [name for name, scores in (("BM25", bm25), ("exact cosine", cosine)) if scores is not None]
    how = f"{' and '.join(signals)} over {len(rows)} visible cubes, in memory"
    matching = {term: sum(term in row.terms for row in rows.values()) for term in unique(query.terms)}
    return Found(found, len(rows), how, matching)


def places(everything: Iterable[Row], wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
    """One visible and wanted cube of every namespace, by namespace."""
    there = {row.cube.namespace: row for row in everything if is_found(row, wanted, visible)}
    return [row.current() for _, row in sorted(there.items())]


def tenants_in(changes: Iterable[Change], *rows: Mapping[str, Row | None]) -> set[str]:
    """The tenants in which something changes that a search could notice; *rows* hold the cubes after, and before."""
    ids = [each.cube.id if isinstance(each, Put) else each.cube_id for each in changes if not isinstance(each, Use)]
    return {row.cube.tenant for cube_id in ids for known in rows if (row := known.get(cube_id)) is not None}


def is_allowed(cube: MemCube, wanted: CubeFilter, visible: Visibility) -> bool:
    """Whether a cube, which has a reader among the subjects, passes the rest of the visibility and the filter."""
    row = Row(cube, (), visible.subjects, (), None, cube.state, cube.behaviour)
    return is_found(row, wanted, visible)


def is_found(row: Row, wanted: CubeFilter, visible: Visibility) -> bool:
    """Whether a cube may be seen and is wanted."""
    over = wanted.holding and _is_over(row.cube, visible.now)
    return not over and is_visible(row, visible) and passes(row, wanted)


def is_visible(row: Row, visible: Visibility) -> bool:
    """Whether a query may touch the cube at all (see `Visibility`)."""
    cube = row.cube
    return (
        cube.tenant == visible.tenant
        and not row.readers.isdisjoint(visible.subjects)
        and not cube.trust.quarantined
        and not cube.governance.is_expired(visible.now)
        and (visible.anywhere or _is_for(cube.governance, visible))
        and not any(passes(row, hidden) for hidden in visible.hidden)
        and not any(_is_kept_back(row, limit) for limit in visible.limits)
    )


def _is_kept_back(row: Row, limit: Limit) -> bool:
    return all(passes(row, each) for each in limit.of) and not any(passes(row, each) for each in limit.to)


def _is_for(rules: Governance, visible: Visibility) -> bool:
    named = ((rules.purposes, visible.purpose), (rules.applications, visible.application))
    return all(not each or said in each for each, said in named)


def held_then(rows: Iterable[Row], wanted: CubeFilter, moment: datetime) -> list[Row]:
    """The rows as of a moment, without those that no longer held then, where only what holds is wanted."""
    return [row for row in rows if not (wanted.holding and _is_over(row.cube, moment))]


def _is_over(cube: MemCube, now: datetime) -> bool:
    """Whether a memory no longer holds; what was merged by hand stands for its sources until they are back."""
    ends, origin = cube.descriptive.valid_to, cube.provenance
    if ends is None or ends > now:
        return False
    made_of = {ref.id for ref in origin.derived_from}
    return not any(link.relation is Relation.MERGED_FROM and link.target in made_of for link in origin.links)


def passes(row: Row, wanted: CubeFilter) -> bool:
    """Whether the cube is what the caller wants (see `CubeFilter`), apart from what holds at the moment of asking.

    `valid_to` is the first moment at which it no longer holds.
    """
    cube = row.cube
    when = cube.descriptive
    spoken = (cube.provenance.speaker,) if cube.provenance.speaker is not None else ()
    at = wanted.valid_at
    same, caseless = (folded_label, folded_label) if wanted.folded else (str, str.casefold)
    return (
        _is_within(wanted.namespace, cube.namespace, same)
        and _among(wanted.ids, (cube.id,))
        and _among(wanted.semantic_types, (when.semantic_type,), same)
        and _among(wanted.tags, when.tags, same)
        and _among(wanted.entities, when.entities, caseless)
        and _among(wanted.speakers, spoken, caseless)
        and wanted.thread_id in (None, cube.provenance.thread_id)
        and wanted.session_id in (None, cube.provenance.session_id)
        and _among(wanted.sessions, () if cube.provenance.session_id is None else (cube.provenance.session_id,))
        and _among(wanted.states, (row.state,))
        and _among(wanted.tiers, (cube.tier,))
        and (wanted.occurred is None or wanted.occurred[0] <= occurred_at(cube) < wanted.occurred[1])
        and (wanted.recorded is None or wanted.recorded[0] <= when.recorded_at < wanted.recorded[1])
        and (wanted.created is None or wanted.created[0] <= when.first_recorded_at < wanted.created[1])
        and (not wanted.value or _passes_tests(cube, wanted.value))
        and (at is None or when.valid_from is None or when.valid_from <= at)
        and (at is None or when.valid_to is None or at < when.valid_to)
        and (wanted.begins_after is None or (when.valid_from is not None and wanted.begins_after < when.valid_from))
    )


def _passes_tests(cube: MemCube, tests: Iterable[ValueTest]) -> bool:
    places = dict(leaves(cube.payload.value)) if isinstance(cube.payload, PlaintextPayload) else {}
    return all(passes_test(places, test) for test in tests)


def _is_within(wanted: Sequence[str], there: Sequence[str], compared: Callable[[str], str]) -> bool:
    return not wanted or [*map(compared, there[: len(wanted)])] == [*map(compared, wanted)]


def _among(wanted: Collection[str], there: Iterable[str], compared: Callable[[str], str] = str) -> bool:
    """Whether one of *there* is wanted; nothing wanted means any."""
    return not wanted or not set(map(compared, wanted)).isdisjoint(map(compared, there))


def _latest(rows: dict[str, Row], query: VaultQuery) -> Found:
    order = sorted(rows)
    order.sort(key=lambda cube_id: occurred_at(rows[cube_id].cube), reverse=True)  # stable: ties stay by id
    matches = tuple(Match(rows[cube_id].current()) for cube_id in order[query.skip : query.skip + max(0, query.k)])
    return Found(matches, len(rows), f"the latest of {len(rows)} visible cubes, in memory")


def bm25_scores(rows: dict[str, Row], terms: Sequence[str]) -> dict[str, float]:
    """BM25 of each row that holds one of the terms, with the counts of these rows."""
    counts = {cube_id: Counter(row.terms) for cube_id, row in rows.items()}
    average = sum(len(row.terms) for row in rows.values()) / max(len(rows), 1)
    scores: dict[str, float] = {}
    holders = [[cube_id for cube_id in rows if counts[cube_id][term]] for term in unique(terms)]
    for place in ranking.telling([len(holding) for holding in holders], len(rows)):
        holding, term = holders[place], unique(terms)[place]
        shares = ranking.bm25(
            np.array([counts[cube_id][term] for cube_id in holding], dtype=np.float64),
            np.array([len(rows[cube_id].terms) for cube_id in holding], dtype=np.float64),
            weight=ranking.idf(len(rows), len(holding)),
            average=average,
        )
        for cube_id, share in zip(holding, shares.tolist(), strict=True):
            scores[cube_id] = scores.get(cube_id, 0.0) + share
    return scores


def _around(rows: dict[str, Row], terms: Sequence[str], bm25: dict[str, float]) -> dict[str, dict[str, float]]:
    ids, lengths = list(rows), [len(row.terms) for row in rows.values()]
    if not ids:
        return {}
    best = set(sorted(bm25, key=lambda cube_id: -bm25[cube_id])[:BEST])
    near = [
        n for n in range(len(ids)) if len(ids) <= CONTEXT_ROWS or best & set(ids[max(0, n - REACH) : n + REACH + 1])
    ]
    said = [rows[ids[n]].cube.provenance for n in near]
    named = [(one.session_id or one.thread_id, one.session_id is None) for one in said]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(named), start=1)}
    counts = [Counter(row.terms) for row in rows.values()]
    found = ranking.around(
        [np.array([counts[n][term] for n in near], dtype=np.float64) for term in unique(terms)],
        [sum(term in count for count in counts) for term in unique(terms)],
        np.array(lengths, dtype=np.float64)[near],
        np.array([numbers[name] if name[0] else 0 for name in named], dtype=np.int64),
        documents=len(ids),
        average=sum(lengths) / len(ids),
    )
    scores = {ids[n]: {name: float(each[at]) for name, each in found.items()} for at, n in enumerate(near)}
    return {cube_id: each for cube_id, each in scores.items() if each["words"] or each["context"] or each["earlier"]}


def _cosine_scores(rows: dict[str, Row], asked: Vectors) -> dict[str, float]:
    there = {cube_id: row.vector for cube_id, row in rows.items() if row.vector is not None}
    if not there:
        return {}
    return dict(zip(there, cosines(np.stack(list(there.values())), asked).tolist(), strict=True))


def top(scores: dict[str, float], k: int) -> list[str]:
    """The ids of the best *k*, best first."""
    return sorted(scores, key=lambda cube_id: (-scores[cube_id], cube_id))[: max(0, k)]
