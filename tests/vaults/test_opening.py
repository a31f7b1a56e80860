"""What can be opened as a vault, and what a full disk or a forbidden folder does: a clear error, nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    VaultCorruptError,
    VaultError,
    VaultFullError,
    VaultSchemaError,
)
from memos_integrations.testing.cubes import asked, cube, stored
from memos_integrations.testing.vault_blobs import beside
from memos_integrations.vaults.schema import APPLICATION_ID, MIGRATIONS
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import Python, changed

# --- files that are not vaults


def test_a_text_file_is_no_vault(tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("Dear diary, " * 1000)
    with pytest.raises(VaultCorruptError, match="not a vault"):
        SQLiteVault(file)
    assert file.read_text().startswith("Dear diary")


def test_another_programs_database_is_no_vault(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE guests (name TEXT)")
    with pytest.raises(VaultCorruptError, match="not a vault"):
        SQLiteVault(file)


def test_a_newer_vault_is_refused_untouched(folder: Path, filled: list[MemCube]) -> None:
    changed(folder, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = (folder / "vault.db").read_bytes()
    with pytest.raises(VaultSchemaError, match="Upgrade"):
        SQLiteVault(folder)
    assert (folder / "vault.db").read_bytes() == before


def test_a_vault_whose_database_is_gone_is_not_taken_for_a_new_one(folder: Path) -> None:
    key = b"k" * 32
    with SQLiteVault(folder, key=key) as vault:
        stored(vault, beside(vault.put_blob(b"pixels"), "a picture"))
    (folder / "vault.db").rename(folder / "elsewhere.db")
    with pytest.raises(VaultCorruptError, match="blobs"):
        SQLiteVault(folder, key=key)


def test_an_emptied_file_is_not_taken_for_a_new_vault(folder: Path, filled: list[MemCube]) -> None:
    (folder / "vault.db").write_bytes(b"")
    with pytest.raises(VaultCorruptError, match="empty"):
        SQLiteVault(folder)


@pytest.mark.parametrize("path", ["a file/vault", "a file"])
def test_a_path_that_cannot_be_a_vault(tmp_path: Path, path: str) -> None:
    (tmp_path / "a file").write_text("x")
    with pytest.raises(VaultError, match="folder"):
        SQLiteVault(tmp_path / path)


# --- opening


@pytest.mark.answers("ASI06 1")
def test_a_vault_is_for_its_owner_only(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [folder, *folder.iterdir()]}
    assert modes.pop("vault") == 0o700
    assert set(modes.values()) == {0o600}
    assert "vault.db" in modes


@pytest.mark.parametrize("name", ["v%20?#[1].db", "tea & pot", "東京.db", "v.faiss.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with SQLiteVault(tmp_path / name) as vault:
            stored(vault, cube("kettle"))
    with SQLiteVault(str(tmp_path / name)) as vault:
        assert asked(vault, "kettle").visible == 2
    assert {file.suffix for file in tmp_path.iterdir()} <= {".db", ".key", ""}


def test_every_step_of_the_schema_leads_from_an_empty_file_and_is_taken_once(folder: Path) -> None:
    for _ in range(3):
        SQLiteVault(folder).close()
        with closing(sqlite3.connect(folder / "vault.db")) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
            assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    with (
        SQLiteVault(folder.with_name("another")),
        closing(sqlite3.connect(folder.with_name("another") / "vault.db")) as connection,
    ):
        assert connection.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall() == tables


def test_a_failed_step_leaves_the_file_at_the_step_before(
    folder: Path, filled: list[MemCube], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*MIGRATIONS, ("CREATE TABLE extra (n INTEGER)", "CREATE TABLE cubes (twice INTEGER)"))
    with monkeypatch.context() as patched:
        patched.setattr("memos_integrations.vaults.schema.MIGRATIONS", broken)
        with pytest.raises(VaultError):
            SQLiteVault(folder)
    with SQLiteVault(folder) as vault:
        assert asked(vault, "kettle", k=99).visible == 30


def test_sqlite_settings_are_those_that_durability_and_privacy_need(folder: Path) -> None:
    from memos_integrations.vaults.connection import connect

    SQLiteVault(folder).close()
    with closing(connect(folder / "vault.db", busy_timeout_s=3.0)) as connection:
        wanted = {
            "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "cell_size_check": 1,
            "secure_delete": 1, "busy_timeout": 3000, "temp_store": 2,
        }  # fmt: skip
        assert {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted} == wanted


# --- disks and folders


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


AS_NOBODY = """
import os, sys
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.core.errors import VaultReadOnlyError
from memos_integrations.testing.cubes import cube
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:] or {paths!r}:
    try:
        SQLiteVault(path)
    except VaultReadOnlyError as exc:
        print("refused:", exc)
