"""What SQLite left of erased rows when it moved them is gone after a scrub, a tick, or `memos scrub`."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import VaultFullError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults import scrubbing, writer
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
SECRET = "The safe opens with 4711-0815-1234"


def opened(folder: Path, **how: object) -> MemOS:
    return MemOS(SQLiteVault(folder, **how), clock=lambda: NOW)  # type: ignore[arg-type]


def with_a_copy(file: Path, text: str) -> None:
    """Leave *text* in the unused part of a page of a closed vault, as SQLite does when it moves rows."""
    content = bytearray(file.read_bytes())
    size = int.from_bytes(content[16:18])
    for at in range(size, len(content), size):
        cells, top = int.from_bytes(content[at + 3 : at + 5]), int.from_bytes(content[at + 5 : at + 7])
        if content[at] == 13 and top - 8 - 2 * cells > len(text) + 100:
            content[at + top - len(text) : at + top] = text.encode()
            file.write_bytes(content)
            return
    raise AssertionError("no page has room")


def left(folder: Path, text: str) -> bool:
    return any(text.encode() in file.read_bytes() for file in folder.iterdir() if file.name.startswith("vault.db"))


@pytest.fixture(params=[None, HeldKey(bytes(32))], ids=["clear", "encrypted"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A vault with a copy of a memory beside the memory, and the memory forgotten."""
    with opened(tmp_path, keys=request.param) as memos:
        cube = memos.remember(SECRET, by=ANA)
        memos.remember("The kettle is on.", by=ANA)
    with_a_copy(tmp_path / "vault.db", SECRET)
    with opened(tmp_path, keys=request.param) as memos:
        memos.forget(cube.id, by=ANA)
        assert left(tmp_path, SECRET), "or the tests show nothing"
    return tmp_path


def reopened(folder: Path) -> MemOS:
    with sqlite3.connect(folder / "vault.db") as connection:
        sealed = connection.execute("SELECT 1 FROM meta WHERE name = 'kek'").fetchone()
    connection.close()
    return opened(folder, keys=HeldKey(bytes(32)) if sealed else None)


def test_a_tick_takes_the_copies_away_once(folder: Path) -> None:
    with reopened(folder) as memos:
        assert memos.tick(by=ANA).unscrubbed == 0
        assert not left(folder, SECRET)
        size = (folder / "vault.db").stat().st_mtime_ns
        assert memos.tick(by=ANA).unscrubbed == memos.scrub() == 0
        assert (folder / "vault.db").stat().st_mtime_ns == size, "nothing was erased since"
        assert [cube.text for cube in memos.find(CubeFilter(), by=ANA)] == ["The kettle is on."]
        assert memos.verify_audit().ok
    with reopened(folder) as memos:
        assert memos.verify_audit().ok


def test_what_waits_is_not_forgotten_by_a_restart_and_a_large_file_waits_for_its_hour(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubbing, "SMALL", 0)
    monkeypatch.setattr(scrubbing, "LARGE", 0)
    with reopened(folder) as memos:
        assert memos.tick(by=ANA).unscrubbed == 1
        assert left(folder, SECRET)
        assert memos.scrub(NOW) == 0
        assert not left(folder, SECRET)
        memos.forget(memos.remember("Another one.", by=ANA).id, by=ANA)
        monkeypatch.setattr(scrubbing, "LARGE", 1 << 30)
        assert memos.tick(by=ANA, now=NOW + timedelta(hours=23)).unscrubbed == 1
    with reopened(folder) as memos:
        assert memos.tick(by=ANA, now=NOW + timedelta(hours=24)).unscrubbed == 0


def test_a_disk_that_is_full_delays_a_tick_and_fails_a_scrub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: sqlite3.Connection) -> None:
        raise VaultFullError("no room")

    monkeypatch.setattr(writer, "written_anew", full)
    with reopened(folder) as memos:
        assert memos.tick(by=ANA).unscrubbed == 1
        with pytest.raises(VaultFullError):
            memos.scrub()
        assert memos.remember("It goes on.", by=ANA)
        monkeypatch.undo()
        assert memos.scrub() == 0
        assert not left(folder, SECRET)


def test_a_long_read_elsewhere_delays_it_and_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAL_WAIT_S", 0.05)
    with reopened(folder) as memos:
        reader = sqlite3.connect(folder / "vault.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM cubes").fetchone()
        assert memos.scrub() == 1
        reader.close()
        memos.remember("The next write settles it.", by=ANA)
        assert memos.scrub() == 0
        assert not left(folder, SECRET)


def test_other_writes_wait_and_other_processes_see_the_same(folder: Path) -> None:
    with reopened(folder) as memos, ThreadPoolExecutor(4) as pool:
        other = memos.remember("Before.", by=ANA)
        waiting = [pool.submit(memos.remember, f"Number {number}", by=ANA) for number in range(20)]
        assert memos.scrub() == 0
        written = {each.result().id for each in waiting}
        assert written | {other.id} <= {cube.id for cube in memos.find(CubeFilter(), by=ANA, k=100)}
        assert memos.verify_audit().ok
    with reopened(folder) as memos:
        assert written <= {cube.id for cube in memos.find(CubeFilter(), by=ANA, k=100)}
