"""Which vectors are nearest: the way is chosen by how many rows may be looked at.

Sealed segments give most rows, the table the rest (the tail, kept in memory for the tenants asked last). A tenant's
rows lie together, so a search never touches another tenant's. All ways are exact but the last, which is for more than
`EXACT_MOST` rows: there 1-bit codes (RaBitQ, Gao and Long 2024; nothing is trained on) propose candidates, which are
scored exactly; as many more are asked for as it takes to have enough of them allowed.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ports import Vectors
from memos_integrations.vaults.allowed import Numbers
from memos_integrations.vaults.codes import Codes
from memos_integrations.vaults.segments import Segment

EXACT_MOST = 20_000
"""Up to so many rows every one is scored."""

TAIL_BYTES = 128_000_000
"""How many vectors from the table are kept in memory at most."""

_PER_HIT, _LEAST = 24, 320
_SCAN_SHARE, _CODES_SHARE = 4, 8

Scores = npt.NDArray[np.float32]


class Tail:
    """Vectors that no segment holds, by tenant, as they were read from the table. Thread-safe.

    A vector's number is never used twice, so what was read once stays true.
    """

    def __init__(self, dim: int) -> None:
        self._dim, self._lock = dim, threading.Lock()
        self._held: OrderedDict[int, tuple[Numbers, Vectors]] = OrderedDict()
        self.loaded = 0

    def rows(self, connection: sqlite3.Connection, tenant: int, numbers: Numbers) -> tuple[Numbers, Vectors]:
        """Sorted numbers with their rows: those asked for that have one of the right width, and perhaps others."""
        with self._lock:
            held = self._held.get(tenant) or (np.zeros(0, dtype=np.int64), np.zeros((0, self._dim), dtype=np.float32))
        missing = numbers[~np.isin(numbers, held[0])]
        if not missing.size:
            return held
        there, content = held[0], [held[1]]
        found = connection.execute(
            "SELECT number, row FROM vectors WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number",
            (json.dumps(missing.tolist()),),
        )
        rows = [(n, row) for n, row in found if isinstance(row, bytes) and len(row) == 4 * self._dim]
        content.append(np.frombuffer(b"".join(row for _, row in rows), dtype="<f4").reshape(-1, self._dim))
        there = np.concatenate([there, np.array([number for number, _ in rows], dtype=np.int64)])
        order = np.argsort(there)
        fresh = there[order], np.ascontiguousarray(np.concatenate(content)[order])
        with self._lock:
            self.loaded += len(rows)
            self._held[tenant] = fresh
            self._held.move_to_end(tenant)
            while sum(each[1].nbytes for each in self._held.values()) > TAIL_BYTES and len(self._held) > 1:
                self._held.popitem(last=False)
        return fresh


@dataclass(frozen=True, slots=True)
class Sought:
    """The k nearest to `query` among those of a tenant's vectors that have these sorted `numbers`."""

    tenant: int
    query: Vectors
    numbers: Numbers
    k: int


