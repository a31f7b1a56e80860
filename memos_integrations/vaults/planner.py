"""Which vectors are nearest: the way is chosen by how many rows may be looked at.

Sealed segments give most rows, the table the rest (the tail, kept in memory for the tenants asked last). A tenant's
rows lie together, so a search never touches another tenant's. All ways are exact but the last, which is for more than
`EXACT_MOST` rows: there 1-bit codes (RaBitQ, Gao and Long 2024; nothing is trained on) propose candidates, which are
scored exactly; as many more are asked for as it takes to have enough of them allowed. There nothing else may be done
row by row, so which of the rows are allowed is worked out once and kept (`Matches`).
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
from memos_integrations.vaults.codes import Codes
from memos_integrations.vaults.columns import Numbers
from memos_integrations.vaults.segments import Segment

EXACT_MOST = 20_000
"""Up to so many rows every one is scored."""

TAIL_BYTES = 128_000_000
"""How many vectors from the table are kept in memory at most."""

NO_NUMBERS: Numbers = np.zeros(0, dtype=np.int64)
_EPS = float(np.finfo(np.float32).eps)
_PER_HIT, _LEAST = 24, 320
_SCAN_SHARE, _CODES_SHARE = 4, 8
_CODES_MOST, _SURE = 16, 2.5
_MATCHES = 16

Scores = npt.NDArray[np.float32]
NO_SCORES: Scores = np.zeros(0, dtype=np.float32)


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
    """The k nearest to `query` among those of a tenant's vectors that have these sorted `numbers`.

    `numbers` is never changed: the same array is the same question.
    """

    tenant: int
    query: Vectors
    numbers: Numbers
    k: int


@dataclass(frozen=True, slots=True)
class Match:
    """Which of the numbers sought a segment holds: places among those sought, and in the tenant's rows there.

    `back` is the way from a row to its place, -1 where it is not sought; None when all rows are.
    """

    mine: Numbers | slice
    rows: Numbers | slice
    count: int
    back: Numbers | None


class Matches:
    """The matches of the last questions about very many rows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, str], tuple[Numbers, Match]] = OrderedDict()

    def of(self, numbers: Numbers, segment: Segment, span: tuple[int, int]) -> Match:
        """Which of the numbers stand in a tenant's span of a segment."""
        if numbers.size <= EXACT_MOST:
            return matched(numbers, segment.numbers[slice(*span)])
        key = (id(numbers), segment.piece.name)
        with self._lock:
            held = self._held.get(key)
            if held is not None and held[0] is numbers:
                self._held.move_to_end(key)
                return held[1]
        match = matched(numbers, segment.numbers[slice(*span)])
        with self._lock:
            self._held[key] = numbers, match
            while len(self._held) > _MATCHES:
                self._held.popitem(last=False)
        return match


def matched(numbers: Numbers, held: Numbers) -> Match:
    """Which of the sorted *numbers* are among those that are *held*, sorted too."""
    if numbers.size == held.size and (numbers == held).all():  # the whole tenant, as in most searches
        return Match(slice(0, held.size), slice(None), held.size, None)
    first = int(np.searchsorted(numbers, held[0]))
    last = int(np.searchsorted(numbers, held[-1], side="right"))
    if last - first == held.size and np.array_equal(numbers[first:last], held):
        return Match(slice(first, last), slice(None), held.size, None)
    part = numbers[first:last]
    rows = np.searchsorted(held, part)
    there = np.flatnonzero(held[rows] == part)
    back = np.full(held.size, -1, dtype=np.int64)
    back[rows[there]] = there + first
    return Match(there + first, rows[there], there.size, back)


