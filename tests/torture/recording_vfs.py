"""Everything that SQLite asks of the disk, in order, and what a power cut at any moment could have left of it.

The shim stands in front of the default VFS of the very library that Python's `sqlite3` uses, reached by `ctypes`: the
vault runs unchanged. Recorded are writes, truncations, syncs and deletions of the database and its write-ahead log.

A cut leaves of each file what was synced, and of what was not, each write by itself: done, lost, or torn at 512-byte
sectors (any of them may have reached the disk). Truncations and unsynced deletions are done or not. A file that was
never synced may be missing. Not simulated: a disk that lies about syncs, or damages what was synced before; the shared
memory file (SQLite makes it anew); files written by Python (blobs, index), whose order other tests look at.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

SECTOR = 512
_METHODS = (
    "xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize "
    "xDeviceCharacteristics xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch"
).split()
_CALLS = (
    "xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime "
    "xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall"
).split()


class _Methods(Structure):
    _fields_ = [("iVersion", c_int), *((name, c_void_p) for name in _METHODS)]


class _File(Structure):
    _fields_ = [("pMethods", POINTER(_Methods))]


class _Vfs(Structure):
    _fields_ = [
        ("iVersion", c_int), ("szOsFile", c_int), ("mxPathname", c_int), ("pNext", c_void_p), ("zName", c_char_p),
        ("pAppData", c_void_p), *((name, c_void_p) for name in _CALLS),
    ]  # fmt: skip


_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


@dataclass(frozen=True)
class Event:
    """One thing that happened: `write`, `truncate`, `sync`, `delete` of a file, `made` beside it, or a test's note."""

    what: str
    file: str = ""
    offset: int = 0
    content: Any = b""


