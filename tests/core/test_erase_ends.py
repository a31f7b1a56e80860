"""Forgetting ends: a vault that refuses every time is told of, not asked for ever."""

from datetime import UTC, datetime

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.errors import CubeNotFoundError, VersionConflictError
from memos_integrations.core.ports import Erase
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Contested(InMemoryVault):
    """A vault in which somebody else is always first to erase."""

    asked = 0

    def submit(self, transaction, *args, **kwargs):
        if any(isinstance(change, Erase) for change in transaction.changes):
            self.asked += 1
            if self.asked > 1_000:
                raise AssertionError("asked without end")
            raise CubeNotFoundError(transaction.changes[0].cube_id)
        return super().submit(transaction, *args, **kwargs)


def test_an_erasure_that_is_always_refused_ends():
    vault, ana = Contested(), Principal(tenant="acme", user="ana")
    with MemOS(vault, clock=lambda: NOW) as memos:
        cube = memos.remember("The offer was signed.", by=ana)
        with pytest.raises(VersionConflictError):
            memos.forget(cube.id, by=ana)
    assert 1 < vault.asked <= 1_000
