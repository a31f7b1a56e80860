from __future__ import annotations

import pytest

from memos_integrations.core.ports import Transaction, Vault
from memos_integrations.testing import VaultContract
from memos_integrations.testing.cubes import cube, put
from memos_integrations.vaults.memory import InMemoryVault


class TestInMemoryVault(VaultContract):
    @pytest.fixture
    def vault(self) -> Vault:
        return InMemoryVault()


def test_a_write_is_done_on_return() -> None:
    assert InMemoryVault().submit(Transaction((put(cube()),))).done()


def test_a_value_cannot_be_changed_after_the_put() -> None:
    value = {"colour": "blue"}
    with InMemoryVault() as vault:
        from memos_integrations.core.cube import PlaintextPayload

        there = cube(payload=PlaintextPayload(text="kettle", value=value))
        vault.submit(Transaction((put(there),))).result()
        value["colour"] = "red"
        with pytest.raises(TypeError, match="cannot be changed"):
            there.payload.value["colour"] = "red"
        assert vault.get("acme", [there.id])[0].payload.value == {"colour": "blue"}
