from __future__ import annotations

import pytest

from memos_integrations.vaults import faiss_index, planner, sqlite
from tests.torture.eagerness import be_eager


@pytest.fixture(autouse=True)
def eager_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index seals and merges early, so that small vaults see what large ones do; undone after each test."""
    for module, name in (
        (faiss_index, "SEAL_AT"), (sqlite, "SEAL_AT"), (faiss_index, "MOST_SEGMENTS"), (planner, "EXACT_MOST")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))
    be_eager()
