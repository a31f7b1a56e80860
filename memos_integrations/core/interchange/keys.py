"""The ports that keys fill: who signs a bundle, and whose signature is believed."""

from __future__ import annotations

from typing import BinaryIO, Protocol

SEALED = b"MIP-1 sealed\n"
"""What a sealed bundle begins with (MIP.md §12)."""


class Signer(Protocol):
    """Holds a private key; gives signatures, never the key."""

    @property
    def key(self) -> str:
        """The Ed25519 public key (RFC 8032), 64 hexadecimal digits."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes that nobody without the private key can make for *message*."""
        ...


class SignatureCheck(Protocol):
    """Tells a signature from 64 other bytes."""

    def __call__(self, key: str, signature: bytes, message: bytes) -> bool:
        """Whether the holder of the private key of *key* signed *message*."""
        ...


class Seal(Protocol):
    """Makes of a bundle what only one reader can open (MIP.md §12)."""

    def __call__(self, source: BinaryIO, target: BinaryIO, key: str) -> None:
        """Write what *source* holds to *target*, sealed for the holder of the X25519 *key* (64 hexadecimal digits)."""
        ...


class Opener(Protocol):
    """Holds the private key that opens sealed bundles."""

    @property
    def key(self) -> str:
        """The X25519 public key (RFC 7748), 64 hexadecimal digits."""
        ...

    def open(self, source: BinaryIO, target: BinaryIO, most: int) -> None:
        """Write what was sealed to *target*: at most *most* bytes, of which none was changed.

        Raises:
            BundleError: It was sealed for somebody else, changed, cut off, or is too large.
        """
        ...
