"""When a vault's file is written anew, so that no copy of an erased row is left in it.

SQLite zeroes the cells that it deletes (`secure_delete`), not what stands in the unused part of a page after its rows
were shared out anew between neighbours: a row that is erased later keeps such copies. Only VACUUM takes them away. How
many erasures there were stands in `head`; up to which of them the file was written anew, and when, in `meta`.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import NamedTuple

from memos_integrations.core.errors import VaultError
from memos_integrations.vaults.integrity import check_meta, seal_meta
from memos_integrations.vaults.seals import Sealer

SMALL = 64 << 20
"""Up to so many bytes a file is written anew whenever something was erased: it takes less than a second."""

LARGE = 1 << 30
"""Above so many bytes it is done only when it is asked for: it takes about as much memory as the file is large."""

EVERY = timedelta(days=1)
"""Between the two it is done at most so often."""

_MARK = "scrubbed"


class Scrubbed(NamedTuple):
    """Up to which erasure a file was written anew, and when that was."""

    erased: int
    at: datetime | None


def last_scrubbed(connection: sqlite3.Connection) -> Scrubbed:
    """What the file says; nothing for one that never was."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_MARK,)).fetchone()
    if row is None:
        return Scrubbed(0, None)
    erased, _, at = bytes(row[0]).decode().partition(" ")
    return Scrubbed(int(erased), datetime.fromisoformat(at))


def is_due(last: Scrubbed, size: int, now: datetime) -> bool:
    """Whether a file of *size* bytes, in which something was erased since, is written anew without being asked."""
    if size <= SMALL or last.at is None:
        return size <= LARGE
    return size <= LARGE and abs(now - last.at) >= EVERY


def written_anew(connection: sqlite3.Connection) -> None:
    """Write the file of an idle connection anew: its pages hold what its rows say, and copies of living rows.

    Raises:
        VaultError: There is not enough memory for it.
    """
    try:
        connection.execute("VACUUM")
    except MemoryError as exc:
        raise VaultError("Writing the vault anew takes as much memory as its file is large; nothing changed.") from exc


def note_scrubbed(connection: sqlite3.Connection, sealer: Sealer, erased: int, now: datetime) -> None:
    """Within a write transaction: the file was written anew after so many erasures."""
    check_meta(connection, sealer)
    value = f"{erased} {now.isoformat()}".encode()
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_MARK, value))
    seal_meta(connection, sealer)
