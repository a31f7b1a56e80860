"""What an acknowledged write survives, per vault and per call, and what a receipt says of it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import Durability, Erase, Transaction
from memos_integrations.testing.cubes import cube, put, record
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
KILLS = 4

WRITING = """
import os
from memos_integrations.core.ports import Transaction
from memos_integrations.testing.cubes import cube, put, record
from memos_integrations.vaults.sqlite import SQLiteVault
vault = SQLiteVault({path!r}, durability="process")
while True:
    new = [cube("kettle") for _ in range(3)]
    for each, done in [(each, vault.submit(Transaction((put(each),), (record(each),)))) for each in new]:
        assert done.result().durability == "process"
        os.write(1, each.id.encode() + b"\\n")
"""

READING = """
import os
from itertools import count
from memos_integrations import CallContext, MemOS, Principal
ana = Principal(tenant="acme", user="ana")
memos = MemOS.open({path!r})
cube = memos.remember("The kettle is blue.", by=ana)
for number in count():
    memos.get(cube.id, by=ana, context=CallContext(purpose=str(number)))
    os.write(1, b"%d\\n" % number)
"""


def killed(program: str, after_s: float) -> list[str]:
    """The lines that a program printed until it was killed, *after_s* after its first."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.stdout.close()
    assert child.wait(timeout=60) == -signal.SIGKILL
    return [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


def test_what_survives_the_process_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20260302)
    written: list[str] = []
    for _ in range(KILLS):
        written += killed(WRITING.format(path=str(tmp_path)), chance.uniform(0.0, 0.3))
    ids = [line.strip() for line in written]
    assert len(ids) >= KILLS
    with SQLiteVault(tmp_path) as vault:
        assert [each.id for each in vault.get("acme", ids)] == ids
        assert vault.verify_audit().problems == ()


def test_a_kill_takes_at_most_the_newest_64_records_of_reads(tmp_path: Path) -> None:
    for life in range(3):
        folder = tmp_path / str(life)
        returned = len(killed(READING.format(path=str(folder)), 0.2 + 0.1 * life))
        with MemOS.open(folder) as memos:
            entries = memos.audit(by=ANA, operation="read", limit=10_000)
            assert memos.verify_audit().problems == ()
        recorded = [entry.record.purpose for entry in entries]
        assert recorded == [str(number) for number in range(len(recorded))]
        assert len(recorded) >= min(returned - 64, 10_000)


def test_a_receipt_says_what_the_write_survives(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "a") as careful, SQLiteVault(tmp_path / "b", durability="process") as quick:
        for vault, asked, given in (
            (careful, None, Durability.COMMIT),
            (careful, Durability.PROCESS, Durability.PROCESS),
            (quick, None, Durability.PROCESS),
            (quick, Durability.COMMIT, Durability.COMMIT),
        ):
            new = cube()
            receipt = vault.submit(Transaction((put(new),), (record(new),)), durability=asked).result()
            assert receipt.durability is given
            erased = vault.submit(Transaction((Erase(new.id),), (record(new, "forget"),)), durability=asked).result()
            assert erased.durability is Durability.COMMIT


def test_one_that_must_survive_power_loss_carries_its_whole_group(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path) as vault, closing(sqlite3.connect(vault.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the first waits in a group of its own, the others gather behind it
        asked = [Durability.PROCESS, Durability.PROCESS, Durability.COMMIT, Durability.PROCESS]
        first = vault.submit(Transaction((put(cube()),)), durability=asked[0])
        while not first.running():
            time.sleep(0.001)
        rest = [vault.submit(Transaction((put(cube()),)), durability=each) for each in asked[1:]]
        other.execute("ROLLBACK")
        assert first.result().durability is Durability.PROCESS
        assert [each.result().durability for each in rest] == [Durability.COMMIT] * 3


def test_each_memory_may_say_what_it_must_survive(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, durability="process") as memos:
        quick = memos.remember("The kettle is blue.", by=ANA)
        sure = memos.remember("The kettle is green.", by=ANA, durability="commit")
        assert {memos.get(each.id, by=ANA).text for each in (quick, sure)} == {quick.text, sure.text}
        with pytest.raises(InvalidMemoryError, match="durability"):
            memos.remember("The kettle is red.", by=ANA, durability="eventually")


def test_a_vault_has_no_other_durability(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="never"):
        SQLiteVault(tmp_path, durability="never")
