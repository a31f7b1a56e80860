"""Whether SQLite's own indexes say the same as their tables, for what one tenant's reads go by.

SQLite does not notice a changed entry of an index: a lookup then misses a row that is there, or filters by a value that
the row does not have. The sums of the seals are made from the tables, so they do not show it.
"""

from __future__ import annotations

import sqlite3

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.postings import misplaced

_TENANT = "SELECT count(*) FROM tenants NOT INDEXED WHERE name = ?1 AND number IS NOT ?2"

_CUBES = """SELECT count(*) FROM cubes AS c INDEXED BY cubes_by_tenant WHERE c.tenant = ?1 AND NOT EXISTS (
    SELECT 1 FROM cubes AS d WHERE d.seq = c.seq AND d.tenant IS c.tenant AND d.audience IS c.audience
        AND d.state IS c.state AND d.tier IS c.tier AND d.quarantined IS c.quarantined
        AND d.expires_at IS c.expires_at AND d.purposes IS c.purposes AND d.applications IS c.applications
        AND d.occurred_at IS c.occurred_at AND d.length IS c.length AND d.vector IS c.vector
        AND d.valid_from IS c.valid_from AND d.valid_to IS c.valid_to AND d.recorded_at IS c.recorded_at
        AND d.seq = (SELECT i.seq FROM cubes AS i INDEXED BY sqlite_autoindex_cubes_1 WHERE i.id = d.id))"""

_LINKS = """SELECT count(*) FROM cubes AS c JOIN links AS l ON l.cube = c.seq WHERE c.tenant = ?1 AND NOT EXISTS (
    SELECT 1 FROM links AS i INDEXED BY links_by_target
    WHERE i.target = l.target AND i.cube = l.cube AND i.relation = l.relation)"""


def check_lookups(connection: sqlite3.Connection, tenant: str) -> None:
    """Hold the indexes by which a tenant's cubes are found and filtered against the table.

    Raises:
        IntegrityError: An entry does not match its row.
    """
    found = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    number = None if found is None else found[0]
    if connection.execute(_TENANT, (tenant, number)).fetchone()[0]:
        raise _refusal("tenants")
    if number is not None and connection.execute(_CUBES, (number,)).fetchone()[0]:
        raise _refusal("cubes")


def check_link_lookups(connection: sqlite3.Connection, tenant: str) -> None:
    """Hold the index by which links are found from their end against the table.

    Raises:
        IntegrityError: An entry is missing.
    """
    found = connection.execute("SELECT number FROM tenants WHERE name = ?", (tenant,)).fetchone()
    if found is not None and connection.execute(_LINKS, found).fetchone()[0]:
        raise _refusal("links")


def check_word_lookups(connection: sqlite3.Connection, tenant: int) -> None:
    """Hold the blocks by which a tenant's cubes are found by their words against the words.

    Raises:
        IntegrityError: A block says something else; a cube of which it does is named.
    """
    for seq in misplaced(connection, tenant):
        found = connection.execute("SELECT id FROM cubes WHERE seq = ?", (seq,)).fetchone()
        named = f"number {seq}" if found is None else repr(found[0])
        raise IntegrityError(f"Full text finds cube {named} by other words than were sealed", found and found[0])


def _refusal(what: str) -> IntegrityError:
    return IntegrityError(f"An index of the table of {what} does not match the table")
