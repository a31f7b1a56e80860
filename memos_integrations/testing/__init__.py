"""Contracts for authors of parts: inherit one in a test file, give it your part, and every promise is tested.

    class TestMyVault(VaultContract):
        @pytest.fixture
        def vault(self, tmp_path):
            with MyVault(tmp_path) as vault:
                yield vault

Needs pytest (extra `test`).
"""

from __future__ import annotations

from typing import Any

import pytest

# Asserts in these modules explain themselves only when pytest rewrites them.
pytest.register_assert_rewrite("memos_integrations.testing.vault_contract", "memos_integrations.testing.vault_search")

from memos_integrations.testing.vault_contract import VaultContract  # noqa: E402

__all__ = ["StoreConformance", "VaultContract"]


def __getattr__(name: str) -> Any:
    """`StoreConformance` needs LangGraph: it is loaded when it is asked for."""
    if name != "StoreConformance":
        raise AttributeError(name)
    pytest.register_assert_rewrite(
        "memos_integrations.testing.store_conformance", "memos_integrations.testing.store_searches"
    )
    from memos_integrations.testing.store_conformance import StoreConformance

    return StoreConformance
