"""Encryption at rest: nothing readable on the disk, nothing lost, nothing opened with another key."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos_integrations.backends.keys import HeldKey, KeyFile, KeyVariable
from memos_integrations.core.access import Principal
from memos_integrations.core.cube import PlaintextPayload
from memos_integrations.core.errors import IntegrityError, VaultError, VaultKeyError
from memos_integrations.core.ports import Erase, LogQuery, Transaction, ValueTest, Vault
from memos_integrations.testing import KeyProviderContract, VaultContract
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, revised, stored, submit, unit
from memos_integrations.vaults.backup import back_up
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.restore import restore
from memos_integrations.vaults.sqlite import SQLiteVault

KEY, OTHER = HeldKey(bytes(range(32))), HeldKey(bytes(range(1, 33)))
ANA = Principal(tenant="acme", user="ana", roles=frozenset())
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
WORD = "zanzibar"


@pytest.mark.slow  # `TestBlinded` covers it and more
class TestEncrypted(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path) -> Iterator[Vault]:
        with SQLiteVault(tmp_path / "vault", keys=KEY) as vault:
            yield vault


class TestBlinded(VaultContract):
    @pytest.fixture
    def vault(self, tmp_path: Path) -> Iterator[Vault]:
        with SQLiteVault(tmp_path / "vault", keys=KEY, blinded=True) as vault:
            yield vault


class TestHeldKey(KeyProviderContract):
    @pytest.fixture
    def keys(self) -> HeldKey:
        return HeldKey(os.urandom(32))

    @pytest.fixture
    def others(self) -> HeldKey:
        return HeldKey(os.urandom(32))


def fill(vault: SQLiteVault, count: int = 8) -> list[str]:
    vault.bind_embedder(EMBEDDER)
    cubes = [
        stored(vault, cube(f"{WORD} {n}", tags=(f"{WORD}tag",), entities=(f"{WORD}town",)), vector=unit(n), key=f"k{n}")
        for n in range(count)
    ]
    stored(vault, revised(cubes[0], f"{WORD} again"), vector=unit(50))
    blob = vault.put_blob(WORD.encode() * 200_000)
    named = stored(vault, cube(payload=PlaintextPayload(text=f"{WORD} blob", blob=blob)))
    return [each.id for each in cubes] + [named.id]


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def readable(folder: Path, *wanted: bytes) -> list[str]:
    return [name for name, content in files(folder).items() for each in wanted if each in content]


def forms(text: str) -> list[bytes]:
    return [text.encode(), text.upper().encode(), text.encode("utf-16-le"), text.encode("utf-16-be")]


def all_there(vault: SQLiteVault, ids: list[str]) -> None:
    assert [each.text for each in vault.history("acme", ids[0])] == [f"{WORD} 0", f"{WORD} again"]
    assert len(asked(vault, "again").matches) == 1
    assert ids[3] in {each.cube.id for each in asked(vault, vector=unit(3), k=1).matches}
    named = vault.get("acme", [ids[-1]])[0]
    with vault.open_blob(named.blobs[0]) as stream:
        assert stream.read() == WORD.encode() * 200_000
    assert vault.verify_audit().problems == ()


@pytest.mark.answers("ASI06 1")
@pytest.mark.parametrize("blinded", [False, True])
def test_no_file_says_a_word_of_any_memory(folder: Path, blinded: bool) -> None:
    with SQLiteVault(folder, keys=KEY, blinded=blinded) as vault:
        ids = fill(vault)
        asked(vault, WORD, vector=unit(3))
        assert readable(folder, *forms(WORD)) == []  # while it is open: the write-ahead log too
    assert readable(folder, *forms(WORD)) == []
    assert bool(readable(folder, unit(3).tobytes())) != blinded  # the control, and what only a blinded vault hides
    with SQLiteVault(folder, keys=KEY) as vault:
        all_there(vault, ids)


@pytest.mark.parametrize("blinded", [False, True])
def test_what_comes_in_as_a_whole_is_sealed_as_well(folder: Path, blinded: bool) -> None:
    first = cube(f"{WORD} 1")
    changes = [put(first, vector=unit(3)), put(revised(first, f"{WORD} 2"), vector=unit(4))]
    with SQLiteVault(folder, keys=KEY, blinded=blinded) as vault:
        vault.bind_embedder(EMBEDDER)
        vault.submit_whole(Transaction((change,)) for change in changes)
        assert [each.text for each in vault.history("acme", first.id)] == [f"{WORD} 1", f"{WORD} 2"]
        assert readable(folder, *forms(WORD)) == []
    assert readable(folder, *forms(WORD)) == []
    assert bool(readable(folder, unit(4).tobytes())) != blinded


def test_the_scan_would_find_what_stands_in_clear(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        fill(vault)
    assert "vault.db" in readable(folder, WORD.encode())


def test_the_word_key_is_not_in_the_file(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        key = vault._words._key
    assert readable(folder, key) == []


def test_without_keys_or_with_others_nothing_opens_and_nothing_is_lost(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
    with pytest.raises(VaultKeyError, match="keys="):
        SQLiteVault(folder)
    with pytest.raises(VaultKeyError, match="not with"):
        SQLiteVault(folder, keys=OTHER)
    with SQLiteVault(folder, keys=KEY) as vault:
        all_there(vault, ids)


@pytest.mark.parametrize("blinded", [False, True])
def test_a_vault_that_stood_in_clear_is_sealed_to_the_last_byte(folder: Path, blinded: bool) -> None:
    with SQLiteVault(folder) as vault:
        ids = fill(vault, 40)
    with SQLiteVault(folder, keys=KEY, blinded=blinded) as vault:
        assert readable(folder, *forms(WORD)) == []
        assert not (blinded and readable(folder, unit(3).tobytes()))
        all_there(vault, ids)
    assert examine(folder, keys=KEY).ok


def test_sealing_that_was_cut_off_goes_on_at_the_next_opening(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLiteVault(folder) as vault:
        ids = fill(vault)
    with monkeypatch.context() as cut:
        cut.setattr(SQLiteVault, "_rekeyed", lambda _: 0)  # the process dies after the opening's transaction
        with SQLiteVault(folder, keys=KEY) as vault:
            all_there(vault, ids)  # in parts in clear, and read all the same
    assert readable(folder, WORD.encode())
    with SQLiteVault(folder, keys=KEY) as vault:
        all_there(vault, ids)
    assert readable(folder, *forms(WORD)) == []


def test_an_encrypted_vault_can_be_blinded_later(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
    assert readable(folder, unit(3).tobytes())
    with SQLiteVault(folder, keys=KEY, blinded=True) as vault:
        all_there(vault, ids)
    assert readable(folder, unit(3).tobytes()) == []
    with pytest.raises(VaultError, match="keys"):
        SQLiteVault(folder.with_name("other"), blinded=True)


def test_numbers_of_a_blinded_vault_are_filtered_by_and_not_stored(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY, blinded=True) as vault:
        dear, cheap = (
            stored(vault, cube(payload=PlaintextPayload(text=f"kettle {n}", value={"price": n}))) for n in (4711.5, 3.0)
        )
        over = ValueTest(path=("price",), op="gt", operand=100)
        assert [each.cube.id for each in asked(vault, value=(over,)).matches] == [dear.id]
        assert {each.cube.id for each in asked(vault).matches} == {dear.id, cheap.id}
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        assert connection.execute("SELECT count(*), count(number) FROM leaves").fetchone()[1] == 0


def test_other_keys_and_the_audit_says_so(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
        assert vault.rotate_keys(OTHER, by=ANA, now=NOW) >= len(ids)
        all_there(vault, ids)
        ids.insert(-1, stored(vault, cube("written after")).id)
        said = vault.log(LogQuery(tenant="acme", operation="rotate_keys"))
        assert [each.record.detail for each in said] == [{"from": KEY.name, "to": OTHER.name}]
    with pytest.raises(VaultKeyError):
        SQLiteVault(folder, keys=KEY)
    with SQLiteVault(folder, keys=OTHER) as vault:
        all_there(vault, ids)
        assert vault.locks is not None
        assert vault.locks.newest == 2
        meta = dict(sqlite3.connect(folder / "vault.db").execute("SELECT name, value FROM meta"))
    assert [name for name in meta if name.startswith("master")] == ["master 2"]


@pytest.mark.answers("fault 31")
def test_a_change_of_keys_that_was_cut_off_goes_on_at_the_next_opening(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
        assert vault.locks is not None
        rekeying = vault._rekeying(vault.locks)
        rekeying._run(lambda connection: rekeying.turn(connection, OTHER))  # then the process dies
    with SQLiteVault(folder, keys=OTHER) as vault:
        all_there(vault, ids)
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        assert connection.execute("SELECT count(*) FROM locks WHERE substr(lock, 1, 4) <> x'00000002'").fetchone() == (
            0,
        )
        assert connection.execute("SELECT count(*) FROM meta WHERE name = 'master 1'").fetchone() == (0,)


@pytest.mark.answers("at rest 30")
def test_after_a_change_of_keys_an_older_copy_is_unreadable_with_all_that_stands_now(folder: Path) -> None:
    """The old provider's key was destroyed; whoever has the old copy, the new file and the new key, has nothing."""
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
    old = folder.with_name("old")
    shutil.copytree(folder, old)
    with SQLiteVault(folder, keys=KEY) as vault:
        submit(vault, Erase(ids[3]))
        vault.rotate_keys(OTHER, by=ANA, now=NOW)
    both = "SELECT c.id, l.lock FROM locks AS l JOIN cubes AS c ON c.seq = l.cube"
    with closing(sqlite3.connect(old / "vault.db")) as connection:
        locks = connection.execute(both).fetchall()
    with SQLiteVault(folder, keys=OTHER) as vault:
        assert vault.locks is not None
        for cube_id, lock in locks:
            with pytest.raises(IntegrityError):
                vault.locks.unwrap(lock, cube_id)
    masters = dict(sqlite3.connect(folder / "vault.db").execute("SELECT name, value FROM meta"))
    with closing(sqlite3.connect(old / "vault.db")) as connection, connection:  # today's keys in yesterday's file
        for name, value in masters.items():
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
    with pytest.raises(VaultError), SQLiteVault(old, keys=OTHER) as vault:
        vault.get("acme", [ids[3]])


