"""Which blobs are named: `blobs` says so quickly, the sealed versions are the truth.

A row of `blobs` that is missing would let a blob go that a memory needs. So what the rows add up to stands in `roots`,
under the vault's seal, and is looked at before any file is removed. When it is not right, the rows are made anew from
the versions: like an index, they can be. Of a cube whose versions cannot be read, all rows stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from memos_integrations.core.cube import sha256
from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.adopting import finished
from memos_integrations.vaults.integrity import read_root, sealed
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.seals import Sealer, added
from memos_integrations.vaults.sqlite_blobs import Named
from memos_integrations.vaults.sqlite_write import Head

_NAMING = b'"media_type"'
"""What stands in the body of every version that names a blob."""

_Version = tuple[int, str, int, str, bytes]
"""Of a version: the cube's number and id, its own number, its digest and body."""

_BODIES = """SELECT v.cube, c.id, v.version, v.digest, v.body, l.lock FROM main.versions AS v
    JOIN main.cubes AS c ON c.seq = v.cube LEFT JOIN main.locks AS l ON l.cube = v.cube"""
_IN_CLEAR = f"{_BODIES} WHERE instr(v.body, CAST('{_NAMING.decode()}' AS BLOB))"
_OF_ONE = f"{_BODIES} WHERE v.cube = ? ORDER BY v.version"


def names_hold(connection: sqlite3.Connection, sealer: Sealer) -> bool:
    """Whether the rows of `blobs` are those that were sealed.

    Raises:
        IntegrityError: The vault's counters are not what was sealed.
    """
    total = read_root(connection, sealer).blobs
    for seq, digest in connection.execute("SELECT cube, digest FROM blobs"):
        total = added(total, -sealer.blob(seq, digest))
    return not total


def check_names(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """As `names_hold`.

    Raises:
        IntegrityError: They are not.
    """
    if not names_hold(connection, sealer):
        raise IntegrityError("The list of which cubes name which blobs was changed; the next collection makes it anew")


def names_made(connection: sqlite3.Connection, notary: Notary) -> Head:
    """Within a write transaction: make the rows of `blobs` anew from the versions; the vault's counters after that.

    Raises:
        IntegrityError: The vault's counters are not what was sealed.
    """
    head, sealer, locks = notary.begin(connection), notary.ledger.sealer, notary.ledger.locks
    bodies = _IN_CLEAR if locks is None else _BODIES
    there: Named = {*connection.execute("SELECT cube, digest FROM main.blobs")}
    said: Named = {
        (version[0], digest) for version in _versions(connection, locks, bodies) for digest in _named(version)
    }
    if not there and not said and not notary.ledger.root.blobs:
        return head
    kept = {each for each in there - said if not _is_whole(connection, sealer, each[0], locks)}
    connection.executemany("DELETE FROM main.blobs WHERE cube = ? AND digest = ?", there - said - kept)
    connection.executemany("INSERT INTO main.blobs VALUES (?, ?)", said - there)
    notary.ledger.root.blobs = 0
    notary.ledger.note_blobs(set(), said | kept)
    return finished(connection, notary, head)


def _versions(connection: sqlite3.Connection, locks: Locks | None, bodies: str, *values: object) -> Iterator[_Version]:
    """Versions, their bodies opened."""
    for seq, cube_id, version, digest, body, lock in connection.execute(bodies, values):
        opened = body if locks is None else locks.opened(body, lock, cube_id, version, "body")
        yield seq, cube_id, version, digest, opened


def _named(version: _Version) -> tuple[str, ...]:
    """The blobs that a version names; none where it cannot be read."""
    _, cube_id, number, digest, body = version
    if not isinstance(body, bytes) or _NAMING not in body:
        return ()
    try:
        return tuple(blob.digest for blob in unseal(body, digest, cube_id=cube_id, version=number).blobs)
    except IntegrityError:
        return ()


def _is_whole(connection: sqlite3.Connection, sealer: Sealer, seq: int, locks: Locks | None) -> bool:
    """Whether a cube and all its versions are what was sealed."""
    found = [*_versions(connection, locks, _OF_ONE, seq)]
    history = b""
    for _, _, number, digest, body in found:
        history = sealer.history(history, number, digest)
        if not isinstance(body, bytes) or sha256(body) != digest:
            return False
    rows = [*sealed(connection, "c.seq = ?", (seq,))]
    return all(row.problem(sealer) is None and row.history == history for row in rows)
