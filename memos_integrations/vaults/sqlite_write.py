"""Apply transactions inside the one write transaction of a commit group. Called by the writer thread only."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from typing import NamedTuple

from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    ForgottenError,
    StillDerivedError,
    VaultCorruptError,
    VersionConflictError,
)
from memos_integrations.core.ports import Direct, EmbedderIdentity, Erase, Expect, Move, Receipt, Room, Use
from memos_integrations.vaults import postings
from memos_integrations.vaults.audit_chain import GENESIS, entry_hash
from memos_integrations.vaults.postings import RECORD_BYTES, rewrite
from memos_integrations.vaults.rules import check_fits, check_same_embedder, identity_from
from memos_integrations.vaults.sqlite_blobs import doom_blobs, name_blobs
from memos_integrations.vaults.sqlite_insert import Row, insert_rows
from memos_integrations.vaults.sqlite_rows import COLUMNS, Prepared, PutRows, VectorRow
from memos_integrations.vaults.sqlite_use import check_given, move_all, use_all
from memos_integrations.vaults.token_rows import store_tokens

BESIDE = (
    "versions",
    "vectors",
    "tokens",
    "words",
    "past",
    "labels",
    "leaves",
    "links",
    "keys",
    "blobs",
    "behaviour",
    "seals",
    "locks",
)
"""Every table beside `cubes` in which a cube has rows. `REFERENCES cubes` on each: SQLite itself refuses to leave one
behind. (`postings` is an index of `words`.)"""

PLACES = {
    "cubes": "SELECT count(*) FROM cubes WHERE seq = ?",
    **{table: f"SELECT count(*) FROM {table} WHERE cube = ?" for table in BESIDE if table != "words"},
    "postings": f"SELECT ifnull(sum(length(packed) / {RECORD_BYTES}), 0) FROM words WHERE cube = ?",
}
"""How much of a cube stands in each place: rows, and terms of full text."""

_ERASE = (*(f"DELETE FROM {table} WHERE cube = ?" for table in reversed(BESIDE)), "DELETE FROM cubes WHERE seq = ?")

_DERIVED = "SELECT 1 FROM links WHERE target = ? AND relation = 'derived_from' LIMIT 1"


class Head(NamedTuple):
    """The vault's counters, read and written inside the write transaction, so that any process may be next."""

    commit: int
    entries: int
    hash: str
    removed: int
    erased: int
    cubes: int
    vectors: int

    @property
    def row(self) -> tuple[object, ...]:
        """As it stands in the table."""
        return (1, *self)


GENESIS_HEAD = Head(0, 0, GENESIS, 0, 0, 0, 0)
"""The counters of a new vault."""


