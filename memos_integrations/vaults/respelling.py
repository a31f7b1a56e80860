"""Labels by which rules know the cubes of a vault from before there were any: added once, at its first opening.

The rows, the mark of each cube's labels, and its seal follow, in the transaction of the opening. What does not match
its seal is left as it stands: it is refused where it is read, and not sealed along here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.integrity import Sealed, sealed
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.marks import labels_mark
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.numbering import Kind, Label, Words
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.seals import MARKS, Sealer
from memos_integrations.vaults.sqlite_rows import labels_of, leaves_of
from memos_integrations.vaults.sqlite_write import Head, tenant_changed, write_head

_PAGE = 1_000
_LABELS = MARKS.index("labels")
_READERS = "SELECT subject FROM audiences WHERE audience = ?"
_BODY = """SELECT v.body, l.lock FROM main.versions AS v LEFT JOIN main.locks AS l ON l.cube = v.cube
    WHERE v.cube = ? AND v.version = ?"""


def respelled(
    connection: sqlite3.Connection, notary: Notary, sealer: Sealer, words: Words, locks: Locks | None
) -> Head:
    """Add the labels that are lacking; the vault's counters after that."""
    head = notary.begin(connection)
    tenants: set[tuple[str, int]] = set()
    for row in (row for page in _pages(connection) for row in page):
        found = _lacking(connection, sealer, row, words, locks)
        if found is None or row.tenant is None:
            continue
        if row.tenant not in notary.ledger.opened:
            notary.ledger.account(connection, row.tenant)  # before its row changes, which its seal covers
        _add(connection, sealer, notary, row, found._replace(commit=head.commit + 1))
        tenants.add((row.tenant, int(str(row.row[2]))))
    return committed(connection, notary, head, tenants)


def committed(connection: sqlite3.Connection, notary: Notary, head: Head, tenants: set[tuple[str, int]]) -> Head:
    """Seal what was made anew in tenants (name and number), as one more commit; none where nothing was."""
    if not tenants:
        return head
    head = head._replace(commit=head.commit + 1)
    notary.ledger.tenants.clear()
    for _, number in tenants:
        tenant_changed(connection, number, head.commit, 0)
    write_head(connection, head)
    notary.finish(connection, head)
    return head


def _pages(connection: sqlite3.Connection) -> Iterator[list[Sealed]]:
    after = 0
    while page := list(sealed(connection, "c.seq > ? ORDER BY c.seq LIMIT ?", (after, _PAGE))):
        yield page
        after = page[-1].seq


def _read(connection: sqlite3.Connection, row: Sealed, locks: Locks | None) -> MemCube | None:
    """The present version of a cube; None where it cannot be read."""
    version = int(str(row.row[3]))
    found = connection.execute(_BODY, (row.seq, version)).fetchone()
    if found is None:
        return None
    body = found[0] if locks is None else locks.opened(found[0], found[1], row.cube_id, version, "body")
    try:
        return unseal(body, row.digest, cube_id=row.cube_id, version=version)
    except IntegrityError:
        return None


class _Lacking(NamedTuple):
    """The labels that a row lacks, the mark that it then has, and the commit in which it gets them."""

    labels: list[Label]
    mark: bytes
    commit: int = 0


def _lacking(
    connection: sqlite3.Connection, sealer: Sealer, row: Sealed, words: Words, locks: Locks | None
) -> _Lacking | None:
    """What a row lacks; None where that is nothing, or where the row is not what was sealed."""
    cube = _read(connection, row, locks)
    if cube is None or row.problem(sealer) is not None:
        return None
    labels, leaves = labels_of(cube, words), leaves_of(cube, words)
    lacking = [label for label in labels if label[0] >= Kind.SPELLED]
    readers = [seen for (seen,) in connection.execute(_READERS, (row.reading[2],))]
    before = labels_mark(sealer, readers, labels[: len(labels) - len(lacking)], leaves)
    if not lacking or before != row.marks[_LABELS]:
        return None
    return _Lacking(lacking, labels_mark(sealer, readers, labels, leaves))


def _add(connection: sqlite3.Connection, sealer: Sealer, notary: Notary, row: Sealed, found: _Lacking) -> None:
    told = [(row.seq, kind, value) for kind, value, _ in found.labels]
    connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", told)
    connection.execute("UPDATE cubes SET changed = ? WHERE seq = ?", (found.commit, row.seq))
    marks = (found.mark, *row.marks[1:])
    mac = sealer.cube((row.tenant, row.digest, row.history, *marks, *row.row[:-1], found.commit))
    connection.execute("UPDATE seals SET mac = ?, labels = ? WHERE cube = ?", (mac, found.mark, row.seq))
    notary.count(connection, row.tenant or "", 0, sealer.share(mac) - sealer.share(row.mac or b""))
