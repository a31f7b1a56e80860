"""Two people at one table of tea and coffee: what the tests of all doors begin with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.fixture
def ana() -> Principal:
    return Principal(tenant="home", user="ana")


@pytest.fixture
def bob() -> Principal:
    return Principal(tenant="home", user="bob")


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, ana: Principal, bob: Principal) -> Iterator[MemOS]:
    """Ana likes green tea, Bob likes black coffee, and neither may know it of the other."""
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "memory.db")
    with MemOS(vault, clock=lambda: NOW) as memos:
        memos.remember("Ana likes green tea with honey.", by=ana)
        memos.remember("Ana keeps her tea in the blue tin.", by=ana)
        memos.remember("Ana drinks tea at four o'clock.", by=ana)
        memos.remember("Ana bought a teapot in Kyoto for her tea.", by=ana)
        memos.remember("Bob likes black coffee, never tea.", by=bob)
        yield memos
