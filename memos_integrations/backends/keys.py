"""Keys that a vault's keys are wrapped with, kept in a file or an environment variable; extra `encryption`.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each wrapping. A KMS is a class of your own with the three
members of `KeyProvider`, over its client's `encrypt` and `decrypt`.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Self

from memos_integrations.core.errors import VaultKeyError
from memos_integrations.core.extras import require

require("cryptography", extra="encryption")
from cryptography.exceptions import InvalidTag  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402

KEY_BYTES = 32
_NONCE_BYTES = 12


class HeldKey:
    """A key of 32 bytes that the caller got from wherever secrets are kept; fills the port `KeyProvider`.

    Raises:
        VaultKeyError: It is not 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes) or len(key) != KEY_BYTES:
            raise VaultKeyError(f"A key that wraps a vault's keys is {KEY_BYTES} bytes.")
        self._box = AESGCM(key)
        self.name = "local:" + sha256(b"memos key name:" + key).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """See `KeyProvider.wrap`; the nonce comes first."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._box.encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """See `KeyProvider.unwrap`.

        Raises:
            VaultKeyError: It was not wrapped so with this key.
        """
        try:
            return self._box.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError) as exc:
            raise VaultKeyError(f"{self.name} does not open this: another key's, or it was changed.") from exc


class KeyFile(HeldKey):
    """The key in a file of 32 bytes that only its owner may read. Keep it on another mount than the vault.

    Raises:
        VaultKeyError: There is none, it is not 32 bytes, or others may read it.
    """

    def __init__(self, path: str | Path) -> None:
        place = Path(path)
        try:
            if place.stat().st_mode & 0o077:
                raise VaultKeyError(f"{place} is open to others: chmod 600 it, or make another key.")
            key = place.read_bytes()
        except OSError as exc:
            raise VaultKeyError(
                f"The key file {place} cannot be read ({exc.strerror}). `KeyFile.made` makes one."
            ) from exc
        super().__init__(key)

    @classmethod
    def made(cls, path: str | Path) -> Self:
        """A new key in a new file (mode 0600), on the disk when this returns. Copy it to a safe place at once.

        Raises:
            VaultKeyError: Something stands there, or it cannot be written.
        """
        place = Path(path)
        try:
            with open(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(place.absolute().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as exc:
            raise VaultKeyError(f"The key file {place} cannot be made ({exc.strerror}).") from exc
        return cls(place)


class KeyVariable(HeldKey):
    """The key in an environment variable, as 64 hexadecimal digits.

    Raises:
        VaultKeyError: It is not set, or is something else.
    """

    def __init__(self, variable: str = "MEMOS_KEY") -> None:
        said = os.environ.get(variable)
        if said is None:
            raise VaultKeyError(f"The environment variable {variable} is not set.")
        try:
            key = bytes.fromhex(said.strip())
        except ValueError:  # whose message would quote the key
            key = b""
        if len(key) != KEY_BYTES:
            raise VaultKeyError(f"{variable} holds no key: {2 * KEY_BYTES} hexadecimal digits are wanted.")
        super().__init__(key)
