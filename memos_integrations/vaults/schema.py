"""The tables of a SQLite vault, and the steps by which an older file becomes a current one.

`PRAGMA user_version` counts the steps that a file has taken. Each step is one transaction, so a crash leaves the
file at a whole step. SQLite 3.40 without any extension is enough.

Why full text is not FTS5: there an erased text stays in old index segments until they merge (`secure-delete` for
FTS5 needs SQLite 3.42), and its BM25 counts every tenant's documents, so scores would tell of others' memories. Here
each tenant's terms stand together (`postings.py`), and what is deleted is overwritten on the spot. Terms and labels
are 63-bit keyed hashes (BLAKE2b; the key is made with the vault): fixed width, any character, and no words left behind
in index pages.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing

from memos_integrations.core.errors import VaultCorruptError, VaultSchemaError
from memos_integrations.vaults import postings
from memos_integrations.vaults.audit_chain import GENESIS
from memos_integrations.vaults.integrity import TABLES
from memos_integrations.vaults.merkle import CHECKPOINTS
from memos_integrations.vaults.numbering import KEY_BYTES, word_check

APPLICATION_ID = 0x4D454D4F
"""What marks a SQLite file as a vault (`MEMO`)."""

_FIRST = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT",
    # One row: the number of the last commit, the audit chain's head, how many vectors were ever taken away and how
    # many cubes erased, and the last numbers that were given to a cube and to a vector: none is given twice. Every
    # writer knows it inside its write transaction.
    """CREATE TABLE head (
        one INTEGER PRIMARY KEY CHECK (one = 1), commit_number INTEGER NOT NULL, entries INTEGER NOT NULL,
        hash TEXT NOT NULL, removed INTEGER NOT NULL, erased INTEGER NOT NULL, cubes INTEGER NOT NULL,
        vectors INTEGER NOT NULL) STRICT""",
    # `changed` is the commit of the last change that a search could notice (a use is none), here and in `cubes`.
    # Cubes above `merged` are in no block of `postings` yet, about `tail` of them; see `postings.py`.
    """CREATE TABLE tenants (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL DEFAULT 0,
        tail INTEGER NOT NULL DEFAULT 0, merged INTEGER NOT NULL DEFAULT 0) STRICT""",
    # Times are microseconds since 1970. `purposes` and `applications` say whether the cube names any.
    """CREATE TABLE cubes (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
        tenant INTEGER NOT NULL REFERENCES tenants (number), version INTEGER NOT NULL, state TEXT NOT NULL,
        tier TEXT NOT NULL, quarantined INTEGER NOT NULL, expires_at INTEGER, occurred_at INTEGER NOT NULL,
        valid_from INTEGER, valid_to INTEGER, purposes INTEGER NOT NULL, applications INTEGER NOT NULL,
        audience INTEGER NOT NULL, length INTEGER NOT NULL, vector INTEGER,
        recorded_at INTEGER NOT NULL, changed INTEGER NOT NULL DEFAULT 0) STRICT""",
    "CREATE INDEX cubes_by_change ON cubes (tenant, changed)",
    # What was erased, by numbers alone: so that derivatives can follow without being made anew.
    """CREATE TABLE gone (
        tenant INTEGER NOT NULL, changed INTEGER NOT NULL, cube INTEGER NOT NULL,
        PRIMARY KEY (tenant, changed, cube)) WITHOUT ROWID, STRICT""",
    # Who may read, once per set of readers: a search asks once which sets the asker is in, not once per cube.
    """CREATE TABLE audiences (
        subject INTEGER NOT NULL, audience INTEGER NOT NULL, PRIMARY KEY (subject, audience)) WITHOUT ROWID, STRICT""",
    """CREATE INDEX cubes_by_tenant ON cubes (tenant, seq, audience, state, tier, quarantined, expires_at, purposes,
        applications, occurred_at, length, vector, valid_from, valid_to, recorded_at)""",
    "CREATE INDEX cubes_unembedded ON cubes (tier, id) WHERE vector IS NULL",
    """CREATE TABLE versions (
        number INTEGER PRIMARY KEY, cube INTEGER NOT NULL REFERENCES cubes (seq),
        version INTEGER NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (cube, version)) STRICT""",
    # Of versions that were replaced: when they were written down, and who could read them.
    """CREATE TABLE past (
        cube INTEGER NOT NULL REFERENCES cubes (seq), version INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        audience INTEGER NOT NULL, PRIMARY KEY (cube, version)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE labels (
        cube INTEGER NOT NULL REFERENCES cubes (seq), kind INTEGER NOT NULL, value INTEGER NOT NULL,
        PRIMARY KEY (cube, kind, value)) WITHOUT ROWID, STRICT""",
    # The scalars of a structured payload, by keyed hashes of their path and content; numbers also by value.
    """CREATE TABLE leaves (
        cube INTEGER NOT NULL REFERENCES cubes (seq), path INTEGER NOT NULL, content INTEGER, number REAL,
        PRIMARY KEY (cube, path)) WITHOUT ROWID, STRICT""",
    """CREATE TABLE links (
        cube INTEGER NOT NULL REFERENCES cubes (seq), relation TEXT NOT NULL, target TEXT NOT NULL,
        PRIMARY KEY (cube, relation, target)) WITHOUT ROWID, STRICT""",
    "CREATE INDEX links_by_target ON links (target)",
    "CREATE TABLE behaviour (cube INTEGER PRIMARY KEY REFERENCES cubes (seq), body TEXT NOT NULL) STRICT",
    """CREATE TABLE vectors (
        number INTEGER PRIMARY KEY, cube INTEGER NOT NULL UNIQUE REFERENCES cubes (seq),
        row BLOB NOT NULL) STRICT""",
    *postings.TABLES,
    """CREATE TABLE keys (
        tenant INTEGER NOT NULL, key BLOB NOT NULL, cube INTEGER NOT NULL REFERENCES cubes (seq),
        PRIMARY KEY (tenant, key)) WITHOUT ROWID, STRICT""",
    "CREATE INDEX keys_by_cube ON keys (cube)",
    # See `sqlite_blobs.py`.
    """CREATE TABLE blobs (
        cube INTEGER NOT NULL REFERENCES cubes (seq), digest TEXT NOT NULL,
        PRIMARY KEY (cube, digest)) WITHOUT ROWID, STRICT""",
    "CREATE INDEX blobs_by_digest ON blobs (digest)",
    "CREATE TABLE uploads (digest TEXT PRIMARY KEY, waiting INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    """CREATE TABLE audit (
        number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, at INTEGER NOT NULL, actor TEXT NOT NULL, owner TEXT,
        cube_id TEXT, operation TEXT NOT NULL, outcome TEXT NOT NULL, record BLOB NOT NULL, previous TEXT NOT NULL,
        hash TEXT NOT NULL) STRICT""",
    "CREATE INDEX audit_by_tenant ON audit (tenant, number)",
    "CREATE INDEX audit_by_cube ON audit (cube_id) WHERE cube_id IS NOT NULL",
    "CREATE TABLE outbox (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    *TABLES,
    CHECKPOINTS,
)

_SECOND = (
    # The keys of what was forgotten for good, so that it is not written again by mistake; see `Erase.lasting`.
    """CREATE TABLE forgotten (
        tenant INTEGER NOT NULL, key BLOB NOT NULL, mac BLOB NOT NULL,
        PRIMARY KEY (tenant, key)) WITHOUT ROWID, STRICT""",
)

_THIRD = (
    # What the rows of `forgotten` add up to, masked like the sums beside it; empty for none.
    "ALTER TABLE tallies ADD COLUMN forgotten BLOB NOT NULL DEFAULT x''",
)

_FOURTH = (
    # The data keys of an encrypted vault, wrapped; see `locks.py`.
    "CREATE TABLE locks (cube INTEGER PRIMARY KEY REFERENCES cubes (seq), lock BLOB NOT NULL) STRICT",
)

_FIFTH = (
    # What a token embedder told of a cube's words; see `token_rows.py`.
    "CREATE TABLE tokens (cube INTEGER PRIMARY KEY REFERENCES cubes (seq), row BLOB NOT NULL) STRICT",
)

_SIXTH: tuple[str, ...] = ()
"""Labels by which rules know a cube (`numbering.Kind.SPELLED`): `respelling.py` adds them, and an older package would
leave them out."""

_SEVENTH = (
    # Whether a cube of the tenant has a reserved id; see `seals.Tally`. Empty for tenants of before.
    "ALTER TABLE tallies ADD COLUMN reserved BLOB NOT NULL DEFAULT x''",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH, _SEVENTH)
"""Step n takes a file from `user_version` n to n + 1. Released steps never change; new ones are added at the end."""

_PARTS = """SELECT type || ' ' || name FROM main.sqlite_schema UNION
    SELECT 'column ' || t.name || '.' || c.name FROM main.sqlite_schema AS t, pragma_table_info(t.name, 'main') AS c
    WHERE t.type = 'table'"""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the newest schema; a file that is there already is left alone.

    Raises:
        VaultSchemaError: The file is newer than this package.
        VaultCorruptError: It is a SQLite database of something else.
    """
    while (version := checked_version(connection)) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the lock: another process may have taken the step in the meantime.
            if checked_version(connection) == version:
                _step(connection, version)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def lacking(connection: sqlite3.Connection) -> list[str]:
    """What a file of the newest schema has and this one lacks: tables, columns and indexes."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as right:
        migrate(right)
        wanted = {said for (said,) in right.execute(_PARTS)}
    return sorted(wanted.difference(said for (said,) in connection.execute(_PARTS)))


def checked_version(connection: sqlite3.Connection) -> int:
    """How many steps the file has taken.

    Raises:
        VaultSchemaError: More than this package knows.
        VaultCorruptError: It is a SQLite database of something else.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise VaultCorruptError("The file is a SQLite database, but not a vault. Name another file or folder.")
    if version > len(MIGRATIONS):
        raise VaultSchemaError(
            f"The vault has schema {version}, newer than the {len(MIGRATIONS)} that this package knows. "
            "Upgrade memos-integrations; the vault was not touched."
        )
    return int(version)


def _step(connection: sqlite3.Connection, version: int) -> None:
    for statement in MIGRATIONS[version]:
        connection.execute(statement)
    if version == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        key = secrets.token_bytes(KEY_BYTES)
        made = {"vault": secrets.token_hex(16).encode(), "word_key": key, "word_check": word_check(key)}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", made.items())
        connection.execute("INSERT INTO head VALUES (1, 0, 0, ?, 0, 0, 0, 0)", (GENESIS,))
    connection.execute(f"PRAGMA user_version = {version + 1}")
