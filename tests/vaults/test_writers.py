"""Many writers: threads, processes, forks, refusals in a group, a lock held elsewhere."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    MemOSError,
    VaultBusyError,
    VaultClosedError,
)
from memos_integrations.core.ports import Expect, Transaction, Vectors
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, record, revised, stored, texts
from memos_integrations.vaults.jobs import Job
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.sqlite_write import Head

# --- processes


WRITING = """
import sys
from memos_integrations.core.errors import VersionConflictError
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.testing.cubes import cube, revised, stored
with SQLiteVault({path!r}) as vault:
    for number in range(25):
        print(stored(vault, cube(f"kettle {{number}}")).id)
        while True:
            (old,) = vault.get("acme", ["shared"])
            try:
                stored(vault, revised(old, old.text + " {name}%d" % number))
                break
            except VersionConflictError:
                continue
"""


def test_several_processes_write_one_vault(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube("start", id="shared"))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITING.format(path=str(folder), name=name)],
                env=environment, stdout=subprocess.PIPE, text=True,
            )
            for name in "ab"
        ]  # fmt: skip
        mine = [stored(vault, cube(f"kettle here {number}")).id for number in range(25)]
        said = [writer.communicate(timeout=120)[0].split() for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        ids = [*mine, *said[0], *said[1]]
        assert len(ids) == 75
        assert [each.id for each in vault.get("acme", ids)] == ids
        versions = vault.history("acme", "shared")
        assert [each.version for each in versions] == list(range(1, 52))
        assert set(versions[-1].text.split()) == {"start"} | {f"{name}{n}" for name in "ab" for n in range(25)}
        assert vault.verify_audit().problems == ()


def test_a_lock_held_elsewhere_is_a_busy_vault_and_nothing_is_written(folder: Path) -> None:
    with SQLiteVault(folder, busy_timeout_s=0.1) as vault:
        stored(vault, cube("before"))
        with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(VaultBusyError, match="try again"):
                stored(vault, cube("during"))
            assert texts(asked(vault)) == ["before"]
        stored(vault, cube("after"))
        assert texts(asked(vault)) == ["after", "before"]


def test_a_forked_child_is_told_to_open_its_own(folder: Path, filled: list[MemCube]) -> None:
    vault = SQLiteVault(folder)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            vault.submit(Transaction())
        except VaultClosedError:
            try:
                vault.get("acme", [])
            except VaultClosedError:
                code = 0
        vault.close()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    stored(vault, cube("the parent goes on"))
    vault.close()


# --- the queue


def test_closing_commits_what_was_queued(folder: Path) -> None:
    vault = SQLiteVault(folder)
    waiting = [vault.submit(Transaction((put(each),), (record(each),))) for each in (cube() for _ in range(300))]
    vault.close()
    assert all(future.done() and future.exception() is None for future in waiting)
    with SQLiteVault(folder) as vault:
        assert asked(vault).visible == 300


class Unreadable:
    """A vector that fails with an error of its own when it is read, as a mapped file that went away does."""

    shape, ndim = (EMBEDDER.dim,), 1

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __array__(self, *_: object, **__: object) -> Vectors:
        raise self.error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [OSError("gone"), MemoryError(), BufferError(), AssertionError()], ids=repr)
def test_nobody_waits_for_ever_when_rows_cannot_be_made(folder: Path, error: Exception) -> None:
    """Queued behind another write, as in one's own thread nobody else would be struck."""
    begun, go_on = Event(), Event()

    def work(_: sqlite3.Connection, head: Head) -> tuple[Head, None]:
        begun.set()
        go_on.wait(30)
        return head, None

    with SQLiteVault(folder) as vault, ThreadPoolExecutor(1) as others:
        vault.bind_embedder(EMBEDDER)
        first = others.submit(vault._writer.submit, Job(work))
        assert begun.wait(30)
        unreadable = replace(put(cube("bad")), vector=Unreadable(error))
        queued = [vault.submit(Transaction((each,))) for each in (put(cube("one")), unreadable, put(cube("two")))]
        go_on.set()
        first.result(timeout=30)
        outcomes = [each.exception(timeout=30) for each in queued]
        assert outcomes[1] is not None
        if not isinstance(error, AssertionError):  # a fault in code stops the writer, and says so
            assert (outcomes[0], outcomes[2]) == (None, None)
            assert texts(asked(vault)) == ["one", "two"]


def test_refusals_in_a_group_are_alone(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        first = stored(vault, cube("one"))
        rivals = [vault.submit(Transaction((put(revised(first, f"rival {number}")),))) for number in range(50)]
        others = [vault.submit(Transaction((put(cube(f"other {number}")),))) for number in range(50)]
        assert sum(future.exception(timeout=30) is None for future in rivals) == 1
        assert all(future.exception(timeout=30) is None for future in others)
        assert len({future.result().commit for future in others}) == 50


def test_a_cancelled_write_does_not_happen_or_happens_whole(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        cubes = [cube(f"n {number}") for number in range(200)]
        waiting = [vault.submit(Transaction((put(each),))) for each in cubes]
        cancelled = [future.cancel() for future in waiting]
        stored(vault, cube("last"))
        there = {each.id for each in vault.get("acme", [each.id for each in cubes])}
        assert there == {each.id for each, gone in zip(cubes, cancelled, strict=True) if not gone}


def test_a_transaction_that_cannot_be_stored_harms_no_other(tmp_path: Path) -> None:
    """Values that SQLite has no room for come from code that went round the types; the writer must outlive them."""
    with SQLiteVault(tmp_path / "v") as vault:
        good = [cube(f"good {n}") for n in range(3)]
        stored(vault, good[0])
        poison: list[Any] = [Expect(2**70, 1), Expect(object(), 1)]
        futures = [vault.submit(Transaction((put(each),))) for each in good[1:]]
        for change in poison:
            with pytest.raises(MemOSError):
                vault.submit(Transaction((change,))).result()
        assert all(future.result().commit for future in futures)
        vault.submit(Transaction((put(cube("after")),))).result()
        assert len(vault.get("acme", [each.id for each in good])) == 3
