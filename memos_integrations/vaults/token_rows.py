"""Token vectors beside a cube: what late interaction looks at, kept so that a new process need not make it again.

A derivative of the words, and as telling as they are: it stands in the vault alone, sealed with the vault's key for
its cube and version, encrypted where the words are, and goes with them. What it holds is the operator's affair.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_rows import PutRows, VectorRow

_MARKED = 17
"""So many bytes stand before the token vectors."""

_OF = """SELECT c.id, c.version, x.row FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    JOIN tenants AS t ON t.number = c.tenant JOIN tokens AS x ON x.cube = c.seq WHERE +t.name = ?"""


def store_tokens(connection: sqlite3.Connection, seq: int, change: PutRows | VectorRow) -> None:
    """Put the token vectors of a version in the place of those of the one before it."""
    connection.execute("DELETE FROM tokens WHERE cube = ?", (seq,))
    row = change.tokens
    if row is None:
        return
    if change.locks is not None and not (isinstance(change, PutRows) and change.lock is not None):
        row = change.locks.seal_more(connection, seq, *change.named, tokens=row)
    connection.execute("INSERT INTO tokens VALUES (?, ?)", (seq, row))


def read_tokens(
    connection: sqlite3.Connection, sealer: Sealer, tenant: str, refs: Sequence[CubeRef]
) -> dict[str, bytes]:
    """The token vectors of those versions that are the present ones and have any, by id.

    Raises:
        IntegrityError: Some are not what was written with their cube; it is named.
    """
    wanted = {ref.id: ref.version for ref in refs if storable(ref.id)}
    if not wanted or not storable(tenant):
        return {}
    found = connection.execute(_OF, (json.dumps([*wanted]), tenant))
    return {
        cube_id: checked_tokens(sealer, cube_id, version, row)
        for cube_id, version, row in found
        if version == wanted[cube_id]
    }


def checked_tokens(sealer: Sealer, cube_id: str, version: int, row: object) -> bytes:
    """The token vectors in a row.

    Raises:
        IntegrityError: It is not what was written with this version of the cube.
    """
    tokens = row[_MARKED:] if isinstance(row, bytes) else b""
    if sealer.token_row(cube_id, version, tokens) != row:
        raise IntegrityError(f"The token vectors of cube {cube_id!r} do not match their seal", cube_id)
    return tokens
