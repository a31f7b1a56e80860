"""What was forgotten for good stays so: in the file, in other processes, and when somebody else writes in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.errors import ForgottenError, IntegrityError
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import cube, put, record, stored, submit
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.integrity import read_root, root_seal, seal_meta, stored_root
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite import SQLiteVault


def forget(vault: SQLiteVault, key: str) -> None:
    there = stored(vault, cube("safe code 99"), key=key)
    submit(vault, Erase(there.id, lasting=True), audit=(record(there, "forget"),))


def test_it_is_kept_as_a_keyed_hash_and_survives_the_process(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "secret-key-of-a-message")
        assert vault.verify_audit().ok
    kept = b"".join(file.read_bytes() for file in vault.path.parent.iterdir() if file.name != "vault.key")
    assert b"secret-key" not in kept
    assert b"safe code" not in kept
    with SQLiteVault(tmp_path / "vault") as vault:
        assert vault.forgotten("acme", ["secret-key-of-a-message", "other"]) == {"secret-key-of-a-message"}
        with pytest.raises(ForgottenError):
            stored(vault, cube("again"), key="secret-key-of-a-message", again=False)


@pytest.mark.parametrize("alone", [True, False])
def test_both_ways_of_writing_refuse_it_and_clear_it(tmp_path: Path, alone: bool) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "k")
        more = [] if alone else [Erase(stored(vault, cube("old")).id)]  # no longer only something new
        with pytest.raises(ForgottenError):
            submit(vault, *more, put(cube("again"), key="k", again=False))
        submit(vault, *more, put(cube("again"), key="k"))
        assert vault.forgotten("acme", ["k"]) == set()


EDITS = {
    "UPDATE forgotten SET mac = zeroblob(16)": "is not ours",
    "UPDATE forgotten SET tenant = (SELECT number FROM tenants WHERE name = 'other')": "removed, added or set back",
    "DELETE FROM forgotten": "tenant 'acme' was removed, added or set back",
    "INSERT INTO forgotten SELECT tenant, zeroblob(16), mac FROM forgotten": "is not ours",
    "UPDATE tallies SET forgotten = x''": "counts of tenant 'acme'",
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_record_that_was_changed_added_or_removed_is_noticed_and_named(tmp_path: Path, edit: str) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "k")
        stored(vault, cube("other", namespace=("other",)))
        assert examine(vault.path).ok
    changed(vault.path, edit)
    with SQLiteVault(tmp_path / "vault") as again:
        with pytest.raises(IntegrityError, match=EDITS[edit]):
            again.forgotten("acme", ["k"])
        for more in ([], [Erase("none")]):  # both ways of writing
            with pytest.raises(IntegrityError):
                submit(again, put(cube("again"), key="k", again=False), *more)
    report = examine(vault.path)
    assert not report.ok
    assert EDITS[edit] in str(report)


def test_a_genuine_record_set_back_is_noticed(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "k")
        with closing(sqlite3.connect(vault.path)) as raw:
            row = raw.execute("SELECT * FROM forgotten").fetchone()
        stored(vault, cube("again"), key="k")
        assert vault.forgotten("acme", ["k"]) == set()
    changed(vault.path, "INSERT INTO forgotten VALUES (?, ?, ?)", row)
    with SQLiteVault(tmp_path / "vault") as again, pytest.raises(IntegrityError, match="set back"):
        again.forgotten("acme", ["k"])


def test_a_vault_of_before_they_were_added_up_is_taken_over(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "k")
        there = stored(vault, cube("there"))
    sealer = Sealer(vault.path.with_suffix(".key").read_bytes())
    with closing(sqlite3.connect(vault.path, isolation_level=None)) as raw:  # the file as the second schema had it
        raw.execute("DELETE FROM meta WHERE name = 'told'")
        raw.execute("ALTER TABLE tallies DROP COLUMN forgotten")
        raw.execute("ALTER TABLE tallies DROP COLUMN reserved")
        (tenant,) = raw.execute("SELECT * FROM tenants").fetchall()
        name, *tally, _ = raw.execute("SELECT * FROM tallies").fetchone()
        mac = sealer.tally(name, tenant, tuple(tally))
        raw.execute("UPDATE tallies SET mac = ?", (mac,))
        root = read_root(raw, sealer)
        root.total = sealer.share(mac)
        sums = stored_root(sealer, tally[0], root)
        raw.execute("UPDATE roots SET total = ?, mac = ?", (sums[1], root_seal(raw, sealer, sums)))
        seal_meta(raw, sealer)
        raw.execute("DROP TABLE locks")
        raw.execute("DROP TABLE tokens")
        raw.execute("PRAGMA user_version = 2")
    for _ in range(2):
        with SQLiteVault(tmp_path / "vault") as again:
            assert again.forgotten("acme", ["k"]) == {"k"}
            assert again.get("acme", [there.id]) == [there]
        assert examine(vault.path).ok
    changed(vault.path, "DELETE FROM forgotten")
    with SQLiteVault(tmp_path / "vault") as again, pytest.raises(IntegrityError, match="removed"):
        again.forgotten("acme", ["k"])


def changed(file: Path, edit: str, values: Sequence[object] = ()) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(edit, values)
