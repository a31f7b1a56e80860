"""Every column and row of every table, edited behind our back: refused when read, or without effect on any answer.

An attacker who may write to the file but has no key. After each edit the vault is opened anew and asked everything: it
must refuse, or answer exactly as before. Edits without effect on an answer are listed in `HARMLESS`, each with its
reason, and nothing else may be harmless; the doctor names every other one.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.events import CubeWritten
from memos_integrations.core.ports import CubeFilter, Erase, LogQuery, Use, VaultQuery
from memos_integrations.testing.cubes import (
    ANA,
    EMBEDDER,
    NOW,
    asked,
    cube,
    link,
    put,
    record,
    revised,
    seen_by,
    submit,
    unit,
)
from memos_integrations.vaults import postings
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.schema import migrate
from memos_integrations.vaults.sqlite import SQLiteVault

HARMLESS = {
    "checkpoints": "held against the log by verify_audit",
    "gone": "numbers of erased cubes: derivatives that miss one are corrected by the table",
    "uploads": "blobs waiting for their cube: a file is kept a day longer, or collected when nobody names it",
    "blobs": "what may be collected; each file is checked against the digest that the sealed body names",
    "audiences: add": "a reader of a set of readers that no cube has",
    "sqlite_sequence": "numbers are not used again; nothing is found by them",
}


@cache
def tables() -> dict[str, list[tuple[str, bool]]]:
    """Each table's columns, and whether each belongs to the primary key."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {n: [(row[1], bool(row[5])) for row in connection.execute(f"PRAGMA table_info({n})")] for n in names}


def edits() -> Iterator[tuple[str, str]]:
    for table, columns in tables().items():
        yield table, "delete one"
        yield table, "delete all"
        yield table, "add"
        for column, _ in columns:
            yield table, f"change {column}"
            yield table, f"swap {column}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, object]]:
    """A vault with rows in every table that a search can depend on, and everything that it answers."""
    folder = tmp_path_factory.mktemp("whole") / "vault"
    cubes: list[MemCube] = []
    with pytest.MonkeyPatch.context() as patch, SQLiteVault(folder) as vault:
        patch.setattr(postings, "FOLD_AT", 2)  # so that full text has blocks
        vault.bind_embedder(EMBEDDER)
        for n in range(6):
            namespace = ("acme" if n < 4 else "other", f"team {n}")
            more = {"tags": (f"t{n}",), "entities": (f"e{n}",), "thread_id": f"th{n}"}
            links = (link("mentions", cubes[-1].id),) if cubes else ()
            payload: dict[str, Any] = {
                "payload": {"kind": "plaintext", "text": f"kettle {n}", "value": {"n": n, "m": [n]}}
            }
            cubes.append(cube(namespace=namespace, links=links, **more, **payload))
            event = CubeWritten(at=NOW, tenant=namespace[0], cube_id=cubes[-1].id, actor=ANA, version=1)
            stored = put(cubes[-1], readers=(ANA, f"user:{n}"), key=f"k{n}", vector=unit(n), terms=f"kettle no{n}")
            submit(vault, stored, audit=(record(cubes[-1]),), events=(event,))
        for n in (1, 4):
            cubes[n] = revised(cubes[n], f"kettle {n} again")
            # The same readers, here and below: a set of readers that no cube has any more may be edited without harm.
            newer = put(cubes[n], readers=(ANA, f"user:{n}"), vector=unit(n + 50))
            submit(vault, newer, audit=(record(cubes[n], "update"),))
            submit(vault, Use(cubes[n].id, NOW, "r"))
        for n in range(6, 9):
            told = cube(namespace=("acme" if n < 8 else "other",))
            there = put(told, readers=(ANA, f"user:{n - 6 if n < 8 else 4}"), key=f"k{n}")
            submit(vault, there, audit=(record(told),))
            submit(vault, Erase(told.id, lasting=True), audit=(record(told, "forget"),))
    ids = [each.id for each in cubes]
    return folder, ids, answers(folder, ids)


def answers(folder: Path, ids: list[str]) -> dict[str, object]:
    """All that a vault says, opened anew."""
    said: dict[str, object] = {}
    with SQLiteVault(folder) as vault:
        said["embedder"] = vault.embedder()
        for tenant in ("acme", "other"):
            by = seen_by(ANA, "user:2", tenant=tenant)
            said[f"get {tenant}"] = vault.get(tenant, ids)
            said[f"history {tenant}"] = [vault.history(tenant, each) for each in ids]
            said[f"keys {tenant}"] = [vault.find_key(tenant, f"k{n}") for n in range(6)]
            said[f"forgotten {tenant}"] = vault.forgotten(tenant, [f"k{n}" for n in range(9)])
            said[f"edges {tenant}"] = vault.pointing_at(tenant, ids)
            said[f"log {tenant}"] = vault.log(LogQuery(tenant=tenant))
            said[f"latest {tenant}"] = asked(vault, by=by).matches
            said[f"words {tenant}"] = asked(vault, "kettle no2", by=by).matches
            said[f"vector {tenant}"] = asked(vault, vector=unit(2), by=by).matches
            said[f"then {tenant}"] = vault.search(VaultQuery(10, as_of=NOW), by).matches
            said[f"page {tenant}"] = vault.search(VaultQuery(2, skip=2), by).matches
            said[f"places {tenant}"] = vault.places(CubeFilter(), by)
            said[f"tag {tenant}"] = asked(vault, tags=("t2", "t5"), by=by).matches
        said["unembedded"] = vault.unembedded(99)
        said["events"] = vault.events(0)
    return said


