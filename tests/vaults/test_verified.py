"""A vault whose cubes were sealed beside it: edits of rows older than that are refused, whatever the tenant's size."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube, State, sha256
from memos_integrations.core.errors import IntegrityError, MemOSError, VaultCorruptError
from memos_integrations.core.ports import CubeFilter, Erase, Move, Transaction, Vault, VaultQuery
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    asked,
    cube,
    link,
    put,
    record,
    revised,
    seen_by,
    stored,
    submit,
    unit,
)
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed

MANY = 12
"""More cubes than `SQLiteVault(added_up=10)` adds up: only what is sealed beside the vault is known of the tenant."""


def opened(folder: Path) -> SQLiteVault:
    return SQLiteVault(folder, added_up=10)


@pytest.fixture
def kept(folder: Path) -> list[MemCube]:
    """A vault whose cubes were sealed (one had been erased before); then one was revised, and one is new."""
    with opened(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [cube(f"kettle {n}") for n in range(MANY)]
        submit(vault, *(put(each, vector=unit(n), key=f"k{n}") for n, each in enumerate(cubes)))
        submit(vault, Erase(cubes[2].id))
        asked(vault, vector=unit(3))
    assert (folder / "vault.faiss.json").exists()
    with opened(folder) as vault:
        cubes[1] = stored(vault, revised(cubes[1], "kettle 1 again"), vector=unit(101))
        cubes[2] = stored(vault, cube("late"), vector=unit(102))
    return cubes


def test_what_changed_since_is_seen_and_nothing_else_is_read(folder: Path, kept: list[MemCube]) -> None:
    with opened(folder) as vault:
        assert asked(vault, k=99).visible == MANY
        assert {match.cube.text for match in asked(vault, k=99).matches} == {each.text for each in kept}
        assert asked(vault, vector=unit(101), k=1).matches[0].cube == kept[1]
        assert vault.get("acme", [each.id for each in kept]) == kept
        submit(vault, Move(kept[5].id, State.GENERATED, State.ARCHIVED), Erase(kept[6].id))
        assert vault.get("acme", [kept[6].id]) == []
        assert asked(vault, k=99, states=frozenset({State.ARCHIVED})).visible == 1
        assert asked(vault, k=99, states=frozenset()).visible == MANY - 1


EDITS = {
    "gone": "DELETE FROM cubes WHERE seq = 5",
    "renamed": "UPDATE cubes SET id = 'x' || substr(id, 2) WHERE seq = 5",
    "hidden": "UPDATE cubes SET audience = audience + 1 WHERE seq = 5",
    "expired": "UPDATE cubes SET expires_at = 1 WHERE seq = 5",
    "elsewhere": "UPDATE cubes SET tenant = tenant + 1 WHERE seq = 5",
    "made new": "UPDATE cubes SET changed = 999 WHERE seq = 5",
    "made old": "UPDATE cubes SET changed = 1 WHERE seq = 2",
    "tenant made old": "UPDATE tenants SET changed = 1",
    "other vector": "UPDATE vectors SET row = (SELECT row FROM vectors WHERE cube = 6) WHERE cube = 5",
    "seal gone": "DELETE FROM seals WHERE cube = 5",
    "text": """UPDATE versions SET body = CAST(replace(CAST(body AS TEXT), 'kettle 4', 'kettle 5') AS BLOB)
        WHERE cube = 5""",
    "nobody may read": "DELETE FROM audiences",
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_row_is_refused_wherever_it_would_count(folder: Path, kept: list[MemCube], edit: str) -> None:
    """Every read that hands the cube out, or would have, refuses."""
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        assert raw.execute(EDITS[edit]).rowcount > 0
    reads: list[Callable[[Vault], object]] = [lambda vault: asked(vault, k=99, vector=unit(4))]
    if edit != "other vector":
        reads.append(lambda vault: asked(vault, k=99))
    if edit not in {"other vector", "nobody may read"}:
        reads.append(lambda vault: vault.get("acme", [each.id for each in kept]))
    for read in reads:
        with pytest.raises(MemOSError), opened(folder) as vault:
            read(vault)
    assert not examine(folder / "vault.db").ok


NAMED: dict[str, Callable[[Vault], object]] = {
    "by a key": lambda vault: vault.find_key("acme", "k4"),
    "by a link": lambda vault: vault.pointing_at("acme", ["start"]),
}


MISNAMED = {
    **{edit: EDITS[edit] for edit in ("renamed", "elsewhere", "gone")},
    "another's": "UPDATE keys SET cube = 6 WHERE cube = 5",
    "link added": "INSERT INTO links VALUES (6, 'mentions', 'start')",
}


@pytest.mark.parametrize("most", [MANY, MANY - 1], ids=["added up", "giant"])
@pytest.mark.parametrize("edit", MISNAMED)
@pytest.mark.parametrize("named", NAMED)
def test_a_cube_is_not_named_from_a_row_that_was_edited(folder: Path, named: str, edit: str, most: int) -> None:
    """Ids come from the table, also where all else is known by what was sealed beside the vault."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [cube(f"kettle {n}", links=(link("follows", "start"),)) for n in range(MANY)]
        submit(vault, *(put(each, vector=unit(n), key=f"k{n}") for n, each in enumerate(cubes)))
        asked(vault, vector=unit(3))
        right = NAMED[named](vault)
    assert (folder / "vault.faiss.json").exists()
    with SQLiteVault(folder, added_up=most) as vault:
        assert NAMED[named](vault) == right
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        assert raw.execute(MISNAMED[edit]).rowcount > 0
    with SQLiteVault(folder, added_up=most) as vault:
        if (named, edit) in {("by a key", "link added"), ("by a link", "another's")}:
            assert NAMED[named](vault) == right  # of no matter to it
        else:
            with pytest.raises(IntegrityError):
                NAMED[named](vault)


