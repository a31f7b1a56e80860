"""The index is a derivative: lost, damaged or stale, it is made anew and the answers stay."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, revised, stored, submit, unit
from memos_integrations.vaults import faiss_index
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.sqlite import SQLiteVault


def sealed(folder: Path) -> tuple[Path, Path]:
    """The one segment of a vault, and the manifest."""
    manifest = folder / "vault.faiss.json"
    (piece,) = json.loads(manifest.read_text())["pieces"]
    return folder / piece["name"], manifest


def answers(folder: Path) -> list[list[tuple[str, float | None]]]:
    with SQLiteVault(folder) as vault:
        return [
            [(match.cube.id, match.cosine) for match in asked(vault, vector=unit(seed), k=5).matches]
            for seed in range(40)
        ]


def _zeroes(index: Path, manifest: Path) -> None:
    """FAISS loads this without a word."""
    content = index.read_bytes()
    index.write_bytes(content[: len(content) // 2] + b"\0" * (len(content) - len(content) // 2))


def _truncate(index: Path, manifest: Path) -> None:
    index.write_bytes(index.read_bytes()[:-10])


def _empty(index: Path, manifest: Path) -> None:
    index.write_bytes(b"")


def _missing(index: Path, manifest: Path) -> None:
    index.unlink()


def _no_manifest(index: Path, manifest: Path) -> None:
    manifest.unlink()


def _endless_manifest(index: Path, manifest: Path) -> None:
    manifest.write_text("[" * 100_000)


def _bad_manifest(index: Path, manifest: Path) -> None:
    manifest.write_text("[1, 2")


def _other(field: str, value: object) -> Callable[[Path, Path], None]:
    def damage(index: Path, manifest: Path) -> None:
        found = json.loads(manifest.read_text())
        (found if field in found else found["pieces"][0])[field] = value
        manifest.write_text(json.dumps(found))

    damage.__name__ = field
    return damage


DAMAGES = [
    _zeroes,
    _truncate,
    _empty,
    _missing,
    _no_manifest,
    _bad_manifest,
    _endless_manifest,
    _other("commit", 10**6),
    _other("embedder", "another"),
    _other("dim", 4),
    _other("size", 29),
    _other("last", 20),
    _other("vault", "elsewhere"),
    _other("sha256", None),
]


@pytest.mark.answers("Chroma #7090, Qdrant #3090")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_a_damaged_index_is_rebuilt(folder: Path, filled: list[MemCube], damage: Callable[[Path, Path], None]) -> None:
    expected = answers(folder)
    index, manifest = sealed(folder)
    damage(index, manifest)
    assert answers(folder) == expected
    assert json.loads(manifest.read_text())["count"] == 30
    assert answers(folder) == expected


def test_an_index_from_before_catches_up(folder: Path, filled: list[MemCube]) -> None:
    index, manifest = sealed(folder)
    before = index.read_bytes(), manifest.read_bytes()
    with SQLiteVault(folder) as vault:
        stored(vault, revised(filled[3], "moved"), vector=unit(300))
        stored(vault, cube("new"), vector=unit(400))
        expected = asked(vault, vector=unit(300), k=40), asked(vault, vector=unit(3), k=40)
    index.write_bytes(before[0])
    manifest.write_bytes(before[1])
    with SQLiteVault(folder) as vault:
        assert (asked(vault, vector=unit(300), k=40), asked(vault, vector=unit(3), k=40)) == expected


def test_an_index_of_another_moment_of_this_vault_is_not_believed(folder: Path, filled: list[MemCube]) -> None:
    """The database was restored from a backup, the index was not."""
    database = folder / "vault.db"
    backup = database.read_bytes()
    with SQLiteVault(folder) as vault:
        stored(vault, revised(filled[3], "later"), vector=unit(300))
        asked(vault, vector=unit(300))
    database.write_bytes(backup)
    with SQLiteVault(folder) as vault:
        assert asked(vault, vector=unit(3), k=1).matches[0].cosine == pytest.approx(1.0, abs=1e-6)
        assert asked(vault, vector=unit(300), k=1).matches[0].cosine < 0.999


@pytest.mark.parametrize("opened", [True, False], ids=["opened between", "advanced elsewhere"])
def test_an_index_of_a_past_that_never_was_is_never_believed(
    folder: Path, filled: list[MemCube], tmp_path: Path, opened: bool
) -> None:
    """The database alone was set back: what is written from then on takes the numbers of other vectors."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    with SQLiteVault(folder) as vault:
        for seed in range(20):
            stored(vault, cube(f"lost {seed}"), vector=unit(1000 + seed))
        asked(vault, vector=unit(3))
    kept = folder if opened else elsewhere
    if opened:
        shutil.copyfile(elsewhere / "vault.db", folder / "vault.db")
    with SQLiteVault(kept) as vault:
        for seed in range(25):
            stored(vault, cube(f"kept {seed}"), vector=unit(2000 + seed))
    if not opened:
        shutil.copyfile(elsewhere / "vault.db", folder / "vault.db")
    with SQLiteVault(folder) as vault:
        found = [asked(vault, vector=unit(2000 + seed), k=1).matches[0].cube.text for seed in range(25)]
        assert found == [f"kept {seed}" for seed in range(25)]


