"""Full text in two forms: each cube's words as one row, and blocks by which a search finds the cubes of a word.

`words` holds per cube its terms, as records `(term, how often)`: what a cube's mark covers, and what an erase goes by.
Writing it touches one page. `postings` holds per tenant and term blocks of records `(cube, how often)`, by rising cube.
They are made of many cubes at once, when `FOLD_AT` cubes of a tenant are in no block yet (its tail), so that a term
costs one write per block and not one per cube; tenants with fewer cubes have no blocks at all. A search reads the
blocks of a term, and the words of the tail. Blocks of one term never overlap; each is named by its `first` cube.

What is observable: blocks are a tenant's, and are read before the cubes that the asker may see are picked from them.
Answers, scores, counts and `how` say nothing of others' cubes, but how long a search takes grows with how many cubes of
the same tenant hold the word, by some tenth of a millisecond for thousands of them; whoever can time searches closely
and often may tell a word that is common in the tenant from one that is not. Nothing of other tenants is ever read.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from struct import Struct
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.vaults.sqlite_insert import insert_rows

Numbers = npt.NDArray[np.int64]
Small = npt.NDArray[np.unsignedinteger[Any]]

FOLD_AT = 2048
"""How many cubes of a tenant are in no block before blocks are made of them."""

HELD_BYTES = 64_000_000
"""How much of tails is kept in memory at most, those searched last: of 400 tenants with 1,000 cubes of 16 terms."""

_RECORD = np.dtype([("number", "<i8"), ("tf", "<u4")])
RECORD_BYTES = _RECORD.itemsize
_NUMBER_BYTES = 8

TABLES = (
    """CREATE TABLE words (
        tenant INTEGER NOT NULL, cube INTEGER NOT NULL REFERENCES cubes (seq), packed BLOB NOT NULL,
        PRIMARY KEY (tenant, cube)) WITHOUT ROWID, STRICT""",
    "CREATE INDEX words_by_cube ON words (cube)",
    """CREATE TABLE postings (
        tenant INTEGER NOT NULL, term INTEGER NOT NULL, first INTEGER NOT NULL, packed BLOB NOT NULL,
        PRIMARY KEY (tenant, term, first)) WITHOUT ROWID, STRICT""",
)

_BLOCK = """SELECT first, packed FROM postings WHERE tenant = ? AND term = ? AND first <= ?
    ORDER BY first DESC LIMIT 1"""


def packed(counts: Mapping[int, int]) -> bytes:
    """Numbers and how often each, as records."""
    return _records(len(counts)).pack(*chain.from_iterable(counts.items()))


@lru_cache(1024)
def _records(count: int) -> Struct:
    return Struct("<" + "qI" * count)


_pack_one = Struct("<qI").pack


def record_of_one(term: int) -> bytes:
    """The record of a term that stands once."""
    return _pack_one(term, 1)


def packed_terms(records: Sequence[bytes]) -> bytes:
    """As `packed`, of the `record_of_one` of every term in its order, with repeats."""
    counts = Counter(records)
    if len(counts) == len(records):
        return b"".join(counts)
    return b"".join([one if n == 1 else one[:_NUMBER_BYTES] + n.to_bytes(4, "little") for one, n in counts.items()])


def _unpacked(blobs: Sequence[object]) -> tuple[Numbers, Numbers, Numbers]:
    """The numbers and counts of all records, and how many each blob has.

    Raises:
        VaultCorruptError: One is not made of records.
    """
    try:
        sizes = np.array([len(blob) for blob in blobs], dtype=np.int64)  # type: ignore[arg-type]
        table = np.frombuffer(b"".join(blobs), dtype=_RECORD)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise VaultCorruptError("An index of the vault is damaged. Restore the vault from a backup.") from exc
    if (sizes % RECORD_BYTES).any():
        raise VaultCorruptError("An index of the vault is damaged. Restore the vault from a backup.")
    return table["number"].astype(np.int64), table["tf"].astype(np.int64), sizes // RECORD_BYTES


# --- writing, within a write transaction


def fold(connection: sqlite3.Connection, tenant: int) -> int:
    """Make blocks of the cubes of a tenant's tail; the last cube that may now stand in one."""
    (merged,) = connection.execute("SELECT merged FROM tenants WHERE number = ?", (tenant,)).fetchone()
    cubes, terms, tf = _words(connection, tenant, merged)
    if cubes.size:
        order = np.argsort(terms, kind="stable")  # cubes rise already
        cubes, terms = cubes[order], terms[order]
        table = np.empty(cubes.size, dtype=_RECORD)
        table["number"], table["tf"] = cubes, tf[order]
        raw = table.tobytes()
        starts = np.flatnonzero(np.diff(terms, prepend=terms[0] - 1))
        ends = np.append(starts[1:], cubes.size) * RECORD_BYTES
        rows = [
            (tenant, term, first, raw[start:end])
            for term, first, start, end in zip(
                terms[starts].tolist(),
                cubes[starts].tolist(),
                (starts * RECORD_BYTES).tolist(),
                ends.tolist(),
                strict=True,
            )
        ]
        insert_rows(connection, "postings", rows)
    ((last,),) = connection.execute(
        """UPDATE tenants SET tail = 0, merged = max(merged, (SELECT ifnull(max(seq), 0) FROM cubes WHERE tenant = ?1))
        WHERE number = ?1 RETURNING merged""",
        (tenant,),
    ).fetchall()
    return int(last)


