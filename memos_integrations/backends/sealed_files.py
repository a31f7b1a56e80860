"""Files that only the holder of a key can read: what is computed from memories and kept in folders beside a vault.

A folder has one key of its own, wrapped by a `KeyProvider` in the file `sealed.key`. A file is `magic | 8 random bytes
| pieces`: each is a megabyte under AES-256-GCM (NIST SP 800-38D), its nonce those bytes and its number. Whether it is
the last is authenticated, so that none can be cut off, moved or exchanged. Extra `encryption`.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from memos_integrations.core.errors import VaultKeyError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import KeyProvider

KEY_FILE = "sealed.key"
MAGIC = b"MEMOSEF1"
_ABOUT = b"memos sealed folder"
_START, _TAG, PIECE = len(MAGIC) + 8, 16, 1 << 20


class FolderSeal:
    """Seals and opens the files of one folder.

    Raises:
        VaultKeyError: The folder's key was wrapped with another key, or cannot be read or written.
    """

    def __init__(self, folder: Path, keys: KeyProvider) -> None:
        aead = require("cryptography.hazmat.primitives.ciphers.aead", extra="encryption")
        self._invalid: type[Exception] = require("cryptography.exceptions", extra="encryption").InvalidTag
        self.key = _folder_key(folder / KEY_FILE, keys)
        self._box: Any = aead.AESGCM(self.key)

    def sealing(self, out: IO[bytes]) -> Sealing:
        """A stream for what is to be sealed into *out*; close it to end the file."""
        return Sealing(out, self._box)

    def pieces(self, file: Path) -> Iterator[bytes]:
        """What was sealed in a file, a megabyte at a time, each checked before it is given.

        Raises:
            VaultKeyError: It was not sealed with this key, was changed, or is cut short.
            OSError: It cannot be read.
        """
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(_START)
            if start[: len(MAGIC)] != MAGIC:
                raise VaultKeyError(f"{file.name} is not sealed.")
            count = max(1, -(-(size - _START) // (PIECE + _TAG)))
            for number in range(count):
                piece = opened.read(PIECE + _TAG)
                try:
                    yield self._box.decrypt(_nonce(start, number), piece, b"last" if number == count - 1 else b"")
                except (self._invalid, ValueError) as exc:
                    raise VaultKeyError(f"{file.name} was sealed with another key, or was changed.") from exc

    def read(self, file: Path) -> bytearray:
        """All that was sealed in a file; as `pieces`."""
        content = bytearray()
        for piece in self.pieces(file):
            content += piece
        return content

    def write(self, file: Path, content: bytes | memoryview) -> None:
        """Seal *content* as a file, which appears whole or not at all.

        Raises:
            OSError: It cannot be written; nothing is left behind.
        """
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as opened:
                stream = self.sealing(opened)
                stream.write(content)
                stream.close()
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(name, file)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise


def folder_seal(folder: Path, keys: KeyProvider | None) -> FolderSeal | None:
    """The seal of a folder; None where it is not encrypted.

    Raises:
        VaultKeyError: It is, and *keys* are none or not its own.
    """
    if keys is not None:
        return FolderSeal(folder, keys)
    if (folder / KEY_FILE).exists():
        raise VaultKeyError(f"{folder} is encrypted. Open it with `keys=`.")
    return None


class Sealing:
    """Takes bytes and writes them sealed; one piece is in memory at a time."""

    def __init__(self, out: IO[bytes], box: Any) -> None:
        self._out, self._box, self._waiting, self._number = out, box, bytearray(), 0
        self._start = MAGIC + os.urandom(8)
        out.write(self._start)

    def write(self, content: bytes | memoryview) -> None:
        """Seal more bytes."""
        given = memoryview(content).cast("B")
        for at in range(0, len(given), PIECE):
            self._waiting += given[at : at + PIECE]
            while len(self._waiting) > PIECE:  # one is kept back: it may be the last
                self._piece(bytes(self._waiting[:PIECE]), b"")
                del self._waiting[:PIECE]

    def close(self) -> None:
        """Write the last piece; *out* stays open."""
        self._piece(bytes(self._waiting), b"last")
        self._waiting = bytearray()

    def _piece(self, content: bytes, about: bytes) -> None:
        self._out.write(self._box.encrypt(_nonce(self._start, self._number), content, about))
        self._number += 1


def is_sealed(file: Path) -> bool:
    """Whether a file was sealed, by any key."""
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def _nonce(start: bytes, number: int) -> bytes:
    return start[len(MAGIC) :] + number.to_bytes(4)


def _folder_key(file: Path, keys: KeyProvider) -> bytes:
    try:
        with suppress(FileNotFoundError):
            return keys.unwrap(file.read_bytes(), _ABOUT)
        made = os.urandom(32)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        with os.fdopen(handle, "wb") as opened:
            opened.write(keys.wrap(made, _ABOUT))
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(name, file)  # unlike a rename, fails when somebody was faster
        except FileExistsError:
            return keys.unwrap(file.read_bytes(), _ABOUT)
        finally:
            os.unlink(name)
        return made
    except OSError as exc:
        raise VaultKeyError(f"The key {file} can be neither read nor made ({exc}).") from exc


def kept_secret(file: Path) -> bytes:
    """The secret of a folder that is not encrypted, made when it is not there; readable by its owner.

    Raises:
        OSError: It can be neither read nor made.
    """
    with suppress(FileNotFoundError):
        found = file.read_bytes()
        if len(found) >= 32:
            return found
    new = secrets.token_bytes(32)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(new)
    return new
