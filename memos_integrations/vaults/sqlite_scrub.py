"""How a SQLite vault takes away what an erasure left in its file; when, and why, stands in `scrubbing.py`."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from memos_integrations.core.errors import VaultBusyError, VaultFullError
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.jobs import Job
from memos_integrations.vaults.scrubbing import is_due, last_scrubbed, note_scrubbed
from memos_integrations.vaults.sqlite_blobs import beside
from memos_integrations.vaults.sqlite_write import read_head
from memos_integrations.vaults.writer import GroupWriter

_SCRUBBED = "\0scrubbed"
"""Stands for all that was erased where a job says what it takes away, so that the write-ahead log is emptied."""


class SQLiteScrub(ABC):
    """What `SQLiteVault` does with what is left of erased rows."""

    _file: Path
    _guard: Guard
    _writer: GroupWriter

    @abstractmethod
    def _reading(self) -> AbstractContextManager[sqlite3.Connection]: ...

    def scrub(self, now: datetime, *, gently: bool = False) -> int:
        """Write the file anew if copies of what was erased may be left in it; see `Vault.scrub` and `scrubbing.py`.

        Other writes wait meanwhile, about a second for each 100 MB; reads go on.

        Raises:
            VaultError: It takes as much memory as the file is large, and twice that on the disk, and there is not.
        """
        with self._reading() as connection:
            head, last = read_head(connection), last_scrubbed(connection)
        waiting = head.erased - last.erased
        if waiting and not (gently and not is_due(last, self._file.stat().st_size, now)):
            noted = beside(lambda writing: note_scrubbed(writing, self._guard.sealer, head.erased, now))
            try:
                self._writer.submit(Job(noted, erases=(_SCRUBBED,), alone=True, anew=True)).result()
                waiting = 0
            except (VaultFullError, VaultBusyError):
                if not gently:
                    raise
        return waiting or int(_SCRUBBED in self._writer.unsettled)