class Plan:
    """One search among a tenant's vectors: which way each part is gone, and what came of it."""

    def __init__(self, sought: Sought) -> None:
        import faiss

        self._faiss: Any = faiss
        self._tenant, self._k, self._numbers = sought.tenant, sought.k, sought.numbers
        self._query = np.ascontiguousarray(sought.query, dtype=np.float32)
        self._scores: Scores = np.full(sought.numbers.size, np.nan, dtype=np.float32)
        self._open = np.ones(sought.numbers.size, dtype=np.bool_)
        self._ways: dict[str, int] = {}

    def among(self, segment: Segment, codes: Codes | None) -> None:
        """Score what a segment holds of the numbers."""
        start, stop = segment.span(self._tenant)
        if start == stop or not self._numbers.size:
            return
        mine, rows = self._matched(segment.numbers[start:stop])
        if not mine.size:
            return
        whole = rows.size == stop - start
        if codes is not None and rows.size > EXACT_MOST and rows.size * _CODES_SHARE >= stop - start:
            self._by_codes(segment, codes, (start, stop), mine, rows)
        elif whole or rows.size * _SCAN_SHARE > stop - start:
            sound = segment.sound(start, stop)
            scores = self._scan(segment.rows[start:stop])
            self._take(mine, scores if whole else scores[rows], None if sound is None else sound[rows])
            self._told("a contiguous scan", rows.size)
        else:
            places = rows + start
            self._take(mine, self._at(segment.rows, places), segment.sound_at(places))
            self._told("a scan by id list", rows.size)

    def rest(self, connection: sqlite3.Connection, tail: Tail) -> None:
        """Score what no segment holds."""
        left = np.flatnonzero(self._open)
        if not left.size:
            return
        there, rows = tail.rows(connection, self._tenant, self._numbers[left])
        if there.size:
            places = np.minimum(np.searchsorted(there, self._numbers[left]), there.size - 1)
            known = there[places] == self._numbers[left]
            places = places[known]
            scores = self._scan(rows)[places] if places.size * _SCAN_SHARE > there.size else self._at(rows, places)
            self._take(left[known], scores, None)
        self._told("rows from the table", left.size)

    def best(self) -> tuple[Numbers, str]:
        """The places of the numbers that hold the k best, and perhaps some more; and how they were found."""
        known = np.flatnonzero(~np.isnan(self._scores))
        scores = self._scores[known]
        if known.size > self._k > 0:
            # Twice the worst rounding of a single-precision dot product of unit rows, on either side.
            margin = 4.0 * self._query.size * float(np.finfo(np.float32).eps)
            known = known[scores >= np.partition(scores, scores.size - self._k)[scores.size - self._k] - margin]
        # What could not be scored is proposed too: reading it from the table says what is wrong with it.
        best = np.concatenate([known, np.flatnonzero(self._open)]) if self._k > 0 else known[:0]
        ways = ", ".join(f"{way} of {count:,}" for way, count in self._ways.items())
        exact = "cosine" if "1-bit codes" in ways else "exact cosine"
        return best, f"{exact} ({ways})" if ways else exact

    # --- parts

    def _matched(self, held: Numbers) -> tuple[Numbers, Numbers]:
        """Places of the numbers that are *held*, and the places where."""
        numbers = self._numbers
        if numbers.size >= held.size and np.array_equal(numbers[: held.size], held):
            mine = np.arange(held.size)
            return mine, mine
        rows = np.minimum(np.searchsorted(held, numbers), held.size - 1)
        mine = np.flatnonzero((held[rows] == numbers) & self._open)
        return mine, rows[mine]

    def _take(self, mine: Numbers, scores: Scores, sound: npt.NDArray[np.bool_] | None) -> None:
        if sound is not None:
            mine, scores = mine[sound], scores[sound]
        self._scores[mine] = scores
        self._open[mine] = False

    def _told(self, way: str, count: int) -> None:
        self._ways[way] = self._ways.get(way, 0) + int(count)

    def _scan(self, rows: Vectors) -> Scores:
        out = np.empty(rows.shape[0], dtype=np.float32)
        ptr = self._faiss.swig_ptr
        self._faiss.fvec_inner_products_ny(ptr(out), ptr(self._query), ptr(rows), rows.shape[1], rows.shape[0])
        return out

    def _at(self, rows: Vectors, places: Numbers) -> Scores:
        out = np.empty(places.size, dtype=np.float32)
        places, ptr = np.ascontiguousarray(places, dtype=np.int64), self._faiss.swig_ptr
        self._faiss.fvec_inner_products_by_idx(
            ptr(out), ptr(self._query), ptr(rows), ptr(places), rows.shape[1], 1, places.size
        )
        return out

    def _by_codes(self, segment: Segment, codes: Codes, span: tuple[int, int], mine: Numbers, rows: Numbers) -> None:
        """Propose by codes, keep what is allowed, score it exactly; ask for more until enough survive."""
        start, stop = span
        enough = max(_LEAST, _PER_HIT * self._k)
        mine_at = None
        if rows.size < stop - start:
            mine_at = np.full(stop - start, -1, dtype=np.int64)
            mine_at[rows] = mine
        asked = enough
        while True:
            asked = min(asked, stop - start)
            found = codes.nearest(self._query, asked)
            hits = mine[found] if mine_at is None else mine_at[found]
            found, hits = found[hits >= 0], hits[hits >= 0]
            if hits.size >= min(enough, rows.size) or asked == stop - start:
                break
            asked *= 4
        if hits.size < min(enough, rows.size):  # damaged codes: every row is looked at instead
            found, hits = rows, mine
        places = found + start
        self._open[mine] = False
        sound = segment.sound_at(places)
        self._open[hits[~sound]] = True
        self._take(hits, self._at(segment.rows, places), sound)
        self._told("1-bit codes and exact scores", rows.size)
