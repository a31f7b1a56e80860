"""A tenant's cubes held against its tally, by what changed since they were sealed in a file of their own.

A file of sealed columns (`sealed_columns.py`) keeps, for every cube of a tenant at one change number, its columns, its
seal, the marks of its labels and links, a keyed hash of its id, and what the seals add up to. Later, in another
process, only the rows that changed since are read: each is held against its own seal, and the sum that was sealed, less
the shares of what was replaced or erased, plus those of what came, must be the tenant's tally. Then the columns, and
which seal each cube has, are known for all of them, and were not taken from the table: an edit of an old row changes no
answer, and is refused when that row is handed out. What does not add up is not decided here: the whole tenant is then
added up from the table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
import numpy.typing as npt

from memos_integrations.core.errors import IntegrityError, VaultCorruptError
from memos_integrations.vaults.columns import COLUMNS, SEQ, WIDTH, Columns, Numbers, integers
from memos_integrations.vaults.integrity import read_tally
from memos_integrations.vaults.seals import MARKS, Sealer, added

Bytes = npt.NDArray[np.uint8]

_MAC, _MARK = 32, 16
KEPT_MARKS = ("labels", "links")
"""The groups of rows beside a cube that are held against what was sealed of them without a look at `seals`."""
ROW_BYTES = 8 * (WIDTH + 1) + _MAC + len(KEPT_MARKS) * _MARK
_BATCH = 4_096
_ID = Struct("<q")

_SINCE = (
    COLUMNS.partition(" FROM ")[0]
    + """, s.mac, v.digest IS s.digest, s.digest, s.history, s.labels, s.words, s.links,
        s.vector, s.keys, s.past, c.*, x.row
    FROM cubes AS c LEFT JOIN seals AS s ON s.cube = c.seq LEFT JOIN vectors AS x ON x.cube = c.seq
    LEFT JOIN versions AS v ON v.cube = c.seq AND v.version = c.version
    WHERE c.tenant = ? AND c.changed > ? ORDER BY c.seq"""
)
_MARKS = WIDTH + 2 + 2
_CUBE_ID, _VECTOR = WIDTH + 2 + 8 + 1, _MARKS + MARKS.index("vector")
"""Where the marks, the id and the mark of the vector stand in such a row."""


class Block:
    """Cubes by rising number: `table` as in `columns.py`, `ids` as keyed hashes, `macs`, `marks`; one piece of memory.

    `marks` are those of `KEPT_MARKS`, side by side.
    """

    def __init__(self, raw: Bytes) -> None:
        n = raw.size // ROW_BYTES
        self.raw, self.count = raw, n
        self.table: Numbers = raw[: 8 * WIDTH * n].view("<i8").reshape(WIDTH, n)
        self.ids: Numbers = raw[8 * WIDTH * n : 8 * (WIDTH + 1) * n].view("<i8")
        macs, marks = 8 * (WIDTH + 1) * n, (8 * (WIDTH + 1) + _MAC) * n
        self.macs: Bytes = raw[macs:marks].reshape(n, _MAC)
        self.marks: Bytes = raw[marks:].reshape(n, len(KEPT_MARKS) * _MARK)

    @classmethod
    def of(cls, table: Numbers, ids: Numbers, macs: Bytes, marks: Bytes) -> Block:
        """A block of these columns."""
        parts = [np.ascontiguousarray(part).view(np.uint8).ravel() for part in (table, ids, macs, marks)]
        return cls(np.concatenate(parts))

    def holds(self, seqs: Numbers, macs: Bytes) -> Numbers:
        """Of each cube whether this is its seal: 1, -1 when it has another, 0 when it is not here."""
        return self._alike(seqs, lambda places: (self.macs[places] == macs).all(axis=1))

    def calls(self, seqs: Numbers, ids: Numbers) -> Numbers:
        """Of each cube whether this (hashed) is its id; as `holds`."""
        return self._alike(seqs, lambda places: self.ids[places] == ids)

    def _alike(self, seqs: Numbers, same: Callable[[Numbers], npt.NDArray[np.bool_]]) -> Numbers:
        if not self.count:
            return np.zeros(seqs.size, dtype=np.int64)
        places = np.minimum(self.table[SEQ].searchsorted(seqs), self.count - 1)
        there = self.table[SEQ, places] == seqs
        return np.where(there, np.where(same(places), 1, -1), 0)

    def without(self, seqs: Numbers) -> Block:
        """The others."""
        keep = ~np.isin(self.table[SEQ], seqs)
        return Block.of(self.table[:, keep], self.ids[keep], self.macs[keep], self.marks[keep])


EMPTY = Block(np.zeros(0, dtype=np.uint8))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file keeps of a tenant: its cubes at a change number, and their sum, in clear here."""

    changed: int
    cubes: Block
    total: int

    @property
    def columns(self) -> Columns:
        """Its columns, where they stand."""
        return Columns.of(self.changed, self.cubes.table)


