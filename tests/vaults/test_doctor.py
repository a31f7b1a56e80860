"""The doctor names what is wrong, repairs derivatives alone, and never touches a memory."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError, VaultError
from memos_integrations.testing.cubes import asked, cube, stored, unit
from memos_integrations.testing.vault_blobs import beside
from memos_integrations.vaults.anchor import EVERY
from memos_integrations.vaults.doctor import Report, examine
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed, without_reserved


def wrong(report: Report) -> set[str]:
    return {finding.name for finding in report.findings if finding.problems}


def test_a_sound_vault_has_nothing_wrong_and_everything_is_counted(folder: Path, filled: list[MemCube]) -> None:
    report = examine(folder)
    assert report.ok
    assert "problems" not in str(report)
    counted = {finding.name: finding.checked for finding in report.findings}
    assert counted["versions"] == counted["seals"] == counted["vectors"] == counted["histories"] == len(filled)
    assert counted["audit log and digests"] == 30


def test_it_looks_at_a_vault_that_is_open_and_changes_nothing(folder: Path, filled: list[MemCube]) -> None:
    with SQLiteVault(folder) as vault:
        assert examine(folder, repair=True).ok
        stored(vault, cube("one more"))
        assert examine(folder).ok
        assert asked(vault, k=99).visible == 31


@pytest.mark.answers("MemOS #2331, MemPalace #1710")
@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("UPDATE versions SET body = x'00' WHERE cube = 4", "audit log and digests"),
        ("UPDATE cubes SET state = 'frozen' WHERE seq = 4", "seals"),
        ("UPDATE behaviour SET body = '{}' WHERE cube = 4", "seals"),
        ("DELETE FROM words WHERE cube = 4", "labels, words, links, vectors, keys, past"),
        ("DELETE FROM labels WHERE cube = 4", "labels, words, links, vectors, keys, past"),
        ("UPDATE audiences SET subject = 5", "labels, words, links, vectors, keys, past"),
        ("UPDATE vectors SET row = zeroblob(7) WHERE cube = 4", "vectors"),
        ("DELETE FROM vectors WHERE cube = 4", "vectors"),
        ("UPDATE versions SET version = 3 WHERE cube = 4", "versions"),
        ("DELETE FROM audit WHERE number = 7", "tallies"),
        ("DELETE FROM tallies", "counters"),
        ("UPDATE head SET erased = 9", "counters"),
        ("DELETE FROM cubes WHERE seq = 4", "orphans"),
        ("CREATE TRIGGER t AFTER INSERT ON cubes BEGIN DELETE FROM audit; END", "schema"),
        ("DROP TABLE gone", "schema"),
        ("DROP TABLE uploads", "schema"),
        ("DROP INDEX cubes_by_tenant", "schema"),
        ("ALTER TABLE gone RENAME COLUMN changed TO moved", "schema"),
        ("UPDATE meta SET value = x'00' WHERE name = 'word_key'", "counters"),
    ],
)
def test_what_is_wrong_is_named_and_repair_leaves_it(folder: Path, filled: list[MemCube], sql: str, name: str) -> None:
    changed(folder, sql)
    before = (folder / "vault.db").read_bytes()
    report = examine(folder, repair=True)
    assert not report.ok
    assert name in wrong(report)
    if "= 4" in sql and name not in {"orphans"}:
        assert filled[3].id in str(report)
    assert (folder / "vault.db").read_bytes() == before


def test_a_search_index_that_is_damaged_is_dropped_and_made_again(folder: Path, filled: list[MemCube]) -> None:
    manifests = [file for file in folder.iterdir() if file.suffix == ".json"]
    if not manifests:
        (folder / "vault.faiss.json").write_bytes(b"{")
    for file in manifests:
        file.write_bytes(b"{")
    assert wrong(examine(folder)) == {"search index"}
    assert examine(folder, repair=True).ok
    assert examine(folder).ok
    with SQLiteVault(folder) as vault:
        assert asked(vault, vector=unit(3), k=1).matches[0].cube == filled[3]


def test_a_lost_key_is_said_and_the_rest_is_still_looked_at(folder: Path, filled: list[MemCube]) -> None:
    (folder / "vault.key").unlink()
    with pytest.raises(IntegrityError, match="key"):
        SQLiteVault(folder)
    assert wrong(examine(folder)) == {"integrity key"}


def test_no_vault_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault"):
        examine(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- the key and the anchor


def test_a_key_that_is_kept_elsewhere_opens_the_vault_and_another_does_not(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "v", key=b"k" * 32) as vault:
        stored(vault, one := cube("one"))
    assert not (tmp_path / "v" / "vault.key").exists()
    with SQLiteVault(tmp_path / "v", key=b"k" * 32) as vault:
        assert vault.get("acme", [one.id]) == [one]
    for wrong_key in (b"x" * 32, None):
        with pytest.raises(IntegrityError):
            SQLiteVault(tmp_path / "v", key=wrong_key)
    assert examine(tmp_path / "v", key=b"k" * 32).ok


def test_an_anchor_is_missed_when_it_is_gone(tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    with SQLiteVault(tmp_path / "v", anchor=anchor) as vault:
        stored(vault, cube("one"))
    anchor.unlink()
    with pytest.raises(IntegrityError, match="anchor"):
        SQLiteVault(tmp_path / "v", anchor=anchor)
    anchor.touch()  # accepted on purpose
    SQLiteVault(tmp_path / "v", anchor=anchor).close()
    with pytest.raises(VaultError, match="beside"):
        SQLiteVault(tmp_path / "v", anchor=tmp_path / "v" / "anchor")


def test_an_anchor_never_saw_more_than_the_disk_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a vault that a power cut set back would be called an older copy."""
    anchor, flushed, flush = tmp_path / "anchor", list[int](), os.fsync

    def noted(file: int) -> None:
        flushed.append(os.fstat(file).st_ino)
        flush(file)

    with SQLiteVault(tmp_path / "v", anchor=anchor, durability="process") as vault:
        monkeypatch.setattr(os, "fsync", noted)
        for number in range(EVERY):
            stored(vault, cube(f"kettle {number}"))
        log = (tmp_path / "v" / "vault.db-wal").stat().st_ino
    assert flushed[:2] == [log, anchor.stat().st_ino]


