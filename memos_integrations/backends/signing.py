"""Ed25519 keys (RFC 8032) that sign bundles; extra `sharing`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.extras import require
from memos_integrations.core.regular import opened

require("cryptography", extra="sharing")
from cryptography.exceptions import InvalidSignature  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey  # noqa: E402

_MOST = 1 << 10
"""Bytes of a file that is no key are not read beyond that."""


def secret_in(path: str | Path) -> bytes:
    """The 32 secret bytes that stand in a file; drawn, for its owner's eyes only, where there is none.

    Raises:
        InvalidMemoryError: Others may read the file, or it is no file.
    """
    place = Path(path)
    try:
        with open(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    try:
        with opened(place) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise InvalidMemoryError(f"{place.name} is open to others: chmod 600 it, or make another key.")
            return file.read(_MOST)
    except OSError as exc:
        raise InvalidMemoryError(f"The key file {place.name} cannot be read: {exc.strerror}.") from exc


class Ed25519Signer:
    """A private key that signs; fills the port `Signer`."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise InvalidMemoryError("An Ed25519 key is made of 32 bytes.")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def in_file(cls, path: str | Path) -> Self:
        """The key that stands in a file; made, for its owner's eyes only, where there is none.

        Raises:
            InvalidMemoryError: The file is not 32 bytes, or others may read it.
        """
        return cls(secret_in(path))

    @property
    def key(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self._private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> bytes:
        """64 bytes of signature."""
        return self._private.sign(message)


def ed25519_signed(key: str, signature: bytes, message: bytes) -> bool:
    """Whether *signature* is that of the holder of the public *key* under *message*; False for what is no key."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
