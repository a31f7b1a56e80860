"""A backup is the vault at one commit, taken while it is used; what is damaged or foreign is not put back."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    IntegrityError,
    VaultBusyError,
    VaultCorruptError,
    VaultError,
    VaultSchemaError,
)
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import asked, cube, record, stored, submit, unit
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults.backup import Backup, back_up
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.restore import restore
from memos_integrations.vaults.schema import MIGRATIONS
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import Python, changed

KINDS = ["folder", "file.tar"]


@pytest.fixture
def with_blob(folder: Path, filled: list[MemCube]) -> MemCube:
    """A cube with a blob, in the vault at `folder` beside the thirty others."""
    with SQLiteVault(folder) as vault:
        return stored(vault, beside(vault.put_blob(b"pixels" * 1000), "my picture"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_backed_up_comes_back(
    tmp_path: Path, folder: Path, filled: list[MemCube], with_blob: MemCube, kind: str
) -> None:
    seen: list[tuple[int, int]] = []
    made = back_up(folder, tmp_path / kind, progress=lambda done, total: seen.append((done, total)))
    assert (made.cubes, made.blobs, made.entries) == (31, 1, 31)
    assert seen
    assert all(0 <= done <= total for done, total in seen)
    assert restore(tmp_path / kind, tmp_path / "again") == made
    with SQLiteVault(folder) as before, SQLiteVault(tmp_path / "again") as after:
        for each in (*filled, with_blob):
            assert after.history("acme", each.id) == before.history("acme", each.id)
        assert content_of(after.open_blob(with_blob.blobs[0])) == b"pixels" * 1000
        for vector, terms in ((unit(5), ""), (None, "kettle 7"), (unit(9), "picture")):
            assert asked(after, terms, vector=vector).matches == asked(before, terms, vector=vector).matches
        assert after.verify_audit() == before.verify_audit()
        stored(after, cube("life goes on"))
    leftovers = {path.name for path in tmp_path.iterdir()}
    assert leftovers == {"vault", kind, "again"}
    assert {oct(path.stat().st_mode & 0o077) for path in (tmp_path / "again").rglob("*")} == {"0o0"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_is_for_its_owner_only(tmp_path: Path, folder: Path, with_blob: MemCube, kind: str) -> None:
    back_up(folder, tmp_path / kind)
    places = [tmp_path / kind, *(tmp_path / kind).rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in places} == {0}


def test_a_backup_of_a_busy_vault_is_one_commit(tmp_path: Path, folder: Path) -> None:
    """Every transaction writes two cubes: a backup with an odd number would have torn one."""
    stop = threading.Event()
    with SQLiteVault(folder) as vault:
        stored(vault, cube("first"))

        def write() -> None:
            while not stop.is_set():
                from memos_integrations.testing.cubes import put

                one, two = cube("pair"), beside(vault.put_blob(Random().randbytes(2_000)), "pair")
                submit(vault, put(one), put(two), audit=(record(one), record(two)))
                if Random().random() < 0.2:
                    submit(vault, Erase(one.id), Erase(two.id), audit=(record(one, "forget"), record(two, "forget")))

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        made: list[Backup] = []
        while len(made) < 6:
            try:
                made.append(back_up(folder, tmp_path / f"backup {len(made)}"))
            except VaultBusyError:
                continue  # erased meanwhile, five times: allowed, and nothing is left of the attempt
        stop.set()
        for writer in writers:
            writer.join()
    commits = [each.commit for each in made]
    assert commits == sorted(commits)
    assert commits[0] < commits[-1]
    for number, each in enumerate(made):
        restore(tmp_path / f"backup {number}", tmp_path / f"vault {number}")
        with SQLiteVault(tmp_path / f"vault {number}") as again:
            found = asked(again, k=10_000)
            assert found.visible == each.cubes
            assert sum(match.cube.text == "pair" for match in found.matches) % 2 == 0
            for match in found.matches:
                assert all(content_of(again.open_blob(blob)) for blob in match.cube.blobs)
            assert again.verify_audit().ok


def test_a_backup_is_made_while_memories_with_blobs_are_erased_one_after_another(tmp_path: Path, folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        beside_blobs = [stored(vault, beside(vault.put_blob(b"pixels %d" % n), f"picture {n}")) for n in range(12)]
        last_first = sorted(beside_blobs, key=lambda each: each.blobs[0].digest, reverse=True)

        def erase_the_last(done: int, total: int) -> None:
            if done == 1 and len(last_first) > 2:  # a new attempt begins to copy blobs
                gone = last_first.pop(0)
                submit(vault, Erase(gone.id), audit=(record(gone, "forget"),))

        made = back_up(folder, tmp_path / "made", progress=erase_the_last)
    assert len(last_first) < 12
    assert restore(tmp_path / "made", tmp_path / "again") == made
    assert examine(tmp_path / "again").ok
    with SQLiteVault(tmp_path / "again") as vault:
        for each in last_first:
            assert content_of(vault.open_blob(each.blobs[0]))


def test_a_backup_is_never_written_over(tmp_path: Path, folder: Path, filled: list[MemCube]) -> None:
    for kind in KINDS:
        back_up(folder, tmp_path / kind)
        with pytest.raises(VaultError, match="exists"):
            back_up(folder, tmp_path / kind)


def test_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault"):
        back_up(tmp_path / "nowhere", tmp_path / "backup")
    with pytest.raises(VaultError, match="no backup"):
        restore(tmp_path / "nowhere", tmp_path / "vault")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_vault_is_not_backed_up(tmp_path: Path, folder: Path, with_blob: MemCube) -> None:
    (file,) = (path for path in (folder / "vault.blobs").rglob("*") if path.is_file())
    file.write_bytes(b"pixelz")
    with pytest.raises(IntegrityError, match=file.name):
        back_up(folder, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["vault"]


# --- putting back


def damages(random: Random) -> Iterator[tuple[str, Callable[[Path], None]]]:
    def flip(name: str) -> Callable[[Path], None]:
        def change(backup: Path) -> None:
            file = next(backup.rglob(name))
            content = bytearray(file.read_bytes())
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            file.write_bytes(content)

        return change

    for number in range(8):
        yield f"flip in the manifest {number}", flip("manifest.json")
        yield f"flip in the database {number}", flip("vault.db")
    blob = "[0-9a-f]" * 64
    yield "flip in a blob", flip(blob)
    yield "no manifest", lambda backup: (backup / "manifest.json").unlink()
    yield "no database", lambda backup: (backup / "vault.db").unlink()
    yield "no blob", lambda backup: next(backup.rglob(blob)).unlink()
    yield "too much", lambda backup: (backup / "extra").write_text("x")
    yield "a link", lambda backup: (backup / "blobs" / "x").symlink_to("vault.db")
    yield "cut", lambda backup: (backup / "vault.db").write_bytes((backup / "vault.db").read_bytes()[:-4096])


@pytest.mark.parametrize(
    ("name", "damage"), [*damages(Random(20260301))], ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_damaged_backup_is_refused(
    tmp_path: Path, folder: Path, with_blob: MemCube, name: str, damage: Callable[[Path], None]
) -> None:
    back_up(folder, tmp_path / "backup")
    damage(tmp_path / "backup")
    with pytest.raises(VaultCorruptError):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again" / "vault.db").exists()
    with pytest.raises(VaultCorruptError):
        restore(tmp_path / "backup", folder, force=True)
    with SQLiteVault(folder) as vault:
        assert asked(vault, k=99).visible == 31


@pytest.mark.answers("JDP-2026-003")
@pytest.mark.parametrize("name", ["../vault.db", "/etc/x", "blobs/../../x", "vault.db-wal"])
def test_a_tar_with_anything_else_in_it_is_refused(tmp_path: Path, folder: Path, with_blob: MemCube, name: str) -> None:
    import io
    import tarfile

    back_up(folder, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar", "a") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(VaultCorruptError, match="not in any backup"):
        restore(tmp_path / "b.tar", tmp_path / "again")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]


@pytest.mark.parametrize("size", [0, 1, 600, 20_000, 90_000])
def test_a_cut_tar_is_refused(tmp_path: Path, folder: Path, with_blob: MemCube, size: int) -> None:
    back_up(folder, tmp_path / "b.tar")
    (tmp_path / "b.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:size])
    with pytest.raises(VaultCorruptError):
        restore(tmp_path / "b.tar", tmp_path / "again")


def test_the_database_of_another_backup_is_refused(tmp_path: Path, folder: Path, filled: list[MemCube]) -> None:
    from memos_integrations.core.cube import canonical_json, sha256

    back_up(folder, tmp_path / "one")
    with SQLiteVault(folder) as vault:
        stored(vault, cube("later"))
    back_up(folder, tmp_path / "two")
    shutil.copy(tmp_path / "one" / "vault.db", tmp_path / "two" / "vault.db")
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_bytes())
    del manifest["sha256"]
    manifest["files"] = json.loads((tmp_path / "one" / "manifest.json").read_bytes())["files"]
    manifest["sha256"] = sha256(canonical_json(manifest))
    (tmp_path / "two" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(VaultCorruptError, match="not the one"):
        restore(tmp_path / "two", tmp_path / "again")


def test_a_backup_from_the_future_is_refused(tmp_path: Path, folder: Path, filled: list[MemCube]) -> None:
    from memos_integrations.core.cube import canonical_json, sha256

    back_up(folder, tmp_path / "backup")
    file = tmp_path / "backup" / "vault.db"
    changed(file.parent, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_bytes())
    del manifest["sha256"]
    manifest["files"]["vault.db"] = {"size": file.stat().st_size, "sha256": sha256(file.read_bytes())}
    manifest["sha256"] = sha256(canonical_json(manifest))
    (tmp_path / "backup" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(VaultSchemaError):
        restore(tmp_path / "backup", tmp_path / "again")


def test_a_vault_that_stands_there_is_kept_unless_forced(tmp_path: Path, folder: Path, filled: list[MemCube]) -> None:
    back_up(folder, tmp_path / "backup")
    with SQLiteVault(folder) as vault:
        later = stored(vault, cube("kettle written later"), vector=unit(77))
        asked(vault, vector=unit(3))
    with pytest.raises(VaultError, match="not touched"):
        restore(tmp_path / "backup", folder)
    with SQLiteVault(folder) as vault:
        assert vault.get("acme", [later.id]) == [later]
    restore(tmp_path / "backup", folder, force=True)
    with SQLiteVault(folder) as vault:
        assert vault.get("acme", [later.id]) == []
        # Numbers are given out again: the old index must not answer for the new rows.
        another = stored(vault, cube("another one"), vector=unit(78))
        found = asked(vault, vector=unit(78), k=1)
        assert [match.cube.id for match in found.matches] == [another.id]
        assert asked(vault, vector=unit(77), k=99).visible == 31
        assert vault.verify_audit().ok


def test_an_open_vault_is_not_replaced(tmp_path: Path, folder: Path, filled: list[MemCube]) -> None:
    back_up(folder, tmp_path / "backup")
    with SQLiteVault(folder) as vault:
        assert asked(vault).visible == 30
        with pytest.raises(VaultBusyError, match="open somewhere"):
            restore(tmp_path / "backup", folder, force=True)
        later = stored(vault, cube("still here"))
        assert vault.get("acme", [later.id]) == [later]
    with SQLiteVault(folder) as vault:
        assert vault.get("acme", [later.id]) == [later]


@pytest.mark.parametrize("damage", ["text", "empty", "cut"])
def test_a_ruined_vault_is_replaced(tmp_path: Path, folder: Path, filled: list[MemCube], damage: str) -> None:
    back_up(folder, tmp_path / "backup")
    file = folder / "vault.db"
    content = file.read_bytes()
    file.write_bytes({"text": b"Dear diary " * 900, "empty": b"", "cut": content[: len(content) // 2]}[damage])
    restore(tmp_path / "backup", folder, force=True)
    with SQLiteVault(folder) as vault:
        assert asked(vault, "kettle", k=99).visible == 30
        assert vault.verify_audit().ok


KILLED = """
import os, sys
from memos_integrations.vaults.restore import restore
left = {steps}
def count(event, args):
    global left
    if event in ("os.rename", "os.remove", "open", "sqlite3.connect", "os.mkdir", "os.rmdir"):
        left -= 1
        if left == 0:
            os._exit(0)
