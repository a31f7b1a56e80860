"""Files that others wrote, opened only where they are files: whoever reads a pipe may wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_HOW = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""A pipe that nobody writes to is opened at once, so that it can be told from a file."""


def opened(path: str | Path) -> BinaryIO:
    """The bytes of a file, to be closed by the caller.

    Raises:
        OSError: It cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    try:
        number = os.open(path, _HOW)
    except ValueError as exc:  # a NUL in its name
        raise OSError(errno.ENOENT, "there can be no file of that name") from exc
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(number, "rb")
