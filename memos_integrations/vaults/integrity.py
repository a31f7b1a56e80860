"""The tables that hold a vault's seals, and what stands in them: read, and held against the key (see `seals.py`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.seals import Fields, Root, Sealer, Tally, added

TABLES = (
    # What shows that a cube's rows are ours; see `seals.py`.
    """CREATE TABLE seals (
        cube INTEGER PRIMARY KEY REFERENCES cubes (seq), mac BLOB NOT NULL, digest TEXT NOT NULL,
        history BLOB NOT NULL, labels BLOB NOT NULL, words BLOB NOT NULL, links BLOB NOT NULL, vector BLOB NOT NULL,
        keys BLOB NOT NULL, past BLOB NOT NULL, used BLOB NOT NULL) STRICT""",
    """CREATE TABLE tallies (
        tenant TEXT PRIMARY KEY, commit_number INTEGER NOT NULL, cubes INTEGER NOT NULL, total BLOB NOT NULL,
        entries INTEGER NOT NULL, log BLOB NOT NULL, mac BLOB NOT NULL) WITHOUT ROWID, STRICT""",
    """CREATE TABLE roots (
        one INTEGER PRIMARY KEY CHECK (one = 1), tenants INTEGER NOT NULL, total BLOB NOT NULL,
        events INTEGER NOT NULL, outbox BLOB NOT NULL, mac BLOB NOT NULL) STRICT""",
)

_SEALED = """SELECT t.name, s.mac, s.digest, s.history, s.labels, s.words, s.links, s.vector, s.keys, s.past, s.used,
        b.body, v.digest, c.*
    FROM cubes AS c LEFT JOIN tenants AS t ON t.number = c.tenant LEFT JOIN seals AS s ON s.cube = c.seq
    LEFT JOIN behaviour AS b ON b.cube = c.seq
    LEFT JOIN versions AS v ON v.cube = c.seq AND v.version = c.version WHERE """

_AUDIENCE, _RECORDED_AT = 13, 16
"""Where these columns stand in `cubes`."""

MARK_ROWS = """SELECT c.seq, c.id, s.labels, s.words, s.links, s.vector, s.keys, s.past
    FROM cubes AS c LEFT JOIN seals AS s ON s.cube = c.seq WHERE c.tenant = ?"""
"""A tenant's cubes with their marks, in the order of `MARKS` after number and id."""

ENTRY = "SELECT number, tenant, at, actor, owner, cube_id, operation, outcome, previous, hash FROM audit WHERE "


@dataclass(frozen=True, slots=True)
class Sealed:
    """A cube's row with its seal, as they stand in the file: nothing of it is believed before `problem` says None."""

    tenant: str | None
    mac: bytes | None
    digest: str
    history: bytes
    marks: tuple[bytes, ...]
    used: bytes
    behaviour: str
    current: str
    row: Fields

    @property
    def seq(self) -> int:
        """The cube's number in the file."""
        return int(str(self.row[0]))

    @property
    def cube_id(self) -> str:
        """The cube's id."""
        return str(self.row[1])

    @property
    def reading(self) -> Fields:
        """What `past` keeps of the version when it is replaced: version, recorded_at, audience."""
        return (self.row[3], self.row[_RECORDED_AT], self.row[_AUDIENCE])

    @property
    def outline(self) -> tuple[int, str, int, bytes]:
        """Number, id, change number and seal."""
        return self.seq, self.cube_id, int(str(self.row[-1])), self.mac or b""

    def problem(self, sealer: Sealer) -> str | None:
        """What is wrong with it, or None."""
        if self.mac is None or self.tenant is None:
            return "has lost its seal or its tenant"
        if sealer.cube((self.tenant, self.digest, self.history, *self.marks, *self.row)) != self.mac:
            return "does not match its seal"
        if self.current != self.digest:
            return f"has a version {self.row[3]} that is missing or not the one that was sealed"
        return None

    def misused(self, sealer: Sealer) -> bool:
        """Whether the behaviour beside it is not the one that was sealed."""
        return sealer.used(self.cube_id, self.behaviour) != self.used

    def check(self, sealer: Sealer) -> None:
        """Refuse the row when it is not what was sealed.

        Raises:
            IntegrityError: It is not.
        """
        said = self.problem(sealer) or ("has a behaviour that was not sealed" if self.misused(sealer) else None)
        if said is not None:
            raise IntegrityError(f"Cube {self.cube_id!r} {said}", self.cube_id)


