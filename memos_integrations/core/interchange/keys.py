"""The ports that keys fill: who signs a bundle, and whose signature is believed."""

from __future__ import annotations

from typing import Protocol


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
