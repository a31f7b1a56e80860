"""What was erased is in no file any more."""

from __future__ import annotations

import secrets
import sqlite3
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.ports import Erase, Receipt, Transaction
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, record, revised, stored, submit, unit
from memos_integrations.vaults.sqlite import SQLiteVault


def forms(canary: str, seed: int) -> list[bytes]:
    """How a canary and a vector look in a file."""
    return [canary.encode(), canary.encode("utf-16-le"), unit(seed).astype("<f4").tobytes()]


def residue(folder: Path, wanted: list[bytes]) -> list[bytes]:
    content = b"".join(file.read_bytes() for file in sorted(folder.iterdir()))
    return [each for each in wanted if each in content]


@pytest.mark.answers("MemOS #2331, MemPalace #1710")
def test_no_file_holds_what_was_erased(folder: Path) -> None:
    """Sixty cubes of all sizes with canaries in text, tag, entity, key and vector; half are erased in any order."""
    chance = Random(7)
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        canaries = [secrets.token_hex(12) for _ in range(60)]
        cubes = []
        for seed, canary in enumerate(canaries):
            text = f"{canary} " + "kettle " * chance.choice([1, 20, 200, 2000])
            said = cube(text, tags=(canary,), entities=(canary.upper(),))
            cubes.append(stored(vault, said, key=canary, vector=unit(seed)))
            asked(vault, canary, vector=unit(seed))
        for old in chance.sample(cubes, 20):
            seed = cubes.index(old)
            cubes[seed] = stored(vault, revised(old, f"{old.text} again"), vector=unit(seed))
    with SQLiteVault(folder) as vault:
        for seed, canary in enumerate(canaries):
            asked(vault, canary, vector=unit(seed))
            assert canary.encode() in residue(folder, forms(canary, seed))
            assert unit(seed).tobytes() in residue(folder, forms(canary, seed))
        assert len([*folder.glob("vault.*.faiss")]) == 2
        for seed in chance.sample(range(60), 30):
            submit(vault, Erase(cubes[seed].id), audit=(record(cubes[seed], "forget"),))
            assert residue(folder, forms(canaries[seed], seed)) == []
            canaries[seed] = ""
        left = [(seed, canary) for seed, canary in enumerate(canaries) if canary]
        assert all(residue(folder, [canary.encode()]) for _, canary in left)
        assert all(asked(vault, canary, vector=unit(seed)).visible == 30 for seed, canary in left)
        assert vault.verify_audit().ok


def test_a_reader_elsewhere_delays_the_clean_up_and_traces_say_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memos_integrations.vaults.writer.WAL_WAIT_S", 0.05)
    with SQLiteVault(folder) as vault:
        doomed = stored(vault, cube("canary-in-the-log"))
        with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM cubes").fetchone()
            submit(vault, Erase(doomed.id), audit=(record(doomed, "forget"),))
            assert vault.get("acme", [doomed.id]) == []
            assert vault.traces(doomed.id)["files"] == 1
        stored(vault, cube("next write"))
        assert set(vault.traces(doomed.id).values()) == {0}
        assert residue(folder, [b"canary-in-the-log"]) == []


def test_an_index_saved_by_another_process_does_not_bring_an_erased_vector_back(folder: Path) -> None:
    with SQLiteVault(folder) as one:
        one.bind_embedder(EMBEDDER)
        doomed = stored(one, cube("kettle"), vector=unit(1))
        stored(one, cube("pot"), vector=unit(2))
        two = SQLiteVault(folder)
        asked(two, vector=unit(1))  # its index holds the vector now
        submit(one, Erase(doomed.id), audit=(record(doomed, "forget"),))
        two.close()
        assert residue(folder, forms("kettle", 1)) == []
        assert asked(one, vector=unit(1), k=5).visible == 1


def test_a_crash_between_erase_and_clean_up_is_made_good_at_the_next_opening(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        doomed = stored(vault, cube("kettle"), vector=unit(1))
        asked(vault, vector=unit(1))
    index, manifest = max(folder.glob("vault.*.faiss"), key=lambda f: f.stat().st_size), folder / "vault.faiss.json"
    kept = index.read_bytes(), manifest.read_bytes()
    with SQLiteVault(folder) as vault:
        submit(vault, Erase(doomed.id), audit=(record(doomed, "forget"),))
    index.write_bytes(kept[0])  # as if the process had died before it could take them away
    manifest.write_bytes(kept[1])
    with SQLiteVault(folder) as vault:
        assert residue(folder, forms("kettle", 1)) == []
        assert asked(vault, vector=unit(1)).matches == ()


def test_many_erases_at_once(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        cubes = [stored(vault, cube(f"canary-{number}-x")) for number in range(20)]
        waiting: list[Future[Receipt]] = [vault.submit(Transaction((Erase(each.id),))) for each in cubes]
        waiting.append(vault.submit(Transaction((put(cube("stays")),))))
        for future in waiting:
            future.result(timeout=30)
        assert residue(folder, [each.text.encode() for each in cubes]) == []