def test_a_past_that_was_rewritten_is_noticed_by_the_anchor(tmp_path: Path) -> None:
    """By somebody with the key: a vault of the same name and commit, with another log."""
    anchor = tmp_path / "anchor"
    with SQLiteVault(tmp_path / "v", anchor=anchor) as vault:
        stored(vault, cube("one"))
    with closing(sqlite3.connect(tmp_path / "v" / "vault.db")) as connection, connection:
        connection.execute("UPDATE audit SET hash = previous WHERE number = 1")
    with pytest.raises(IntegrityError, match="anchor"):
        SQLiteVault(tmp_path / "v", anchor=anchor)


def test_an_index_that_the_key_did_not_seal_is_named_and_made_anew(folder: Path, filled: list[MemCube]) -> None:
    manifest = folder / "vault.faiss.json"
    before = manifest.read_text()
    manifest.write_text(before.replace('"erased": 0', '"erased":  0').replace('"seal": "', '"seal": "0'))
    report = examine(folder, repair=True)
    assert any("not sealed with this vault's key" in problem for each in report.findings for problem in each.problems)
    assert report.ok
    assert examine(folder).ok
    assert not manifest.exists()


def test_a_blob_that_is_not_noted_as_in_use_is_named(folder: Path) -> None:
    """A backup would leave it out and a collection take it away, without a word."""
    with SQLiteVault(folder) as vault:
        mine = stored(vault, beside(vault.put_blob(b"pixels"), "my picture"))
    assert examine(folder).ok
    changed(folder, "DELETE FROM blobs")
    report = examine(folder, repair=True)
    assert wrong(report) == {"blobs"}
    assert mine.id in str(report)
    assert mine.blobs[0].digest in str(report)


def test_a_file_of_an_older_schema_is_called_that_and_not_damaged(folder: Path) -> None:
    with SQLiteVault(folder):
        pass
    without_reserved(folder)
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute("DROP TABLE tokens")
        raw.execute("PRAGMA user_version = 4")
    report = examine(folder)
    assert wrong(report) == {"older schema"}
    assert "open the vault once" in str(report)
    with SQLiteVault(folder):
        pass
    assert examine(folder).ok