@dataclass(frozen=True, slots=True)
class Verified:
    """A tenant's cubes at a change number, every one known by its seal: what a file keeps, and what changed since.

    `at` is the change number of what the file keeps.
    """

    changed: int
    at: int
    before: Block
    since: Block
    stale: Numbers
    total: int

    def fits(self, seq: int, mac: bytes) -> bool:
        """Whether this is the seal that a cube has."""
        return self.unfit([seq], [mac]) < 0

    def unfit(self, cubes: Sequence[int], macs: Sequence[bytes]) -> int:
        """The place of the first of these cubes that has another seal than this; -1 when all have theirs."""
        for place, mac in enumerate(macs):
            if not isinstance(mac, bytes) or len(mac) != _MAC:
                return place
        seqs, said = np.array(cubes, dtype=np.int64), np.frombuffer(b"".join(macs), dtype=np.uint8).reshape(-1, _MAC)
        later = self.since.holds(seqs, said)
        good = later == 1
        rest = np.flatnonzero(later == 0)
        if rest.size:
            good[rest] = (self.before.holds(seqs[rest], said[rest]) == 1) & ~np.isin(seqs[rest], self.stale)
        wrong = np.flatnonzero(~good)
        return int(wrong[0]) if wrong.size else -1

    def there(self, sealer: Sealer, ids: Sequence[str]) -> str | None:
        """One of these ids that a cube has, or None."""
        wanted = {hashed(sealer, cube_id): cube_id for cube_id in ids}
        asked = np.fromiter(wanted, dtype=np.int64, count=len(wanted))
        before = np.isin(self.before.ids, asked) & ~np.isin(self.before.table[SEQ], self.stale)
        found = [*self.since.ids[np.isin(self.since.ids, asked)].tolist(), *self.before.ids[before].tolist()]
        return wanted[found[0]] if found else None

    def misnamed(self, sealer: Sealer, named: Mapping[int, str]) -> str | None:
        """One of these ids, by number, that is not the cube's; what came later is not known here."""
        if wrong := [cube_id for cube_id in named.values() if not isinstance(cube_id, str)]:  # in a damaged file
            return str(wrong[0])
        seqs, ids = np.array([*named], dtype=np.int64), [*named.values()]
        said = np.frombuffer(b"".join([sealer.called(each)[: _ID.size] for each in ids]), dtype="<i8")
        other = self.since.calls(seqs, said) == -1
        other |= (self.before.calls(seqs, said) == -1) & ~np.isin(seqs, self.stale)
        wrong_at = np.flatnonzero(other)
        return ids[int(wrong_at[0])] if wrong_at.size else None

    def marked(self, seqs: Sequence[int], group: str) -> bytes | None:
        """The marks that these cubes (by rising number) have of a group of `KEPT_MARKS`; None when they are others."""
        cubes, start = self.kept().cubes, _MARK * KEPT_MARKS.index(group)
        return cubes.marks[:, start : start + _MARK].tobytes() if cubes.table[SEQ].tolist() == [*seqs] else None

    def are_named(self, sealer: Sealer, ids: Sequence[str]) -> bool:
        """Whether these are the ids of all cubes, by rising number."""
        if not all(isinstance(each, str) for each in ids):  # an edited row may hold anything
            return False
        return b"".join([sealer.called(each)[: _ID.size] for each in ids]) == self.kept().cubes.ids.tobytes()

    def kept(self) -> Kept:
        """All of it in one block."""
        if not self.since.count and not self.stale.size:
            return Kept(self.changed, self.before, self.total)
        rest = self.before.without(self.stale)
        table = np.concatenate([rest.table, self.since.table], axis=1)
        order = np.argsort(table[SEQ], kind="stable")
        ids, macs = np.concatenate([rest.ids, self.since.ids]), np.concatenate([rest.macs, self.since.macs])
        marks = np.concatenate([rest.marks, self.since.marks])
        return Kept(self.changed, Block.of(table[:, order], ids[order], macs[order], marks[order]), self.total)


