"""What is known of every tenant's cubes at one moment, sealed in a file: a first read adds up what changed since.

The file is `tenants | changed | starts`, each int64, then per tenant a SHA-256 of its block and its sum, masked, then
the blocks (`verified.py`), tenant by tenant. Like a segment it is named in the manifest with its size and the SHA-256
of its first part; and the manifest is sealed with the vault's key. A block is held against its digest before use: one
that fails counts as not there.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import numpy as np

from memos_integrations.core.errors import IntegrityError, VaultCorruptError
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.segments import Piece, synced
from memos_integrations.vaults.verified import ROW_BYTES, Block, Kept, verified

_DIGEST = 32


class SealedColumns:
    """One sealed file of columns, mapped.

    Raises:
        ValueError: It is not what the manifest says.
        OSError: It cannot be read.
    """

    def __init__(self, folder: Path, piece: Piece, sealer: Sealer) -> None:
        t, n = piece.tenants, piece.count
        size = 8 * (3 * t + 1) + 2 * _DIGEST * t
        file = folder / piece.name
        if file.stat().st_size != piece.size or piece.size != size + ROW_BYTES * n or n <= 0:
            raise ValueError("wrong size")
        whole = np.memmap(file, dtype=np.uint8, mode="r")
        head = whole[:size].tobytes()
        if hashlib.sha256(head).hexdigest() != piece.sha256:
            raise ValueError("damaged")
        table = np.frombuffer(head[: 8 * (3 * t + 1)], dtype="<i8")
        self._tenants, self._changed, self._starts = table[:t], table[t : 2 * t], table[2 * t :]
        self._proofs = head[8 * (3 * t + 1) :]
        self._blocks = np.asarray(whole[size:])
        self._sealer = sealer
        self._proven: dict[int, Kept] = {}

    def of(self, tenant: int) -> Kept | None:
        """What is kept of a tenant; it is held against its digest once."""
        if tenant in self._proven:
            return self._proven[tenant]
        place = int(np.searchsorted(self._tenants, tenant))
        if place == self._tenants.size or self._tenants[place] != tenant:
            return None
        raw = self._blocks[ROW_BYTES * int(self._starts[place]) : ROW_BYTES * int(self._starts[place + 1])]
        proof = self._proofs[2 * _DIGEST * place : 2 * _DIGEST * (place + 1)]
        if hashlib.sha256(raw.data).digest() != proof[:_DIGEST]:
            return None
        changed = int(self._changed[place])
        total = self._sealer.unmasked(_place(tenant), changed, proof[_DIGEST:])
        return self._proven.setdefault(tenant, Kept(changed, Block(raw), total))


def _place(tenant: int) -> str:
    return f"\0columns {tenant}"


def write_columns(
    database: Path, connection: sqlite3.Connection, sealer: Sealer, before: SealedColumns | None
) -> Piece | None:
    """Seal what is known of all tenants as of the connection's transaction; None when there is no cube.

    Every cube is held against its seal, those that are in the file *before* unless they changed since. A tenant that
    does not add up is left out: reading it says what is wrong.
    """
    blocks: list[Kept] = []
    numbers: list[int] = []
    for name, number, changed in connection.execute("SELECT name, number, changed FROM tenants ORDER BY number"):
        kept = None if before is None else before.of(number)
        try:
            known = verified(connection, sealer, (name, number, changed), kept)
            if known is None and kept is not None:
                known = verified(connection, sealer, (name, number, changed), None)
        except (IntegrityError, VaultCorruptError):
            continue
        if known is not None and (now := known.kept()).cubes.count:
            blocks.append(now)
            numbers.append(number)
    if not blocks:
        return None
    counts = [kept.cubes.count for kept in blocks]
    starts = np.cumsum([0, *counts])
    table = np.concatenate([numbers, [kept.changed for kept in blocks], starts]).astype("<i8")
    proofs = [
        hashlib.sha256(kept.cubes.raw.data).digest() + sealer.masked(_place(number), kept.changed, kept.total)
        for number, kept in zip(numbers, blocks, strict=True)
    ]
    head = table.tobytes() + b"".join(proofs)
    name = f"{database.stem}.{token_hex(8)}.faiss"
    aside = database.with_name(f"{name}.tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(head)
            for kept in blocks:
                out.write(kept.cubes.raw.data)
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        aside.replace(database.with_name(name))
        synced(database.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return Piece(name, 0, 0, sum(counts), len(blocks), size, hashlib.sha256(head).hexdigest())