def rewrite(connection: sqlite3.Connection, tenant: int, cube: int, words: bytes) -> None:
    """Give a cube that is there other words; none (`b""`) take it out of the full text."""
    held = connection.execute("SELECT packed FROM words WHERE tenant = ? AND cube = ?", (tenant, cube)).fetchone()
    (merged,) = connection.execute("SELECT merged FROM tenants WHERE number = ?", (tenant,)).fetchone()
    if cube <= merged:
        before, after = _counts(b"" if held is None else held[0]), _counts(words)
        for term in before.keys() | after.keys():
            if before.get(term) != after.get(term):
                _in_block(connection, tenant, term, cube, after.get(term))
    connection.execute("DELETE FROM words WHERE tenant = ? AND cube = ?", (tenant, cube))
    if words:
        connection.execute("INSERT INTO words VALUES (?, ?, ?)", (tenant, cube, words))


def _counts(blob: bytes) -> dict[int, int]:
    numbers, tf, _ = _unpacked([blob])
    return dict(zip(numbers.tolist(), tf.tolist(), strict=True))


def _in_block(connection: sqlite3.Connection, tenant: int, term: int, cube: int, tf: int | None) -> None:
    """Set how often a cube holds a term in the block where it belongs; None takes it out."""
    row = connection.execute(_BLOCK, (tenant, term, cube)).fetchone()
    first = cube if row is None else row[0]
    records = {} if row is None else _counts(row[1])
    if tf is None:
        records.pop(cube, None)
    else:
        records[cube] = tf
    connection.execute("DELETE FROM postings WHERE tenant = ? AND term = ? AND first = ?", (tenant, term, first))
    if records:
        blob = packed(dict(sorted(records.items())))
        connection.execute("INSERT INTO postings VALUES (?, ?, ?, ?)", (tenant, term, min(records), blob))


# --- reading, within a read transaction


def _words(
    connection: sqlite3.Connection, tenant: int, after: int, until: int = (1 << 63) - 1
) -> tuple[Numbers, Numbers, Numbers]:
    """`(cube, term, how often)` of the words of a tenant's cubes above *after*, cube by cube."""
    rows = connection.execute(
        "SELECT cube, packed FROM words WHERE tenant = ? AND cube > ? AND cube <= ? ORDER BY cube",
        (tenant, after, until),
    ).fetchall()
    terms, tf, sizes = _unpacked([row[1] for row in rows])
    return np.repeat(np.array([row[0] for row in rows], dtype=np.int64), sizes), terms, tf


@dataclass(frozen=True, slots=True)
class Tail:
    """The words of a tenant's cubes that no block holds, cube by cube; `merged` is the last cube that one does.

    `ends` says where the records of each of the `seqs` end in `terms` and `tf`.
    """

    changed: int
    merged: int
    seqs: Numbers
    ends: Small
    terms: Numbers
    tf: Small

    @classmethod
    def of_records(cls, changed: int, merged: int, cubes: Numbers, terms: Numbers, tf: Numbers) -> Tail:
        """The tail of records `(cube, term, how often)`, cube by cube, in as little memory as it takes."""
        ends = np.flatnonzero(np.diff(cubes, append=-1)) + 1
        return cls(changed, merged, cubes[ends - 1], _small(ends), np.ascontiguousarray(terms), _small(tf))

    def records(self) -> tuple[Numbers, Numbers, Numbers]:
        """The records that it was made of."""
        ends = self.ends.astype(np.int64)
        return np.repeat(self.seqs, np.diff(ends, prepend=0)), self.terms, self.tf.astype(np.int64)

    def count(self, term: int) -> int:
        """How many of its cubes hold a term."""
        return int(np.count_nonzero(self.terms == term))

    def of(self, term: int) -> tuple[Numbers, Numbers]:
        """The cubes that hold a term, and how often; to look at all of them costs less than to sort them once."""
        here = np.flatnonzero(self.terms == term)
        return self.seqs[self.ends.searchsorted(here, side="right")], self.tf[here].astype(np.int64)

    @property
    def held_bytes(self) -> int:
        """How much memory it takes."""
        return self.seqs.nbytes + self.ends.nbytes + self.terms.nbytes + self.tf.nbytes


