"""Scores of a search by words that look beyond the single cube, inside the search's read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from memos_integrations.core import ranking
from memos_integrations.vaults.columns import Allowed, Numbers, integers
from memos_integrations.vaults.postings import Postings
from memos_integrations.vaults.sqlite_rows import Kind

BEST, REACH = 200, 2
"""Among very many cubes: how many of the best by their own words are looked at, and how far around each."""


def posting(postings: Postings, term: int, there: Allowed) -> tuple[Numbers, Numbers]:
    """The places of the allowed cubes that hold a term, and how often each does."""
    cubes, tf = postings.of(term)
    places = np.minimum(np.searchsorted(there.seq, cubes), there.count - 1)
    held = there.seq[places] == cubes
    return places[held], tf[held]


def scores_around(
    connection: sqlite3.Connection, postings: Postings, terms: Sequence[int], there: Allowed, bm25: Mapping[int, float]
) -> dict[int, dict[str, float]]:
    """`ranking.around` by cube, for the allowed cubes that it says anything of; neighbours are allowed cubes too."""
    if not there.count:
        return {}
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
        _sessions(connection, there.seq[near]),
        documents=there.count,
        average=there.average,
    )
    names, table = list(found), np.stack(list(found.values()))
    told = np.flatnonzero((table[:3] > 0.0).any(axis=0))
    scores = table[:, told].T.tolist()
    return {
        seq: dict(zip(names, row, strict=True)) for seq, row in zip(there.seq[near][told].tolist(), scores, strict=True)
    }


def _near_the_best(there: Allowed, bm25: Mapping[int, float]) -> Numbers:
    """The places to look at: all of a few cubes, else the best by their own words with what stands around them."""
    if there.count <= ranking.CONTEXT_ROWS:
        return np.arange(there.count)
    best = sorted(bm25, key=lambda seq: (-bm25[seq], seq))[:BEST]
    places = np.searchsorted(there.seq, np.array(best, dtype=np.int64))
    wide = (places[:, None] + np.arange(-REACH, REACH + 1)).ravel()
    return np.unique(wide[(wide >= 0) & (wide < there.count)])


def _sessions(connection: sqlite3.Connection, seqs: Numbers) -> Numbers:
    """What each cube's session is called, else its thread, as a number; 0 for neither."""
    rows = connection.execute(
        """SELECT l.cube, l.kind, l.value FROM json_each(?) AS asked CROSS JOIN labels AS l ON l.cube = asked.value
        WHERE l.kind IN (?, ?) ORDER BY l.kind""",
        (json.dumps(seqs.tolist()), int(Kind.THREAD), int(Kind.SESSION)),
    ).fetchall()
    cubes, _, values = integers(rows, 3)
    sessions = np.zeros(seqs.size, dtype=np.int64)
    sessions[np.searchsorted(seqs, cubes)] = values  # threads first: a session is the narrower of the two
    return sessions
