"""What the doctor looks at beside the database: the search index and the blobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.blobs import BlobFolder
from memos_integrations.vaults.sealed_columns import SealedColumns
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.segments import Manifest, Segment, manifest_file, read_manifest
from memos_integrations.vaults.sqlite_write import read_head

Counted = Iterator[str | None]
"""One item per thing that was looked at: None, or what is wrong with it."""

_BODIES = """SELECT v.cube, c.id, v.version, v.digest, v.body FROM versions AS v JOIN cubes AS c ON c.seq = v.cube
    WHERE instr(v.body, CAST('"media_type"' AS BLOB)) ORDER BY v.number"""


def check_index(connection: sqlite3.Connection, database: Path, sealer: Sealer | None) -> Counted:
    """The search index, against the tables and its own digests."""
    manifest = read_manifest(manifest_file(database))
    if manifest is None:
        if manifest_file(database).exists():
            yield "the index's manifest cannot be read"
        return
    (vault,) = connection.execute("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'vault'").fetchone() or (None,)
    if (manifest.vault, manifest.erased) != (vault, read_head(connection).erased):
        yield "the index is of another vault, or from before something was erased"
    if sealer is not None:
        yield from _columns(manifest, database, sealer)
    for piece in manifest.pieces:
        try:
            segment = Segment(database.parent, piece, manifest.dim)
        except (OSError, ValueError) as exc:
            yield f"segment {piece.name} is damaged ({exc})"
            continue
        rows = dict(
            connection.execute(
                "SELECT number, row FROM vectors WHERE number BETWEEN ? AND ?", (piece.first, piece.last)
            )
        )
        wrong = sum(
            number in rows and rows[number] != row.astype("<f4").tobytes()
            for number, row in zip(segment.numbers.tolist(), segment.rows, strict=True)
        )
        yield f"segment {piece.name} holds {wrong} rows other than the table's" if wrong else None


def _columns(manifest: Manifest, database: Path, sealer: Sealer) -> Counted:
    if manifest != manifest.sealed(sealer):
        yield "the index was not sealed with this vault's key"
    elif manifest.columns is not None:
        try:
            SealedColumns(database.parent, manifest.columns, sealer)
            yield None
        except (OSError, ValueError) as exc:
            yield f"the sealed columns {manifest.columns.name} are damaged ({exc})"


def check_blobs(connection: sqlite3.Connection, shelf: BlobFolder, *, clear: bool) -> Counted:
    """The blobs that are named; where bodies can be read (*clear*), also whether all that they name are.

    A blob that only a body names has lost its row; before any blob goes the rows are made anew.
    """
    for cube_id, digest in connection.execute(
        "SELECT c.id, b.digest FROM blobs AS b JOIN cubes AS c ON c.seq = b.cube ORDER BY b.digest"
    ):
        yield None if shelf.fits(digest) else f"blob {digest} of cube {cube_id!r} is missing or damaged"
    for seq, cube_id, version, digest, body in connection.execute(_BODIES) if clear else ():
        try:
            named = unseal(body, digest, cube_id=cube_id, version=version).blobs
        except IntegrityError:
            continue  # told where digests are looked at
        for blob in named:
            if connection.execute("SELECT 1 FROM blobs WHERE cube = ? AND digest = ?", (seq, blob.digest)).fetchone():
                continue
            yield f"blob {blob.digest} of cube {cube_id!r} is not noted as in use"