def sealed(connection: sqlite3.Connection, where: str, values: Sequence[object] = ()) -> Iterator[Sealed]:
    """Rows with their seals, unchecked; *where* is over `cubes AS c`."""
    statement = _SEALED + where  # fixed fragments of the callers
    for row in connection.execute(statement, values):
        yield Sealed(row[0], row[1], row[2], row[3], row[4:10], row[10], row[11], row[12], row[13:])


def named_seal(connection: sqlite3.Connection, sealer: Sealer) -> bytes:
    """The seal that the rows of `meta` should have."""
    rows = connection.execute("SELECT name, value FROM meta WHERE name <> 'seal' ORDER BY name").fetchall()
    return sealer.named(tuple(rows))


def root_seal(connection: sqlite3.Connection, sealer: Sealer, stored: Fields) -> bytes:
    """The seal that the vault's counters, with these sums as stored, should have."""
    return sealer.root((*connection.execute("SELECT * FROM head").fetchone(), *stored))


def read_root(connection: sqlite3.Connection, sealer: Sealer) -> Root:
    """The sums over the whole vault.

    Raises:
        IntegrityError: The counters are not what was sealed.
    """
    row = connection.execute(
        """SELECT h.commit_number, r.mac, r.tenants, r.total, r.events, r.outbox, r.blobs
        FROM roots AS r CROSS JOIN head AS h"""
    ).fetchone()
    if row is None or root_seal(connection, sealer, _sealed_sums(*row[2:])) != row[1]:
        raise IntegrityError("The vault's counters do not match their seal")
    commit, _, tenants, total, events, outbox, blobs = row
    return Root(
        tenants,
        sealer.unmasked("", commit, total),
        events,
        sealer.unmasked("\0outbox", commit, outbox),
        sealer.unmasked("\0blobs", commit, blobs) if blobs else 0,
    )


def stored_root(sealer: Sealer, commit: int, root: Root) -> tuple[Fields, Fields]:
    """The sums over the whole vault as they stand in the file, and what of them its seal covers."""
    stored = (
        root.tenants,
        sealer.masked("", commit, root.total),
        root.events,
        sealer.masked("\0outbox", commit, root.outbox),
        sealer.masked("\0blobs", commit, root.blobs) if root.blobs else b"",
    )
    return stored, _sealed_sums(*stored)


def read_tally(connection: sqlite3.Connection, sealer: Sealer, tenant: str) -> tuple[Tally, bytes]:
    """A tenant's sums and their seal (empty when it has none yet).

    Raises:
        IntegrityError: They are not what was sealed.
    """
    return read_account(connection, sealer, tenant)[:2]


def read_account(connection: sqlite3.Connection, sealer: Sealer, tenant: str) -> tuple[Tally, bytes, tuple[Any, ...]]:
    """As `read_tally`, with the tenant's row of `tenants` (empty where there is none, or no sums), which is sealed too.

    Raises:
        IntegrityError: They are not what was sealed.
    """
    found = connection.execute(
        """SELECT y.mac, y.commit_number, y.cubes, y.total, y.entries, y.log, y.forgotten, y.reserved, t.*
        FROM tallies AS y LEFT JOIN tenants AS t ON t.name = y.tenant WHERE y.tenant = ?""",
        (tenant,),
    ).fetchone()
    if found is None:
        return Tally(), b"", ()
    mac, *stored = found[:8]
    row = () if found[8] is None else tuple(found[8:])
    if sealer.tally(tenant, row, _sealed_tally(*stored)) != mac:
        raise _miscounted(tenant)
    commit, cubes, total, entries, log, forgotten, reserved = stored
    tally = Tally(
        commit,
        cubes,
        sealer.unmasked(tenant, commit, total),
        entries,
        sealer.unmasked(tenant + "\0log", commit, log),
        sealer.unmasked(tenant + "\0forgotten", commit, forgotten) if forgotten else 0,
        reserved,
    )
    return tally, mac, row


