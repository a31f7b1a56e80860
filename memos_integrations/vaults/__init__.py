"""What fills the `Vault` port: `SQLiteVault`, the durable default, and `InMemoryVault`, the readable reference."""

from __future__ import annotations

from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

__all__ = ["InMemoryVault", "SQLiteVault"]