@pytest.mark.parametrize("group", ["links", "labels"])
def test_rows_that_another_s_mark_stands_for_are_refused(folder: Path, group: str) -> None:
    """A genuine mark of another cube stands beside them, so only what was sealed beside the vault knows better."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [cube(f"kettle {n}", links=(link("supersedes", "start"),) * (n == 5), tags=["a"] * n) for n in range(9)]
        submit(vault, *(put(each, vector=unit(n)) for n, each in enumerate(cubes)))
        asked(vault, vector=unit(3))
    with SQLiteVault(folder) as vault:
        assert len(vault.pointing_at("acme", ["start"])) == 1
        assert asked(vault, k=99, tags=("a",)).visible == 8
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        (seq,) = raw.execute("SELECT seq FROM cubes WHERE id = ?", (cubes[5].id,)).fetchone()
        (none,) = raw.execute("SELECT seq FROM cubes WHERE id = ?", (cubes[0].id,)).fetchone()
        raw.execute(
            f"UPDATE seals SET {group} = (SELECT {group} FROM seals WHERE cube = ?) WHERE cube = ?", (none, seq)
        )
        raw.execute(f"DELETE FROM {group} WHERE cube = ?", (seq,))
        if group == "labels":
            raw.execute("INSERT INTO labels SELECT ?, kind, value FROM labels WHERE cube = ?", (seq, none))
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        asked(vault, k=99, tags=("a",)) if group == "labels" else vault.pointing_at("acme", ["start"])


def test_a_cube_set_back_to_a_genuine_older_state_is_refused(folder: Path, kept: list[MemCube]) -> None:
    """All rows of one cube with their seals, as they were a version ago; in a tenant too large to be added up."""
    with opened(folder) as vault:
        asked(vault, vector=unit(3))  # closing seals the second version too
    before = folder.with_name("before")
    shutil.copytree(folder, before)
    with opened(folder) as vault:
        stored(vault, revised(kept[7], "kettle 7 corrected"), vector=unit(107))
        asked(vault, vector=unit(3))
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as raw:
        raw.execute("ATTACH ? AS old", (str(before / "vault.db"),))
        for table in ("cubes", "seals", "versions", "vectors", "words", "labels", "behaviour"):
            key = "seq" if table == "cubes" else "cube"
            raw.execute(f"DELETE FROM {table} WHERE {key} = 8")
            raw.execute(f"INSERT INTO {table} SELECT * FROM old.{table} WHERE {key} = 8")
    with opened(folder) as vault, pytest.raises(IntegrityError) as caught:
        vault.get("acme", [kept[7].id])
    assert caught.value.cube_id == kept[7].id


@pytest.mark.parametrize("part", ["manifest", "columns", "older"])
def test_a_forged_file_beside_the_vault_is_not_believed(folder: Path, kept: list[MemCube], part: str) -> None:
    """Who may write to the folder, but has no key: the table is read instead, and says the same."""
    manifest = folder / "vault.faiss.json"
    if part == "manifest":
        manifest.write_text(manifest.read_text().replace('"count": 12', '"count": 11'))
    elif part == "columns":
        smallest = min(folder.glob("vault.*.faiss"), key=lambda file: file.stat().st_size)
        content = bytearray(smallest.read_bytes())
        content[-5] ^= 1
        smallest.write_bytes(content)
    else:
        files = {file: file.read_bytes() for file in folder.glob("vault.*faiss*")}
        with opened(folder) as vault:
            stored(vault, revised(kept[4], "kettle 4 again"), vector=unit(104))
            kept[4] = vault.get("acme", [kept[4].id])[0]
            asked(vault, vector=unit(3))
        for file in folder.glob("vault.*faiss*"):
            file.unlink()
        for file, content_then in files.items():
            file.write_bytes(content_then)
    with opened(folder) as vault:
        assert vault.get("acme", [each.id for each in kept]) == kept
        found = {match.cube.id: match.cube for match in asked(vault, k=99, vector=unit(3)).matches}
        assert found == {each.id: each for each in kept}


def test_a_tenant_too_large_that_no_longer_adds_up_is_refused(folder: Path, kept: list[MemCube]) -> None:
    """A row newer than what was sealed is gone: every row is looked at, and that does not add up either."""
    changed(folder, "DELETE FROM cubes WHERE seq = 13")
    with opened(folder) as vault, pytest.raises(IntegrityError, match="acme"):
        asked(vault, k=1)


ALIKE: dict[str, Callable[[Vault], object]] = {
    "by words": lambda vault: asked(vault, "kettle", k=4).matches,
    "by vector": lambda vault: asked(vault, vector=unit(3), k=4).matches,
    "the latest": lambda vault: asked(vault, k=4).matches,
    "a later page": lambda vault: vault.search(VaultQuery(k=3, skip=3), seen_by()).matches,
}


@pytest.mark.parametrize("most", [MANY, MANY - 1], ids=["added up", "giant"])
@pytest.mark.parametrize("ask", ALIKE)
def test_the_id_of_what_is_not_handed_out_decides_no_tie(folder: Path, ask: str, most: int) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        submit(vault, *(put(cube("kettle"), vector=unit(3)) for _ in range(MANY)))
        asked(vault, vector=unit(3))
    with SQLiteVault(folder, added_up=most) as vault:
        right = ALIKE[ask](vault)
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute("UPDATE cubes SET id = 'x' || substr(id, 2) WHERE seq = 2")  # one of the first by id until now
    with SQLiteVault(folder, added_up=most) as vault, pytest.raises(IntegrityError):
        assert ALIKE[ask](vault) == right


WALKS = {name: edit for name, edit in EDITS.items() if name in {"gone", "hidden", "elsewhere", "nobody may read"}}


@pytest.mark.parametrize("edit", WALKS)
def test_a_walk_leaves_nothing_out_for_an_edit(folder: Path, kept: list[MemCube], edit: str) -> None:
    with opened(folder) as vault:
        assert sum(len(page) for page in vault.walk(CubeFilter(), seen_by(), page=5)) == MANY
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(WALKS[edit])
    with pytest.raises(MemOSError), opened(folder) as vault:
        list(vault.walk(CubeFilter(), seen_by(), page=5))


def test_places_are_not_told_by_edited_labels(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        submit(vault, *(put(cube("kettle", namespace=("acme", name)), vector=unit(3)) for name in "ab"))
        asked(vault, vector=unit(3))
    with SQLiteVault(folder) as vault:
        assert [each.namespace for each in vault.places(CubeFilter(), seen_by())] == [("acme", "a"), ("acme", "b")]
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        theirs = "SELECT value FROM labels WHERE cube = 1 AND kind = 4"
        raw.execute("DELETE FROM labels WHERE cube = 2 AND kind = 4")
        raw.execute(f"INSERT INTO labels SELECT 2, 4, value FROM ({theirs})")
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        vault.places(CubeFilter(), seen_by())


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("terms", [(), ("kettle",)])
def test_an_earlier_version_is_not_handed_out_of_an_edited_row(
    folder: Path, sealed: bool, terms: tuple[str, ...]
) -> None:
    """Its digest stands beside it: only the history of digests that was sealed tells that both are new."""
    when = VaultQuery(9, terms, as_of=NOW + timedelta(hours=1))
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [stored(vault, cube(f"kettle {n}"), vector=unit(n)) for n in range(3)]
        later = cubes[1].descriptive.model_copy(update={"recorded_at": NOW + timedelta(days=1)})
        stored(vault, revised(cubes[1], "pot", descriptive=later), vector=unit(9))
        if sealed:
            asked(vault, vector=unit(3))
        assert "kettle 1" in {match.cube.text for match in vault.search(replace(when, terms=()), seen_by()).matches}
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        (body,) = raw.execute("SELECT body FROM versions WHERE cube = 2 AND version = 1").fetchone()
        forged = body.replace(b"kettle 1", b"kettle 7")
        told = (forged, sha256(forged))
        raw.execute("UPDATE versions SET body = ?, digest = ? WHERE cube = 2 AND version = 1", told)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        vault.search(when, seen_by())


@pytest.mark.parametrize(
    "edit", ["UPDATE cubes SET version = version + 1 WHERE seq = 4", "DELETE FROM versions WHERE cube = 4"]
)
def test_a_cube_of_then_whose_version_is_missing_is_named(folder: Path, kept: list[MemCube], edit: str) -> None:
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute(edit)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError) as caught:
        vault.search(VaultQuery(99, as_of=NOW + timedelta(hours=1)), seen_by())
    assert caught.value.cube_id == kept[3].id


@pytest.mark.parametrize(
    "edit",
    [
        "DELETE FROM vectors WHERE cube = 4",
        "UPDATE vectors SET cube = -4 WHERE cube = 4",
        "UPDATE vectors SET row = (SELECT row FROM vectors WHERE cube = 9) WHERE cube = 4",
    ],
)
def test_a_vector_that_was_edited_keeps_no_cube_out_of_the_past(folder: Path, kept: list[MemCube], edit: str) -> None:
    asked_then = VaultQuery(1, vector=unit(3), as_of=NOW + timedelta(hours=1))
    with opened(folder) as vault:
        before = vault.search(asked_then, seen_by()).matches
    assert before[0].cube.id == kept[3].id
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        raw.execute(edit)
    with opened(folder) as vault, pytest.raises((IntegrityError, VaultCorruptError)):
        vault.search(asked_then, seen_by())


LOGGED = {
    "gone": "DELETE FROM audit WHERE operation = 'to_archived'",
    "another": "UPDATE audit SET operation = 'read' WHERE operation = 'to_archived'",
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("edit", LOGGED)
def test_the_states_of_then_are_not_told_by_an_edited_log(folder: Path, edit: str, sealed: bool) -> None:
    when = VaultQuery(9, as_of=NOW + timedelta(hours=1))
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        there = [stored(vault, cube(f"kettle {n}"), vector=unit(n)) for n in range(3)]
        told = {"from": "generated", "to": "archived"}
        moved = record(there[1], "to_archived", at=NOW + timedelta(hours=2), detail=told)
        vault.submit(Transaction((Move(there[1].id, State.GENERATED, State.ARCHIVED),), (moved,), ())).result()
        if sealed:
            asked(vault, vector=unit(3))
        assert len(vault.search(when, seen_by()).matches) == 3
    with closing(sqlite3.connect(folder / "vault.db")) as raw, raw:
        assert raw.execute(LOGGED[edit]).rowcount == 1
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        vault.search(when, seen_by())
