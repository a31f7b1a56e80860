"""Scores of a search by words that look beyond the single cube, inside the search's read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.core.ranking import Floats
from memos_integrations.vaults.columns import SEQ, Allowed, Columns, Numbers, integers
from memos_integrations.vaults.numbering import Kind
from memos_integrations.vaults.postings import Postings

Scores = tuple[Numbers, Floats]
"""Cubes by rising number, and what each scores."""

BEST, REACH = 200, 2
"""Among very many cubes: how many of the best by their own words are looked at, and how far around each."""


def posting(postings: Postings, term: int, there: Allowed) -> tuple[Numbers, Numbers]:
    """The places of the allowed cubes that hold a term, and how often each does."""
    cubes, tf = postings.of(term)
    places = np.minimum(np.searchsorted(there.seq, cubes), there.count - 1)
    held = there.seq[places] == cubes
    return places[held], tf[held]


@dataclass(frozen=True, slots=True)
class Around:
    """`ranking.around` for the cubes that it says anything of, by rising number; shape of `table` (names, cubes)."""

    seqs: Numbers
    names: tuple[str, ...] = ()
    table: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def context(self) -> Floats:
        """The scores by a message and its neighbours."""
        found: Floats = self.table[self.names.index("context")] if self.names else np.zeros(0)
        return found

    def of(self, seqs: Collection[int]) -> dict[int, Mapping[str, float]]:
        """The scores of cubes by name; those of which it says nothing are left out."""
        if not self.seqs.size:
            return {}
        asked = np.fromiter(seqs, dtype=np.int64, count=len(seqs))
        places = np.minimum(self.seqs.searchsorted(asked), self.seqs.size - 1)
        places = places[self.seqs[places] == asked]
        told = zip(self.seqs[places].tolist(), self.table[:, places].T.tolist(), strict=True)
        return {seq: dict(zip(self.names, row, strict=True)) for seq, row in told}


NOTHING_AROUND = Around(np.zeros(0, dtype=np.int64))


def scores_around(postings: Postings, terms: Sequence[int], there: Allowed, columns: Columns, bm25: Scores) -> Around:
    """`ranking.around` for the allowed cubes; neighbours are allowed cubes too."""
    if not there.count:
        return NOTHING_AROUND
    near = _near_the_best(there, bm25)
    at = np.full(there.count, -1, dtype=np.int64)
    at[near] = np.arange(near.size)
    tf, matching = [], []
    for term in terms:
        places, counts = posting(postings, term, there)
        row = np.zeros(near.size)
        inside = at[places] >= 0
        row[at[places[inside]]] = counts[inside]
        tf.append(row)
        matching.append(int(places.size))
    found = ranking.around(
        tf,
        matching,
        there.length[near].astype(np.float64),
        _sessions(postings.connection, there.seq[near], columns),
        documents=there.count,
        average=there.average,
    )
    table = np.stack(list(found.values()))
    told = np.flatnonzero((table[:3] > 0.0).any(axis=0))
    return Around(there.seq[near][told], tuple(found), table[:, told])


def _near_the_best(there: Allowed, bm25: Scores) -> Numbers:
    """The places to look at: all of a few cubes, else the best by their own words with what stands around them."""
    if there.count <= ranking.CONTEXT_ROWS:
        return np.arange(there.count)
    seqs, scores = bm25
    best = seqs[np.lexsort((seqs, -scores))[:BEST]]
    places = np.searchsorted(there.seq, best)
    wide = (places[:, None] + np.arange(-REACH, REACH + 1)).ravel()
    return np.unique(wide[(wide >= 0) & (wide < there.count)])


def _sessions(connection: sqlite3.Connection, seqs: Numbers, columns: Columns) -> Numbers:
    """What each cube's session is called, else its thread, as a number; 0 for neither."""
    every = columns.table[SEQ]
    if every.size > ranking.CONTEXT_ROWS:
        return _sessions_of(connection, seqs)
    known = columns.beside.get("sessions")
    if known is None:
        known = columns.beside["sessions"] = _sessions_of(connection, every)
    found: Numbers = known[np.searchsorted(every, seqs)]
    return found


def _sessions_of(connection: sqlite3.Connection, seqs: Numbers) -> Numbers:
    rows = connection.execute(
        """SELECT l.cube, l.kind, l.value FROM json_each(?) AS asked CROSS JOIN labels AS l ON l.cube = asked.value
        WHERE l.kind BETWEEN ? AND ? ORDER BY l.kind""",
        (json.dumps(seqs.tolist()), int(Kind.THREAD), int(Kind.SESSION)),
    ).fetchall()
    cubes, _, values = integers(rows, 3)
    sessions = np.zeros(seqs.size, dtype=np.int64)
    sessions[np.searchsorted(seqs, cubes)] = values  # threads first: a session is the narrower of the two
    return sessions
