"""The typed columns of every tenant as they stood at one moment, sealed in a file: a first search reads one slice.

The file is `tenants | changed | starts | checks`, each int64, then the columns of `allowed.py`, cube by cube, those of
a tenant together. Like a segment it is named in the manifest with its size and the SHA-256 of its first part; a slice
of a tenant has a CRC-32, and is held against it before use: one that fails is read from the table.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import numpy as np

from memos_integrations.vaults.columns import COLUMNS, WIDTH, Columns, Numbers, integers
from memos_integrations.vaults.segments import Piece, synced

_BATCH = 10_000


class SealedColumns:
    """One sealed file of columns, mapped.

    Raises:
        ValueError: It is not what the manifest says.
        OSError: It cannot be read.
    """

    def __init__(self, folder: Path, piece: Piece) -> None:
        t, n = piece.tenants, piece.count
        words = 4 * t + 1
        file = folder / piece.name
        if file.stat().st_size != piece.size or piece.size != 8 * (words + WIDTH * n) or n <= 0:
            raise ValueError("wrong size")
        whole = np.memmap(file, dtype=np.uint8, mode="r")
        head = whole[: 8 * words].tobytes()
        if hashlib.sha256(head).hexdigest() != piece.sha256:
            raise ValueError("damaged")
        table = np.frombuffer(head, dtype="<i8")
        self._tenants, self._changed = table[:t], table[t : 2 * t]
        self._starts, self._checks = table[2 * t : 3 * t + 1], table[3 * t + 1 :]
        self._rows: Numbers = np.asarray(whole[8 * words :]).view("<i8").reshape(n, WIDTH)

    def of(self, tenant: int) -> Columns | None:
        """A tenant's columns as they were sealed, with its change number of then."""
        place = int(np.searchsorted(self._tenants, tenant))
        if place == self._tenants.size or self._tenants[place] != tenant:
            return None
        rows = self._rows[self._starts[place] : self._starts[place + 1]]
        if zlib.crc32(rows.tobytes()) != self._checks[place]:
            return None
        return Columns.of(int(self._changed[place]), np.ascontiguousarray(rows.T))


def write_columns(database: Path, connection: sqlite3.Connection) -> Piece | None:
    """Seal the columns of all tenants as of the connection's transaction; None when there is no cube."""
    parts: list[Numbers] = []
    tenants: list[tuple[int, int, int, int]] = []
    for tenant, changed in connection.execute("SELECT number, changed FROM tenants ORDER BY number").fetchall():
        cursor = connection.execute(COLUMNS + "c.tenant = ? ORDER BY c.seq", (tenant,))
        mine = []
        while batch := cursor.fetchmany(_BATCH):
            mine.append(integers(batch, WIDTH).T)
        if mine:
            rows = np.ascontiguousarray(np.concatenate(mine), dtype="<i8")
            tenants.append((tenant, changed, rows.shape[0], zlib.crc32(rows.tobytes())))
            parts.append(rows)
    if not parts:
        return None
    numbers, changes, sizes, checks = integers(tenants, 4)
    head = np.concatenate([numbers, changes, [0], np.cumsum(sizes), checks]).astype("<i8").tobytes()
    name = f"{database.stem}.{token_hex(8)}.faiss"
    aside = database.with_name(f"{name}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(head)
            for rows in parts:
                out.write(rows.tobytes())
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        aside.replace(database.with_name(name))
        synced(database.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return Piece(name, 0, 0, int(sizes.sum()), numbers.size, size, hashlib.sha256(head).hexdigest())