sys.addaudithook(count)
restore({backup!r}, {vault!r}, force=True)
print("whole")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_that_is_killed_leaves_the_old_vault_or_the_new_one(
    tmp_path: Path, folder: Path, with_blob: MemCube, python: Python, kind: str
) -> None:
    back_up(folder, tmp_path / kind)
    with SQLiteVault(folder) as vault:
        later = stored(vault, cube("written later"))
    shutil.copytree(folder, tmp_path / "kept")
    seen = set()
    for steps in (*range(3, 60, 4), 10_000):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "kept", folder)
        said = python(KILLED.format(steps=steps, backup=str(tmp_path / kind), vault=str(folder)))
        with SQLiteVault(folder) as vault:
            seen.add(bool(vault.get("acme", [later.id])))
            assert vault.get("acme", [with_blob.id]) == [with_blob]
            assert vault.verify_audit().ok
        if "whole" in said:
            break
    assert seen == {True, False}, "it was stopped before, and it ended"


FILLING = """
import resource
from memos_integrations.core.errors import VaultFullError
from memos_integrations.vaults.backup import back_up
from memos_integrations.vaults.restore import restore
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
new = {new!r}
for verb, source, target in ((back_up, {vault!r}, new), (back_up, {vault!r}, new + ".tar"), (restore, {backup!r}, new)):
    try:
        verb(source, target)
    except VaultFullError:
        print("refused")
"""