def read_head(connection: sqlite3.Connection) -> Head:
    """The counters as of the connection's transaction.

    Raises:
        VaultCorruptError: They are damaged.
    """
    row = connection.execute(
        "SELECT commit_number, entries, hash, removed, erased, cubes, vectors FROM head"
    ).fetchone()
    if row is None or [type(value) for value in row] != [int, int, str, int, int, int, int]:
        raise VaultCorruptError("The vault's counters are damaged. Restore it from a backup.")
    return Head(*row)


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Store the counters."""
    connection.execute(
        """UPDATE head SET commit_number = ?, entries = ?, hash = ?, removed = ?, erased = ?, cubes = ?,
        vectors = ?""",
        head.row[1:],
    )


def read_identity(connection: sqlite3.Connection) -> EmbedderIdentity | None:
    """The embedder that is bound as of the connection's transaction."""
    return identity_from(dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('embedder', 'dim')")))


def bind(connection: sqlite3.Connection, head: Head, identity: EmbedderIdentity) -> tuple[Head, None]:
    """Remember the embedder, once.

    Raises:
        EmbedderMismatchError: Another one is remembered.
    """
    bound = read_identity(connection)
    check_same_embedder(bound or identity, identity)
    if bound is None:
        rows = {"embedder": identity.name.encode(), "dim": str(identity.dim).encode()}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
    return head._replace(commit=head.commit + 1), None


def apply(connection: sqlite3.Connection, head: Head, transaction: Prepared) -> tuple[Head, Receipt]:
    """Make every change, then the audit entries, and count one commit; the notary numbers the events.

    Raises:
        MemOSError: The transaction is refused; the caller undoes what it did so far.
    """
    head = head._replace(commit=head.commit + 1)
    for kind, changes in groupby(transaction.changes, type):
        if kind is Use:
            use_all(connection, [change for change in changes if isinstance(change, Use)])
        elif kind is Move:
            move_all(connection, head.commit, [change for change in changes if isinstance(change, Move)])
        else:
            for change in changes:
                head = _changed(connection, head, change)
    head = _audit(connection, head, transaction)
    return head, Receipt(head.commit)


def _changed(connection: sqlite3.Connection, head: Head, change: PutRows | VectorRow | Direct) -> Head:
    match change:
        case PutRows():
            return _put(connection, head, change)
        case VectorRow():
            return _put_vector(connection, head, change)
        case Expect():
            _expect(connection, change)
        case Room():
            check_given(connection, change)
        case Erase():
            return _erase(connection, head, change)
    return head


def _current(connection: sqlite3.Connection, cube_id: str) -> tuple[int, int, int, str] | None:
    row: tuple[int, int, int, str] | None = connection.execute(
        "SELECT seq, tenant, version, state FROM cubes WHERE id = ?", (cube_id,)
    ).fetchone()
    return row


def _put(connection: sqlite3.Connection, head: Head, put: PutRows) -> Head:
    cube = put.cube
    tenant = tenant_of(connection, cube.tenant)
    if put.key is not None:
        _check_key(connection, tenant, put)
    row = _current(connection, cube.id)
    if row is None:
        if cube.version != 1:
            raise CubeNotFoundError(cube.id)
        head = head._replace(cubes=head.cubes + 1)
        seq = _insert(connection, head, tenant, put)
    else:
        seq, found_tenant, found, _ = row
        if cube.version - 1 != found:
            raise VersionConflictError(cube.id, cube.version - 1, found)
        if found_tenant != tenant:
            raise CubeNotFoundError(cube.id)
        head = _replace(connection, head, seq, put)
    head = _store_vector(connection, head, seq, put)
    store_tokens(connection, seq, put)
    if row is None:
        connection.execute("INSERT INTO words SELECT ?, ?, ? WHERE length(?3)", (tenant, seq, put.words))
    else:
        rewrite(connection, tenant, seq, put.words)
    _touch(connection, head, tenant, seq, fresh=row is None)
    connection.execute(
        "INSERT INTO versions (cube, version, digest, body) VALUES (?, ?, ?, ?)",
        (seq, cube.version, put.digest, _stored_body(connection, seq, put)),
    )
    connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", [(seq, kind, value) for kind, value, _ in put.labels])
    connection.executemany("INSERT INTO leaves VALUES (?, ?, ?, ?)", [(seq, *leaf) for leaf in put.stored_leaves])
    connection.executemany("INSERT INTO links VALUES (?, ?, ?)", [(seq, *link) for link in put.links])
    name_blobs(connection, seq, (blob.digest for blob in cube.blobs))
    connection.executemany(
        "INSERT OR IGNORE INTO audiences VALUES (?, ?)",
        [(subject, put.audience) for subject in put.subjects],
    )
    if put.key is not None:
        connection.execute("INSERT INTO keys VALUES (?, ?, ?)", (tenant, put.key[1], seq))
    return head


def _touch(connection: sqlite3.Connection, head: Head, tenant: int, seq: int, *, fresh: bool = False) -> None:
    """Leave word that a search would see the cube otherwise than before this commit."""
    connection.execute("UPDATE cubes SET changed = ? WHERE seq = ?", (head.commit, seq))
    tenant_changed(connection, tenant, head.commit, int(fresh))


def tenant_changed(connection: sqlite3.Connection, tenant: int, commit: int, fresh: int) -> None:
    """Leave word that a tenant changed in this commit, also by *fresh* new cubes; make blocks when it is time."""
    update = "UPDATE tenants SET changed = ?, tail = tail + ? WHERE number = ? RETURNING tail"
    ((tail,),) = connection.execute(update, (commit, fresh, tenant)).fetchall()
    if tail >= postings.FOLD_AT:
        postings.fold(connection, tenant)


def tenant_of(connection: sqlite3.Connection, name: str) -> int:
    """The number of a tenant, given now if it has none."""
    row = connection.execute("SELECT number FROM tenants WHERE name = ?", (name,)).fetchone()
    if row is not None:
        return int(row[0])
    return int(connection.execute("INSERT INTO tenants (name) VALUES (?)", (name,)).lastrowid or 0)


def _check_key(connection: sqlite3.Connection, tenant: int, put: PutRows) -> None:
    key = put.key or ("", b"")
    taken = connection.execute(
        "SELECT cubes.id FROM keys JOIN cubes ON cubes.seq = keys.cube WHERE keys.tenant = ? AND keys.key = ?",
        (tenant, key[1]),
    ).fetchone()
    if taken is not None:
        raise AlreadyRememberedError(key[0], taken[0])
    if put.again:
        connection.execute("DELETE FROM forgotten WHERE tenant = ? AND key = ?", (tenant, key[1]))
    elif connection.execute("SELECT 1 FROM forgotten WHERE tenant = ? AND key = ?", (tenant, key[1])).fetchone():
        raise ForgottenError(key[0])


def _insert(connection: sqlite3.Connection, head: Head, tenant: int, put: PutRows) -> int:
    insert_rows(connection, "cubes", [put.row(head.cubes, tenant, None, head.commit)])
    connection.execute("INSERT INTO behaviour VALUES (?, ?)", (head.cubes, put.behaviour))
    if put.lock is not None:
        connection.execute("INSERT INTO locks VALUES (?, ?)", (head.cubes, put.stored_lock))
    return head.cubes


def _replace(connection: sqlite3.Connection, head: Head, seq: int, put: PutRows) -> Head:
    head = _drop_vector(connection, head, seq)
    connection.execute("INSERT INTO past SELECT seq, version, recorded_at, audience FROM cubes WHERE seq = ?", (seq,))
    for table in ("labels", "leaves", "links"):
        connection.execute(f"DELETE FROM {table} WHERE cube = ?", (seq,))
    connection.execute(
        """UPDATE cubes SET version = :version, tier = :tier, quarantined = :quarantined, expires_at = :expires_at,
            occurred_at = :occurred_at, valid_from = :valid_from, valid_to = :valid_to, purposes = :purposes,
            applications = :applications, audience = :audience, length = :length, recorded_at = :recorded_at
        WHERE seq = :seq""",
        {**dict(zip(COLUMNS, put.columns, strict=True)), "recorded_at": put.recorded_at, "seq": seq},
    )
    return head


def _drop_vector(connection: sqlite3.Connection, head: Head, seq: int) -> Head:
    gone = connection.execute("DELETE FROM vectors WHERE cube = ?", (seq,)).rowcount
    if not gone:
        return head
    connection.execute("UPDATE cubes SET vector = NULL WHERE seq = ?", (seq,))
    return head._replace(removed=head.removed + gone)


def _stored_body(connection: sqlite3.Connection, seq: int, put: PutRows) -> bytes:
    """The body of a version as it is stored; a new cube's was sealed where its data key was made."""
    if put.locks is None or put.lock is not None:
        return put.body
    return put.locks.seal_more(connection, seq, put.cube.id, put.cube.version, body=put.body)


def _store_vector(connection: sqlite3.Connection, head: Head, seq: int, change: PutRows | VectorRow) -> Head:
    vector = change.vector
    if vector is None:
        return head
    check_fits(vector, read_identity(connection))
    row = change.sealed if isinstance(change, PutRows) else None
    if row is None:
        row = vector
        if change.locks is not None and change.locks.blind:
            row = change.locks.seal_more(connection, seq, *change.named, vector=row)
    number = head.vectors + 1
    connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (number, seq, row))
    connection.execute("UPDATE cubes SET vector = ? WHERE seq = ?", (number, seq))
    return head._replace(vectors=number)