def test_a_second_vault_object_sees_the_writes_of_the_first(folder: Path, filled: list[MemCube]) -> None:
    with SQLiteVault(folder) as one, SQLiteVault(folder) as two:
        assert len(asked(two, vector=unit(1), k=99).matches) == 30
        stored(one, cube("new"), vector=unit(500))
        assert asked(two, vector=unit(500), k=1).matches[0].cube.text == "new"
        stored(one, revised(filled[0], "moved"), vector=unit(600))
        assert asked(two, vector=unit(600), k=1).matches[0].cube.text == "moved"
        submit(one, Erase(filled[1].id))
        assert len(asked(two, vector=unit(1), k=99).matches) == 30
    assert len(answers(folder)[0]) == 5


def test_two_that_seal_at_once_leave_an_index_that_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = SQLiteVault(folder), SQLiteVault(folder)
    one.bind_embedder(EMBEDDER)
    for number, vault in enumerate((one, other)):
        stored(vault, cube(f"kettle {number}"), vector=unit(number))
        asked(vault, vector=unit(1))
    write = faiss_index.write_columns

    def interrupted(*what: Any) -> Any:
        monkeypatch.setattr(faiss_index, "write_columns", write)
        other.close()  # when the segment of the first is on the disk, and its manifest is not
        return write(*what)

    monkeypatch.setattr(faiss_index, "write_columns", interrupted)
    one.close()
    assert sealed(folder)[0].exists()
    assert examine(folder).ok


def test_an_index_is_sealed_where_the_system_cannot_reserve_room(
    folder: Path, filled: list[MemCube], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS, whose Python has no `posix_fallocate`."""
    before = answers(folder)
    sealed(folder)[1].unlink()
    monkeypatch.delattr(os, "posix_fallocate")
    assert answers(folder) == before
    assert sealed(folder)[0].exists()
    assert examine(folder).ok


def test_searches_stay_exact_while_others_write(folder: Path) -> None:
    """Every search under way sees one moment: what it finds is the best of that moment, whole."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [stored(vault, cube(f"n {seed}", namespace=("acme",)), vector=unit(seed)) for seed in range(50)]
        stop, failures = threading.Event(), []

        def search() -> None:
            while not stop.is_set():
                found = asked(vault, vector=unit(7), k=50)
                if len(found.matches) != found.visible or found.visible != 50:
                    failures.append((len(found.matches), found.visible))

        searchers = [threading.Thread(target=search) for _ in range(4)]
        for searcher in searchers:
            searcher.start()
        for turn in range(3):
            for number, old in enumerate(cubes):
                cubes[number] = stored(vault, revised(old, f"turn {turn}"), vector=unit(1000 * turn + number))
        stop.set()
        for searcher in searchers:
            searcher.join()
        assert failures == []
