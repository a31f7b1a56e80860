"""A vault that can be made to fail, as a disk does."""

from __future__ import annotations

from typing import Any

from memos_integrations.core.errors import VaultError
from memos_integrations.vaults.memory import InMemoryVault


class Failing(InMemoryVault):
    broken = False

    def search(self, *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            raise VaultError("The disk is gone.")
        return super().search(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            raise VaultError("The disk is gone.")
        return super().submit(*args, **kwargs)
