"""Edits behind our back: refused on read, reported by the audit, never garbage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    IntegrityError,
    MemOSError,
    VaultCorruptError,
)
from memos_integrations.core.ports import Erase, LogQuery, Use
from memos_integrations.testing.cubes import NOW, asked, cube, revised, seen_by, stored, submit
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed

TAMPERINGS = {
    "text": """UPDATE versions SET body = CAST(replace(CAST(body AS TEXT), 'kettle 3', 'kettle 4') AS BLOB)
        WHERE cube = 4""",
    "digest": "UPDATE versions SET digest = (SELECT digest FROM versions WHERE cube = 5) WHERE cube = 4",
    "swap": """UPDATE versions SET (digest, body) = (SELECT digest, body FROM versions WHERE cube = 5)
        WHERE cube = 4""",
    "not json": "UPDATE versions SET body = x'00ff' WHERE cube = 4",
    "state": "UPDATE cubes SET state = 'loved' WHERE seq = 4",
    "behaviour": "UPDATE behaviour SET body = '{\"reads\": -1}' WHERE cube = 4",
    "tenant": "UPDATE cubes SET tenant = (SELECT number FROM tenants WHERE name = 'other') WHERE seq = 4",
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_row_is_refused_on_read(folder: Path, filled: list[MemCube], name: str) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube("other", namespace=("other",)))
    changed(folder, TAMPERINGS[name])
    tenant = "other" if name == "tenant" else "acme"
    with SQLiteVault(folder) as vault:
        for read in (
            lambda: vault.get(tenant, [filled[3].id]),
            lambda: vault.history(tenant, filled[3].id),
            lambda: asked(vault, k=99, states=frozenset(), by=seen_by(tenant=tenant)),
        ):
            with pytest.raises(IntegrityError) as caught:
                read()
            assert caught.value.cube_id == filled[3].id
        if name != "tenant":  # there a cube is missing, so nothing of the tenant can be trusted to be complete
            assert vault.get("acme", [filled[5].id]) == [filled[5]]


@pytest.mark.parametrize("value", ["acme", 7, 1.5])
@pytest.mark.parametrize("table", ["seals", "tallies"])
def test_a_seal_of_another_type_is_an_error_of_ours(folder: Path, table: str, value: object) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube("one"), key="k")
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as file:
        (told,) = file.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        file.execute("PRAGMA writable_schema = 1")  # a flipped bit does not ask whether a table is strict either
        file.execute(
            "UPDATE sqlite_schema SET sql = replace(replace(sql, ', STRICT', ''), ' STRICT', '') WHERE name = ?",
            (table,),
        )
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as file:
        file.execute(f"UPDATE {table} SET mac = ?", (value,))
        file.execute("PRAGMA writable_schema = 1")
        file.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (told, table))
    with pytest.raises(IntegrityError), SQLiteVault(folder) as vault:
        vault.find_key("acme", "k")


@pytest.mark.parametrize("edit", ["UPDATE cubes SET id = 'another' WHERE seq = 2", "DELETE FROM cubes WHERE seq = 2"])
def test_no_cube_is_told_to_be_absent_while_a_damaged_row_may_be_its_own(folder: Path, edit: str) -> None:
    cubes = [cube(f"pot {number}") for number in range(3)]
    with SQLiteVault(folder) as vault:
        for each in cubes:
            stored(vault, each)
    changed(folder, edit)
    changed(folder, "UPDATE cubes SET occurred_at = occurred_at + 1 WHERE seq = 3")
    with SQLiteVault(folder) as vault:
        for _ in range(2):  # it is not remembered as absent either
            with pytest.raises(IntegrityError):
                vault.get("acme", [cubes[0].id, cubes[1].id])
            with pytest.raises(IntegrityError):
                vault.history("acme", cubes[1].id)
        assert vault.get("acme", [cubes[0].id]) == [cubes[0]]


def test_an_erasure_is_not_taken_for_an_edit_and_hides_none(folder: Path) -> None:
    """Else all tenants would be added up anew after each."""
    cubes = [cube(f"pot {number}") for number in range(4)]
    with SQLiteVault(folder) as vault:
        for each in cubes:
            stored(vault, each)
        vault.get("acme", [cubes[0].id])
        witness = vault._guard.witness
        before = witness.moment().epoch
        submit(vault, Erase(cubes[3].id))
        assert vault.traces(cubes[3].id)["files"] == 0
        assert witness.moment().epoch == before
        changed(folder, "UPDATE cubes SET occurred_at = occurred_at + 1 WHERE seq = 2")
        submit(vault, Erase(cubes[2].id))
        assert witness.moment().epoch > before
        with pytest.raises(IntegrityError):
            vault.get("acme", [cubes[1].id])


def test_a_use_of_a_damaged_cube_fails_alone(folder: Path, filled: list[MemCube]) -> None:
    changed(folder, TAMPERINGS["behaviour"])
    with SQLiteVault(folder) as vault:
        with pytest.raises(IntegrityError):
            submit(vault, Use(filled[3].id, NOW, "r"))
        submit(vault, Use(filled[4].id, NOW, "r"))


def test_a_body_rewritten_with_its_digest_shows_in_the_audit(folder: Path, filled: list[MemCube]) -> None:
    """A body and digest rewritten together are caught by the seal, and by the chain."""
    forged = revised(filled[3], "forged").model_copy(update={"version": 1})
    changed(folder, "UPDATE versions SET body = ?, digest = ? WHERE cube = 4", forged.canonical(), forged.digest)
    with SQLiteVault(folder) as vault:
        (problem,) = vault.verify_audit().problems
        assert filled[3].id in problem
        with pytest.raises(IntegrityError) as caught:
            vault.get("acme", [filled[3].id])
        assert caught.value.cube_id == filled[3].id


AUDIT_TAMPERINGS = {
    "edit": """UPDATE audit SET record = CAST(replace(CAST(record AS TEXT), 'user:ana', 'user:eve') AS BLOB)
        WHERE number = 7""",
    "remove": "DELETE FROM audit WHERE number = 7",
    "cut tail": "DELETE FROM audit WHERE number > 20",
    "renumber": "UPDATE audit SET number = 1000 WHERE number = 7",
    "hash": "UPDATE audit SET hash = previous WHERE number = 30",
    "not a record": "UPDATE audit SET record = x'7b7d' WHERE number = 7",
    "previous": "UPDATE audit SET previous = 'x' WHERE number = 7",
    "head": "UPDATE head SET entries = 29",
    "row gone": "DELETE FROM audit",
}


@pytest.mark.parametrize("name", AUDIT_TAMPERINGS)
def test_a_tampered_audit_log_is_reported(folder: Path, filled: list[MemCube], name: str) -> None:
    with SQLiteVault(folder) as vault:
        assert vault.verify_audit().ok
    changed(folder, AUDIT_TAMPERINGS[name])
    if name == "head":
        with pytest.raises(IntegrityError):
            SQLiteVault(folder)
        return
    with SQLiteVault(folder) as vault:
        assert not vault.verify_audit().ok
        with pytest.raises(IntegrityError):
            vault.log(LogQuery(tenant="acme"))


def test_a_cube_removed_behind_our_back_is_reported(folder: Path, filled: list[MemCube]) -> None:
    changed(folder, "DELETE FROM versions WHERE cube = 4")
    with SQLiteVault(folder) as vault:
        (problem,) = vault.verify_audit().problems
        assert filled[3].id in problem


@pytest.mark.parametrize("column", ["actor = 'user:eve'", "tenant = 'other'", "hash = previous", "record = x'7b7d'"])
def test_the_log_hands_out_no_tampered_entry(folder: Path, filled: list[MemCube], column: str) -> None:
    changed(folder, f"UPDATE audit SET {column} WHERE number = 7")
    with SQLiteVault(folder) as vault:
        tenant, actor = ("other", None) if "tenant" in column else ("acme", "user:eve" if "actor" in column else None)
        with pytest.raises(IntegrityError, match="7"):
            vault.log(LogQuery(tenant=tenant, actor=actor))


def test_flipped_bytes_give_an_error_or_the_truth(folder: Path, filled: list[MemCube]) -> None:
    """Two hundred random bytes of the file, one at a time: no cube comes back other than it was."""
    database, chance = folder / "vault.db", Random(5)
    clean, expected = database.read_bytes(), {each.id: each for each in filled}
    refused = 0
    for _ in range(200):
        damaged = bytearray(clean)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        database.write_bytes(damaged)
        try:
            with SQLiteVault(folder) as vault:
                for each in vault.get("acme", list(expected)):
                    assert each == expected[each.id].model_copy(
                        update={"behaviour": each.behaviour, "state": each.state}
                    )
        except MemOSError:
            refused += 1
    assert refused > 10


def test_a_damaged_page_is_an_error_and_never_garbage(folder: Path, filled: list[MemCube]) -> None:
    database = folder / "vault.db"
    content = bytearray(database.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 512] = b"\xff" * 512
    database.write_bytes(content)
    with pytest.raises(VaultCorruptError), SQLiteVault(folder) as vault:
        vault.get("acme", [filled[0].id])
