"""SQLite's own indexes are part of the truth that reads go by: a damaged entry is an error, not a missing memory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import MemOSError
from memos_integrations.testing.cubes import asked, cube, link, stored, unit
from memos_integrations.vaults.segments import drop_files
from memos_integrations.vaults.sqlite import SQLiteVault


@pytest.mark.parametrize("beside", [False, True], ids=["table alone", "sealed beside"])
@pytest.mark.parametrize(
    "index", ["sqlite_autoindex_cubes_1", "sqlite_autoindex_tenants_1", "cubes_by_tenant", "links_by_target"]
)
def test_a_damaged_entry_of_an_index_is_no_missing_memory(
    folder: Path, filled: list[MemCube], index: str, beside: bool
) -> None:
    with SQLiteVault(folder) as vault:
        for number in range(20):
            stored(vault, cube(f"after {number}", links=(link("follows", "start"),)))
        edges = vault.pointing_at("acme", ["start"])
        asked(vault, vector=unit(1))
    if not beside:
        assert drop_files(folder / "vault.db")
    file, random = folder / "vault.db", Random(4)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
    clean, refused = file.read_bytes(), 0
    page = range((root - 1) * 4096, root * 4096)
    written = [place for place in page if clean[place]]
    for _ in range(25):
        damaged = bytearray(clean)
        damaged[random.choice(written)] ^= 1 << random.randrange(8)
        file.write_bytes(damaged)
        try:
            with SQLiteVault(folder) as vault:
                assert vault.get("acme", [each.id for each in filled]) == filled
                assert vault.history("acme", filled[3].id) == [filled[3]]
                assert asked(vault, k=99).visible == 50
                assert vault.pointing_at("acme", ["start"]) == edges
        except MemOSError:
            refused += 1
    # What is sealed beside the vault says which cubes a tenant has: then nothing goes by that index.
    assert refused > 5 or (beside and index == "cubes_by_tenant")
