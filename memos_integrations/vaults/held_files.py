"""Reading files that SQLite holds locks on, without taking the locks away.

On POSIX whoever closes any descriptor of a file drops every lock that the process holds on that file ("How To Corrupt
An SQLite Database File", 2.2): SQLite's would be gone, and another process could write where it must not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

_ENDINGS = (".db", ".sqlite", ".sqlite3", "-wal", "-shm", "-journal")

_kept: dict[tuple[int, int], int] = {}
_keeping = Lock()


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor of a file, to be read with `os.pread`.

    That of a database, or of a file beside one, stays open as long as the file has a name: one for each file, however
    often it is read.

    Raises:
        OSError: It cannot be read.
    """
    if path.name.endswith(_ENDINGS):
        yield _kept_open(path)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kept_open(path: Path) -> int:
    with _keeping:
        for key, descriptor in list(_kept.items()):
            if os.fstat(descriptor).st_nlink == 0:  # nobody can open it any more, so no lock on it matters
                os.close(_kept.pop(key))
        seen = path.stat()
        found = _kept.get((seen.st_dev, seen.st_ino))
        if found is None:
            found = os.open(path, os.O_RDONLY)
            opened = os.fstat(found)
            _kept[opened.st_dev, opened.st_ino] = found
        return found
