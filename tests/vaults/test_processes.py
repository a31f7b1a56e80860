"""Several processes on one vault: real ones, under load; forks; one that dies with the lock; reads of one moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import MemOSError, VaultClosedError
from memos_integrations.core.ports import Erase, Transaction
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, record, stored, submit, texts, unit
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault


def started(script: str) -> subprocess.Popen[str]:
    """A Python of its own that runs a script."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


# --- readers and writers

LOAD = """
import random, sys
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import asked, cube, put, record, submit, unit
from memos_integrations.vaults.sqlite import SQLiteVault
chance, erased = random.Random({name!r}), set()
with SQLiteVault({path!r}) as vault:
    for number in range({rounds}):
        one, two = cube(f"pair {name} {{number}}"), cube(f"pair {name} {{number}}")
        submit(vault, put(one, vector=unit(number)), put(two, vector=unit(number)), audit=(record(one), record(two)))
        mine = asked(vault, f"{name} {{number}}", vector=unit(number), k=10_000)
        ids = [match.cube.id for match in mine.matches]
        assert one.id in ids and two.id in ids, "its own write is seen"
        assert not erased & set(ids), "what was erased stays away"
        assert mine.visible % 2 == 0, "half a transaction was seen"
        if chance.random() < 0.3:
            submit(vault, Erase(one.id), Erase(two.id), audit=(record(one, "forget"), record(two, "forget")))
            erased |= {{one.id, two.id}}
        else:
            print(one.id, two.id)
"""

READING = """
import os, sys
from memos_integrations.testing.cubes import asked, unit
from memos_integrations.vaults.sqlite import SQLiteVault
with SQLiteVault({path!r}) as vault:
    looks = 0
    print("looking", flush=True)
    while not os.path.exists({path!r} + "/stop"):
        for how in ({{}}, {{"terms": "pair"}}, {{"vector": unit(looks)}}):
            found = asked(vault, k=10_000, **how)
            assert found.visible % 2 == 0 and len(found.matches) == found.visible, (found.visible, len(found.matches))
            pairs = {{}}
            for match in found.matches:
                pairs[match.cube.text] = pairs.get(match.cube.text, 0) + 1
            assert set(pairs.values()) <= {{2}}, "half a transaction was seen"
        looks += 1
    print(looks)
"""


