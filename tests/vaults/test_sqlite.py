from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memos_integrations.core.ports import Vault
from memos_integrations.testing import VaultContract
from memos_integrations.vaults.sqlite import SQLiteVault


class TestSQLiteVault(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path) -> Iterator[Vault]:
        with SQLiteVault(tmp_path / "vault") as vault:
            yield vault
