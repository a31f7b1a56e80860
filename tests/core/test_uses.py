"""Uses are written apart from the records of reads, gathered, each cube once; nobody who asks misses one."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.access import CallContext, Caller
from memos_integrations.core.cube import State
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import Durability, Move, Receipt, Transaction, Use
from memos_integrations.core.reads import ReadAudit, ReadLog
from memos_integrations.core.records import handed_out, record_of
from memos_integrations.core.uses import MOST_READS, Uses, apart
from memos_integrations.testing.cubes import NOW, cube, record, stored
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")


class TellingVault(InMemoryVault):
    """Remembers what it was given; acknowledges uses only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Transaction] = []
        self.waiting: list[tuple[Transaction, Future[Receipt]]] = []
        self.is_slow = False

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Apply a transaction, or let it wait."""
        self.given.append(transaction)
        if not self.is_slow:
            return super().submit(transaction, durability=durability)
        self.waiting.append((transaction, Future()))
        return self.waiting[-1][1]

    def catch_up(self) -> None:
        """Acknowledge what waits."""
        self.is_slow = False
        for transaction, future in self.waiting:
            future.set_result(super().submit(transaction).result())


@pytest.fixture
def vault() -> Iterator[TellingVault]:
    vault = TellingVault()
    yield vault
    vault.close()


def with_uses(vault: TellingVault) -> list[Transaction]:
    return [each for each in vault.given if any(isinstance(change, Use) for change in each.changes)]


def test_recalls_leave_the_writer_their_records_and_one_transaction_of_uses(
    vault: TellingVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memos_integrations.core.uses.GATHERED_S", 60.0)
    memos = MemOS(vault)
    kettle = memos.remember("The kettle is blue.", by=ANA)
    memos.recall("kettle", by=ANA, needed=True)
    assert memos.get(kettle.id, by=ANA).state is State.ACTIVATED
    before = len(with_uses(vault))
    for _ in range(5):
        memos.recall("kettle", by=ANA, needed=True)
    seen = memos.get(kettle.id, by=ANA)
    assert seen.behaviour.reads == 6
    (together,) = with_uses(vault)[before:]
    assert len(together.changes) == 5
    assert not together.audit
    memos.close()


def test_uses_that_nobody_asks_for_are_written_before_long(vault: TellingVault) -> None:
    memos = MemOS(vault)
    kettle = memos.remember("The kettle is blue.", by=ANA)
    for _ in range(3):
        memos.recall("kettle", by=ANA, needed=True)
    deadline = time.monotonic() + 10
    while vault.get("acme", [kettle.id])[0].behaviour.reads < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert vault.get("acme", [kettle.id])[0].behaviour.reads == 3
    memos.close()


def test_close_leaves_every_use_in_the_cube(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        kettle = memos.remember("The kettle is blue.", by=ANA)
        for _ in range(7):
            memos.recall("kettle", by=ANA, needed=True)
    with MemOS.open(tmp_path) as memos:
        assert memos.get(kettle.id, by=ANA).behaviour.reads == 7


def test_no_more_reads_than_twice_as_many_have_uses_unwritten(vault: TellingVault) -> None:
    uses, one = Uses(vault), Use(stored(vault, cube("kettle")).id, NOW, "r")
    vault.is_slow = True
    for _ in range(2 * MOST_READS - 1):
        uses.add([one])
    waited = threading.Thread(target=uses.add, args=([one],))
    waited.start()
    waited.join(0.2)
    assert waited.is_alive()
    assert sum(len(each.changes) for each, _ in vault.waiting) == MOST_READS
    vault.catch_up()
    waited.join(10)
    uses.flush()
    assert vault.get("acme", [one.cube_id])[0].behaviour.reads == 2 * MOST_READS


def test_a_strict_read_writes_its_uses_with_its_record(vault: TellingVault) -> None:
    log, kept = ReadLog(vault, ReadAudit.STRICT), stored(vault, cube("kettle"))
    log.record(Transaction((Use(kept.id, NOW, "r"),), (record(kept, "recall"),)))
    assert vault.given[-1].audit
    assert vault.get("acme", [kept.id])[0].behaviour.reads == 1


def test_a_first_use_stays_with_the_move_that_it_brings() -> None:
    first, again = Use("a", NOW, "r"), Use("b", NOW, "r")
    move = Move("a", State.GENERATED, State.ACTIVATED)
    kept, later = apart(Transaction((first, again, move)))
    assert (kept.changes, later) == ((first, move), (again,))


def test_many_uses_of_a_cube_count_as_one_after_the_other(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "one") as one, SQLiteVault(tmp_path / "other") as other:
        kept = stored(one, cube("kettle"))
        stored(other, kept)
        uses = [Use(kept.id, NOW + timedelta(days=day), f"r{day % 3}", looked=day == 4) for day in range(6)]
        one.submit(Transaction((*uses, Use("gone", NOW, "r")))).result()
        for use in uses:
            other.submit(Transaction((use,), (record(kept, "recall"),))).result()
        assert one.get("acme", [kept.id]) == other.get("acme", [kept.id])
        assert one.get("acme", [kept.id])[0].behaviour.reads == 5


def test_a_damaged_cube_takes_no_other_use_along_and_is_told(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path) as vault:
        good, bad = stored(vault, cube("kettle")), stored(vault, cube("cup"))
    with closing(sqlite3.connect(tmp_path / "vault.db", isolation_level=None)) as db:
        db.execute("UPDATE behaviour SET body = '{\"reads\": 5}' WHERE cube = 2")
    with SQLiteVault(tmp_path) as vault:
        uses = Uses(vault)
        uses.add([Use(bad.id, NOW, "r"), Use(good.id, NOW, "r")])
        uses.flush()
        with pytest.raises(IntegrityError) as caught:
            uses.settle()
        assert caught.value.cube_id == bad.id
        assert vault.get("acme", [good.id])[0].behaviour.reads == 1


def test_the_record_of_a_recall_is_spelled_as_any_other() -> None:
    caller = Caller(ANA, CallContext(purpose="tea"), NOW)
    detail = {"recall": "r", "cubes": ["a", "b"], "k": 10, "wall_s": 0.25, "prompt": "0" * 64}
    made, checked = handed_out(caller, detail), record_of("recall", caller, detail=detail)
    assert (made, made._canonical) == (checked, checked._canonical)
    assert made.model_dump() == checked.model_dump()