def changed(raw: sqlite3.Connection, table: str, edit: str) -> bool:
    """Make the edit; whether the file took it (a constraint of the schema may refuse)."""
    verb, _, column = edit.partition(" ")
    keys = [name for name, key in tables()[table] if key] or ["rowid"]
    rows = raw.execute(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}").fetchall()
    names = [name for name, _ in tables()[table]]
    if not rows:
        return False
    one, two = rows[len(rows) // 2], rows[0]
    here = " AND ".join(f"{key} IS ?" for key in names)
    before = raw.total_changes
    try:
        if edit == "delete all":
            raw.execute(f"DELETE FROM {table}")
        elif verb == "delete":
            raw.execute(f"DELETE FROM {table} WHERE {here}", one)
        elif verb == "add":
            new = [_other(value) if name in keys else value for name, value in zip(names, one, strict=True)]
            raw.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(new))})", new)
        else:
            at = names.index(column)
            value = _other(one[at]) if verb == "change" else two[at]
            if value == one[at]:
                return False
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE {here}", (value, *one))
            if verb == "swap":
                raw.execute(f"UPDATE {table} SET {column} = ? WHERE {here}", (one[at], *two))
    except sqlite3.IntegrityError:
        return False
    return raw.total_changes > before


def _other(value: object) -> object:
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\x01"
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    return 7 if value is None else value + 1  # type: ignore[operator]


@pytest.mark.answers("AISVS 8.1.2")
@pytest.mark.parametrize(("table", "edit"), list(edits()), ids=str)
def test_an_edit_of_any_row_is_refused_or_changes_no_answer(
    whole: tuple[Path, list[str], dict[str, object]], tmp_path: Path, table: str, edit: str
) -> None:
    folder, ids, truth = whole
    copy = tmp_path / "vault"
    shutil.copytree(folder, copy)
    with closing(sqlite3.connect(copy / "vault.db", isolation_level=None)) as raw:
        if not changed(raw, table, edit):
            pytest.skip("the file has no such row, or the schema refuses the edit")
    harmless = {table, f"{table}: {edit}"} & HARMLESS.keys()
    try:
        now = answers(copy, ids)
    except MemOSError:
        assert harmless or not examine(copy).ok, "refused, but the doctor finds nothing"
        return
    assert now == truth
    assert harmless, "an edit that nobody notices"


def test_a_row_set_back_to_an_older_state_that_was_genuine_is_refused(tmp_path: Path) -> None:
    """Everything of one cube as it was a version ago, seals and all; the rest of the vault as it is now."""
    folder, of_a_cube = tmp_path / "vault", ("cubes", "seals", "versions", "behaviour", "labels", "words", "leaves")
    with SQLiteVault(folder) as vault:
        old = cube("ana may read")
        submit(vault, put(old), audit=(record(old),))
        submit(vault, put(cube("another")))
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as raw:
        before = {
            t: raw.execute(f"SELECT * FROM {t} WHERE {'seq' if t == 'cubes' else 'cube'} = 1").fetchall()
            for t in of_a_cube
        }
    with SQLiteVault(folder) as vault:
        submit(vault, put(revised(old, "ana may not"), readers=("user:bob",)), audit=(record(old, "update"),))
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as raw:
        for table in reversed(of_a_cube):
            raw.execute(f"DELETE FROM {table} WHERE {'seq' if table == 'cubes' else 'cube'} = 1")
        for table, rows in before.items():
            for row in rows:
                raw.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    with SQLiteVault(folder) as vault, pytest.raises(MemOSError):
        vault.get("acme", [old.id])
    assert not examine(folder).ok


def test_an_edit_while_the_vault_is_open_is_refused_at_the_next_read(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        one, two = cube("one"), cube("two")
        for each in (one, two):
            submit(vault, put(each), audit=(record(each),))
        assert len(asked(vault).matches) == 2
        submit(vault, put(three := cube("three")))
        with closing(sqlite3.connect(vault.path, isolation_level=None)) as raw:
            raw.execute("UPDATE cubes SET quarantined = 1 WHERE id = ?", (two.id,))  # hidden, so never handed out
        with pytest.raises(MemOSError, match=two.id):
            asked(vault)
        assert vault.get("acme", [one.id, three.id]) == [one, three]


def test_a_use_does_not_seal_an_edit_along(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "vault") as vault:
        submit(vault, put(one := cube("one")), audit=(record(one),))
        with closing(sqlite3.connect(vault.path, isolation_level=None)) as raw:
            raw.execute("UPDATE cubes SET expires_at = 0")
        with pytest.raises(MemOSError):
            submit(vault, Use(one.id, NOW, "r"))
        with pytest.raises(MemOSError):
            vault.get("acme", [one.id])
