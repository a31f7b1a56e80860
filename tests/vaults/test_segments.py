"""Sealed segments and the planner: whatever lies on the disk, and whichever way is gone, the answers are the same."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Erase, Vault
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, revised, seen_by, stored, submit, unit
from memos_integrations.vaults.sqlite import SQLiteVault


def best(vectors: dict[str, int], seed: int, k: int) -> list[str]:
    """The ids of the k nearest, worked out here a second time."""
    query = unit(seed).astype(np.float64)
    scores = {cube_id: float(unit(number).astype(np.float64) @ query) for cube_id, number in vectors.items()}
    return sorted(sorted(scores, key=lambda cube_id: (-scores[cube_id], cube_id))[:k])


def found(vault: Vault, seed: int, k: int, **by: str) -> list[str]:
    return [match.cube.id for match in asked(vault, vector=unit(seed), k=k, by=seen_by(**by)).matches]


def fill(vault: Vault, seeds: range, tenant: str = "acme") -> dict[str, int]:
    cubes = [cube(f"n {seed}", namespace=(tenant,)) for seed in seeds]
    submit(vault, *(put(each, vector=unit(seed)) for each, seed in zip(cubes, seeds, strict=True)))
    return {each.id: seed for each, seed in zip(cubes, seeds, strict=True)}


def pieces(folder: Path) -> list[tuple[int, int, int]]:
    manifest = json.loads((folder / "vault.faiss.json").read_text())
    named = {piece["name"] for piece in [*manifest["pieces"], manifest["columns"]]}
    assert {file.name for file in folder.glob("vault.*.faiss*")} - {"vault.faiss.json"} == named
    return [(piece["first"], piece["last"], piece["count"]) for piece in manifest["pieces"]]


def test_segments_pile_up_are_merged_and_answer_together(folder: Path) -> None:
    there: dict[str, dict[str, int]] = {"acme": {}, "umbrella": {}}
    start = 0
    for size in (400, 90, 20, 5, 30, 1, 1, 1, 300):
        with SQLiteVault(folder) as vault:
            vault.bind_embedder(EMBEDDER)
            for tenant, mine in there.items():
                mine.update(fill(vault, range(start, start + size), tenant))
                assert found(vault, 7, 9, tenant=tenant) == best(mine, 7, 9)
            start += size
        spans = pieces(folder)
        assert [last + 1 for _, last, _ in spans[:-1]] == [first for first, _, _ in spans[1:]]
        assert sum(count for _, _, count in spans) == 2 * start
        with SQLiteVault(folder) as vault:
            for seed in range(5):
                for tenant, mine in there.items():
                    assert found(vault, seed, 9, tenant=tenant) == best(mine, seed, 9)
                    assert found(vault, seed, 9_999, tenant=tenant) == sorted(mine)
    assert len(spans) < 4


def test_what_is_dead_is_left_behind(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [stored(vault, cube(f"n {seed}"), vector=unit(seed)) for seed in range(40)]
        found(vault, 1, 3)
    with SQLiteVault(folder) as vault:
        newer = {stored(vault, revised(old, "new"), vector=unit(100 + n)).id: 100 + n for n, old in enumerate(cubes)}
        assert found(vault, 105, 4) == best(newer, 105, 4)
    assert [count for _, _, count in pieces(folder)] == [40]
    with SQLiteVault(folder) as vault:
        assert found(vault, 105, 4) == best(newer, 105, 4)


@pytest.mark.answers("Chroma #7090, Qdrant #3090")
def test_a_flipped_byte_anywhere_changes_no_answer(folder: Path, filled: list[MemCube]) -> None:
    there = {each.id: seed for seed, each in enumerate(filled)}
    chance = Random(5)
    for _ in range(60):
        file = chance.choice(sorted([*folder.glob("vault.*.faiss"), folder / "vault.faiss.json"]))
        content = bytearray(file.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        with SQLiteVault(folder) as vault:
            for seed in chance.sample(range(40), 8):
                assert found(vault, seed, 5) == best(there, seed, 5)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault that thinks a hundred vectors many."""
    for place in ("planner", "faiss_index"):
        monkeypatch.setattr(f"memos_integrations.vaults.{place}.EXACT_MOST", 100)


@pytest.mark.usefixtures("small")
def test_codes_propose_and_exact_scores_decide(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        there = fill(vault, range(2_000))
        few = fill(vault, range(50), "umbrella")
        found(vault, 1, 1)
    with SQLiteVault(folder) as vault:
        there |= fill(vault, range(3_000, 3_020))  # not sealed yet
        assert "1-bit codes" in asked(vault, vector=unit(1), k=10).how
        assert "contiguous" in asked(vault, vector=unit(1), k=10, by=seen_by(tenant="umbrella")).how
        hits = [len({*found(vault, seed, 10)} & {*best(there, seed, 10)}) for seed in range(2_500, 2_550)]
        assert np.mean(hits) > 9.5  # one bit for each of 8 dimensions says little
        assert found(vault, 3_003, 1) == best(there, 3_003, 1)
        assert found(vault, 3, 9, tenant="umbrella") == best(few, 3, 9)
        assert len(found(vault, 4, 1_500)) == 1_500


@pytest.mark.usefixtures("small")
def test_codes_never_give_fewer_than_k(folder: Path) -> None:
    """One in five may be seen, and those are the farthest."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        far = sorted(range(1_000), key=lambda seed: float(unit(seed) @ unit(5_000)))[:200]
        mine: dict[str, int] = {}
        cubes = [cube(f"n {seed}") for seed in range(1_000)]
        readers = [("user:ana",) if seed in far else ("user:bob",) for seed in range(1_000)]
        submit(vault, *(put(c, vector=unit(s), readers=readers[s]) for s, c in enumerate(cubes)))
        mine = {each.id: seed for seed, each in enumerate(cubes) if seed in far}
        found(vault, 1, 1)
    with SQLiteVault(folder) as vault:
        assert "1-bit codes" in asked(vault, vector=unit(5_000), k=10).how
        for k in (1, 10, 199, 200, 500):
            assert len(found(vault, 5_000, k)) == min(k, 200)
        assert len({*found(vault, 5_000, 10)} & {*best(mine, 5_000, 10)}) >= 9


@pytest.mark.usefixtures("small")
def test_damaged_codes_are_not_believed(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        there = fill(vault, range(600))
    with SQLiteVault(folder) as vault:
        found(vault, 1, 1)
    (codes,) = folder.glob("vault.*.codes")
    content = bytearray(codes.read_bytes())
    content[len(content) // 2] ^= 4
    codes.write_bytes(content)
    with SQLiteVault(folder) as vault:
        assert asked(vault, vector=unit(1), k=10).how.startswith("exact cosine (a contiguous scan")
        assert found(vault, 1, 10) == best(there, 1, 10)


@pytest.mark.usefixtures("small")
def test_an_erased_cube_is_in_no_segment(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        there = fill(vault, range(300))
        found(vault, 1, 1)
    with SQLiteVault(folder) as vault:
        (doomed,) = found(vault, 17, 1)
        found(vault, 1, 1)
        submit(vault, Erase(doomed))
        assert not any(unit(17).tobytes() in file.read_bytes() for file in folder.iterdir())
        del there[doomed]
        assert found(vault, 17, 10) == best(there, 17, 10)