def test_an_erased_memory_leaves_no_key(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
        with vault._reading() as connection:
            lock, body = connection.execute(
                "SELECT l.lock, v.body FROM cubes AS c JOIN locks AS l ON l.cube = c.seq "
                "JOIN main.versions AS v ON v.cube = c.seq WHERE c.id = ?",
                (ids[3],),
            ).fetchone()
        assert readable(folder, lock)
        submit(vault, Erase(ids[3]))
        assert readable(folder, lock, lock[16:40], body, body[20:60]) == []


def test_another_process_that_has_it_open_learns_of_new_keys(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as here, SQLiteVault(folder, keys=KEY) as there:
        ids = fill(here)
        assert there.get("acme", [ids[1]])
        here.rotate_keys(OTHER, by=ANA, now=NOW)
        with pytest.raises(VaultKeyError):
            stored(there, cube("with the old key"))
        with pytest.raises(VaultKeyError):
            there.get("acme", [ids[2]])
    with SQLiteVault(folder, keys=OTHER) as vault:
        all_there(vault, ids)


def test_one_that_has_it_open_in_clear_writes_nothing_more(folder: Path) -> None:
    with SQLiteVault(folder) as there:
        stored(there, cube("one"))
        with SQLiteVault(folder, keys=KEY):
            pass
        with pytest.raises(VaultKeyError):
            stored(there, cube("in clear"))
    assert readable(folder, b"in clear") == []


@pytest.mark.answers("at rest 28")
def test_a_swapped_lock_or_body_is_refused(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
    with closing(sqlite3.connect(folder / "vault.db")) as connection, connection:
        a, b = (connection.execute("SELECT seq FROM cubes WHERE id = ?", (each,)).fetchone()[0] for each in ids[2:4])
        lock, body = (
            connection.execute(f"SELECT {column} FROM {table} WHERE cube = ?", (a,)).fetchone()[0]
            for column, table in (("lock", "locks"), ("body", "versions"))
        )
        connection.execute("UPDATE locks SET lock = ? WHERE cube = ?", (lock, b))
        connection.execute("UPDATE versions SET body = ? WHERE cube = ?", (body, b))
    with SQLiteVault(folder, keys=KEY) as vault, pytest.raises(IntegrityError):
        vault.get("acme", [ids[3]])
    assert not examine(folder, keys=KEY).ok


@pytest.mark.parametrize("place", ["body", "lock", "vector", "blob"])
def test_one_flipped_byte_is_refused(folder: Path, place: str) -> None:
    with SQLiteVault(folder, keys=KEY, blinded=True) as vault:
        ids = fill(vault)
        blob = vault.get("acme", [ids[-1]])[0].blobs[0]
    if place == "blob":
        file = next(each for each in folder.rglob(blob.digest))
        content = bytearray(file.read_bytes())
        content[700_000] ^= 1
        file.write_bytes(content)
    else:
        table = {"body": "versions", "lock": "locks", "vector": "vectors"}[place]
        column = "row" if place == "vector" else place
        with closing(sqlite3.connect(folder / "vault.db")) as connection, connection:
            for key, value in connection.execute(f"SELECT cube, {column} FROM {table}").fetchall():
                other = value[:30] + bytes([value[30] ^ 1]) + value[31:]
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE cube = ?", (other, key))
    with SQLiteVault(folder, keys=KEY) as vault:
        reads = {"blob": lambda: vault.open_blob(blob), "vector": lambda: asked(vault, vector=unit(3))}
        with pytest.raises(VaultError):
            reads.get(place, lambda: vault.get("acme", [ids[3]]))()
    assert not examine(folder, keys=KEY).ok


def test_a_backup_carries_what_is_sealed_and_comes_back(folder: Path, tmp_path: Path) -> None:
    with SQLiteVault(folder, keys=KEY) as vault:
        ids = fill(vault)
        back_up(folder, tmp_path / "backup.tar")
    assert not any(each in (tmp_path / "backup.tar").read_bytes() for each in forms(WORD))
    restore(tmp_path / "backup.tar", tmp_path / "restored")
    with pytest.raises(VaultKeyError):
        SQLiteVault(tmp_path / "restored")
    with SQLiteVault(tmp_path / "restored", keys=KEY) as vault:
        all_there(vault, ids)


def test_the_doctor_says_what_it_cannot_see(folder: Path) -> None:
    with SQLiteVault(folder, keys=KEY, blinded=True) as vault:
        fill(vault)
    assert examine(folder, keys=KEY).ok
    blind = examine(folder)
    assert [each.name for each in blind.findings if each.problems] == ["encryption"]


def test_key_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = KeyFile.made(tmp_path / "kek")
    assert (tmp_path / "kek").stat().st_mode & 0o777 == 0o600
    assert KeyFile(tmp_path / "kek").name == made.name
    with pytest.raises(VaultKeyError):
        KeyFile.made(tmp_path / "kek")
    monkeypatch.setenv("MEMOS_KEY", (tmp_path / "kek").read_bytes().hex())
    assert KeyVariable().name == made.name
    monkeypatch.setenv("MEMOS_KEY", "5ecret")
    with pytest.raises(VaultKeyError) as caught:
        KeyVariable()
    assert "5ecret" not in str(caught.value)
    (tmp_path / "kek").chmod(0o644)
    with pytest.raises(VaultKeyError, match="chmod"):
        KeyFile(tmp_path / "kek")
    with pytest.raises(VaultKeyError, match="made"):
        KeyFile(tmp_path / "none")
