"""Connections to a vault file, and the one place where SQLite's errors become ours."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue
from threading import Lock

from memos_integrations.core.errors import (
    VaultBusyError,
    VaultClosedError,
    VaultCorruptError,
    VaultError,
    VaultFullError,
    VaultReadOnlyError,
)
from memos_integrations.vaults.whereabouts import Connection, check_not_inherited, check_there, place_of

FOREIGN = (sqlite3.Error, UnicodeDecodeError)
"""What the `sqlite3` module raises: in a damaged file, text (and even SQLite's own message) may not be UTF-8."""

_KINDS: dict[int, tuple[type[VaultError], str]] = {
    code: (kind, message)
    for codes, kind, message in (
        (
            # Over quota and over a file-size limit come as a failed write, not as SQLITE_FULL.
            (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE),
            VaultFullError,
            "The disk refused a write ({}): full, over quota, or failing. Make room, try again.",
        ),
        (
            (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),
            VaultReadOnlyError,
            "The vault cannot be written ({}). Check its file, its folder and the mount.",
        ),
        (
            (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
            VaultBusyError,
            "Another process held the vault for too long ({}). Nothing was written; try again.",
        ),
        (
            (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FORMAT),
            VaultCorruptError,
            "The vault's file is damaged or not a vault ({}). Restore it from a backup.",
        ),
    )
    for code in codes
}


def translated(exc: sqlite3.Error | UnicodeDecodeError) -> VaultError:
    """Our error for one of SQLite's."""
    said = str(exc)
    if isinstance(exc, UnicodeDecodeError) or said.startswith("Could not decode"):
        # The message would quote what stands in the row.
        return VaultCorruptError("The vault's file is damaged: a text in it is not UTF-8. Restore it from a backup.")
    code: int = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    kind, message = _KINDS.get(code) or _KINDS.get(code & 0xFF) or _otherwise(exc, said)
    return kind(message.format(said))


def _otherwise(exc: Exception, said: str) -> tuple[type[VaultError], str]:
    if said.startswith("no such"):  # our SQL is fixed, so the schema in the file is not what it was
        return VaultCorruptError, "The vault's file is damaged ({}). Restore it from a backup."
    if isinstance(exc, sqlite3.ProgrammingError) and "closed" in said:
        return VaultClosedError, "The vault was closed; open it again."
    return VaultError, "The vault failed ({}); what was acknowledged before is still there."


@contextmanager
def translating() -> Iterator[None]:
    """Let SQLite's errors leave the block as ours."""
    try:
        yield
    except FOREIGN as exc:
        raise translated(exc) from exc


def database_file(path: Path) -> Path:
    """The database file that *path* names: itself when it ends in `.db` and is no folder, else `vault.db` in it."""
    return path if path.suffix == ".db" and not path.is_dir() else path / "vault.db"


def located(path: Path) -> Path:
    """The database file that *path* names: itself, or `vault.db` in the folder, which is made when missing.

    Raises:
        VaultReadOnlyError: The folder cannot be made.
        VaultError: Something that is no folder stands where the folder should be.
    """
    file = database_file(path).absolute()  # the working folder may be another one later
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would make it readable by all; the mode of -wal and -shm follows that of the file. An existing file is
        # not opened here: closing it again would drop the locks that this process holds on it (POSIX).
        if not file.exists():
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as exc:
        if not file.is_file():
            raise VaultError(f"{file} cannot be made: a file stands where its folder should be.") from exc
    except PermissionError as exc:
        raise VaultReadOnlyError(f"{file} cannot be written. Check the rights of its folder.") from exc
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise VaultFullError(f"{file} cannot be made: the disk is full.") from exc
        if exc.errno == errno.EROFS:
            raise VaultReadOnlyError(f"{file} cannot be written: its file system is read-only.") from exc
        raise VaultError(f"{file} cannot be opened ({exc}). Name a folder, or a file that ends in .db.") from exc
    return file


def connect(file: Path, *, busy_timeout_s: float, reading: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any thread (one at a time), set for durability and privacy.

    Raises:
        VaultClosedError: The file was open when this process was forked.
    """
    check_not_inherited(file)
    connection = sqlite3.connect(
        f"file://{_quoted(file)}?mode=rw",  # with no host: else a path that begins with // would name one
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=Connection,
    )
    try:
        connection.opened(file)
        _to_wal(connection, busy_timeout_s)
        # FULL: an acknowledged commit survives a power cut. secure_delete: what is deleted is overwritten.
        # temp_store: no text in temporary files.
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",
            # Who writes meets the last page of every tenant in each index again and again.
            f"cache_size = {-16384 if reading else -65536}",
            # Pages that many commits change go back into the file once; the log stays near 32 MB.
            "wal_autocheckpoint = 8000",
        ):
            connection.execute(f"PRAGMA {setting}")
        if reading:
            connection.execute("PRAGMA query_only = ON")
    except FOREIGN:
        connection.close()
        raise
    return connection


def _quoted(file: Path) -> str:
    return str(file.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as exc:
            # The switch of a new file asks for the exclusive lock without waiting for it.
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise VaultError(f"SQLite gave journal mode {mode!r}, not WAL. Keep the vault on a local disk.")
        return


class ReadPool:
    """A few connections for reading, each in a transaction of its own: what one read sees is one moment."""

    def __init__(
        self,
        file: Path,
        *,
        size: int,
        busy_timeout_s: float,
        prepare: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        self._file, self._busy_timeout_s, self._prepare = file, busy_timeout_s, prepare
        self._free: LifoQueue[sqlite3.Connection | None] = LifoQueue()
        for _ in range(size):
            self._free.put(None)  # opened at first use
        self._size, self._lock, self._closed = size, Lock(), False
        self._place = place_of(file)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection within a read transaction.

        Raises:
            VaultClosedError: The pool was closed.
            VaultError: SQLite failed, or the file is no longer where it was.
        """
        if self._closed:
            raise VaultClosedError("The vault was closed; open it again.")
        check_there(self._file, self._place)
        connection = self._free.get()
        try:
            with translating():
                if self._closed:
                    raise VaultClosedError("The vault was closed; open it again.")
                if connection is None:
                    connection = connect(self._file, busy_timeout_s=self._busy_timeout_s, reading=True)
                    if self._prepare is not None:
                        self._prepare(connection)
                connection.execute("BEGIN")
                try:
                    yield connection
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Wait for the reads under way, then close every connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for _ in range(self._size):
            connection = self._free.get()
            if connection is not None:
                connection.close()
        # Whoever waited for a connection while we closed gets a turn, and is refused.
        for _ in range(self._size):
            self._free.put(None)