def test_a_full_disk_leaves_no_half_of_a_backup(
    tmp_path: Path, folder: Path, filled: list[MemCube], python: Python
) -> None:
    back_up(folder, tmp_path / "backup")
    new = tmp_path / "new"
    said = python(FILLING.format(vault=str(folder), backup=str(tmp_path / "backup"), new=str(new)))
    assert said.split() == ["refused"] * 3
    assert not (new / "vault.db").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"vault", "backup", "new"}


# --- from the shell


def shell(*arguments: object) -> int:
    from memos_integrations.cli import main

    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def test_the_doctor_from_the_shell(folder: Path, with_blob: MemCube, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("doctor", folder) == 0
    assert "Everything fits" in capsys.readouterr().out
    (file,) = (path for path in (folder / "vault.blobs").rglob("*") if path.is_file())
    file.write_bytes(b"pixelz")
    assert shell("doctor", folder, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["ok"]
    assert [finding["name"] for finding in said["findings"] if finding["problems"]] == ["blobs"]
    assert shell("doctor", folder.with_name("nowhere"), "--json") == 2


def test_a_restored_vault_is_healthy(tmp_path: Path, folder: Path, with_blob: MemCube) -> None:
    from memos_integrations.vaults.doctor import examine

    back_up(folder, tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "again")
    report = examine(tmp_path / "again")
    assert report.ok, report


def test_backup_and_restore_from_the_shell(
    tmp_path: Path, folder: Path, with_blob: MemCube, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell("backup", folder, tmp_path / "b.tar", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["backup"]["cubes"], said["backup"]["blobs"]) == (31, 1)
    assert shell("restore", tmp_path / "b.tar", tmp_path / "again") == 0
    assert "31 memories and 1 blobs" in capsys.readouterr().out
    assert shell("restore", tmp_path / "b.tar", tmp_path / "again", "--json") == 2
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "VaultError"
    assert shell("restore", tmp_path / "b.tar", tmp_path / "again", "--force") == 0
