"""Which files this process has open, so that a file that went from its place, and a fork, are noticed.

SQLite goes on writing to a file that was deleted, moved or replaced, and nobody finds it there again. A forked child
inherits what SQLite knows of open files, but not the locks ("How To Corrupt An SQLite Database File", 2.6): of one that
was open when the process was forked, SQLite takes no lock in the child, even for a connection of its own, and the
parent deletes the write-ahead log under it. There is no way to make SQLite forget, so such a file is refused.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from memos_integrations.core.errors import VaultClosedError, VaultError

FORKED = (
    "The vault was open when this process was forked. Fork first and open it in each process, or close it before, "
    "or start the child without a fork (multiprocessing: 'spawn' or 'forkserver')."
)

Place = tuple[int, int]
"""Device and number of a file."""


class Connection(sqlite3.Connection):
    """A connection that is known to be open until it is closed, or nobody has it any more."""

    def __init__(self, *how: Any, **more: Any) -> None:
        super().__init__(*how, **more)
        self.place: Place | None = None

    def opened(self, file: Path) -> None:
        """It is one to *file*."""
        self.place = place_of(file)
        _open[self] = self.place

    def close(self) -> None:
        """Close it."""
        super().close()
        _open.pop(self, None)


_open: WeakKeyDictionary[Connection, Place | None] = WeakKeyDictionary()
_inherited: set[Place | None] = set()


def _forked() -> None:
    _inherited.update(_open.values())
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def place_of(file: Path) -> Place | None:
    """Which file stands there; None when none does."""
    try:
        seen = os.stat(file)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def check_process(process: int) -> None:
    """Refuse what was opened in another process than this one, of which this one is a fork.

    Raises:
        VaultClosedError: It was.
    """
    if os.getpid() != process:
        raise VaultClosedError(FORKED)


def check_not_inherited(file: Path) -> None:
    """Refuse a file that was open when this process was forked.

    Raises:
        VaultClosedError: It was.
    """
    if _inherited and (place := place_of(file)) is not None and place in _inherited:
        raise VaultClosedError(FORKED)


def check_there(file: Path, place: Place | None) -> None:
    """Refuse to go on when another file, or none, stands where the open one was.

    Raises:
        VaultError: It does.
    """
    if place_of(file) != place:
        raise VaultError(
            f"{file} was deleted, moved or replaced while it was open; nothing was written. Close this vault, and open "
            "it where it is now, or restore a backup."
        )
