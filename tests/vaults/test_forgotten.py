"""What was forgotten for good stays so: in the file, in other processes, and when somebody else writes in the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.errors import ForgottenError, IntegrityError
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import cube, put, record, stored, submit
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


def test_a_record_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        forget(vault, "k")
        stored(vault, cube("other", namespace=("other",)))
    for edit in (
        "UPDATE forgotten SET mac = zeroblob(16)",
        "UPDATE forgotten SET tenant = (SELECT number FROM tenants WHERE name = 'other')",
    ):
        with closing(sqlite3.connect(vault.path)) as connection, connection:
            connection.execute(edit)
        with SQLiteVault(tmp_path / "vault") as again, pytest.raises(IntegrityError):
            again.forgotten("acme" if "mac" in edit else "other", ["k"])
