"""The keys of a SQLite vault: what opens its rows, and how they are changed."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import MemOSError, VaultCorruptError, VaultKeyError
from memos_integrations.core.ports import AuditRecord, KeyProvider, Outcome, Receipt, Transaction
from memos_integrations.vaults.connection import translating
from memos_integrations.vaults.faiss_index import drop_files, manifest_file, read_manifest
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.jobs import Job
from memos_integrations.vaults.key_status import KeyStatus, check_no_holds, erase_all_keys, key_status
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.rekeying import Rekeying, blind, encrypt, opened_locks, word_key
from memos_integrations.vaults.schema import migrate
from memos_integrations.vaults.scrubbing import written_anew
from memos_integrations.vaults.sqlite_blobs import BlobShelf, beside
from memos_integrations.vaults.sqlite_rows import Prepared, prepared
from memos_integrations.vaults.sqlite_write import Head, read_head
from memos_integrations.vaults.writer import GroupWriter

_KEYS = "\0keys"
"""Stands for the keys where a job says what it takes away, so that the write-ahead log is emptied of them."""


class SQLiteKeys(ABC):
    """What `SQLiteVault` does with keys."""

    locks: Locks | None
    """What opens the vault's rows; None when it is not encrypted."""

    _file: Path
    _guard: Guard
    _words: Words
    _blobs: BlobShelf
    _writer: GroupWriter

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

    @abstractmethod
    def _connect(self) -> sqlite3.Connection: ...

    def _opened(self, keys: KeyProvider | None, blinded: bool) -> tuple[Words, str, Locks | None]:
        """Bring the file up to date and clear what a crash left behind; word key, name and keys of the vault."""
        connection = self._connect()
        try:
            migrate(connection)
            # Asks for the write lock, so that a vault that cannot be written says so now.
            connection.execute("BEGIN IMMEDIATE")
            head = read_head(connection)
            locks = opened_locks(connection, keys, self._connect)
            self._guard.opened(connection, head, locks)
            if keys is not None and locks is None:
                locks = encrypt(connection, self._guard.sealer, keys, self._connect)
                self._guard.notary.encrypted(locks)
            if blinded:
                blind(connection, self._guard.sealer, locks)
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            words = Words(word_key(meta, locks), meta["word_check"])
            self._guard.respell(connection, words, locks)
            self._guard.reword(connection, words)
            self._guard.adopt_blobs(connection)
            connection.execute("COMMIT")
            # A crash between an erase and its clean-up leaves the erased in these two places.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            manifest = read_manifest(manifest_file(self._file))
            hidden = locks is not None and locks.blind
            if manifest is not None and (
                (manifest.vault, manifest.erased) != (meta["vault"].decode(), head.erased)
                or (hidden and manifest.pieces)
                or manifest.commit > read_head(connection).commit  # the file was set back
            ):
                drop_files(self._file)
            self._blobs.settle()
            return words, meta["vault"].decode(), locks
        except (KeyError, TypeError, AttributeError) as exc:
            raise VaultCorruptError("The vault's own records are missing. Restore it from a backup.") from exc
        finally:
            connection.close()

    def unlock(self, connection: sqlite3.Connection) -> None:
        """Let a reading connection see in clear what is stored; nothing to do where that is in clear."""
        if self.locks is not None:
            self.locks.install(connection, self._words.path)

    def rotate_keys(self, keys: KeyProvider, *, by: Principal, now: datetime) -> int:
        """Wrap every key of an encrypted vault anew, under a new master key of *keys*; how many. Noted in the audit.

        From the first transaction on only *keys* open the vault; when it is interrupted, the next opening goes on.
        Once the old provider's key is destroyed, no older copy of the file can be read, with the new one neither.

        Raises:
            VaultKeyError: The vault is not encrypted, or *keys* cannot wrap. Nothing was changed.
        """
        locks = self.locks
        if locks is None:
            raise VaultKeyError("The vault is not encrypted. Open it with `keys=` to encrypt it.")
        before, rekeying = locks.provider, self._rekeying(locks)
        noted = self._noted("rotate_keys", by, now, {"from": before.name, "to": keys.name})

        def work(connection: sqlite3.Connection, head: Head) -> tuple[Head, Receipt]:
            rekeying.turn(connection, keys)
            return self._guard.notary.apply(connection, head, noted)

        try:
            self._writer.submit(Job(work)).result()
        except MemOSError:
            locks.provider = before
            raise
        return self._rekeyed()

    def erase_keys(self, *, by: Principal, now: datetime) -> None:
        """Destroy every key of an encrypted vault, with the vectors and numbers that stand in clear, for good.

        Nothing in it can be read any more, with any key; the audit log stays, and says so. Then close the vault. Older
        copies of the file can be read as long as the provider's key of then exists: destroy that as well.

        Raises:
            VaultKeyError: The vault is not encrypted.
            LegalHoldError: A memory in it is under legal hold.
        """
        locks = self.locks
        if locks is None:
            raise VaultKeyError("The vault is not encrypted. Its memories go with `forget`, or with its files.")
        noted = self._noted("erase_keys", by, now, {"from": locks.provider.name})

        def work(connection: sqlite3.Connection, head: Head) -> tuple[Head, Receipt]:
            check_no_holds(connection, locks)
            head, receipt = self._guard.notary.apply(connection, head, noted)
            erase_all_keys(connection, self._guard.sealer, now)
            return head, receipt

        self._writer.submit(Job(work, erases=(_KEYS,), alone=True)).result()
        locks.forget()
        self._guard.witness.handing.forget()
        self._guard.witness.absent.forget()
        drop_files(self._file)
        with translating(), closing(self._connect()) as connection:
            written_anew(connection)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _noted(self, operation: str, by: Principal, now: datetime, detail: dict[str, str]) -> Prepared:
        record = AuditRecord(
            at=now, tenant=by.tenant, actor=by.subject, operation=operation, outcome=Outcome.ALLOWED, detail=detail
        )
        return prepared(Transaction(audit=(record,)), self._words, self._guard.sealer)

    def key_status(self) -> KeyStatus:
        """How the vault is encrypted; see `KeyStatus`."""
        with self._reading() as connection:
            return key_status(connection)

    def _rekeying(self, locks: Locks) -> Rekeying:
        def run(work: Callable[[sqlite3.Connection], None]) -> None:
            self._writer.submit(Job(beside(work))).result()

        def run_last(work: Callable[[sqlite3.Connection], None]) -> None:
            self._writer.submit(Job(beside(work), erases=(_KEYS,))).result()

        return Rekeying(locks, self._guard.sealer, run, run_last, self._blobs.renew)

    def _rekeyed(self) -> int:
        """Finish what an opening, a change of keys or a crash left to do; how many keys that was."""
        if self.locks is None:
            return 0
        with self._reading() as connection:
            meta = dict(connection.execute("SELECT name, value FROM meta"))
        return self._rekeying(self.locks).finish(meta)
