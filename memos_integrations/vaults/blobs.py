"""Blobs: bytes too large for a row, in files named by their SHA-256, in a folder beside the vault.

A file is written aside, synced and renamed before any row may name it, and is never changed afterwards. What is read is
held against the name first. When a file may go is the vault's decision (`sqlite_blobs.py`); here are only files.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from memos_integrations.core.cube import BlobRef
from memos_integrations.core.errors import (
    IntegrityError,
    InvalidMemoryError,
    MemOSError,
    VaultError,
    VaultFullError,
    VaultReadOnlyError,
)
from memos_integrations.core.ports import Erase, Put, Transaction
from memos_integrations.vaults.blob_seal import MAGIC, Sealing, Unsealed, is_sealed_file, relocked, whole
from memos_integrations.vaults.locks import LOCK_BYTES, Locks

MAX_BLOB_BYTES = 16 << 30
"""Largest blob: room for the KV cache of a long document, not for a disk that fills unseen."""

_BLOCK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def blob_folder(database: Path) -> Path:
    """Where the blobs of a vault stand."""
    return database.with_suffix(".blobs")


def blocks(source: bytes | BinaryIO, limit: int = MAX_BLOB_BYTES) -> Iterator[bytes]:
    """The bytes of a blob to be stored, a megabyte at a time.

    Raises:
        InvalidMemoryError: They are more than *limit*, or not bytes.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    if not hasattr(stream, "read"):
        raise InvalidMemoryError(f"A blob is bytes, or a file opened in binary mode, not {type(source).__name__}.")
    left = limit
    while (block := stream.read(_BLOCK)) != b"":
        if block is None:  # nothing yet: what comes later would be left out without a word
            raise InvalidMemoryError("The blob's stream does not wait for what it reads; open it blocking.")
        if not isinstance(block, bytes):
            raise InvalidMemoryError("A blob is bytes; open the file in binary mode.")
        left -= len(block)
        if left < 0:
            raise InvalidMemoryError(f"The blob is more than {limit:,} bytes; store it elsewhere and remember where.")
        yield block


def mismatch(ref: BlobRef) -> IntegrityError:
    """The refusal of a blob that is missing, or not what its name says."""
    return IntegrityError(f"Blob {ref.digest} ({ref.size:,} bytes) is missing or does not match its digest")


@contextmanager
def translating_files(what: str) -> Iterator[None]:
    """Let the file system's errors leave the block as ours."""
    try:
        yield
    except MemOSError:  # some of ours are OSErrors, too
        raise
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        if exc.errno in _FULL:
            raise VaultFullError(f"{what} could not be written ({reason}). Make room, try again.") from exc
        if exc.errno in _REFUSED:
            raise VaultReadOnlyError(
                f"{what} could not be written ({reason}). Check the rights of its folder."
            ) from exc
        raise VaultError(f"{what} could not be written or read ({reason}).") from exc


@dataclass(frozen=True, slots=True)
class Aside:
    """A blob that is on the disk under a name that nobody looks for yet."""

    file: Path
    digest: str
    size: int


