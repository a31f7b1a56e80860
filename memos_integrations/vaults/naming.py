"""Whether the cubes that a key or a link names are the ones that were sealed, one by one.

For tenants that are too large to be added up (see `witness.py`): there a row of `cubes`, `keys` or `links` that was
edited is met only when something is given by it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Literal

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.integrity import Sealed, sealed
from memos_integrations.vaults.marks import keys_mark, links_mark
from memos_integrations.vaults.seals import MARKS, Sealer

Naming = Literal["keys", "links"]


def check_named(
    connection: sqlite3.Connection, sealer: Sealer, tenant: str, group: Naming, seqs: Iterable[int]
) -> None:
    """Refuse the numbers of cubes whose row, or whose keys or links, are not what was sealed.

    Raises:
        IntegrityError: One of them is not; it is named.
    """
    asked = set(seqs)
    rows = list(sealed(connection, "c.seq IN (SELECT value FROM json_each(?))", (json.dumps([*asked]),)))
    for row in rows:
        problem = row.problem(sealer)
        if problem is None and row.tenant != tenant:
            problem = "stands in a tenant that is not its own"
        if problem is None and _mark(connection, sealer, group, row) != row.marks[MARKS.index(group)]:
            problem = f"has {group} that do not match its seal"
        if problem is not None:
            raise IntegrityError(f"Cube {row.cube_id!r} {problem}", row.cube_id)
    if len(rows) < len(asked):
        raise IntegrityError(f"A cube of tenant {tenant!r} that its {group} name is missing")


def _mark(connection: sqlite3.Connection, sealer: Sealer, group: Naming, row: Sealed) -> bytes:
    if group == "keys":
        return keys_mark(sealer, [key for (key,) in connection.execute(_KEYS, (row.seq,))])
    return links_mark(sealer, connection.execute(_LINKS, (row.seq,)).fetchall())


_KEYS, _LINKS = "SELECT key FROM keys WHERE cube = ?", "SELECT relation, target FROM links WHERE cube = ?"