def stored_tally(sealer: Sealer, tenant: str, tally: Tally) -> tuple[Fields, Fields]:
    """A tenant's sums as they stand in the file, and what of them its seal covers."""
    commit = tally.commit
    stored = (
        commit,
        tally.cubes,
        sealer.masked(tenant, commit, tally.total),
        tally.entries,
        sealer.masked(tenant + "\0log", commit, tally.log),
        sealer.masked(tenant + "\0forgotten", commit, tally.forgotten) if tally.forgotten else b"",
        tally.reserved,
    )
    return stored, _sealed_tally(*stored)


def _sealed_tally(*stored: object) -> Fields:
    # A tenant of before these columns, of which nothing was forgotten, is sealed as it was then.
    *sums, forgotten, reserved = stored
    if reserved != b"":
        return stored
    return (*sums, forgotten) if forgotten != b"" else tuple(sums)


def _sealed_sums(*stored: object) -> Fields:
    # A vault without blobs is sealed as it was before they were added up.
    return stored if stored[-1] != b"" else stored[:-1]


def check_forgotten(connection: sqlite3.Connection, sealer: Sealer, tenant: str, wanted: int) -> None:
    """Add up the keys of what was forgotten for good in a tenant.

    Raises:
        IntegrityError: One was changed, added or removed; the message names it where that can be said.
    """
    total = wanted
    for key, mac in connection.execute(
        "SELECT f.key, f.mac FROM tenants AS t JOIN forgotten AS f ON f.tenant = t.number WHERE t.name = ?", (tenant,)
    ):
        if sealer.forgotten(tenant, key) != mac:
            named = key.hex() if isinstance(key, bytes) else repr(key)
            raise IntegrityError(f"The record of what was forgotten in tenant {tenant!r} as {named} is not ours")
        total = added(total, -sealer.share(mac))
    if total:
        raise IntegrityError(f"A record of what was forgotten in tenant {tenant!r} was removed, added or set back")


def tally_seals(connection: sqlite3.Connection, sealer: Sealer) -> Iterator[bytes]:
    """The seal of every tenant, each held against the tenant's row and sums.

    Raises:
        IntegrityError: One is not what was sealed.
    """
    for name, mac, *row in connection.execute(
        """SELECT y.tenant, y.mac, y.commit_number, y.cubes, y.total, y.entries, y.log, y.forgotten, y.reserved, t.*
        FROM tallies AS y LEFT JOIN tenants AS t ON t.name = y.tenant"""
    ):
        stored, there = row[:7], () if row[7] is None else tuple(row[7:])
        if sealer.tally(name, there, _sealed_tally(*stored)) != mac:
            raise _miscounted(name)
        yield mac


def _miscounted(tenant: str) -> IntegrityError:
    return IntegrityError(f"The counts of tenant {tenant!r} do not match their seal")


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether the vault was made a moment ago and never sealed; within a write transaction.

    Raises:
        IntegrityError: There is something in it already, but its seals are gone.
    """
    if connection.execute("SELECT 1 FROM roots").fetchone() is not None:
        return False
    used = "SELECT (SELECT commit_number FROM head) + EXISTS (SELECT 1 FROM cubes) + EXISTS (SELECT 1 FROM audit)"
    if connection.execute(used).fetchone() != (0,):
        raise IntegrityError("The vault's seals are gone")
    return True


def seal_new(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Seal a vault that was made a moment ago."""
    seal_meta(connection, sealer)
    stored, covered = stored_root(sealer, 0, Root())
    connection.execute(
        "INSERT INTO roots (one, tenants, total, events, outbox, blobs, mac) VALUES (1, ?, ?, ?, ?, ?, ?)",
        (*stored, root_seal(connection, sealer, covered)),
    )


def seal_meta(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Seal the vault's own records as they stand."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('seal', ?)", (named_seal(connection, sealer),))


def check_meta(connection: sqlite3.Connection, sealer: Sealer) -> None:
    """Refuse the vault's own records when they are not what was sealed.

    Raises:
        IntegrityError: They are not: edited, or the integrity key is another vault's.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = 'seal'").fetchone()
    if row is None or row[0] != named_seal(connection, sealer):
        raise IntegrityError("The vault's own records do not match their seal, or this is not the vault's key")
