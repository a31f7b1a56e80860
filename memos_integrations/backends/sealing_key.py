"""X25519 keys (RFC 7748) that open sealed bundles, and the sealing for them; extra `sharing`. MIP.md §12.

The form is that of libsodium's sealed boxes and of `age`: a fresh key for each bundle, agreed with the reader's, and
the bundle in chunks of ChaCha20-Poly1305 (RFC 8439) whose nonces count, so that no chunk can be moved or left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Self

from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.extras import require
from memos_integrations.core.interchange.keys import SEALED
from memos_integrations.core.interchange.refusal import Refusal

require("cryptography", extra="sharing")
from cryptography.exceptions import InvalidTag  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: E402
from cryptography.hazmat.primitives.hashes import SHA256  # noqa: E402
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: E402

from memos_integrations.backends.signing import secret_in  # noqa: E402

CHUNK, TAG, KEY = 1 << 16, 16, 32
_INFO = b"MIP-1 seal key\n"


class X25519Key:
    """A private key that opens what was sealed for it; fills the port `Opener`."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY:
            raise InvalidMemoryError("An X25519 key is made of 32 bytes.")
        self._private = X25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def in_file(cls, path: str | Path) -> Self:
        """The key that stands in a file; made, for its owner's eyes only, where there is none.

        Raises:
            InvalidMemoryError: The file is not 32 bytes, or others may read it.
        """
        return cls(secret_in(path))

    @property
    def key(self) -> str:
        """The public key, 64 hexadecimal digits: what stands in an `Addressee`."""
        return self._private.public_key().public_bytes_raw().hex()

    def open(self, source: BinaryIO, target: BinaryIO, most: int) -> None:
        """Write what was sealed to *target*; see `Opener.open`."""
        head = source.read(len(SEALED) + KEY)
        if len(head) != len(SEALED) + KEY or not head.startswith(SEALED):
            raise BundleError(Refusal.SEALED, "This is no sealed bundle")
        fresh = head[len(SEALED) :]
        try:
            agreed = self._private.exchange(X25519PublicKey.from_public_bytes(fresh))
        except ValueError as exc:
            raise BundleError(Refusal.SEALED, "The bundle was sealed with a key that is none") from exc
        cipher = _cipher(agreed, fresh, bytes.fromhex(self.key))
        held, number, size = source.read(CHUNK + TAG), 0, 0
        while True:
            following = source.read(CHUNK + TAG)
            try:
                clear = cipher.decrypt(_nonce(number, last=not following), held, None)
            except (InvalidTag, ValueError) as exc:
                raise BundleError(Refusal.SEALED, "The bundle is sealed for somebody else, changed or cut off") from exc
            size += len(clear)
            if size > most:
                raise BundleError(Refusal.TOO_LARGE, f"The sealed bundle holds more than {most:,} bytes")
            target.write(clear)
            if not following:
                return
            held, number = following, number + 1


def seal(source: BinaryIO, target: BinaryIO, key: str) -> None:
    """Write what *source* holds to *target*, sealed for the holder of *key*; fills the port `Seal`.

    Raises:
        InvalidMemoryError: *key* is no X25519 public key.
    """
    try:
        theirs = bytes.fromhex(key)
        private = X25519PrivateKey.generate()
        agreed = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as exc:
        raise InvalidMemoryError("A sealing key is an X25519 public key of 64 hexadecimal digits.") from exc
    fresh = private.public_key().public_bytes_raw()
    cipher = _cipher(agreed, fresh, theirs)
    target.write(SEALED + fresh)
    held, number = source.read(CHUNK), 0
    while True:
        following = source.read(CHUNK)
        target.write(cipher.encrypt(_nonce(number, last=not following), held, None))
        if not following:
            return
        held, number = following, number + 1


def _cipher(agreed: bytes, fresh: bytes, theirs: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), KEY, salt=fresh + theirs, info=_INFO).derive(agreed))


def _nonce(number: int, *, last: bool) -> bytes:
    """Eleven bytes that count, and one that says whether the chunk is the last: each key seals one bundle only."""
    return number.to_bytes(11) + bytes([last])
