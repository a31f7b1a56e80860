"""What a vault from before it was added up: added up once, at its first opening, in the transaction of that."""

from __future__ import annotations

import sqlite3

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_write import Head, write_head


def adopt_forgotten(connection: sqlite3.Connection, notary: Notary, sealer: Sealer, head: Head) -> Head:
    """Seal the records of what was forgotten before they were added up; the counters after that.

    Raises:
        IntegrityError: One is not ours, or the counts of a tenant are not what was sealed.
    """
    notary.begin(connection)
    rows = connection.execute(
        "SELECT t.name, f.key, f.mac FROM forgotten AS f JOIN tenants AS t ON t.number = f.tenant"
    ).fetchall()
    if not rows:
        return head
    for tenant, key, mac in rows:
        if sealer.forgotten(tenant, key) != mac:
            raise IntegrityError(f"A record of what was forgotten in tenant {tenant!r} is not ours")
        notary.ledger.note_forgotten(connection, tenant, key, 1)
    return finished(connection, notary, head)


def finished(connection: sqlite3.Connection, notary: Notary, head: Head) -> Head:
    """Count one commit, and seal the counters; these."""
    head = head._replace(commit=head.commit + 1)
    write_head(connection, head)
    notary.finish(connection, head)
    return head
