"""Blobs of an encrypted vault: a file is sealed a megabyte at a time with a data key of its own, wrapped in its head.

`magic | lock | pieces | SHA-256 of the pieces`: each piece is AES-256-GCM under its number and whether it is the last,
so that none can be cut off, moved or put elsewhere. The lock is bound to the digest of what was sealed, and written
when that is known. The sum at the end tells a damaged file to whoever has no keys: a backup, the doctor.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.extras import require
from memos_integrations.vaults.locks import DATA_KEY_BYTES, LOCK_BYTES, Locks

MAGIC = b"MEMOSEA1"
_HEAD, _TAG, _SUM, PIECE = len(MAGIC) + LOCK_BYTES, 16, 32, 1 << 20


def is_sealed_file(file: Path) -> bool:
    """Whether a file was sealed."""
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def whole(file: Path, digest: str) -> bool:
    """Whether a blob's file is undamaged, as far as that shows without keys."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
        left = file.stat().st_size - _HEAD - _SUM
        stream.seek(_HEAD)
        found = hashlib.sha256()
        while left > 0 and (block := stream.read(min(PIECE, left))):
            found.update(block)
            left -= len(block)
        if left == 0 and stream.read() == found.digest():
            return True
        stream.seek(0)  # a blob of a vault without encryption may begin like this
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest


def locked_as(digest: str) -> str:
    """What the lock of a blob is bound to: no cube has such an id."""
    return f"\0blob {digest}"


class Sealing:
    """Writes a sealed file: `write` what is to be sealed, then `close` with its digest."""

    def __init__(self, out: BinaryIO, locks: Locks) -> None:
        self._out, self._locks, self._key = out, locks, os.urandom(DATA_KEY_BYTES)
        self._box: Any = require("cryptography.hazmat.primitives.ciphers.aead", extra="encryption").AESGCM(self._key)
        self._waiting, self._number, self._sum = bytearray(), 0, hashlib.sha256()
        out.write(MAGIC + bytes(LOCK_BYTES))

    def write(self, block: bytes) -> None:
        """Seal more bytes."""
        self._waiting += block
        while len(self._waiting) > PIECE:  # one is kept back: it may be the last
            self._piece(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]

    def _piece(self, content: bytes, *, last: bool) -> None:
        sealed = self._box.encrypt(_nonce(self._number), content, b"last" if last else b"")
        self._number += 1
        self._sum.update(sealed)
        self._out.write(sealed)

    def close(self, digest: str) -> None:
        """Write the last piece, the sum and the head."""
        self._piece(bytes(self._waiting), last=True)
        self._out.write(self._sum.digest())
        self._out.seek(len(MAGIC))
        self._out.write(self._locks.wrap(self._key, locked_as(digest)))


class Unsealed(io.RawIOBase):
    """What a sealed file holds, to be read from anywhere; every piece is checked as it is read.

    Raises:
        IntegrityError: The file is not the blob's, or was changed.
    """

    def __init__(self, stream: BinaryIO, locks: Locks, digest: str) -> None:
        super().__init__()
        self._stream, self._digest, self._at = stream, digest, 0
        self._invalid: type[Exception] = require("cryptography.exceptions", extra="encryption").InvalidTag
        head = stream.read(_HEAD)
        key = locks.unwrap(head[len(MAGIC) :], locked_as(digest))
        self._box: Any = require("cryptography.hazmat.primitives.ciphers.aead", extra="encryption").AESGCM(key)
        sealed = stream.seek(0, os.SEEK_END) - _HEAD - _SUM
        self._count = max(1, -(-sealed // (PIECE + _TAG)))
        self.size = sealed - self._count * _TAG
        self._held: tuple[int, bytes] = (-1, b"")

    def _piece(self, number: int) -> bytes:
        if self._held[0] != number:
            self._stream.seek(_HEAD + number * (PIECE + _TAG))
            last = number == self._count - 1
            length = self.size - number * PIECE + _TAG if last else PIECE + _TAG
            try:
                sealed = self._stream.read(max(0, length))
                content = self._box.decrypt(_nonce(number), sealed, b"last" if last else b"")
            except (self._invalid, ValueError) as exc:
                raise IntegrityError(f"Blob {self._digest} was changed in its file") from exc
            self._held = number, content
        return self._held[1]

    def check(self) -> str:
        """The digest of all of it, every piece checked."""
        found = hashlib.sha256()
        for number in range(self._count):
            found.update(self._piece(number))
        return found.hexdigest()

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase.readinto`."""
        if self._at >= self.size:
            return 0
        number, start = divmod(self._at, PIECE)
        part = self._piece(number)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._at

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._stream.close()
        super().close()


def relocked(source: BinaryIO, out: BinaryIO, locks: Locks, digest: str) -> None:
    """A sealed file again, its lock under the newest master key."""
    head = source.read(_HEAD)
    out.write(MAGIC + locks.current(head[len(MAGIC) :], locked_as(digest)))
    while block := source.read(PIECE):
        out.write(block)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)  # the key is this file's alone, so a number is used once
