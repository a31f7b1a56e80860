"""The commands about keys: made, told of, changed, destroyed; and what is left of an erasure is overwritten."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.backends.keys import KeyFile
from memos_integrations.cli import app
from memos_integrations.core.errors import LegalHoldError, VaultKeyError
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

ANA = Principal(tenant="local", user="ana")
ROOT = Principal(tenant="local", user="root", roles=frozenset({"admin"}))
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
TEXT = "The safe opens with 4711-0815-1234"


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words))
    assert (done.exit_code == code) or (code and done.exception), done.output
    return done.stdout


def stored(folder: Path, key: KeyFile, *, blinded: bool = False) -> str:
    vault = SQLiteVault(folder, keys=key, blinded=blinded)
    with MemOS(vault, embedder=WordsEmbedder(), clock=lambda: NOW) as memos:
        return memos.remember(TEXT, by=ANA).id


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    assert "local:" in run("keys", "make", str(tmp_path / "kek"))
    monkeypatch.setenv("MEMOS_KEY_FILE", str(tmp_path / "kek"))
    return KeyFile(tmp_path / "kek")


def test_status_needs_no_key(tmp_path: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path / "v", key)
    with MemOS.open(tmp_path / "clear") as memos:
        memos.remember(TEXT, by=ANA)
    monkeypatch.delenv("MEMOS_KEY_FILE")
    said = json.loads(run("keys", "status", "--vault", str(tmp_path / "v"), "--json"))
    assert (said["provider"], said["blinded"], said["masters"]) == (key.name, False, {"1": 1})
    assert "Encrypted with" in run("keys", "status", "--vault", str(tmp_path / "v"))
    assert "Not encrypted" in run("keys", "status", "--vault", str(tmp_path / "clear"))
    run("keys", "status", "--vault", str(tmp_path / "none"), code=2)


def test_rotate_leaves_only_the_new_key(tmp_path: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    cube_id = stored(tmp_path / "v", key)
    run("keys", "make", str(tmp_path / "new"))
    assert "1 keys" in run("keys", "rotate", "--vault", str(tmp_path / "v"), "--to", str(tmp_path / "new"))
    with pytest.raises(VaultKeyError):
        SQLiteVault(tmp_path / "v", keys=key)
    monkeypatch.setenv("MEMOS_KEY_FILE", str(tmp_path / "new"))
    assert TEXT in run("history", cube_id, "--vault", str(tmp_path / "v"), "--user", "ana")
    assert KeyFile(tmp_path / "new").name in run("keys", "status", "--vault", str(tmp_path / "v"))


@pytest.mark.parametrize("blinded", [False, True])
def test_erased_keys_leave_nothing_to_open(tmp_path: Path, key: KeyFile, blinded: bool) -> None:
    folder = tmp_path / "v"
    stored(folder, key, blinded=blinded)
    with sqlite3.connect(folder / "vault.db") as connection:
        row, lock = connection.execute("SELECT v.row, l.lock FROM vectors v JOIN locks l ON l.cube = v.cube").fetchone()
        (master,) = connection.execute("SELECT value FROM meta WHERE name = 'master 1'").fetchone()
    connection.close()
    before = (folder / "vault.db").read_bytes()
    assert all(each in before for each in (row, lock, master)), "or what follows shows nothing"
    run("keys", "erase", "--vault", str(folder), code=2)  # nobody can be asked, and nobody said yes
    run("keys", "erase", "--vault", str(folder), "--yes")
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(each in content for each in (row, lock, master)), file.name
    with pytest.raises(VaultKeyError, match="erased on"):
        SQLiteVault(folder, keys=key)
    with pytest.raises(VaultKeyError, match="erased on"):
        SQLiteVault(folder)
    assert "erased" in run("keys", "status", "--vault", str(folder))
    with sqlite3.connect(folder / "vault.db") as connection:
        assert connection.execute("SELECT count(*) FROM audit WHERE operation = 'erase_keys'").fetchone() == (1,)
    connection.close()


def test_keys_of_a_vault_with_a_legal_hold_stay(tmp_path: Path, key: KeyFile) -> None:
    cube_id = stored(tmp_path / "v", key)
    with MemOS.open(tmp_path / "v", keys=key, clock=lambda: NOW) as memos:
        memos.remember('A text that says "legal_hold":true', by=ANA)
        memos.hold(cube_id, by=ROOT)
    with SQLiteVault(tmp_path / "v", keys=key) as vault, pytest.raises(LegalHoldError, match=cube_id):
        vault.erase_keys(by=ROOT, now=NOW)
    with MemOS.open(tmp_path / "v", keys=key, clock=lambda: NOW) as memos:
        assert memos.get(cube_id, by=ANA).text == TEXT
        memos.hold(cube_id, by=ROOT, held=False)
    with SQLiteVault(tmp_path / "v", keys=key) as vault:
        vault.erase_keys(by=ROOT, now=NOW)
        with pytest.raises((VaultKeyError, ValueError, LookupError)):
            vault.get("local", [cube_id])


def test_a_vault_in_clear_has_no_keys_to_erase_and_an_older_copy_needs_the_key_of_then(
    tmp_path: Path, key: KeyFile
) -> None:
    with SQLiteVault(tmp_path / "clear") as vault, pytest.raises(VaultKeyError, match="not encrypted"):
        vault.erase_keys(by=ROOT, now=NOW)
    cube_id = stored(tmp_path / "v", key)
    shutil.copytree(tmp_path / "v", tmp_path / "copy")
    with SQLiteVault(tmp_path / "v", keys=key) as vault:
        vault.erase_keys(by=ROOT, now=NOW)
    with MemOS.open(tmp_path / "copy", keys=key) as memos:  # as SECURITY.md says
        assert memos.get(cube_id, by=ANA).text == TEXT


def test_forget_and_scrub_leave_nothing_waiting(tmp_path: Path, key: KeyFile) -> None:
    cube_id = stored(tmp_path / "v", key)
    run("forget", cube_id, "--yes", "--vault", str(tmp_path / "v"), "--user", "ana")
    with SQLiteVault(tmp_path / "v", keys=key) as vault:
        assert vault.scrub(NOW) == 0
    assert json.loads(run("scrub", "--vault", str(tmp_path / "v"), "--json")) == {"waiting": 0}
