"""Which blobs the cubes of a SQLite vault name, and when a file may go.

`blobs` holds, per cube, what its versions name (see `blob_names.py`). `uploads` counts the blobs that were stored and
wait for their cube; a row with none waiting is a blob that was erased and must leave the disk. Both change in the write
transaction of the cube. A file is removed only in a write transaction of its own that sees, committed, that nobody
names it: no cube can be written meanwhile, in any process. A crash leaves the row, so that the next opening goes on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from memos_integrations.core.cube import BlobRef
from memos_integrations.core.errors import IntegrityError, VaultError
from memos_integrations.vaults.blobs import Aside, BlobFolder, blob_folder, blob_ref
from memos_integrations.vaults.connection import translating

_Head = TypeVar("_Head")

GRACE = timedelta(days=1)
"""How long a stored blob may wait for the cube that names it."""

_NAMED_BY = """SELECT b.cube, b.digest FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value
    CROSS JOIN blobs AS b ON b.cube = c.seq"""

_BATCH = 64
"""Files per write transaction while collecting, so that no writer waits long."""


Named = set[tuple[int, str]]
"""Rows of `blobs`: a cube's number, and the digest of a blob that it names."""


def named_by(connection: sqlite3.Connection, ids: Sequence[str]) -> Named:
    """The rows of these cubes."""
    asked = (json.dumps(ids),)
    return {*connection.execute(_NAMED_BY, asked)} if ids else set()


def name_blobs(connection: sqlite3.Connection, seq: int, digests: Iterable[str]) -> None:
    """Within a Put: the cube names these blobs; an upload of each waited for that."""
    for digest in dict.fromkeys(digests):
        if connection.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (seq, digest)).rowcount:
            connection.execute("UPDATE uploads SET waiting = waiting - 1 WHERE digest = ? AND waiting > 0", (digest,))
            connection.execute("DELETE FROM uploads WHERE digest = ? AND waiting = 0", (digest,))


def doom_blobs(connection: sqlite3.Connection, seq: int) -> None:
    """Within an Erase, before the rows go: what only this cube names has to leave the disk after the commit."""
    connection.execute(
        """INSERT OR IGNORE INTO uploads SELECT mine.digest, 0 FROM blobs AS mine WHERE mine.cube = ?1
            AND NOT EXISTS (SELECT 1 FROM blobs AS o WHERE o.digest = mine.digest AND o.cube <> ?1)""",
        (seq,),
    )


def stage(connection: sqlite3.Connection, folder: BlobFolder, aside: Aside) -> None:
    """Within a write transaction: a blob gets its name, and waits for a cube to name it."""
    connection.execute(
        "INSERT INTO uploads VALUES (?, 1) ON CONFLICT (digest) DO UPDATE SET waiting = waiting + 1", (aside.digest,)
    )
    folder.keep(aside)


def beside(work: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection, _Head], tuple[_Head, None]]:
    """*work* as a job of the writer thread that leaves the vault's counters as they are."""

    def job(connection: sqlite3.Connection, head: _Head) -> tuple[_Head, None]:
        work(connection)
        return head, None

    return job


class BlobShelf:
    """The blobs of one SQLite vault. *connect* gives a connection of one's own for the decisions about files.

    *check*, within a write transaction, sees that the rows of `blobs` can be relied on; *commit* ends one.
    """

    def __init__(
        self,
        database: Path,
        connect: Callable[[], sqlite3.Connection],
        check: Callable[[sqlite3.Connection], None],
        commit: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.files = BlobFolder(blob_folder(database))
        self._connect, self._check, self._commit = connect, check, commit

    def put(
        self,
        source: bytes | BinaryIO,
        media_type: str,
        write: Callable[[Callable[[sqlite3.Connection], None]], None],
    ) -> BlobRef:
        """Store a blob; *write* runs a function within a write transaction and returns when that is durable.

        Raises:
            InvalidMemoryError: It is too large, no bytes, or the media type is empty.
            VaultError: It could not be stored; nothing is left of it.
        """
        aside = self.files.write_aside(source)
        try:
            ref = blob_ref(aside.digest, aside.size, media_type)
            write(lambda connection: stage(connection, self.files, aside))
        finally:
            self.files.discard(aside.file)  # its name is another one by now, unless something failed
        return ref

    def renew(self, run: Callable[[Callable[[sqlite3.Connection], None]], None]) -> int:
        """Seal every blob that is not sealed, and wrap every key anew; how many. *run* as *write* in `put`.

        Each within a write transaction, so that none comes back that is erased meanwhile.
        """
        named = sorted(file.name for file in self.files.folder.glob("??/??/*"))
        for digest in named:
            run(partial(self._renew, digest))
        return len(named)

    def _renew(self, digest: str, _: sqlite3.Connection) -> None:
        self.files.renew(digest)

    def settle(self) -> bool:
        """Take the blobs of erased cubes off the disk. Whether none is left."""
        if not self.files.folder.is_dir():
            return True
        try:
            with translating():
                connection = self._connect()
                try:
                    rows = connection.execute("SELECT digest FROM uploads WHERE waiting = 0").fetchall()
                    return not rows or self._sweep(connection, [digest for (digest,) in rows], erased=True) == len(rows)
                finally:
                    connection.close()
        except (VaultError, IntegrityError):
            return False

    def collect(self, now: datetime, grace: timedelta) -> int:
        """Remove what no version of any cube names and nobody wrote within *grace*; how many files went.

        Raises:
            IntegrityError: What says which blobs are named does not match its seal; none was removed.
        """
        self.settle()
        old = list(self.files.older_than(now - grace))
        gone = 0
        with translating():
            connection = self._connect()
            try:
                for file in old:
                    if file.suffix == ".tmp":
                        self.files.discard(file)
                        gone += 1
                blobs = [file.name for file in old if file.suffix != ".tmp"]
                for start in range(0, len(blobs), _BATCH):
                    gone += self._sweep(connection, blobs[start : start + _BATCH], before=now - grace)
            finally:
                connection.close()
        return gone

    def _sweep(
        self,
        connection: sqlite3.Connection,
        digests: Iterable[str],
        *,
        erased: bool = False,
        before: datetime | None = None,
    ) -> int:
        """Remove those of *digests* that may go, under the write lock; how many are settled."""
        settled = 0
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check(connection)
            for digest in digests:
                if before is not None and not self._is_older(digest, before):
                    continue
                if connection.execute("SELECT 1 FROM blobs WHERE digest = ? LIMIT 1", (digest,)).fetchone():
                    settled += erased  # named (again); only the row goes
                elif self.files.remove(digest):
                    settled += 1
                else:
                    continue
                condition = (digest, 0 if erased else 2**62)
                connection.execute("DELETE FROM uploads WHERE digest = ? AND waiting <= ?", condition)
            self._commit(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return settled

    def _is_older(self, digest: str, moment: datetime) -> bool:
        """Looked at once more under the lock: it may have been stored again since it was listed."""
        try:
            return self.files.file(digest).stat().st_mtime < moment.timestamp()
        except OSError:
            return False
