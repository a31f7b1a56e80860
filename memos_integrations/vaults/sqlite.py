"""SQLiteVault: the durable default. One file is the truth; a FAISS snapshot beside it is a derivative.

A write is one transaction: cube, version, vector, full text, audit entries and events. It is acknowledged when it is
on the disk (WAL, `synchronous=FULL`), and shares its fsync with whatever else waits (`writer.py`). Several processes
may open the same vault; not over a network file system, where WAL does not work.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock, Thread, get_ident
from types import TracebackType
from typing import BinaryIO, Self

from memos_integrations.core.cube import BlobRef, MemCube
from memos_integrations.core.errors import IntegrityError, VaultClosedError, VaultCorruptError, VaultError
from memos_integrations.core.ports import (
    CubeFilter,
    Durability,
    EmbedderIdentity,
    Erase,
    Found,
    KeyProvider,
    Receipt,
    Transaction,
    VaultQuery,
    Visibility,
)
from memos_integrations.vaults.columns import TenantColumns
from memos_integrations.vaults.connection import ReadPool, connect, located, translating
from memos_integrations.vaults.faiss_index import SEAL_AT, FaissIndex, Numbers, drop_files, manifest_file, read_manifest
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.jobs import Job
from memos_integrations.vaults.past import Checks, search_past
from memos_integrations.vaults.planner import Sought
from memos_integrations.vaults.postings import Tails
from memos_integrations.vaults.rules import check_fits, checked_row, storable
from memos_integrations.vaults.sqlite_blobs import GRACE, BlobShelf, beside
from memos_integrations.vaults.sqlite_keys import SQLiteKeys
from memos_integrations.vaults.sqlite_places import generation, places
from memos_integrations.vaults.sqlite_reads import SQLiteReads
from memos_integrations.vaults.sqlite_rows import is_one_new, prepared, prepared_together
from memos_integrations.vaults.sqlite_scrub import SQLiteScrub
from memos_integrations.vaults.sqlite_search import Searching, search
from memos_integrations.vaults.sqlite_whole import MAKING, Whole
from memos_integrations.vaults.sqlite_write import PLACES, read_head, read_identity
from memos_integrations.vaults.turns import Afterwards
from memos_integrations.vaults.verified import Kept
from memos_integrations.vaults.vouched import Beside
from memos_integrations.vaults.whereabouts import check_process
from memos_integrations.vaults.witness import MOST_ADDED_UP
from memos_integrations.vaults.writer import GroupWriter


class SQLiteVault(SQLiteReads, SQLiteKeys, SQLiteScrub):
    """A vault in one SQLite file: durable, transactional, searched exactly.

    `path` is a folder (the file is `vault.db` in it; both are made when missing, readable by their owner only) or a
    file that ends in `.db`. `busy_timeout_s` is how long a write waits for another process; `read_connections` how
    many reads run at once; `durability` what acknowledged writes survive where the call does not say (erasing is always
    `Durability.COMMIT`).

    `key` (32 bytes) or `key_file` is the integrity key by which every read shows that the file was not changed behind
    the vault's back; without either it stands beside the file, as `vault.key`. A key beside the data stops edits of
    the database, a key elsewhere also whoever owns the folder. `anchor` is a file outside the folder that lets an
    older copy of the whole vault be noticed. See `guard.py`. `added_up`: tenants of more cubes than this are
    added up by what is sealed beside the vault alone; see `witness.py`.

    `keys` encrypts what is stored, `blinded` vectors and numbers too, for good; see `locks.py`. From then on they are
    needed at every opening; a vault that was not encrypted is sealed before this returns.

    Raises:
        VaultKeyError: The vault is encrypted, and `keys` are none or not its own.
        IntegrityError: The key is missing or another vault's, the file was changed, or it is older than its anchor.
        VaultReadOnlyError: The file or its folder cannot be written.
        VaultCorruptError: The file is damaged or no vault.
        VaultSchemaError: The file was written by a newer version of this package.
        VaultClosedError: It was open here when this process was forked.
        VaultError: The file cannot be opened for another reason.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: Durability | str = Durability.COMMIT,
        busy_timeout_s: float = 30.0,
        read_connections: int = 4,
        key: bytes | None = None,
        key_file: str | Path | None = None,
        anchor: str | Path | None = None,
        added_up: int = MOST_ADDED_UP,
        keys: KeyProvider | None = None,
        blinded: bool = False,
    ) -> None:
        self._durability = Durability(durability)
        self._file = located(Path(path))
        self._busy_timeout_s = busy_timeout_s
        self._process = os.getpid()
        self._index: FaissIndex | None = None
        self._sealer: Thread | None = None
        self._identity: EmbedderIdentity | None = None
        self._lock, self._closed = Lock(), False
        self._making: set[int] = set()
        self._blobs = BlobShelf(self._file, self._connect)
        if self._file.stat().st_size == 0 and read_manifest(manifest_file(self._file)) is not None:
            raise VaultCorruptError(f"{self._file} is empty, but an index of it is not. Restore it from a backup.")
        self._guard = Guard(
            self._file,
            key=key,
            key_file=None if key_file is None else Path(key_file),
            anchor=None if anchor is None else Path(anchor),
        )
        with translating():
            self._words, self._name, self.locks = self._opened(keys, blinded)
            self._blobs.files.locks = self.locks
            watching = connect(self._file, busy_timeout_s=busy_timeout_s, reading=True)
            self._guard.watch(watching, Beside(self._kept, self._whole), added_up)
            self._columns, self._tails = TenantColumns(self._guard.witness.vouched.columns), Tails()
            self._pool = ReadPool(
                self._file, size=max(1, read_connections), busy_timeout_s=busy_timeout_s, prepare=self.unlock
            )
            prepare = partial(prepared_together, words=self._words, sealer=self._guard.sealer)
            self._writer = GroupWriter(self._file, self._connect, self._drop_files, self._guard, prepare)
        self._rekeyed()

    def _drop_files(self) -> bool:
        """Take what an erase left outside the tables off the disk. Whether nothing is left."""
        if self.locks is not None:
            self.locks.let_go()
        return self._blobs.settle() and drop_files(self._file)

    def _connect(self) -> sqlite3.Connection:
        return connect(self._file, busy_timeout_s=self._busy_timeout_s)

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

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Queue a transaction; see `Vault.submit`.

        Raises:
            VaultClosedError: The vault was closed, or opened before this process was forked.
            EmbeddingError: A vector is not one finite unit row (of a single new cube the future raises it).
        """
        job = self._job(transaction, durability)
        if (me := get_ident()) in self._making:
            job.future = Afterwards(MAKING, lambda: me in self._making)
        return self._writer.submit(job)

    def _job(self, transaction: Transaction, durability: Durability | None) -> Job:
        if self.locks is None and is_one_new(transaction):  # what wraps keys may be far away: many wait for it at once
            return Job.of_one(transaction, durability or self._durability)
        rows = prepared(transaction, self._words, self._guard.sealer, self.locks)
        erases = tuple(change.cube_id for change in transaction.changes if isinstance(change, Erase))
        survives = Durability.COMMIT if erases else durability or self._durability
        new = rows if rows.is_new else None
        return Job(partial(self._guard.notary.apply, transaction=rows), erases, new, survives)

    def submit_whole(self, transactions: Iterable[Transaction]) -> Receipt:
        """Make all of *transactions* true in one commit, or none; see `Vault.submit_whole`."""
        with self._reading():  # refuses when closed or forked
            pass
        guard = self._guard
        return Whole(self._writer, guard.notary, self._words, guard.sealer, self.locks).run(transactions, self._making)

    def bind_embedder(self, identity: EmbedderIdentity) -> None:
        """Remember the embedder, once. See `Vault.bind_embedder`."""
        if self.embedder() != identity:
            self._writer.submit(Job(partial(self._guard.notary.bind, identity=identity))).result()

    def put_blob(self, source: bytes | BinaryIO, media_type: str = "application/octet-stream") -> BlobRef:
        """Store bytes under their digest, durably; see `Vault.put_blob`."""
        with self._reading():  # refuses when closed or forked
            pass
        return self._blobs.put(source, media_type, lambda work: self._writer.submit(Job(beside(work))).result())

    def collect_blobs(self, now: datetime, grace: timedelta = GRACE) -> int:
        """Remove blobs that no version names and nobody stored within *grace*; see `Vault.collect_blobs`."""
        with self._reading():
            pass
        return self._blobs.collect(now, grace)

    # --- reading

    def open_blob(self, ref: BlobRef) -> BinaryIO:
        """A blob, checked against its digest; see `Vault.open_blob`."""
        with self._reading():
            pass
        return self._blobs.files.open(ref)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Around a look at what is known without a read."""
        check_process(self._process)
        if self._closed:
            raise VaultClosedError("The vault was closed; open it again.")
        with translating():
            yield

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        check_process(self._process)
        try:
            with self._pool.reading() as connection:
                yield connection
        except IntegrityError as exc:
            if self.locks is None or self.locks.trouble is None:
                raise
            raise self.locks.trouble from exc

    def search(self, query: VaultQuery, visible: Visibility) -> Found:
        """The best matches among what is visible: exact; see `Vault.search`.

        Raises:
            EmbedderMismatchError: The query's vector is not of the bound embedder's length.
            IntegrityError: A row does not match its digest.
        """
        if query.vector is not None:
            row = checked_row(query.vector)
            check_fits(row, self._identity or self.embedder())
            query = replace(query, vector=row)
        with self._reading() as connection:
            witness = self._guard.witness
            witness.check_search(connection, query, visible)
            found = search(connection, self._searching(), query, visible)
            if query.as_of is not None:  # versions that were replaced: their cubes' seals cover them
                ids = [match.cube.id for match in found.matches]
                witness.check_cubes(connection, visible.tenant, ids, vectors=query.vector is not None)
        if self._index is not None and self._index.wants_sealing:
            self._seal_aside()
        return found

    def _searching(self) -> Searching:
        def nearest(connection: sqlite3.Connection, sought: Sought) -> tuple[Numbers, str]:
            return self._faiss().nearest(connection, sought)

        witness = self._guard.witness
        past = partial(search_past, checks=Checks(witness.check_versions, nearest, witness.handing))
        ids = witness.vouched.check_ids
        return Searching(self._words, self._columns, self._tails, nearest, witness.handing, ids, past)

    def places(self, wanted: CubeFilter, visible: Visibility) -> list[MemCube]:
        """One cube of every namespace in which there is a visible one; see `Vault.places`."""
        with self._reading() as connection:
            self._guard.witness.check_search(connection, VaultQuery(k=1, filter=wanted), visible)
            self._guard.witness.check(connection, visible.tenant, "labels")  # which say where the cubes stand
            return places(connection, self._searching(), wanted, visible)

    def generation(self, tenant: str) -> int:
        """A number that changes with the tenant; see `Vault.generation`."""
        with self._reading() as connection:
            return generation(connection, tenant)

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

    def _kept(self, connection: sqlite3.Connection, tenant: int) -> Kept | None:
        """What the index keeps of a tenant's cubes; nothing is loaded where there is no index."""
        if self._index is None and not manifest_file(self._file).exists():
            return None
        if self._identity is None:
            self._identity = read_identity(connection)
        return None if self._identity is None else self._faiss().kept(connection, tenant)

    def _whole(self, connection: sqlite3.Connection, tenant: int) -> bool:
        return self._index is not None and self._index.whole(connection, tenant)

    def _faiss(self) -> FaissIndex:
        with self._lock:
            if self._index is None:
                identity = self._identity
                if identity is None:
                    raise VaultCorruptError("The vault lost the record of its embedder. Restore it from a backup.")
                hidden = self.locks is not None and self.locks.blind
                self._index = FaissIndex(self._file, self._name, identity, self._guard.sealer, blind=hidden)
            return self._index

    def _save_index(self) -> None:
        with self._reading() as connection:
            (newest,) = connection.execute("SELECT ifnull(max(number), 0) FROM vectors").fetchone()
            if newest == 0 or (self._index is None and newest < SEAL_AT):
                return
        self.embedder()
        with self._reading() as connection:
            head = read_head(connection)
            if not self._faiss().seal(connection, head):
                return
        with self._reading() as connection:
            if read_head(connection).erased != head.erased:
                drop_files(self._file)

    def _seal_aside(self) -> None:
        """Seal in a thread of its own, one at a time; searches go on meanwhile."""
        with self._lock:
            if not self._closed and (self._sealer is None or not self._sealer.is_alive()):
                self._sealer = Thread(target=self._sealed, name="vault-sealer", daemon=True)
                self._sealer.start()

    def _sealed(self) -> None:
        with suppress(VaultError):  # the index is a derivative: what could not be sealed is read from the table
            self._save_index()

    def close(self) -> None:
        """Commit what is queued, save the index, release files. Safe to call twice; does nothing in a fork."""
        if os.getpid() != self._process:
            return
        self._writer.close()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._sealer is not None:
            self._sealer.join()
        self._sealed()
        self._pool.close()
        self._guard.close()
