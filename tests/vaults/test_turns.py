"""Who writes when: alone in one's own thread, never two at once, in order, and whatever interrupts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from memos_integrations.core.errors import EmbeddingError, VaultError, VersionConflictError
from memos_integrations.core.ports import Durability, EmbedderIdentity, Receipt, Transaction
from memos_integrations.testing.cubes import asked, cube, put, record, stored
from memos_integrations.vaults.sqlite import SQLiteVault


def ran(script: str, folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_is_alone_writes_at_once(folder: Path) -> None:
    def alone() -> Receipt:
        future = vault.submit(Transaction((put(cube("alone")),)))
        assert future.done()
        return future.result()

    with SQLiteVault(folder) as vault, ThreadPoolExecutor(1) as thread:
        assert thread.submit(alone).result().durability is Durability.COMMIT
        assert asked(vault).visible == 1


def test_each_thread_becomes_true_in_its_order(folder: Path) -> None:
    """Single cubes, records alone, and several cubes at once, by threads that do not wait in between."""

    def writing(name: int) -> list[int]:
        futures = []
        for number in range(24):
            cubes = [cube(f"{name} {number} {n}") for n in range((1, 0, 3)[number % 3])]
            futures.append(vault.submit(Transaction(tuple(map(put, cubes)), tuple(map(record, cubes)))))
        return [future.result().commit for future in futures]

    with SQLiteVault(folder) as vault, ThreadPoolExecutor(6) as threads:
        commits = list(threads.map(writing, range(6)))
        assert all(each == sorted(each) for each in commits)
        assert sorted(n for each in commits for n in each) == list(range(1, 6 * 24 + 1))
        assert vault.verify_audit().problems == ()
        assert asked(vault).visible == 6 * 8 * (1 + 3)


def test_a_refused_write_alone_harms_no_later_one(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        one = stored(vault, cube("one"))
        for _ in range(3):
            with pytest.raises(VersionConflictError):
                vault.submit(Transaction((put(one),))).result()
            stored(vault, cube("another"))
        assert asked(vault).visible == 4
        assert vault.verify_audit().problems == ()


def test_a_callback_cannot_wait_for_a_write_and_is_told(folder: Path) -> None:
    said: list[str] = []
    done = threading.Event()

    def call(_: object) -> None:
        try:
            vault.submit(Transaction((put(cube("within")),))).result()
        except VaultError as exc:
            said.append(str(exc))
        done.set()

    with SQLiteVault(folder) as vault:
        hold = threading.Event()
        with ThreadPoolExecutor(1) as other:
            # Something is under way, so that what follows is queued, and its callback runs where it is written.
            waits = other.submit(vault.submit_whole, (hold.wait(5) and Transaction() for _ in range(1)))
            while vault._writer._turn is None:
                pass
            vault.submit(Transaction((put(cube("first")),))).add_done_callback(call)
            hold.set()
            waits.result()
        assert done.wait(5)
        assert "in the middle of another write" in said[0]
        stored(vault, cube("after"))
    with SQLiteVault(folder) as vault:
        assert asked(vault).visible == 3


INTERRUPTED = """
import random, signal, sys, threading, time, _thread
from memos_integrations.core.ports import Transaction
from memos_integrations.testing.cubes import asked, cube, put, record
from memos_integrations.vaults.sqlite import SQLiteVault

signal.signal(signal.SIGINT, signal.default_int_handler)
chance = random.Random(7)
vault = SQLiteVault(sys.argv[1])
acknowledged, broken, stop, writing = [], 0, False, False

def interrupt():
    while not stop:
        time.sleep(chance.random() * 0.004)
        if writing:
            _thread.interrupt_main()

thread = threading.Thread(target=interrupt)
thread.start()
number = 0
while broken < 150:
    made = cube(f"n {number}")
    number += 1
    try:
        try:
            writing = True
            vault.submit(Transaction((put(made),), (record(made),))).result()
            acknowledged.append(made.id)
            writing = False
            time.sleep(0)
        except KeyboardInterrupt:
            writing = False
            broken += 1
            time.sleep(0.001)
    except KeyboardInterrupt:
        writing = False
    if number % 10 == 0:
        two = [cube("one of two"), cube("two")]
        try:
            assert vault.submit(Transaction(tuple(map(put, two)), tuple(map(record, two)))).result(20)
        except KeyboardInterrupt:
            pass
while thread.is_alive():
    try:
        stop = True
        thread.join()
    except KeyboardInterrupt:
        pass
assert {each.id for each in vault.get("acme", acknowledged)} == set(acknowledged)
assert vault.verify_audit().problems == ()
made = cube("last")
vault.submit(Transaction((put(made),), (record(made),))).result(20)
vault.close()
with SQLiteVault(sys.argv[1]) as vault:
    assert {each.id for each in vault.get("acme", acknowledged)} == set(acknowledged)
    assert vault.verify_audit().problems == ()
    print(broken, len(acknowledged))
"""


def test_what_ctrl_c_breaks_off_is_whole_or_not_there(folder: Path) -> None:
    broken, acknowledged = map(int, ran(INTERRUPTED, folder).split())
    assert broken >= 150
    assert acknowledged > 0


CLOSING = """
import signal, sys
from memos_integrations.core.ports import Transaction
from memos_integrations.testing.cubes import cube, put, record, stored
from memos_integrations.vaults.sqlite import SQLiteVault

vault = SQLiteVault(sys.argv[1])
stored(vault, cube("before"))

def handle(*_):
    vault.close()
    sys.exit(0)

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.02)
while True:
    made = cube("again")
    vault.submit(Transaction((put(made),), (record(made),))).result()
    print(1)
"""


def test_a_handler_of_a_signal_may_close_and_leave(folder: Path) -> None:
    written = len(ran(CLOSING, folder).split())
    with SQLiteVault(folder) as vault:
        assert asked(vault).visible in {1 + written, 2 + written}
        assert vault.verify_audit().problems == ()


def test_vectors_that_do_not_fit_fail_alone_in_a_group(folder: Path) -> None:
    good, bad = np.eye(1, 4, dtype=np.float32)[0], np.full(4, np.nan, dtype=np.float32)
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EmbedderIdentity("four", 4))
        hold = threading.Event()
        with ThreadPoolExecutor(1) as other:
            waits = other.submit(vault.submit_whole, (hold.wait(5) and Transaction() for _ in range(1)))
            while vault._writer._turn is None:
                pass
            cubes = [cube(f"n {number}") for number in range(9)]
            futures = [
                vault.submit(Transaction((put(each, vector=bad if n % 3 == 1 else good),), (record(each),)))
                for n, each in enumerate(cubes)
            ]
            hold.set()
            waits.result()
        refused = [n for n, future in enumerate(futures) if isinstance(future.exception(), EmbeddingError)]
        assert refused == [1, 4, 7]
        commits = [future.result().commit for n, future in enumerate(futures) if n not in refused]
        assert commits == sorted(commits)
        assert asked(vault).visible == 6
        assert vault.verify_audit().problems == ()
        with pytest.raises(EmbeddingError):  # and alone
            vault.submit(Transaction((put(cube("last"), vector=bad),))).result()
        stored(vault, cube("after"), vector=good)
