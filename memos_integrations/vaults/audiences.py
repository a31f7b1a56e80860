"""Whether the sets of readers are as they were sealed, without adding up the labels of every cube of a tenant.

The mark of a cube's labels covers who is in its set of readers. So one cube of each set, whose own seal is known, shows
that the set is what it was. Labels themselves are added up only for a search that filters by them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict

import numpy as np

from memos_integrations.core.ports import VaultQuery, Visibility
from memos_integrations.vaults.columns import AUDIENCE, SEQ
from memos_integrations.vaults.integrity import sealed
from memos_integrations.vaults.marks import cube_labels
from memos_integrations.vaults.seals import MARKS, Sealer
from memos_integrations.vaults.verified import Verified

MOST = 64
"""Beyond so many sets of readers all labels are added up."""


def by_labels(query: VaultQuery, visible: Visibility) -> bool:
    """Whether the answer depends on labels or values: by a filter, by sessions, by purpose or application."""
    wanted = query.filter
    if (
        visible.hidden
        or visible.limits
        or visible.anywhere
        or query.around
        or query.as_of is not None
        or visible.purpose is not None
        or visible.application is not None
    ):
        return True
    named = (wanted.semantic_types, wanted.tags, wanted.entities, wanted.speakers, wanted.sessions, wanted.value)
    if any(named) or any(each is not None for each in (wanted.thread_id, wanted.session_id, wanted.created)):
        return True
    return bool(wanted.namespace) and wanted.namespace != (visible.tenant,)


def audiences_hold(connection: sqlite3.Connection, sealer: Sealer, tenant: str, known: Verified) -> bool | None:
    """Whether every set of readers of a tenant's cubes is what was sealed; None when there are too many to look at."""
    parts = [block.table[[SEQ, AUDIENCE]] for block in (known.before, known.since)]
    table = np.concatenate(parts, axis=1)
    there = np.ones(table.shape[1], dtype=np.bool_)
    there[: known.before.count] = ~np.isin(table[0, : known.before.count], known.stale)
    audiences, first = np.unique(table[1, there], return_index=True)
    if audiences.size > MOST:
        return None
    readers: dict[int, list[int]] = defaultdict(list)
    for subject, audience in connection.execute(
        "SELECT subject, audience FROM audiences WHERE audience IN (SELECT value FROM json_each(?))",
        (json.dumps(audiences.tolist()),),
    ):
        readers[audience].append(subject)
    asked = json.dumps(table[0, there][first].tolist())
    rows = list(sealed(connection, "c.seq IN (SELECT value FROM json_each(?)) AND +t.name = ?", (asked, tenant)))
    if len(rows) != audiences.size:
        return False
    for row in rows:
        mac, audience = row.mac, int(str(row.row[13]))
        if mac is None or row.problem(sealer) is not None or not known.fits(row.seq, mac):
            return False
        if cube_labels(connection, sealer, row.seq, readers[audience]) != row.marks[MARKS.index("labels")]:
            return False
    return True
