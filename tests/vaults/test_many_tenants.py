"""Recall among more memories than stay in memory: what is read only to be ranked passes no model."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.cube import stored
from memos_integrations.core.ports import CubeFilter
from memos_integrations.testing.cubes import cube, put, seen_by, submit
from memos_integrations.vaults import handing
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

TENANTS, EACH, K = 4, 60, 5
COLOURS = ("blue", "green", "red", "grey", "white", "brown")


def modelled() -> int:
    """How often what a cube's stored bytes say of it was given to its model so far."""
    told = stored._said.cache_info()
    return told.hits + told.misses


@pytest.mark.parametrize("embedder", [None, WordsEmbedder()], ids=["words", "vectors"])
def test_no_more_cubes_pass_their_models_than_are_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: WordsEmbedder | None
) -> None:
    monkeypatch.setattr(handing, "KEPT", 32)
    asking = [Principal(tenant=f"t{number}", user="ana") for number in range(TENANTS)]
    with MemOS.open(tmp_path / "v", embedder=embedder) as memos:
        for by in asking:
            memos.remember_many([f"Kettle {n} of {by.tenant} is {COLOURS[n % 6]}." for n in range(EACH)], by=by)
    vault = SQLiteVault(tmp_path / "v")
    with MemOS(vault, embedder=embedder) as memos:
        for by in asking * 2:
            before = modelled()
            found = memos.recall("Which kettle is green?", by=by, k=K, needed=True)
            assert len(found.hits) == K
            assert found.cost.candidates > 3 * K
            assert all(hit.cube.tenant == by.tenant for hit in found.hits)
            assert modelled() - before <= K
            assert len(vault._guard.witness.handing._held) <= 32


def walked_in(folder: Path, count: int) -> int:
    """The bytes that a walk over so many cubes needs at most; only what is added up is known of the tenant."""
    with SQLiteVault(folder) as vault:
        submit(vault, *(put(cube(f"note {number}")) for number in range(count)))
    with SQLiteVault(folder, added_up=10) as vault:
        tracemalloc.start()
        try:
            seen = sum(len(page) for page in vault.walk(CubeFilter(), seen_by(), page=100))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen == count
    return most


def test_a_walk_holds_a_page_however_many_there_are(tmp_path: Path) -> None:
    assert walked_in(tmp_path / "many", 4_000) < 1.3 * walked_in(tmp_path / "few", 500)