class Recording:
    """A list of events, and the shim that fills it while `recording()` is on.

    `beside` is a file that is not SQLite's and is written once, durably; that it is there is noted when it is made.
    """

    def __init__(self, beside: Path) -> None:
        self.events: list[Event] = []
        self._beside: Path | None = beside
        self._library = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
        self._library.sqlite3_libversion.restype = c_char_p
        self._library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._names: dict[int, str] = {}
        self._wrapped: dict[int, _Methods] = {}
        self._alive: list[Any] = []

    @property
    def is_pythons(self) -> bool:
        """Whether the library found is the one that Python's `sqlite3` uses."""
        version: bytes = self._library.sqlite3_libversion()
        return version.decode() == sqlite3.sqlite_version

    def note(self, what: str, content: Any) -> None:
        """Put something of the test's own between what SQLite did before and after."""
        self._happened(Event(what, content=content))

    def _happened(self, event: Event) -> None:
        if self._beside is not None and self._beside.exists():
            made, self._beside = self._beside, None
            self.events.append(Event("made", made.name, content=made.read_bytes()))
        self.events.append(event)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what every connection opened in the block does."""
        default = self._library.sqlite3_vfs_find(None)
        self._truth = default.contents
        shim = _Vfs.from_buffer_copy(bytes(self._truth))
        opened, deleted = _OPEN(self._open), _DELETE(self._delete)
        shim.pNext, shim.zName = None, b"recording"
        shim.xOpen = ctypes.cast(opened, c_void_p).value
        shim.xDelete = ctypes.cast(deleted, c_void_p).value
        self._alive += [shim, opened, deleted]
        self._library.sqlite3_vfs_register(ctypes.byref(shim), 1)
        try:
            yield
        finally:
            self._library.sqlite3_vfs_register(default, 1)
            self._library.sqlite3_vfs_unregister(ctypes.byref(shim))

    def _open(self, _: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code: int = _OPEN(self._truth.xOpen)(ctypes.addressof(self._truth), name, file, flags, out)
        handle = _File.from_address(file)
        if code == 0 and name and handle.pMethods:
            self._names[file] = Path(ctypes.string_at(name).decode()).name
            handle.pMethods = ctypes.pointer(self._methods(handle.pMethods.contents))
        return code

    def _delete(self, _: int, name: bytes, synced: int) -> int:
        code: int = _DELETE(self._truth.xDelete)(ctypes.addressof(self._truth), name, synced)
        if code == 0:
            self._happened(Event("delete", Path(name.decode()).name, offset=synced))
        return code

    def _methods(self, truth: _Methods) -> _Methods:
        place = ctypes.addressof(truth)
        if place not in self._wrapped:
            mine = _Methods.from_buffer_copy(bytes(truth))
            write, truncate, sync = _WRITE(truth.xWrite), _TRUNCATE(truth.xTruncate), _SYNC(truth.xSync)

            def on_write(file: int, content: int, size: int, offset: int) -> int:
                code: int = write(file, content, size, offset)
                if code == 0:
                    self._happened(Event("write", self._names[file], offset, ctypes.string_at(content, size)))
                return code

            def on_truncate(file: int, size: int) -> int:
                code: int = truncate(file, size)
                if code == 0:
                    self._happened(Event("truncate", self._names[file], size))
                return code

            def on_sync(file: int, flags: int) -> int:
                code: int = sync(file, flags)
                if code == 0:
                    self._happened(Event("sync", self._names[file]))
                return code

            kept = [_WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync)]
            mine.xWrite, mine.xTruncate, mine.xSync = (ctypes.cast(each, c_void_p).value for each in kept)
            self._alive += kept
            self._wrapped[place] = mine
        return self._wrapped[place]


@dataclass
class Disk:
    """What the disk surely holds, and what was asked of it since."""

    durable: dict[str, bytearray] = field(default_factory=dict)
    pending: list[Event] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Let one more thing happen."""
        if event.what == "sync":
            if event.file not in self.durable:  # the first sync of a new journal or log syncs the folder, too
                for old in [each for each in self.pending if each.what == "delete" and each.file != event.file]:
                    self._forget(old.file)
            content = self.durable.setdefault(event.file, bytearray())
            for old in self.pending:
                if old.file == event.file:
                    if old.what == "delete":
                        content.clear()
                    else:
                        _apply(content, old)
            self.pending = [old for old in self.pending if old.file != event.file]
        elif event.what == "delete" and event.offset:
            self._forget(event.file)
        elif event.what == "made":
            self.durable[event.file] = bytearray(event.content)
        elif event.file:
            self.pending.append(event)

    def _forget(self, file: str) -> None:
        self.durable.pop(file, None)
        self.pending = [old for old in self.pending if old.file != file]

    def after_cut(self, random: Random) -> dict[str, bytearray]:
        """The files that a power cut now might leave."""
        files = {name: bytearray(content) for name, content in self.durable.items()}
        mood = random.choice(["nothing", "everything", "some", "some", "some"])
        for event in self.pending:
            if mood == "nothing" or (mood == "some" and random.random() < 0.4):
                continue
            if event.what == "delete":
                files.pop(event.file, None)
                continue
            content = files.setdefault(event.file, bytearray())
            torn = mood == "some" and event.what == "write" and random.random() < 0.4
            for piece in _torn(event, random) if torn else [event]:
                _apply(content, piece)
        return files


def _apply(content: bytearray, event: Event) -> None:
    size = event.offset + len(event.content) if event.what == "write" else event.offset
    if len(content) < size:
        content.extend(bytes(size - len(content)))
    if event.what == "write":
        content[event.offset : size] = event.content
    else:
        del content[size:]


def _torn(event: Event, random: Random) -> Iterator[Event]:
    """Those sectors of a write that reached the disk."""
    start, end = event.offset, event.offset + len(event.content)
    edges = [start, *range(start - start % SECTOR + SECTOR, end, SECTOR), end]
    for left, right in pairwise(edges):
        if random.random() < 0.5:
            yield Event("write", event.file, left, event.content[left - start : right - start])