class BlobFolder:
    """The files of one vault's blobs: `ab/cd/abcd…` by digest, readable by their owner only. Made when first used.

    With *locks* what is written is sealed; see `blob_seal.py`.
    """

    def __init__(self, folder: Path, *, limit: int = MAX_BLOB_BYTES, locks: Locks | None = None) -> None:
        self.folder, self._limit, self.locks = folder, limit, locks

    def file(self, digest: str) -> Path:
        """Where a blob stands, or would."""
        return self.folder / digest[:2] / digest[2:4] / digest

    def write_aside(self, source: bytes | BinaryIO) -> Aside:
        """Write a blob to the disk, synced, not yet under its name.

        Raises:
            InvalidMemoryError: It is too large, or no bytes.
            VaultFullError, VaultReadOnlyError, VaultError: It could not be written; nothing is left of it.
        """
        aside = self.folder / f"{os.getpid()}.{secrets.token_hex(8)}.tmp"
        digest, size = hashlib.sha256(), 0
        try:
            with translating_files("The blob"):
                if not self.folder.is_dir():
                    self.folder.mkdir(mode=0o700, exist_ok=True)
                    sync_folder(self.folder.absolute().parent)
                with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    sealing = None if self.locks is None else Sealing(out, self.locks)
                    for block in blocks(source, self._limit):
                        digest.update(block)
                        size += len(block)
                        (sealing or out).write(block)
                    if sealing is not None:
                        sealing.close(digest.hexdigest())
                    out.flush()
                    os.fsync(out.fileno())
        except BaseException:
            self.discard(aside)
            raise
        return Aside(aside, digest.hexdigest(), size)

    def keep(self, aside: Aside) -> None:
        """Give a blob its name. One that is there already is replaced: the same bytes, and perhaps undamaged ones."""
        with translating_files("The blob"):
            file = self.file(aside.digest)
            for folder in (file.parent.parent, file.parent):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, exist_ok=True)
                    sync_folder(folder.parent)
            aside.file.replace(file)
            sync_folder(file.parent)

    def discard(self, aside: Path) -> None:
        """Take away what was written aside."""
        with suppress(OSError):
            aside.unlink(missing_ok=True)

    def open(self, ref: BlobRef) -> BinaryIO:
        """A blob to be read from its start, checked against its digest before the first byte is handed out.

        Raises:
            IntegrityError: It is missing, or holds something else.
            VaultError: The disk failed.
        """
        with translating_files("The blob"):
            try:
                stream = open(self.file(ref.digest), "rb")  # noqa: SIM115 - the caller's to close
            except FileNotFoundError as exc:
                raise mismatch(ref) from exc
            try:
                if self.locks is not None and stream.read(len(MAGIC)) == MAGIC:
                    return self._unsealed(stream, ref, self.locks)
                stream.seek(0)
                # A small one is checked and read in one go, so that it cannot change in between.
                if ref.size <= _BLOCK:
                    content = stream.read(_BLOCK + 1)
                    stream.close()
                    if len(content) != ref.size or hashlib.sha256(content).hexdigest() != ref.digest:
                        raise mismatch(ref)
                    return io.BytesIO(content)
                found = hashlib.file_digest(stream, "sha256").hexdigest()
                if stream.tell() != ref.size or found != ref.digest:
                    raise mismatch(ref)
                stream.seek(0)
            except BaseException:
                stream.close()
                raise
            return stream

    def _unsealed(self, stream: BinaryIO, ref: BlobRef, locks: Locks) -> BinaryIO:
        stream.seek(0)
        content = Unsealed(stream, locks, ref.digest)
        if content.size != ref.size or content.check() != ref.digest:
            raise mismatch(ref)
        if ref.size > _BLOCK:
            return io.BufferedReader(content, _BLOCK)
        content.seek(0)
        with content:
            return io.BytesIO(content.read())

    def fits(self, digest: str) -> bool:
        """Whether a blob is there and is what its name says; of a sealed one, whether its file is undamaged."""
        try:
            return whole(self.file(digest), digest)
        except OSError:
            return False

    def remove(self, digest: str) -> bool:
        """Take a blob off the disk. Whether it is gone for good (also when it was never there)."""
        file = self.file(digest)
        try:
            self._shred(file)
            file.unlink(missing_ok=True)
            if file.parent.is_dir():
                sync_folder(file.parent)
        except OSError:
            return False
        return True

    def _shred(self, file: Path) -> None:
        """Overwrite the data key of a sealed file before the file goes: what the disk keeps of it is of no use then."""
        with suppress(FileNotFoundError):
            if is_sealed_file(file):
                with file.open("rb+") as stream:
                    stream.write(bytes(len(MAGIC) + LOCK_BYTES))
                    stream.flush()
                    os.fsync(stream.fileno())

    def renew(self, digest: str) -> bool:
        """Seal a blob that is not sealed, or wrap its key anew; whether it was there."""
        file = self.file(digest)
        if self.locks is None or not file.exists():
            return False
        with translating_files("The blob"):
            if not is_sealed_file(file):
                with file.open("rb") as plain:
                    aside = self.write_aside(plain)
            else:
                aside = Aside(self.folder / f"{os.getpid()}.{secrets.token_hex(8)}.tmp", digest, 0)
                with file.open("rb") as source, open(os.open(aside.file, _NEW, 0o600), "wb") as out:
                    relocked(source, out, self.locks, digest)
                    out.flush()
                    os.fsync(out.fileno())
            if aside.digest != digest:  # damaged already: left as it is, so that reading it says so
                self.discard(aside.file)
                return False
            self.keep(aside)
        return True

    def older_than(self, moment: datetime) -> Iterator[Path]:
        """Files last written before *moment*: blobs, and what was written aside and never got its name."""
        for file in [*self.folder.glob("*.tmp"), *self.folder.glob("??/??/*")]:
            with suppress(OSError):
                if file.stat().st_mtime < moment.timestamp():
                    yield file


class BlobsInMemory:
    """The blobs of a vault in memory, with the same rules as those on a disk."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._stored_at: dict[str, float] = {}
        self._waiting: Counter[str] = Counter()

    def put(self, source: bytes | BinaryIO, media_type: str) -> BlobRef:
        """Keep a blob, which then waits for a cube to name it."""
        content = b"".join(blocks(source))
        ref = blob_ref(hashlib.sha256(content).hexdigest(), len(content), media_type)
        self._content[ref.digest], self._stored_at[ref.digest] = content, time.time()
        self._waiting[ref.digest] += 1
        return ref

    def open(self, ref: BlobRef) -> BinaryIO:
        """A blob to be read from its start."""
        content = self._content.get(ref.digest)
        if content is None or len(content) != ref.size:
            raise mismatch(ref)
        return io.BytesIO(content)

    def follow(self, transaction: Transaction, named: Callable[[], set[str]]) -> None:
        """After a transaction: what it names waits no longer, what it erased the last name of goes."""
        for change in transaction.changes:
            if isinstance(change, Put):
                self._waiting.subtract(blob.digest for blob in change.cube.blobs)
        self._waiting = +self._waiting
        if self._content and any(isinstance(change, Erase) for change in transaction.changes):
            for digest in self._content.keys() - named() - self._waiting.keys():
                del self._content[digest]

    def collect(self, before: datetime, named: set[str]) -> int:
        """Let go of what is not *named* and was stored before that moment; how many."""
        stored_at = self._stored_at
        old = [digest for digest in self._content.keys() - named if stored_at[digest] < before.timestamp()]
        for digest in old:
            del self._content[digest]
            self._waiting.pop(digest, None)
        return len(old)


def blob_ref(digest: str, size: int, media_type: str) -> BlobRef:
    """The reference to a blob.

    Raises:
        InvalidMemoryError: That is no media type.
    """
    try:
        return BlobRef(digest=digest, size=size, media_type=media_type)
    except ValueError as exc:
        raise InvalidMemoryError(f"Not a media type: {media_type!r}.") from exc


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
