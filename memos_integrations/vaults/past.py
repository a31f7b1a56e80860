"""Search a SQLite vault as it stood at an earlier time.

Most memories have not changed since: they are scored by the columns, postings and vectors of now, and only the best of
them are read. What was replaced keeps its body and who could read it, but neither vector nor postings; so those
versions are read one by one, and scored with the others, by the rules of `memory_search`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.core.cube import MemCube, State, unique
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.lifecycle.then import Moves, moves_in, state_then
from memos_integrations.core.ports import CubeFilter, Found, Match, VaultQuery
from memos_integrations.core.ranking import Floats
from memos_integrations.core.text import terms as terms_of
from memos_integrations.vaults.allowed import MERGED, Asked, allowed, among, audiences_of
from memos_integrations.vaults.columns import RECORDED, SEQ, STATES, VALID_TO, Allowed, Columns, Mask, Numbers
from memos_integrations.vaults.handing import Handing
from memos_integrations.vaults.memory_search import Row, held_then, is_found
from memos_integrations.vaults.planner import Sought
from memos_integrations.vaults.postings import Postings
from memos_integrations.vaults.rules import micros, occurred_at
from memos_integrations.vaults.sqlite_audit import read_moves
from memos_integrations.vaults.sqlite_search import (
    Nearest,
    check_tenant,
    cosines_with,
    ids_of,
    read_cube,
    stored_vectors,
)

_VERSION = """SELECT c.id, v.version, c.state, v.digest, v.body, b.body
    FROM cubes AS c JOIN versions AS v ON v.cube = c.seq AND v.version = ifnull(?, c.version)
    LEFT JOIN behaviour AS b ON b.cube = c.seq WHERE c.seq = ?"""

CheckVersions = Callable[[sqlite3.Connection, str, Collection[int]], None]
"""Refuses cubes of a tenant, by number, any version of which is not what was sealed."""


class Checks(NamedTuple):
    """What a search of the past needs besides its question: who holds versions against their seals, and vectors.

    `nearest` and `handing` are those of a search of the present: most memories have not changed since.
    """

    versions: CheckVersions
    nearest: Nearest
    handing: Handing


class Moment(NamedTuple):
    """A time, and the moves from state to state of all times."""

    at: datetime
    moves: Moves


@dataclass(frozen=True)
class Then:
    """What may be seen and is wanted of a time: the unchanged cubes, and versions replaced since."""

    asked: Asked
    unchanged: Allowed
    older: Mapping[int, Row]
    moment: Moment

    @property
    def count(self) -> int:
        """How many."""
        return self.unchanged.count + len(self.older)

    @cached_property
    def words(self) -> dict[int, Counter[str]]:
        """The words of the versions replaced since."""
        return {seq: Counter(row.terms) for seq, row in self.older.items()}

    def cube(self, seq: int) -> MemCube:
        """The cube as it was then."""
        if seq in self.older:
            return self.older[seq].cube
        cube = _read(self.asked, seq, None)
        return cube.model_copy(
            update={"state": state_then(cube.state, self.moment.moves.get(cube.id, ()), self.moment.at)}
        )


def search_past(
    asked: Asked,
    columns: Columns,
    query: VaultQuery,
    moment: datetime,
    postings: Postings,
    *,
    checks: Checks,
) -> Found:
    """The answer to a query with `as_of`; see `VaultQuery`."""
    there = _then(asked, columns, query.filter, moment, checks.versions)
    at = f"as of {moment.isoformat()}"
    if not query.terms and query.vector is None:
        return Found(_latest(there, query), there.count, f"the latest of {there.count} visible cubes, {at}")
    terms = unique(query.terms)
    held = {term: _held(there, postings, term, asked.words.term(term)) for term in terms}
    bm25 = _bm25(there, terms, held) if terms else None
    cosine = None if query.vector is None else _cosine(there, query, bm25 or {}, checks)
    signals = [scores for scores in (bm25, cosine) if scores is not None]
    ids = {seq: there.cube(seq) for seq in {seq for scores in signals for seq in _best(there, scores, query.k)}}
    best = {cube.id for scores in signals for cube in _top(scores, ids, query.k)}
    matches = [
        Match(
            cube,
            bm25=None if bm25 is None else bm25.get(seq, 0.0),
            cosine=None if cosine is None else cosine.get(seq),
        )
        for seq, cube in ids.items()
        if cube.id in best
    ]
    named = [name for name, scores in (("BM25", bm25), ("exact cosine", cosine)) if scores is not None]
    how = f"{' and '.join(named)} over {there.count} visible cubes, {at}"
    matching = {term: len(each) for term, each in held.items()}
    return Found(tuple(sorted(matches, key=lambda match: match.cube.id)), there.count, how, matching)


# --- what was there


def _then(asked: Asked, columns: Columns, wanted: CubeFilter, moment: datetime, check_versions: CheckVersions) -> Then:
    moves = moves_in(read_moves(asked.connection, asked.visible.tenant))
    table, at = columns.table, micros(moment)
    newest = table[SEQ][table[RECORDED] <= at]
    # As it is now but for the states, and for what holds: those are of then.
    passing = allowed(replace(asked, wanted=replace(wanted, states=frozenset(), holding=False)), columns)
    keep = np.isin(passing.seq, newest, assume_unique=True)
    places = np.searchsorted(table[SEQ], passing.seq)
    if wanted.states:
        keep &= _in_states(
            asked, columns.states[places].astype(np.int64), passing.seq, wanted.states, Moment(moment, moves)
        )
    if wanted.holding:
        over = keep & (table[VALID_TO][places] <= at)
        merged = asked.connection.execute(MERGED, (json.dumps(passing.seq[over].tolist()),))
        keep &= ~over | among(passing.seq, [seq for (seq,) in merged])
    replaced = dict(_older(asked, columns, moves, moment))
    if replaced:  # all of them: what a version says decides whether it is wanted, and what the others score
        check_versions(asked.connection, asked.visible.tenant, replaced)
    older = {seq: row for seq, row in replaced.items() if _is_wanted(row, asked, wanted, moment)}
    columns_of = (passing.seq, passing.length, passing.vector, passing.occurred, passing.expires)
    return Then(asked, Allowed(*(column[keep] for column in columns_of)), older, Moment(moment, moves))


def _in_states(asked: Asked, standing: Numbers, seqs: Numbers, states: frozenset[State], then: Moment) -> Mask:
    """Where cubes that are in the states *standing* (numbers) now were in one of *states*."""
    keep = among(standing, [STATES[state] for state in states])
    found = asked.connection.execute(
        "SELECT id, seq FROM cubes WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(then.moves)),)
    )
    place_of = {seq: place for place, seq in enumerate(seqs.tolist())}
    for cube_id, seq in found:
        if (place := place_of.get(seq)) is not None:
            keep[place] = state_then(_STATE_OF[int(standing[place])], then.moves[cube_id], then.at) in states
    return keep


_STATE_OF = {number: state for state, number in STATES.items()}


def _older(asked: Asked, columns: Columns, moves: Moves, moment: datetime) -> Iterator[tuple[int, Row]]:
    """Of each cube that may be seen now and was written anew since, the version of that time, if the asker could."""
    everything = CubeFilter(states=frozenset(), tiers=frozenset())
    seqs = allowed(replace(asked, wanted=everything), columns).seq
    table = columns.table[:, np.searchsorted(columns.table[SEQ], seqs)]
    changed = set(table[SEQ][table[RECORDED] > micros(moment)].tolist())
    mine = set(audiences_of(asked))
    then: dict[int, tuple[int, int]] = {}
    for seq, version, audience in asked.connection.execute(
        """SELECT p.cube, p.version, p.audience FROM cubes AS c CROSS JOIN past AS p ON p.cube = c.seq
        WHERE c.tenant = ? AND p.recorded_at <= ? ORDER BY p.version""",
        (asked.tenant, micros(moment)),
    ):
        then[seq] = version, audience
    for seq, (version, audience) in then.items():
        if seq in changed and audience in mine:
            cube = _read(asked, seq, version)
            state = state_then(cube.state, moves.get(cube.id, ()), moment)
            cube = cube.model_copy(update={"state": state})
            terms = tuple(terms_of(cube.text))
            # Who may read it was decided by number.
            yield seq, Row(cube, (), asked.visible.subjects, terms, None, state, cube.behaviour)


def _is_wanted(row: Row, asked: Asked, wanted: CubeFilter, moment: datetime) -> bool:
    held = bool(held_then([row], wanted, moment))
    return held and is_found(row, replace(wanted, holding=False), asked.visible)


def _read(asked: Asked, seq: int, version: int | None) -> MemCube:
    row = asked.connection.execute(_VERSION, (version, seq)).fetchone()
    if row is None:  # what is known of the cube was sealed beside the vault, not read from its row
        raise _missing(asked.connection, seq)
    cube = read_cube(row)
    check_tenant(cube, asked.visible.tenant)
    return cube


def _missing(connection: sqlite3.Connection, seq: int) -> IntegrityError:
    (cube_id,) = connection.execute("SELECT id FROM cubes WHERE seq = ?", (seq,)).fetchone() or (f"number {seq}",)
    return IntegrityError(f"Cube {str(cube_id)!r} lacks its version of then, or is missing", str(cube_id))


# --- scores


def _held(there: Then, postings: Postings, term: str, number: int) -> dict[int, tuple[int, int]]:
    """In which cubes a term is, how often, and how many words they have."""
    seqs, tf = postings.of(number)
    if there.unchanged.count:
        places = np.minimum(np.searchsorted(there.unchanged.seq, seqs), there.unchanged.count - 1)
        held = there.unchanged.seq[places] == seqs
        lengths = there.unchanged.length[places[held]].tolist()
        found = dict(zip(seqs[held].tolist(), zip(tf[held].tolist(), lengths, strict=True), strict=True))
    else:
        found = {}
    older = ((seq, words) for seq, words in there.words.items() if words[term])
    return found | {seq: (words[term], words.total()) for seq, words in older}


def _bm25(there: Then, terms: Sequence[str], held: Mapping[str, Mapping[int, tuple[int, int]]]) -> dict[int, float]:
    words = int(there.unchanged.length.sum()) + sum(each.total() for each in there.words.values())
    scores: dict[int, float] = {}
    for place in ranking.telling([len(held[term]) for term in terms], there.count):
        holding = held[terms[place]]
        counts = np.array([*holding.values()], dtype=np.float64).reshape(-1, 2)
        weight, average = ranking.idf(there.count, len(holding)), words / max(there.count, 1)
        shares: Floats = ranking.bm25(counts[:, 0], counts[:, 1], weight=weight, average=average)
        for seq, share in zip(holding, shares.tolist(), strict=True):
            scores[seq] = scores.get(seq, 0.0) + share
    return {seq: score for seq, score in scores.items() if score > 0.0}


def _cosine(there: Then, query: VaultQuery, bm25: Mapping[int, float], checks: Checks) -> dict[int, float]:
    """The cosines of the nearest unchanged cubes, and of the best by words; what was replaced has no vector."""
    if query.vector is None:
        return {}
    unchanged, asked = there.unchanged, there.asked
    numbers, seqs = unchanged.numbered
    k = max(0, min(query.k, numbers.size))
    places, _ = checks.nearest(asked.connection, Sought(asked.tenant, query.vector, numbers, k))
    wanted = {*seqs[places].tolist(), *(seq for seq in _best(there, bm25, query.k) if seq not in there.older)}
    stored = partial(stored_vectors, asked.connection, unchanged, dim=query.vector.size)
    _, vectors = checks.handing.with_vectors(asked.connection, asked.visible.tenant, wanted, stored)
    return cosines_with(vectors, query.vector)


def _best(there: Then, scores: Mapping[int, float], k: int) -> list[int]:
    """The numbers of the best *k*; of equal scores the smaller id, for which no cube is read."""
    if len(scores) <= k or k <= 0:
        return list(scores) if k > 0 else []
    least = sorted(scores.values(), reverse=True)[k - 1]
    above = [seq for seq, score in scores.items() if score > least]
    tied = [seq for seq, score in scores.items() if score == least]
    if len(above) + len(tied) > k:
        ids = {seq: there.older[seq].cube.id for seq in tied if seq in there.older}
        ids |= ids_of(there.asked, [seq for seq in tied if seq not in there.older])
        tied = nsmallest(k - len(above), tied, key=ids.__getitem__)
    return above + tied


def _top(scores: Mapping[int, float], cubes: Mapping[int, MemCube], k: int) -> Iterable[MemCube]:
    known = [seq for seq in scores if seq in cubes]
    return [cubes[seq] for seq in sorted(known, key=lambda seq: (-scores[seq], cubes[seq].id))[: max(0, k)]]


def _latest(there: Then, query: VaultQuery) -> tuple[Match, ...]:
    times = dict(zip(there.unchanged.seq.tolist(), there.unchanged.occurred.tolist(), strict=True))
    times |= {seq: micros(occurred_at(row.cube)) for seq, row in there.older.items()}
    cubes = [there.cube(seq) for seq in _best(there, times, query.k)]
    cubes.sort(key=lambda cube: (-micros(occurred_at(cube)), cube.id))
    return tuple(Match(cube) for cube in cubes[: max(0, query.k)])