def _small(numbers: Numbers) -> Small:
    """Counts as the smallest kind of number that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


class Tails:
    """The tails of the tenants that were searched last, each as of one change number. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[int, Tail] = OrderedDict()
        self._bytes = 0

    def at(self, connection: sqlite3.Connection, tenant: int, changed: int) -> Tail:
        """The tail as of the connection's transaction, in which the tenant's change number is *changed*."""
        (merged,) = connection.execute("SELECT merged FROM tenants WHERE number = ?", (tenant,)).fetchone()
        with self._lock:
            held = self._held.get(tenant)
            if held is not None:
                self._held.move_to_end(tenant)
        if held is not None and (held.changed, held.merged) == (changed, merged):
            return held
        if held is not None and held.merged == merged and held.changed < changed:
            fresh = _level(connection, tenant, held, changed)
        else:
            fresh = Tail.of_records(changed, merged, *_words(connection, tenant, merged))
        with self._lock:
            before = self._held.pop(tenant, None)
            self._bytes += fresh.held_bytes - (0 if before is None else before.held_bytes)
            self._held[tenant] = fresh
            while self._bytes > HELD_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].held_bytes
        return fresh


def _level(connection: sqlite3.Connection, tenant: int, before: Tail, changed: int) -> Tail:
    """The tail *before*, with what was committed since."""
    since = (tenant, before.changed)
    rows = connection.execute(
        """SELECT c.seq, w.packed FROM cubes AS c LEFT JOIN words AS w ON w.tenant = c.tenant AND w.cube = c.seq
        WHERE c.tenant = ? AND c.changed > ? ORDER BY c.seq""",
        since,
    ).fetchall()
    rows = [row for row in rows if row[0] > before.merged]
    gone = connection.execute("SELECT cube FROM gone WHERE tenant = ? AND changed > ?", since).fetchall()
    terms, tf, sizes = _unpacked([row[1] or b"" for row in rows])
    fresh = np.repeat(np.array([row[0] for row in rows], dtype=np.int64), sizes), terms, tf
    told = before.records()
    stale = np.zeros(told[0].size, dtype=np.bool_)
    for seq, *_ in [*rows, *gone]:
        stale[slice(*told[0].searchsorted([seq, seq + 1]))] = True
    if all(np.array_equal(old[stale], new) for old, new in zip(told, fresh, strict=True)):
        return replace(before, changed=changed)  # states moved, as at every first use
    every = [np.concatenate([old[~stale], new]) for old, new in zip(told, fresh, strict=True)]
    order = np.argsort(every[0], kind="stable")
    return Tail.of_records(changed, before.merged, *(column[order] for column in every))


class Postings:
    """What one tenant's full text says of terms, as of the connection's transaction."""

    def __init__(self, connection: sqlite3.Connection, tenant: int, tail: Tail) -> None:
        self.connection, self._tenant, self._tail = connection, tenant, tail
        self._has_blocks = tail.merged > 0

    def count(self, term: int) -> int:
        """How many of the tenant's cubes hold a term; no block is read for it."""
        count = self._tail.count(term)
        if self._has_blocks:
            (size,) = self.connection.execute(
                "SELECT ifnull(sum(length(packed)), 0) FROM postings WHERE tenant = ? AND term = ?",
                (self._tenant, term),
            ).fetchone()
            count += int(size) // RECORD_BYTES
        return count

    def of(self, term: int) -> tuple[Numbers, Numbers]:
        """The cubes that hold a term, rising, and how often each does."""
        cubes, tf = self._tail.of(term)
        if not self._has_blocks:
            return cubes, tf
        rows = self.connection.execute(
            "SELECT packed FROM postings WHERE tenant = ? AND term = ? ORDER BY first", (self._tenant, term)
        ).fetchall()
        numbers, counts, _ = _unpacked([row[0] for row in rows])
        return np.concatenate([numbers, cubes]), np.concatenate([counts, tf])


def _differing(one: tuple[Numbers, ...], two: tuple[Numbers, ...]) -> set[int]:
    """The cubes whose records `(cube, term, how often)` are not the same in both."""
    orders = [np.lexsort(table[::-1]) for table in (one, two)]
    if one[0].size == two[0].size and all((a[orders[0]] == b[orders[1]]).all() for a, b in zip(one, two, strict=True)):
        return set()
    told, said = (set(zip(*(column.tolist() for column in table), strict=True)) for table in (one, two))
    return {cube for cube, _, _ in told ^ said}


def misplaced(connection: sqlite3.Connection, tenant: int) -> list[int]:
    """The cubes of a tenant whose words and blocks do not say the same."""
    row = connection.execute("SELECT merged FROM tenants WHERE number = ?", (tenant,)).fetchone()
    blocks = connection.execute(
        "SELECT term, packed, first FROM postings WHERE tenant = ? ORDER BY term, first", (tenant,)
    ).fetchall()
    cubes, tf, sizes = _unpacked([blob for _, blob, _ in blocks])
    terms = np.repeat(np.array([term for term, _, _ in blocks], dtype=np.int64), sizes)
    odd = _differing((cubes, terms, tf), _words(connection, tenant, 0, row[0]))
    rising = (np.diff(cubes) > 0) | (np.diff(terms) != 0)
    wrong = odd | set(cubes[1:][~rising].tolist())
    firsts = np.array([first for _, _, first in blocks], dtype=np.int64)
    begins = np.cumsum(sizes) - sizes
    misnamed = firsts[(sizes == 0) | (cubes[np.minimum(begins, cubes.size - 1)] != firsts)] if cubes.size else firsts
    return sorted(wrong | set(misnamed.tolist()))
