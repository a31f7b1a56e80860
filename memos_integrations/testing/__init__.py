"""Contracts for authors of parts: inherit one in a test file, give it your part, and every promise is tested.

    class TestMyVault(VaultContract):
        @pytest.fixture
        def vault(self, tmp_path):
            with MyVault(tmp_path) as vault:
                yield vault

Needs pytest (extra `test`). Contracts of a framework's parts load that framework when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

# Asserts in these modules explain themselves only when pytest rewrites them.
pytest.register_assert_rewrite(
    "memos_integrations.testing.keys_contract",
    "memos_integrations.testing.llama_index_memory",
    "memos_integrations.testing.llama_index_postprocessor",
    "memos_integrations.testing.store_conformance",
    "memos_integrations.testing.store_searches",
    "memos_integrations.testing.vault_contract",
    "memos_integrations.testing.vault_places",
    "memos_integrations.testing.vault_search",
    "memos_integrations.testing.wire_contract",
)

from memos_integrations.testing.keys_contract import KeyProviderContract  # noqa: E402
from memos_integrations.testing.vault_contract import VaultContract  # noqa: E402
from memos_integrations.testing.wire_contract import DurableWireContract, WireContract  # noqa: E402

if TYPE_CHECKING:
    from memos_integrations.testing.llama_index_memory import LlamaIndexMemoryContract
    from memos_integrations.testing.llama_index_postprocessor import PostprocessorContract
    from memos_integrations.testing.store_conformance import StoreConformance

_OF_A_FRAMEWORK = {
    "LlamaIndexMemoryContract": "llama_index_memory",
    "PostprocessorContract": "llama_index_postprocessor",
    "StoreConformance": "store_conformance",
}

__all__ = [
    "DurableWireContract",
    "KeyProviderContract",
    "LlamaIndexMemoryContract",
    "PostprocessorContract",
    "StoreConformance",
    "VaultContract",
    "WireContract",
]


def __getattr__(name: str) -> Any:
    if name not in _OF_A_FRAMEWORK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_OF_A_FRAMEWORK[name]}"), name)
