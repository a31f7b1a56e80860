"""The contract of `KeyProvider`: what a vault relies on when it leaves its keys to somebody else's."""

from __future__ import annotations

import os

import pytest

from memos_integrations.core.errors import VaultKeyError
from memos_integrations.core.ports import KeyProvider


class KeyProviderContract:
    """Every promise of the port. Override the fixtures `keys` with your provider, `others` with one of another key."""

    @pytest.fixture
    def keys(self) -> KeyProvider:
        """A provider."""
        raise NotImplementedError

    @pytest.fixture
    def others(self) -> KeyProvider:
        """A provider of another key."""
        raise NotImplementedError

    def test_what_was_wrapped_comes_back(self, keys: KeyProvider) -> None:
        """Unwrapping gives the key; wrapping twice gives two."""
        key = os.urandom(32)
        wrapped = keys.wrap(key, b"vault 1")
        assert keys.unwrap(wrapped, b"vault 1") == key
        assert key not in wrapped
        assert keys.wrap(key, b"vault 1") != wrapped

    def test_it_is_bound_to_what_it_is_about(self, keys: KeyProvider) -> None:
        """Another context is refused."""
        wrapped = keys.wrap(os.urandom(32), b"vault 1")
        with pytest.raises(VaultKeyError):
            keys.unwrap(wrapped, b"vault 2")

    def test_another_key_and_a_changed_byte_are_refused(self, keys: KeyProvider, others: KeyProvider) -> None:
        """Nothing but the provider's own work is unwrapped."""
        wrapped = keys.wrap(os.urandom(32), b"vault 1")
        assert keys.name != others.name
        for provider, given in ((others, wrapped), (keys, wrapped[:-1] + bytes([wrapped[-1] ^ 1])), (keys, b"")):
            with pytest.raises(VaultKeyError):
                provider.unwrap(given, b"vault 1")

    def test_its_name_is_short_and_stays(self, keys: KeyProvider) -> None:
        """A name fits into an error message."""
        assert 0 < len(keys.name) <= 200
        assert keys.name == keys.name.strip()