def _put_vector(connection: sqlite3.Connection, head: Head, change: VectorRow) -> Head:
    row = _current(connection, change.cube_id)
    if row is None:
        raise CubeNotFoundError(change.cube_id)
    seq, tenant, version, _ = row
    if version != change.version:
        raise VersionConflictError(change.cube_id, change.version, version)
    head = _drop_vector(connection, head, seq)
    head = _store_vector(connection, head, seq, change)
    store_tokens(connection, seq, change)
    _touch(connection, head, tenant, seq)
    return head


def _expect(connection: sqlite3.Connection, change: Expect) -> None:
    row = _current(connection, change.cube_id)
    if row is None:
        raise CubeNotFoundError(change.cube_id)
    if row[2] != change.version:
        raise VersionConflictError(change.cube_id, change.version, row[2])


def _erase(connection: sqlite3.Connection, head: Head, change: Erase) -> Head:
    row = _current(connection, change.cube_id)
    if row is None:
        raise CubeNotFoundError(change.cube_id)
    if connection.execute(_DERIVED, (change.cube_id,)).fetchone() is not None:
        raise StillDerivedError(change.cube_id)
    head = _drop_vector(connection, head, row[0])
    _touch(connection, head, row[1], row[0])
    connection.execute("INSERT INTO gone VALUES (?, ?, ?)", (row[1], head.commit, row[0]))
    doom_blobs(connection, row[0])
    rewrite(connection, row[1], row[0], b"")
    for statement in _ERASE:
        connection.execute(statement, (row[0],))
    return head._replace(erased=head.erased + 1)


def _audit(connection: sqlite3.Connection, head: Head, transaction: Prepared) -> Head:
    """Write the audit rows of a transaction, each linked to the one before; the head after them."""
    number, last = head.entries, head.hash
    rows: list[Row] = []
    for outline, raw in transaction.audit:
        number, previous = number + 1, last
        last = entry_hash(number, previous, raw)
        rows.append((number, *outline, raw, previous, last))
    insert_rows(connection, "audit", rows)
    return head._replace(entries=number, hash=last)
