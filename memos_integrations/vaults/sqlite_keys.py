"""The keys of a SQLite vault: what opens its rows, and how they are changed."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import MemOSError, VaultKeyError
from memos_integrations.core.ports import AuditRecord, KeyProvider, Outcome, Receipt, Transaction
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.rekeying import Rekeying
from memos_integrations.vaults.sqlite_blobs import BlobShelf, beside
from memos_integrations.vaults.sqlite_rows import Words, prepared
from memos_integrations.vaults.sqlite_write import Head
from memos_integrations.vaults.writer import GroupWriter, Job

_KEYS = "\0keys"
"""Stands for the keys where a job says what it takes away, so that the write-ahead log is emptied of them."""


class SQLiteKeys(ABC):
    """What `SQLiteVault` does with keys."""

    locks: Locks | None
    """What opens the vault's rows; None when it is not encrypted."""

    _guard: Guard
    _words: Words
    _blobs: BlobShelf
    _writer: GroupWriter

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

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
        record = AuditRecord(
            at=now,
            tenant=by.tenant,
            actor=by.subject,
            operation="rotate_keys",
            outcome=Outcome.ALLOWED,
            detail={"from": before.name, "to": keys.name},
        )
        noted = prepared(Transaction(audit=(record,)), self._words)

        def work(connection: sqlite3.Connection, head: Head) -> tuple[Head, Receipt]:
            rekeying.turn(connection, keys)
            return self._guard.notary.apply(connection, head, noted)

        try:
            self._writer.submit(Job(work)).result()
        except MemOSError:
            locks.provider = before
            raise
        return self._rekeyed()

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