class Plan:
    """One search among a tenant's vectors: which way each part is gone, and what came of it."""

    def __init__(self, sought: Sought, matches: Matches) -> None:
        import faiss

        self._faiss: Any = faiss
        self._tenant, self._k, self._numbers = sought.tenant, sought.k, sought.numbers
        self._query = np.ascontiguousarray(sought.query, dtype=np.float32)
        self._matches = matches
        self._looked_at: list[Match] = []
        self._unsound: list[Numbers] = []
        self._scored: list[tuple[Numbers, Scores]] = []
        self._open: Numbers = NO_NUMBERS
        self._ways: dict[str, int] = {}

    def among(self, segment: Segment, codes: Codes | None) -> None:
        """Score what a segment holds of the numbers."""
        start, stop = segment.span(self._tenant)
        if start == stop or not self._numbers.size:
            return
        match = self._matches.of(self._numbers, segment, (start, stop))
        if not match.count:
            return
        self._looked_at.append(match)
        if codes is not None and match.count > EXACT_MOST and match.count * _CODES_SHARE >= stop - start:
            self._by_codes(segment, codes, (start, stop), match)
        elif match.count * _SCAN_SHARE > stop - start:
            self._contiguous(segment, (start, stop), match, "a contiguous scan")
        else:
            places = np.arange(start, stop)[match.rows]
            rows = segment.rows[places]
            self._take(_places(match.mine), self._scan(rows), segment.sound_at(places, rows))
            self._told("a scan by id list", match.count)

    def rest(self, connection: sqlite3.Connection, tail: Tail) -> None:
        """Score what no segment holds."""
        left = self._left()
        self._open = left
        if not left.size:
            return
        there, rows = tail.rows(connection, self._tenant, self._numbers[left])
        if there.size:
            places = np.minimum(np.searchsorted(there, self._numbers[left]), there.size - 1)
            known = there[places] == self._numbers[left]
            places = places[known]
            whole = places.size * _SCAN_SHARE > there.size
            self._take(left[known], self._scan(rows)[places] if whole else self._scan(rows[places]), None)
            self._open = left[~known]
        self._told("rows from the table", left.size)

    def best(self) -> tuple[Numbers, str]:
        """The places of the numbers that hold the k best, and perhaps some more; and how they were found."""
        places, scores = NO_NUMBERS, NO_SCORES
        if len(self._scored) == 1:
            places, scores = self._scored[0]
        elif self._scored:
            places, scores = (np.concatenate(parts) for parts in zip(*self._scored, strict=True))
        if places.size > self._k > 0:
            # Twice the worst rounding of a single-precision dot product of unit rows, on either side.
            margin = 4.0 * self._query.size * _EPS
            nth = scores.size - self._k
            places = places[scores >= np.partition(scores, nth)[nth] - margin]
        # What could not be scored is proposed too: reading it from the table says what is wrong with it.
        best = places if self._k > 0 else places[:0]
        if self._open.size and self._k > 0:
            best = np.concatenate([best, self._open])
        ways = ", ".join(f"{way} of {count:,}" for way, count in self._ways.items())
        exact = "cosine" if "codes and exact" in ways else "exact cosine"
        return best, f"{exact} ({ways})" if ways else exact

    # --- parts

    def _left(self) -> Numbers:
        """The places that no segment gave a score."""
        if not self._unsound and sum(match.count for match in self._looked_at) == self._numbers.size:
            return NO_NUMBERS
        left = np.ones(self._numbers.size, dtype=np.bool_)
        for match in self._looked_at:
            left[match.mine] = False
        for places in self._unsound:
            left[places] = True
        return np.flatnonzero(left)

    def _take(self, mine: Numbers, scores: Scores, sound: npt.NDArray[np.bool_] | None) -> None:
        if sound is not None and not sound.all():
            self._unsound.append(mine[~sound])
            mine, scores = mine[sound], scores[sound]
        self._scored.append((mine, scores))

    def _told(self, way: str, count: int) -> None:
        self._ways[way] = self._ways.get(way, 0) + int(count)

    def _scan(self, rows: Vectors) -> Scores:
        out = np.empty(rows.shape[0], dtype=np.float32)
        ptr = self._faiss.swig_ptr
        self._faiss.fvec_inner_products_ny(ptr(out), ptr(self._query), ptr(rows), rows.shape[1], rows.shape[0])
        return out

    def _by_codes(self, segment: Segment, codes: Codes, span: tuple[int, int], match: Match) -> None:
        """Propose by codes, keep what is allowed, score it exactly; ask for more until k survive and it is sure.

        It is sure when a row whose exact score is that of the k-th best would have had to be told wrong by more than
        `_SURE` times the codes' error to be missing. Where that takes too many rows they are too alike for one bit a
        dimension, and every one is scored.
        """
        start, stop = span
        enough = min(max(_LEAST, _PER_HIT * self._k), match.count)
        asked = -(-enough * (stop - start) // match.count)
        while asked * _CODES_MOST <= stop - start:
            told, found = codes.nearest(self._query, asked)
            hits = found + match.mine.start if match.back is None else match.back[found]  # type: ignore[union-attr]
            found, hits = found[hits >= 0], hits[hits >= 0]
            if hits.size < min(self._k, match.count):
                asked *= 4
                continue
            rows = segment.rows[found + start]
            scores = self._scan(rows)
            nth = scores.size - min(self._k, scores.size)
            least = float(np.partition(scores, nth)[nth]) - _SURE * codes.error
            if told[-1] <= least:
                self._take(hits, scores, segment.sound_at(found + start, rows))
                self._told("1-bit codes and exact scores", match.count)
                return
            # Scores fall by about as much with every fourfold of rows: so many more must be asked for.
            fallen = max(float(told[told.size // 4] - told[-1]), 1e-3)
            asked = int(asked * min(4.0 ** ((float(told[-1]) - least) / fallen + 0.5), 1e6))
        self._contiguous(segment, span, match, "a contiguous scan, as 1-bit codes do not tell them apart,")

    def _contiguous(self, segment: Segment, span: tuple[int, int], match: Match, way: str) -> None:
        sound = segment.sound(*span)
        scores = self._scan(segment.rows[slice(*span)])[match.rows]
        self._take(_places(match.mine), scores, None if sound is None else sound[match.rows])
        self._told(way, match.count)


def _places(part: Numbers | slice) -> Numbers:
    """A slice as the places in it."""
    return np.arange(part.start, part.stop) if isinstance(part, slice) else part
