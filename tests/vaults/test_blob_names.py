"""Which blobs are named is held against the versions: a row that was edited behind our back costs no blob."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import cube, record, revised, stored, submit
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults.backup import back_up
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.restore import restore
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed, without_reserved
from tests.vaults.test_encryption import KEY

LATE = datetime.now(UTC) + timedelta(days=9)


@pytest.fixture
def two(folder: Path) -> tuple[MemCube, MemCube]:
    """Two cubes that name one blob, the first of them another one too."""
    with SQLiteVault(folder) as vault:
        first = stored(vault, beside(vault.put_blob(b"its own"), "an older picture"))
        both = vault.put_blob(b"shared")
        stored(vault, revised(first, "a picture", payload=beside(both, "a picture").payload))
        return vault.get("acme", [first.id])[0], stored(vault, beside(both, "the same picture"))


EDITS = {
    "one row removed": "DELETE FROM blobs WHERE cube = 2",
    "all rows removed": "DELETE FROM blobs",
    "a row of another digest": "UPDATE blobs SET digest = 'ab' || substr(digest, 3) WHERE cube = 2",
    "a row moved to another cube": """UPDATE blobs SET cube = 2
        WHERE cube = 1 AND digest NOT IN (SELECT digest FROM blobs WHERE cube = 2)""",
}


def held(vault: SQLiteVault, first: MemCube, second: MemCube) -> list[bytes]:
    versions = [*vault.history("acme", first.id), *vault.history("acme", second.id)]
    return [content_of(vault.open_blob(each.blobs[0])) for each in versions]


@pytest.mark.parametrize("edit", EDITS)
def test_collecting_keeps_what_a_version_names(folder: Path, two: tuple[MemCube, MemCube], edit: str) -> None:
    changed(folder, EDITS[edit])
    assert not examine(folder).ok
    with SQLiteVault(folder) as vault:
        stray = vault.put_blob(b"nobody names it")
        assert vault.collect_blobs(LATE) == 1
        assert held(vault, *two) == [b"its own", b"shared", b"shared"]
        assert not vault._blobs.files.fits(stray.digest)
    assert examine(folder).ok, "the names were made anew from the versions"


def test_collecting_keeps_it_when_the_row_goes_while_the_vault_is_open(
    folder: Path, two: tuple[MemCube, MemCube]
) -> None:
    with SQLiteVault(folder) as vault:
        assert vault.collect_blobs(LATE) == 0
        with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as other:
            other.execute("DELETE FROM blobs")
        assert vault.collect_blobs(LATE) == 0
        assert held(vault, *two) == [b"its own", b"shared", b"shared"]
    assert examine(folder).ok


def test_an_erasure_keeps_a_blob_that_another_cube_names(folder: Path, two: tuple[MemCube, MemCube]) -> None:
    first, second = two
    changed(folder, "DELETE FROM blobs WHERE cube = 2")
    with SQLiteVault(folder) as vault:
        submit(vault, Erase(first.id), audit=(record(first, "forget"),))
        assert content_of(vault.open_blob(second.blobs[0])) == b"shared"
        assert vault.traces(first.id)["files"] == 0
        files = [*vault._blobs.files.folder.glob("??/??/*")]
        assert [file.name for file in files] == [second.blobs[0].digest], "its own went with it"
    assert examine(folder).ok


def test_a_blob_that_somebody_said_was_erased_stays(folder: Path, two: tuple[MemCube, MemCube]) -> None:
    changed(folder, "INSERT INTO uploads SELECT digest, 0 FROM blobs WHERE cube = 2")
    changed(folder, "DELETE FROM blobs")
    with SQLiteVault(folder) as vault:  # opening goes on with what a crash left to be removed
        assert held(vault, *two) == [b"its own", b"shared", b"shared"]


def test_a_backup_lacks_no_blob(tmp_path: Path, folder: Path, two: tuple[MemCube, MemCube]) -> None:
    changed(folder, "DELETE FROM blobs")
    back_up(folder, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    with SQLiteVault(tmp_path / "again") as vault:
        assert vault.collect_blobs(LATE) == 0
        assert held(vault, *two) == [b"its own", b"shared", b"shared"]


def test_rows_of_a_cube_that_cannot_be_read_stay(folder: Path, two: tuple[MemCube, MemCube]) -> None:
    changed(folder, "UPDATE versions SET body = x'7b7d' WHERE cube = 2")
    changed(folder, "DELETE FROM blobs WHERE cube = 1")
    with SQLiteVault(folder) as vault:
        assert vault.collect_blobs(LATE) == 0
    with closing(sqlite3.connect(folder / "vault.db")) as file:
        assert [cube for (cube,) in file.execute("SELECT cube FROM blobs ORDER BY cube")] == [1, 1, 2]


def test_a_vault_of_before_the_names_were_added_up_opens(folder: Path, two: tuple[MemCube, MemCube]) -> None:
    without_reserved(folder)
    changed(folder, "DELETE FROM blobs WHERE cube = 2")
    with SQLiteVault(folder) as vault:
        assert vault.collect_blobs(LATE) == 0
        assert held(vault, *two) == [b"its own", b"shared", b"shared"]
        assert vault.verify_audit().ok
    assert examine(folder).ok


def test_the_versions_of_an_encrypted_vault_say_it_too(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        one = stored(vault, beside(vault.put_blob(b"sealed"), "a picture"))
    changed(folder, "DELETE FROM blobs")
    with SQLiteVault(folder, keys=KEY) as vault:
        assert vault.collect_blobs(LATE) == 0
        assert content_of(vault.open_blob(one.blobs[0])) == b"sealed"
    assert examine(folder, keys=KEY).ok


def test_what_was_made_anew_is_not_older_than_the_anchor(tmp_path: Path, folder: Path) -> None:
    anchor = tmp_path / "anchor"
    with SQLiteVault(folder, anchor=anchor) as vault:
        stored(vault, beside(vault.put_blob(b"anchored"), "a picture"))
    changed(folder, "DELETE FROM blobs")
    for _ in range(2):
        with SQLiteVault(folder, anchor=anchor) as vault:
            vault.put_blob(b"stray")
            assert vault.collect_blobs(LATE) == 1
            stored(vault, cube("life goes on"))
