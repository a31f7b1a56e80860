"""Who holds the key that all of an encrypted vault's keys are wrapped with: a file, a secret store, a KMS."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class KeyProvider(Protocol):
    """A key-encryption key (NIST SP 800-57) that need never leave its place: it wraps and unwraps others.

    A vault asks it once when it opens and once when its keys are rotated, never per memory. Contract:
    `memos_integrations.testing.KeyProviderContract`.
    """

    @property
    def name(self) -> str:
        """Which key this is, in at most 200 characters: stands in clear in the vault, and tells nothing of the key."""
        ...

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """*key* (32 bytes), encrypted and authenticated, bound to *about* (a KMS calls it encryption context)."""
        ...

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """The key that was wrapped about the same.

        Raises:
            VaultKeyError: It was wrapped with another key or about something else, or was changed.
        """
        ...
