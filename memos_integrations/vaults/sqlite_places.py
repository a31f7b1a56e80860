"""In which namespaces a tenant's visible cubes stand, and the number of the tenant's last change."""

from __future__ import annotations

import json
import sqlite3

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import CubeFilter, Visibility
from memos_integrations.vaults.allowed import Asked, allowed
from memos_integrations.vaults.numbering import Kind
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.sqlite_search import Searching, cubes_at, tenant_at

_BY_LABELS = """SELECT min(cube), named FROM (
        SELECT l.cube AS cube, group_concat(l.value) AS named FROM json_each(?) AS asked
        CROSS JOIN labels AS l ON l.cube = asked.value AND l.kind = ? GROUP BY l.cube
    ) GROUP BY named"""


def places(connection: sqlite3.Connection, by: Searching, wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
    """One visible cube of every namespace; see `Vault.places`. Reads the labels of all, the bodies of these alone.

    A cube has a label for each beginning of its namespace, in the order of their hashes: equal lists, equal namespaces.
    """
    tenant, changed = tenant_at(connection, visible.tenant)
    if tenant is None:
        return []
    asked = Asked(connection, by.words, tenant, visible, wanted, by.check_ids)
    there = allowed(asked, by.columns.at(connection, tenant, changed))
    seqs = json.dumps(there.seq.tolist())
    found = [row[0] for row in connection.execute(_BY_LABELS, (seqs, int(Kind.NAMESPACE)))]
    cubes = [cube for _, cube in cubes_at(connection, by.handing, visible.tenant, found)]
    return sorted(cubes, key=lambda cube: cube.namespace)


def generation(connection: sqlite3.Connection, tenant: str) -> int:
    """The commit of the tenant's last change that a search could notice; see `Vault.generation`."""
    return tenant_at(connection, tenant)[1] if storable(tenant) else 0