def test_readers_and_writers_in_six_processes(folder: Path) -> None:
    """Each transaction writes or erases two cubes: no reader ever sees one of a pair, by any kind of search."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        readers = [started(READING.format(path=str(folder))) for _ in range(2)]
        assert [reader.stdout.readline() for reader in readers if reader.stdout] == ["looking\n"] * 2
        writers = [started(LOAD.format(path=str(folder), name=name, rounds=12)) for name in ("uno", "due", "tre")]
        said = [writer.communicate(timeout=240)[0].split() for writer in writers]
        (folder / "stop").touch()
        looks = [int(reader.communicate(timeout=240)[0]) for reader in readers]
        assert [each.returncode for each in (*writers, *readers)] == [0] * 5
        assert min(looks) > 0
        there = {cube_id for ids in said for cube_id in ids}
        found = asked(vault, "pair", vector=unit(3), k=10_000)
        assert {match.cube.id for match in found.matches} == there
        assert vault.verify_audit().problems == ()


def test_a_vault_is_reopened_while_others_use_it(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
    writer = started(LOAD.format(path=str(folder), name="uno", rounds=30))
    opened = 0
    while writer.poll() is None:
        with SQLiteVault(folder) as vault:
            found = asked(vault, vector=unit(opened), k=10_000)
            assert found.visible % 2 == 0
            stored(vault, cube(f"visit {opened}", namespace=("other",)), vector=unit(opened))
        opened += 1
    writer.communicate()
    assert writer.returncode == 0
    assert opened > 2
    with SQLiteVault(folder) as vault:
        assert len({match.cube.id for match in asked(vault, "pair", k=10_000).matches}) % 2 == 0
        assert vault.verify_audit().problems == ()


# --- one moment


def test_a_long_search_sees_one_commit(folder: Path) -> None:
    """Pairs are written and erased without pause while another thread searches by every signal at once."""
    stop = threading.Event()
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)

        def write() -> None:
            number = 0
            while not stop.is_set():
                one, two = cube("pair"), cube("pair")
                submit(vault, put(one, vector=unit(number)), put(two, vector=unit(number + 1)))
                if number % 2:
                    submit(vault, Erase(one.id), Erase(two.id))
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for seed in range(60):
                found = asked(vault, "pair", vector=unit(seed), k=10_000)
                assert found.visible % 2 == 0
                assert len(found.matches) == found.visible
        finally:
            stop.set()
            writer.join()


# --- forks


def in_child(vault: SQLiteVault, path: str, answers: multiprocessing.connection.Connection) -> None:
    said = []
    for verb in (
        lambda: vault.submit(Transaction()),
        lambda: vault.get("acme", ["x"]),
        lambda: asked(vault),
        lambda: vault.put_blob(b"x"),
        vault.verify_audit,
        lambda: vault.traces("x"),
    ):
        try:
            verb()
            said.append("went through")
        except VaultClosedError as exc:
            said.append(str(exc))
    vault.close()
    try:
        SQLiteVault(path)
        said.append("went through")
    except VaultClosedError as exc:
        said.append(str(exc))
    answers.send(said)


@pytest.mark.answers("identity 16")
def test_a_forked_child_gets_an_error_and_the_parent_is_unharmed(folder: Path, filled: list[MemCube]) -> None:
    context = multiprocessing.get_context("fork")
    with SQLiteVault(folder) as vault:
        asked(vault, vector=unit(3))
        mine, theirs = context.Pipe()
        child = context.Process(target=in_child, args=(vault, str(folder), theirs))
        child.start()
        waiting = [
            vault.submit(Transaction((put(each),), (record(each),))) for each in (cube("kettle") for _ in range(50))
        ]
        assert mine.poll(60), "the child hangs"
        said = mine.recv()
        child.join(60)
        assert child.exitcode == 0
        assert len(said) == 7
        assert all("forked" in each and "spawn" in each for each in said), said
        for future in waiting:
            future.result(timeout=60)
        assert asked(vault, "kettle", vector=unit(3), k=99).visible == 80
        assert vault.verify_audit().problems == ()


def test_nothing_is_acknowledged_in_a_forked_child_that_its_parent_takes_away(folder: Path) -> None:
    """SQLite takes no lock there on what was open at the fork: the parent, closing, would delete the child's log."""
    vault = SQLiteVault(folder)
    stored(vault, cube("before"))
    (parent_closed, closing_end), (answered, answering_end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(closing_end)
        try:
            mine = SQLiteVault(folder)
            for each in ("while the parent has it open", "when the parent has closed it"):
                stored(mine, cube(each))
                os.write(answering_end, b"1")
                os.read(parent_closed, 1)
        finally:
            os._exit(0)
    os.close(answering_end)
    acknowledged = len(os.read(answered, 1))
    vault.close()
    os.close(closing_end)
    acknowledged += len(os.read(answered, 1))
    os.waitpid(child, 0)
    with SQLiteVault(folder) as again:
        assert asked(again).visible == 1 + acknowledged


def test_a_vault_that_was_closed_before_the_fork_is_opened_on_both_sides(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube("before"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            stored(SQLiteVault(folder), cube("in the child"))
            code = 0
        finally:
            os._exit(code)
    with SQLiteVault(folder) as vault:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        stored(vault, cube("in the parent"))
    with SQLiteVault(folder) as vault:
        assert texts(asked(vault)) == ["before", "in the child", "in the parent"]


def test_a_fork_during_a_write_does_not_inherit_it(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        futures = [vault.submit(Transaction((put(each),), (record(each),))) for each in (cube() for _ in range(200))]
        child = os.fork()
        if child == 0:
            vault.close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        for future in futures:
            future.result(timeout=60)
        assert asked(vault, k=1).visible == 200
    with SQLiteVault(folder) as vault:
        assert asked(vault, k=1).visible == 200
        assert vault.verify_audit().problems == ()


def test_a_memory_only_vault_may_be_forked() -> None:
    """It is copied with the rest of the memory: the child has its own from then on."""
    with InMemoryVault() as vault:
        stored(vault, cube("before"))
        child = os.fork()
        if child == 0:
            stored(vault, cube("in the child"))
            os._exit(asked(vault).visible)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 2
        assert texts(asked(vault)) == ["before"]


# --- the lock


HOLDING = """
import sqlite3, sys, time
db = sqlite3.connect({file!r}, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE head SET commit_number = commit_number + 1000")
print("held", flush=True)
time.sleep(600)
"""


def test_a_writer_that_dies_with_the_lock_leaves_nothing(folder: Path, filled: list[MemCube]) -> None:
    with SQLiteVault(folder, busy_timeout_s=30.0) as vault:
        holder = started(HOLDING.format(file=str(folder / "vault.db")))
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        waiting = vault.submit(Transaction((put(cube("patient")),)))
        assert asked(vault, k=99).visible == 30, "readers do not wait"
        time.sleep(0.2)
        assert not waiting.done()
        holder.send_signal(signal.SIGKILL)
        holder.communicate(timeout=30)
        assert waiting.result(timeout=30).commit < 1000
        assert asked(vault, "patient").visible == 31


def test_a_vault_is_opened_while_another_process_holds_the_lock_for_a_moment(
    folder: Path, filled: list[MemCube]
) -> None:
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, lambda: other.execute("ROLLBACK")).start()
        with SQLiteVault(folder) as vault:
            assert asked(vault, k=99).visible == 30


@pytest.mark.parametrize("kind", ["writer", "reader"])
def test_a_killed_process_harms_nobody(folder: Path, kind: str) -> None:
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        script = (
            LOAD.format(path=str(folder), name="uno", rounds=10_000)
            if kind == "writer"
            else READING.format(path=str(folder))
        )
        for _ in range(3):
            other = started(script)
            time.sleep(1.5)
            other.send_signal(signal.SIGKILL)
            other.communicate(timeout=30)
            try:
                mine = stored(vault, cube(f"mine after a {kind}", namespace=("other",)), vector=unit(1))
            except MemOSError as exc:  # no excuse: the dead hold no lock
                pytest.fail(str(exc))
            assert vault.get("other", [mine.id]) == [mine]
        assert asked(vault, "pair", k=10_000).visible % 2 == 0
        assert vault.verify_audit().problems == ()
