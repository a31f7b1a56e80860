"""SQLiteVault: the durable default. One file is the truth; a FAISS snapshot beside it is a derivative.

A write is one transaction: cube, version, vector, full text, audit entries and events. It is acknowledged when it is
on the disk (WAL, `synchronous=FULL`), and shares its fsync with whatever else waits (`writer.py`). Several processes
may open the same vault; not over a network file system, where WAL does not work.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from memos_integrations.core.cube import MemCube, unique
from memos_integrations.core.errors import VaultClosedError, VaultCorruptError, VaultError
from memos_integrations.core.events import MemEvent
from memos_integrations.core.ports import (
    AuditEntry,
    AuditReport,
    Edge,
    EmbedderIdentity,
    Erase,
    Found,
    LogQuery,
    Receipt,
    Transaction,
    VaultQuery,
    Vectors,
    Visibility,
)
from memos_integrations.vaults.connection import ReadPool, connect, located, translating
from memos_integrations.vaults.faiss_index import FaissIndex, Numbers, drop_files, manifest_file, read_manifest
from memos_integrations.vaults.rules import check_fits, checked_row, storable
from memos_integrations.vaults.schema import migrate
from memos_integrations.vaults.sqlite_audit import bounded, read_log, verify
from memos_integrations.vaults.sqlite_rows import EVENTS, Words, prepared
from memos_integrations.vaults.sqlite_search import (
    check_tenant,
    current_cubes,
    read_cube,
    search,
    tenant_number,
)
from memos_integrations.vaults.sqlite_write import PLACES, apply, bind, read_head, read_identity
from memos_integrations.vaults.writer import GroupWriter, Job


class SQLiteVault:
    """A vault in one SQLite file: durable, transactional, searched exactly.

    `path` is a folder (the file is `vault.db` in it; both are made when missing, readable by their owner only) or a
    file that ends in `.db`. `busy_timeout_s` is how long a write waits for another process; `read_connections` how
    many reads run at once.

    Raises:
        VaultReadOnlyError: The file or its folder cannot be written.
        VaultCorruptError: The file is damaged or no vault.
        VaultSchemaError: The file was written by a newer version of this package.
        VaultError: The file cannot be opened for another reason.
    """

    def __init__(self, path: str | Path, *, busy_timeout_s: float = 30.0, read_connections: int = 4) -> None:
        self._file = located(Path(path))
        self._busy_timeout_s = busy_timeout_s
        self._process = os.getpid()
        self._index: FaissIndex | None = None
        self._identity: EmbedderIdentity | None = None
        self._lock, self._closed = Lock(), False
        if self._file.stat().st_size == 0 and read_manifest(manifest_file(self._file)) is not None:
            raise VaultCorruptError(f"{self._file} is empty, but an index of it is not. Restore it from a backup.")
        with translating():
            self._words, self._name = self._opened()
            self._pool = ReadPool(self._file, size=max(1, read_connections), busy_timeout_s=busy_timeout_s)
            self._writer = GroupWriter(self._connect, lambda: drop_files(self._file))

    def _connect(self) -> sqlite3.Connection:
        return connect(self._file, busy_timeout_s=self._busy_timeout_s)

    def _opened(self) -> tuple[Words, str]:
        """Bring the file up to date and clear what a crash left behind; the word key and the name of the vault."""
        connection = self._connect()
        try:
            migrate(connection)
            # Asks for the write lock, so that a vault that cannot be written says so now.
            connection.execute("BEGIN IMMEDIATE")
            head = read_head(connection)
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            connection.execute("ROLLBACK")
            # A crash between an erase and its clean-up leaves the erased in these two places.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            manifest = read_manifest(manifest_file(self._file))
            if manifest is not None and (manifest.vault, manifest.erased) != (meta["vault"].decode(), head.erased):
                drop_files(self._file)
            return Words(meta["word_key"], meta["word_check"]), meta["vault"].decode()
        except (KeyError, TypeError, AttributeError) as exc:
            raise VaultCorruptError("The vault's own records are missing. Restore it from a backup.") from exc
        finally:
            connection.close()

    @property
    def path(self) -> Path:
        """The database file."""
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing

    def submit(self, transaction: Transaction) -> Future[Receipt]:
        """Queue a transaction; see `Vault.submit`.

        Raises:
            VaultClosedError: The vault was closed, or opened before this process was forked.
            EmbeddingError: A vector is not one finite unit row.
        """
        rows = prepared(transaction, self._words)
        erases = tuple(change.cube_id for change in transaction.changes if isinstance(change, Erase))
        return self._writer.submit(Job(lambda connection, head: apply(connection, head, rows), erases))

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, once. See `Vault.bind_embedder`."""
        if self.embedder() != identity:
            self._writer.submit(Job(lambda connection, head: bind(connection, head, identity))).result()

    # --- reading

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._process:
            raise VaultClosedError("The vault was opened before this process was forked; open it again in here.")
        with self._pool.reading() as connection:
            yield connection

    def get(self, tenant: str, ids: Sequence[str]) -> list[MemCube]:
        """The current versions of those of *ids* that exist in *tenant*, in the order asked, each once.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        with self._reading() as connection:
            return current_cubes(connection, tenant, ids)

    def history(self, tenant: str, cube_id: str) -> list[MemCube]:
        """Every version of a cube, oldest first; state and behaviour are the cube's present ones.

        Raises:
            IntegrityError: A row does not match its digest.
        """
        with self._reading() as connection:
            number = tenant_number(connection, tenant)
            if number is None or not storable(cube_id):
                return []
            rows = connection.execute(
                """SELECT c.id, v.version, c.state, v.digest, v.body, b.body
                FROM cubes AS c JOIN versions AS v ON v.cube = c.seq LEFT JOIN behaviour AS b ON b.cube = c.seq
                WHERE c.tenant = ? AND c.id = ? ORDER BY v.version""",
                (number, cube_id),
            )
            cubes = [read_cube(row) for row in rows]
            for cube in cubes:
                check_tenant(cube, tenant)
            return cubes

    def find_key(self, tenant: str, key: str) -> str | None:
        """The id of the cube that was put with this key."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT c.id FROM keys AS k JOIN cubes AS c ON c.seq = k.cube WHERE k.tenant = ? AND k.key = ?",
                (tenant_number(connection, tenant), self._words.key(key)),
            ).fetchone()
            return None if row is None else str(row[0])

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible: exact; see `Vault.search`.

        Raises:
            EmbedderMismatchError: The query's vector is not of the bound embedder's length.
            IntegrityError: A row does not match its digest.
        """
        if query.vector is not None:
            row = checked_row(query.vector)
            check_fits(row, self.embedder())
            query = VaultQuery(query.k, query.terms, row, query.filter)
        with self._reading() as connection:

            def nearest(vector: Vectors, allowed: Numbers, k: int) -> Numbers:
                return self._faiss().nearest(connection, read_head(connection), vector, allowed, k)

            found = search(connection, self._words, query, visible, nearest)
        if self._index is not None and self._index.rebuilt:
            self._save_index()
        return found

    def pointing_at(self, tenant: str, ids: Sequence[str]) -> list[Edge]:
        """The edges that end at one of *ids*: links of current versions, and their `derived_from`; by source."""
        targets = [cube_id for cube_id in unique(ids) if storable(cube_id)]
        with self._reading() as connection:
            rows = connection.execute(
                """SELECT c.id, l.relation, l.target FROM json_each(?) AS asked
                CROSS JOIN links AS l ON l.target = asked.value CROSS JOIN cubes AS c ON c.seq = l.cube
                WHERE c.tenant = ? ORDER BY 1, 2, 3""",
                (json.dumps(targets), tenant_number(connection, tenant)),
            )
            return [Edge(*row) for row in rows]

    def unembedded(self, limit: int) -> list[MemCube]:
        """Current plaintext cubes without a vector, of all tenants, by id."""
        with self._reading() as connection:
            rows = connection.execute(
                """SELECT CAST(t.name AS TEXT), c.id FROM cubes AS c JOIN tenants AS t ON t.number = c.tenant
                WHERE c.vector IS NULL AND c.tier = 'plaintext' ORDER BY c.id LIMIT ?""",
                (bounded(limit),),
            ).fetchall()
            return [cube for tenant, cube_id in rows for cube in current_cubes(connection, tenant, [cube_id])]

    def embedder(self) -> EmbedderIdentity | None:
        """The embedder that this vault's vectors came from."""
        with self._reading() as connection:
            if self._identity is None:  # once bound it never changes
                self._identity = read_identity(connection)
            return self._identity

    def log(self, query: LogQuery) -> list[AuditEntry]:
        """Audit entries, oldest first.

        Raises:
            IntegrityError: An entry does not match its hash, or stands under columns that are not its own.
        """
        with self._reading() as connection:
            return read_log(connection, query)

    def verify_audit(self) -> AuditReport:
        """Walk the whole chain, and hold every stored version against what the chain says was written.

        The head kept beside the chain shows a tail that was cut off. Whoever sets the head back as well is not found
        out by the file alone: keep `AuditReport.head` somewhere else and compare.
        """
        with self._reading() as connection:
            return verify(connection)

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Outbox events with a number above *after*, oldest first, each with its number.

        Raises:
            VaultCorruptError: An event cannot be read.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, body FROM outbox WHERE number > ? ORDER BY number LIMIT ?",
                (bounded(after), bounded(limit)),
            ).fetchall()
        try:
            return [(number, EVENTS.validate_json(body)) for number, body in rows]
        except ValidationError as exc:
            raise VaultCorruptError("An event in the vault is damaged. Restore it from a backup.") from exc

    def traces(self, cube_id: str) -> dict[str, int]:
        """How many rows of a cube each place still holds; all zero after an Erase.

        `files` is 1 while the write-ahead log or an index file may still hold an erased cube, because a long read in
        another process keeps them; the writer tries again with every later write and at close.
        """
        with self._reading() as connection:
            row = connection.execute(
                "SELECT seq FROM cubes WHERE id = ?", (cube_id if storable(cube_id) else "",)
            ).fetchone()
            seq = -1 if row is None else row[0]
            counts = {place: int(connection.execute(sql, (seq,)).fetchone()[0]) for place, sql in PLACES.items()}
        return counts | {"files": int(cube_id in self._writer.unsettled)}

    # --- the index and the end

    def _faiss(self) -> FaissIndex:
        with self._lock:
            if self._index is None:
                identity = self._identity
                if identity is None:
                    raise VaultCorruptError("The vault lost the record of its embedder. Restore it from a backup.")
                self._index = FaissIndex(self._file, self._name, identity)
            return self._index

    def _save_index(self) -> None:
        if self._index is None:
            return
        with self._reading() as connection:
            self._index.catch_up(connection, read_head(connection))
        with self._reading() as connection:
            now = read_head(connection)
        saved = self._index.save(now)
        if saved is None:
            return
        with self._reading() as connection:
            if read_head(connection).erased != saved.erased:
                drop_files(self._file)

    def close(self) -> None:
        """Commit what is queued, save the index, release files. Safe to call twice; does nothing in a fork."""
        if os.getpid() != self._process:
            return
        self._writer.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with suppress(VaultError):  # the index is a derivative: what it could not save is rebuilt
            self._save_index()
        self._pool.close()
