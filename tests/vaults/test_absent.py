"""What is known to be absent is there at once when somebody makes it: this process, another one, or one on its way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import VaultClosedError
from memos_integrations.core.ports import Expect, Transaction
from memos_integrations.testing.cubes import cube, put, record, stored
from memos_integrations.vaults import absent
from memos_integrations.vaults.absent import Absent
from memos_integrations.vaults.sqlite import SQLiteVault


def reads(vault: SQLiteVault) -> list[str]:
    """What the vault's reading connections are asked from now on."""
    told: list[str] = []
    with vault._reading() as connection:
        connection.set_trace_callback(told.append)
    return told


def test_what_is_not_there_is_read_once(folder: Path) -> None:
    with SQLiteVault(folder, read_connections=1) as vault:
        stored(vault, cube("one"))
        told = reads(vault)
        assert vault.get("acme", ["two"]) == []
        assert told
        told.clear()
        assert vault.get("acme", ["two", "two"]) == []
        stored(vault, cube("three"))
        assert vault.get("acme", ["two"]) == []
        assert not told
        assert vault.get("other", ["two"]) == []  # of another tenant nothing is known
        assert told


def test_what_this_process_makes_is_there(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        for made in (cube("in a group", id="a"), cube("with another change", id="b"), cube("in a whole", id="c")):
            assert vault.get("acme", [made.id]) == vault.get("acme", [made.id]) == []
            one = stored(vault, cube("beside"))
            changes = (put(made),) if made.id != "b" else (Expect(one.id, 1), put(made))
            transaction = Transaction(changes, (record(made),))
            if made.id == "c":
                vault.submit_whole([transaction])
            else:
                vault.submit(transaction).result()
            assert vault.get("acme", [made.id]) == [made]


def test_what_another_makes_is_there(folder: Path) -> None:
    with SQLiteVault(folder) as vault, SQLiteVault(folder) as other:
        stored(vault, cube("one"))
        assert vault.get("acme", ["a"]) == vault.get("acme", ["a"]) == []
        made = stored(other, cube("theirs", id="a"))
        assert vault.get("acme", ["a"]) == [made]


def test_what_another_makes_right_behind_a_commit_of_ours_is_there(folder: Path) -> None:
    """Between the end of our COMMIT and our look at the file, where both changes are met as one."""
    with SQLiteVault(folder) as vault, SQLiteVault(folder) as other:
        stored(vault, cube("one"))
        assert vault.get("acme", ["a"]) == vault.get("acme", ["a"]) == []
        writing, theirs = vault._writer._connection, list[MemCube]()
        assert writing is not None
        told: list[str] = []

        def behind(_: str) -> None:
            if told and told[-1] == "COMMIT" and not theirs:
                theirs.append(cube("theirs", id="a"))
                stored(other, theirs[0])

        writing.set_trace_callback(told.append)
        vault._guard.witness._watch.set_trace_callback(behind)
        stored(vault, cube("two"))
        assert theirs
        assert vault.get("acme", ["a"]) == theirs


def test_a_read_that_began_before_a_commit_is_not_kept() -> None:
    known = Absent()
    before = known.begun(0)
    with known.making([("acme", "a")]):
        known.note("acme", ["a"], before)
        during = known.begun(0)
        known.note("acme", ["a"], during)
    assert not known.holds("acme", ["a"], known.begun(0))
    known.note("acme", ["a"], before)
    known.note("acme", ["a"], during)
    assert not known.holds("acme", ["a"], known.begun(0))
    known.note("acme", ["a"], known.begun(0))
    assert known.holds("acme", ["a"], known.begun(0))
    assert not known.holds("acme", ["a"], known.begun(1))
    assert not known.holds("acme", ["a", "b"], known.begun(0))


def test_very_many_made_at_once_leave_nothing_known(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(absent, "MOST", 3)
    with SQLiteVault(folder) as vault:
        assert vault.get("acme", ["a"]) == []
        made = [cube(f"n {number}", id=f"{number}") for number in range(4)] + [cube("a", id="a")]
        vault.submit_whole([Transaction((put(each),), (record(each),)) for each in made])
        assert vault.get("acme", ["a"]) == [made[-1]]
        assert vault.get("acme", [f"x {number}" for number in range(5)]) == []


def test_a_cube_is_found_as_soon_as_its_write_is_acknowledged(folder: Path) -> None:
    """Readers ask without a pause while it is written."""
    with SQLiteVault(folder) as vault:
        wanted, stop = ["0"], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                vault.get("acme", wanted[:1])

        readers = [threading.Thread(target=ask) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(60):
                wanted[0] = str(number)
                assert vault.get("acme", [str(number)]) == []
                made = stored(vault, cube(f"n {number}", id=str(number)))
                assert vault.get("acme", [made.id]) == [made]
        finally:
            stop.set()
            for reader in readers:
                reader.join()


def test_a_closed_vault_says_nothing_from_memory(tmp_path: Path) -> None:
    vault = SQLiteVault(tmp_path / "v", keys=HeldKey(bytes(range(32))))
    assert vault.get("acme", ["a"]) == vault.get("acme", ["a"]) == []
    vault.close()
    with pytest.raises(VaultClosedError):
        vault.get("acme", ["a"])