"""


def test_a_vault_in_a_folder_that_cannot_be_written(open_to_all: Path, python: Python) -> None:
    with SQLiteVault(open_to_all / "there") as vault:
        stored(vault, cube("kettle"))
    (open_to_all / "there").chmod(0o555)
    (open_to_all / "there" / "vault.db").chmod(0o444)
    open_to_all.chmod(0o555)
    try:
        said = python(AS_NOBODY.format(paths=[str(open_to_all / "there"), str(open_to_all / "new")]))
    finally:
        open_to_all.chmod(0o755)
        (open_to_all / "there").chmod(0o755)
    assert said.count("refused:") == 2


FILLING = """
import resource
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.core.errors import VaultFullError
from memos_integrations.testing.cubes import cube, stored
vault = SQLiteVault({path!r})
soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
acknowledged = []
for number in range(1000):
    try:
        acknowledged.append(stored(vault, cube(f"kettle {{number}} " + "x" * 5000)).id)
    except VaultFullError:
        break
else:
    raise SystemExit("the limit did not bite")
assert len(vault.get("acme", acknowledged)) == len(acknowledged), "reads go on"
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
acknowledged.append(stored(vault, cube("kettle again")).id)
vault.close()
print(*acknowledged)
"""


def test_a_file_size_limit_is_survived(folder: Path, python: Python) -> None:
    acknowledged = python(FILLING.format(path=str(folder))).split()
    with SQLiteVault(folder) as vault:
        assert [each.id for each in vault.get("acme", acknowledged)] == acknowledged
        assert asked(vault).visible == len(acknowledged) > 5
        assert vault.verify_audit().ok


def fill(vault: SQLiteVault, acknowledged: list[str]) -> None:
    for number in range(1000):
        acknowledged.append(stored(vault, cube(f"kettle {number} " + "x" * 5000)).id)


@pytest.mark.answers("fault 33")
def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(disk)]
    if os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk; the limit test above covers the same code without")
    try:
        vault = SQLiteVault(disk / "vault")
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 300_000)
        acknowledged: list[str] = []
        with pytest.raises(VaultFullError):
            fill(vault, acknowledged)
        assert len(vault.get("acme", acknowledged)) == len(acknowledged) > 5
        ballast.unlink()
        acknowledged.append(stored(vault, cube("room again")).id)
        vault.close()
        with SQLiteVault(disk / "vault") as vault:
            assert [each.id for each in vault.get("acme", acknowledged)] == acknowledged
            assert asked(vault).visible == len(acknowledged)
            assert vault.verify_audit().ok
    finally:
        subprocess.run(["umount", disk], check=False)


# --- a file that goes away while it is open


def _replaced(folder: Path) -> None:
    shutil.copyfile(folder / "vault.db", folder / "copy")
    os.replace(folder / "copy", folder / "vault.db")


@pytest.mark.parametrize(
    "take_away",
    [
        lambda folder: (folder / "vault.db").unlink(),
        shutil.rmtree,
        lambda folder: folder.rename(folder.with_name("elsewhere")),
        _replaced,
    ],
    ids=["deleted", "folder deleted", "moved", "replaced"],
)
def test_nothing_is_acknowledged_that_nobody_finds_again(folder: Path, take_away: Callable[[Path], object]) -> None:
    """SQLite writes on, to a file without a name."""
    vault = SQLiteVault(folder)
    first = stored(vault, cube("first"))
    take_away(folder)
    with pytest.raises(VaultError, match="deleted, moved or replaced"):
        stored(vault, cube("second"))
    with pytest.raises(VaultError, match="deleted, moved or replaced"):
        vault.get("acme", [first.id])
    vault.close()


def test_a_vault_stays_where_it_was_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with SQLiteVault("vault") as vault:
        monkeypatch.chdir(tmp_path / "other")
        mine = stored(vault, cube("here"))
        assert vault.get("acme", [mine.id]) == [mine]
    assert [each.name for each in (tmp_path / "other").iterdir()] == []


def test_a_path_may_begin_with_two_slashes(tmp_path: Path) -> None:
    with SQLiteVault(f"/{tmp_path}/v") as vault:
        told = stored(vault, cube("here"))
    with SQLiteVault(tmp_path / "v") as vault:
        assert vault.get("acme", [told.id]) == [told]