def hashed(sealer: Sealer, cube_id: str) -> int:
    """What stands for an id: 8 bytes that tell nothing without the key."""
    return int(_ID.unpack(sealer.called(cube_id)[:8])[0])


def verified(
    connection: sqlite3.Connection, sealer: Sealer, tenant: tuple[str, int, int], kept: Kept | None
) -> Verified | None:
    """A tenant `(name, number, change number)` by what changed since it was *kept*; None when that does not add up.

    Without *kept* every cube is read and held against its seal. The vectors of what was read are held against theirs.

    Raises:
        IntegrityError: The tenant's counts are not what was sealed.
    """
    name, number, changed = tenant
    before, since, total = EMPTY, -1, 0
    if kept is not None:
        if kept.changed > changed:
            return None
        before, since, total = kept.cubes, kept.changed, kept.total
    tally, _ = read_tally(connection, sealer, name)
    try:
        fresh = _fresh(connection, sealer, name, connection.execute(_SINCE, (number, since)))
        gone = connection.execute("SELECT cube FROM gone WHERE tenant = ? AND changed > ?", (number, since)).fetchall()
    except (IntegrityError, VaultCorruptError, TypeError, ValueError, OverflowError):
        return None
    stale = np.unique(np.concatenate([fresh.table[SEQ], integers(gone, 1)[0]]))
    places = np.flatnonzero(np.isin(before.table[SEQ], stale)) if stale.size else stale
    for share in _shares(sealer, before.macs[places]):
        total = added(total, -share)
    for share in _shares(sealer, fresh.macs):
        total = added(total, share)
    if total != tally.total or before.count - places.size + fresh.count != tally.cubes:
        return None
    return Verified(changed, since, before, fresh, stale, total)


def _shares(sealer: Sealer, macs: Bytes) -> Iterator[int]:
    raw = macs.tobytes()
    for start in range(0, len(raw), _MAC):
        yield sealer.share(raw[start : start + _MAC])


def _fresh(connection: sqlite3.Connection, sealer: Sealer, name: str, rows: sqlite3.Cursor) -> Block:
    """The rows as a block, each held against its seal, and its vector too.

    Raises:
        IntegrityError: One does not match, or its version or vector is not the one that was sealed.
    """
    tables, ids, macs, marks = [np.zeros((WIDTH, 0), dtype=np.int64)], list[int](), list[bytes](), list[bytes]()
    while batch := rows.fetchmany(_BATCH):
        for row in batch:
            mac = row[WIDTH]
            good = isinstance(mac, bytes) and row[WIDTH + 1] and sealer.cube((name, *row[WIDTH + 2 : -1])) == mac
            if not good or sealer.vector(row[-1]) != row[_VECTOR]:
                raise IntegrityError(f"Cube {row[_CUBE_ID]!r} does not match its seal", str(row[_CUBE_ID]))
            ids.append(hashed(sealer, row[_CUBE_ID]))
            macs.append(mac)
            marks += [row[_MARKS + MARKS.index(group)] for group in KEPT_MARKS]
        tables.append(integers([row[:WIDTH] for row in batch], WIDTH))
    table = np.concatenate(tables, axis=1)
    raw = [np.frombuffer(b"".join(each), dtype=np.uint8) for each in (macs, marks)]
    return Block.of(table, np.array(ids, dtype="<i8"), *raw)
