"""Search by 1-bit codes: what they propose is scored exactly, and where they tell too little every row is scored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import faiss
import numpy as np
import pytest

from memos_integrations.core.ports import EmbedderIdentity, Vectors
from memos_integrations.testing.cubes import ANA, asked, cube, put, submit
from memos_integrations.vaults.codes import made
from memos_integrations.vaults.planner import EXACT_MOST
from memos_integrations.vaults.sqlite import SQLiteVault

DIM, ROWS = 64, 7_000


def rows(count: int, *, alike: bool, seed: int) -> Vectors:
    """Unit rows without any order among them, or around two hundred centres."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, DIM))
    if not alike:
        centres = np.random.default_rng(1).normal(size=(200, DIM))
        found = centres[random.integers(200, size=count)] + 0.4 * found
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("planner", "faiss_index"):
        monkeypatch.setattr(f"memos_integrations.vaults.{place}.EXACT_MOST", 1_000)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("alike", [False, True], ids=["clustered", "alike"])
def test_codes_are_believed_as_far_as_they_tell(folder: Path, alike: bool) -> None:
    there = rows(ROWS, alike=alike, seed=2)
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EmbedderIdentity("wide", DIM))
        for start in range(0, ROWS, 400):
            each = range(start, min(start + 400, ROWS))
            # One in four is somebody else's.
            submit(
                vault,
                *(
                    put(cube(f"n{n}"), vector=there[n], readers=(ANA,) if n % 4 else ("user:bob",), terms="n")
                    for n in each
                ),
            )
        asked(vault, vector=there[0], k=1)
    mine = np.flatnonzero(np.arange(ROWS) % 4)
    hits, ways = 0.0, set()
    with SQLiteVault(folder) as vault:
        for query in rows(20, alike=alike, seed=3):
            found = asked(vault, vector=query, k=10)
            best = mine[np.argsort(-(there[mine] @ query))[:10]]
            top = sorted(found.matches, key=lambda match: -(match.cosine or 0.0))[:10]
            hits += len({f"n{n}" for n in best} & {match.cube.text for match in top})
            ways.add(found.how)
    if alike:
        assert hits == 200
        assert all("do not tell them apart" in how and how.startswith("exact") for how in ways)
    else:
        assert hits >= 199
        assert all("1-bit codes and exact scores of 5,250" in how for how in ways)


def test_the_error_of_codes_is_that_of_all_rows_and_not_of_the_nearest() -> None:
    """What is measured when they are made covers nineteen in twenty of the errors, twice it."""
    there = rows(4_000, alike=True, seed=5)
    codes = made(there)
    off = []
    for query in rows(20, alike=True, seed=6):
        told, places = codes.nearest(query, 4_000)
        off.append(np.abs(told - there[places] @ query))
    assert EXACT_MOST > 4_000
    assert 0.9 < (np.concatenate(off) < 2.0 * codes.error).mean() < 0.99


def test_the_error_of_codes_is_that_of_the_badly_told() -> None:
    """The oldest half of a tenant is one form filled in again and again: it is told well, and the rest is not."""
    random = np.random.default_rng(7)
    there = rows(4_000, alike=True, seed=8)
    form = there[:1] + 0.001 * random.normal(size=(2_000, DIM))
    there[:2_000] = form / np.linalg.norm(form, axis=1, keepdims=True)
    codes = made(there)
    query = rows(1, alike=True, seed=9)[0]
    told, places = codes.nearest(query, 4_000)
    off = np.abs(told - there[places] @ query)
    assert (off[places >= 2_000] < 2.5 * codes.error).mean() > 0.95


def filled(folder: Path, there: Vectors) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EmbedderIdentity("wide", DIM))
        for start in range(0, len(there), 400):
            submit(vault, *(put(cube(f"n{n}"), vector=row) for n, row in enumerate(there[start : start + 400], start)))
        asked(vault, vector=there[0], k=1)


def nearest(folder: Path, query: Vectors) -> tuple[set[str], str]:
    with SQLiteVault(folder) as vault:
        found = asked(vault, vector=query, k=10)
        return {match.cube.text for match in found.matches}, found.how


@pytest.mark.usefixtures("few_are_many")
def test_codes_that_were_edited_hide_nothing_and_are_made_again(folder: Path) -> None:
    centres = rows(40, alike=True, seed=1)[np.arange(6_000) % 40]
    there = centres + 0.05 * np.random.default_rng(2).normal(size=(6_000, DIM))
    there = (there / np.linalg.norm(there, axis=1, keepdims=True)).astype(np.float32)
    filled(folder, there)
    (file,) = (each for each in folder.iterdir() if each.suffix == ".codes")
    genuine = file.read_bytes()
    found, how = nearest(folder, there[70])
    assert "n70" in found
    assert "1-bit codes and exact scores" in how
    edited = there.copy()
    edited[70] = -edited[70]
    fake = made(edited)
    content = faiss.serialize_index(fake._index).tobytes() + np.float64(fake.error).tobytes()
    file.write_bytes(content + hashlib.sha256(content).digest())
    assert "n70" in nearest(folder, there[70])[0]
    assert file.read_bytes() == genuine
    file.unlink()
    assert "n70" in nearest(folder, there[70])[0]
    assert file.read_bytes() == genuine
