"""Records of reads: in order, bounded, never silently lost; strict where asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.core.cube import State
from memos_integrations.core.errors import CubeNotFoundError, VaultFullError
from memos_integrations.core.ports import Durability, Receipt, Transaction
from memos_integrations.core.reads import GATHERED_S, MOST_UNDER_WAY
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
EVE = Principal(tenant="acme", user="eve")


class SlowVault(InMemoryVault):
    """Acknowledges records without changes only when told to, or refuses them: a disk that is slow or full."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Transaction, Future[Receipt]]] = []
        self.is_slow = self.is_full = False

    def submit(self, transaction: Transaction, *, durability: Durability | None = None) -> Future[Receipt]:
        """Queue a record, refuse it, or apply it at once."""
        if transaction.changes or not (self.is_slow or self.is_full):
            return super().submit(transaction, durability=durability)
        future: Future[Receipt] = Future()
        if self.is_full:
            future.set_exception(VaultFullError("The disk is full."))
        else:
            self.waiting.append((transaction, future))
        return future

    def catch_up(self) -> None:
        """Acknowledge what waits."""
        self.is_slow = False
        for transaction, future in self.waiting:
            future.set_result(super().submit(transaction).result())
        self.waiting = []


@pytest.fixture
def vault() -> Iterator[SlowVault]:
    vault = SlowVault()
    yield vault
    vault.close()


def purposes_read(memos: MemOS) -> int:
    return len(memos.audit(by=ANA, operation="read", limit=1_000))


def test_a_read_does_not_wait_for_its_record_but_for_the_64th_before_it(vault: SlowVault) -> None:
    memos = MemOS(vault)
    cube = memos.remember("The kettle is blue.", by=ANA)
    vault.is_slow = True
    for _ in range(MOST_UNDER_WAY):
        memos.get(cube.id, by=ANA)
    memos._governance._reads.send()  # what was gathered since; sooner than it would go by itself
    assert sum(len(transaction.audit) for transaction, _ in vault.waiting) == MOST_UNDER_WAY
    returned = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: (memos.get(cube.id, by=ANA), returned.set()))
        assert not returned.wait(0.2)
        vault.catch_up()
        assert returned.wait(10)
    assert purposes_read(memos) == MOST_UNDER_WAY + 1
    memos.close()


def test_a_strict_read_waits_for_its_record(vault: SlowVault) -> None:
    memos = MemOS(vault, read_audit="strict")
    cube = memos.remember("The kettle is blue.", by=ANA)
    vault.is_slow = True
    returned = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: (memos.get(cube.id, by=ANA), returned.set()))
        assert not returned.wait(0.2)
        vault.catch_up()
        assert returned.wait(10)
    memos.close()


def test_a_record_that_failed_raises_in_the_next_call_and_once(vault: SlowVault) -> None:
    memos = MemOS(vault)
    cube = memos.remember("The kettle is blue.", by=ANA)
    vault.is_full = True
    memos.get(cube.id, by=ANA)
    time.sleep(20 * GATHERED_S)  # until it was tried
    vault.is_full = False
    with pytest.raises(VaultFullError):
        memos.get(cube.id, by=ANA)
    assert memos.get(cube.id, by=ANA) == cube
    memos.close()


def test_a_record_that_failed_raises_at_the_latest_in_close(vault: SlowVault) -> None:
    memos = MemOS(vault)
    cube = memos.remember("The kettle is blue.", by=ANA)
    vault.is_full = True
    memos.get(cube.id, by=ANA)
    with pytest.raises(VaultFullError):
        memos.close()


def test_what_is_denied_is_in_the_log_before_the_answer(vault: SlowVault) -> None:
    memos = MemOS(vault)
    cube = memos.remember("The kettle is blue.", by=ANA)
    vault.is_full = True
    with pytest.raises(VaultFullError):
        memos.may_read([cube.id], by=EVE)
    memos.close()


def test_the_log_tells_of_every_read_before_it_was_asked(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cube = memos.remember("The kettle is blue.", by=ANA)
        for _ in range(100):
            memos.get(cube.id, by=ANA)
        assert purposes_read(memos) == 100
        memos.get(cube.id, by=ANA)
        memos.forget(cube.id, by=ANA)
        told = [entry.record.operation for entry in memos.audit(by=ANA, cube_id=cube.id, limit=1_000)]
        assert told == ["remember", *["read"] * 101, "forget"]
        memos.get_many([cube.id], by=ANA)
        assert memos.verify_audit().entries == 1 + 101 + 1 + 2 + 1


@pytest.mark.answers("AISVS 12.1.2")
def test_close_leaves_every_read_in_the_log(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cube = memos.remember("The kettle is blue.", by=ANA)
        for _ in range(50):
            memos.get(cube.id, by=ANA)
    with MemOS.open(tmp_path) as memos:
        assert purposes_read(memos) == 50


def test_uses_show_in_the_cube_that_is_fetched_next(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cube = memos.remember("The kettle is blue.", by=ANA)
        for _ in range(5):
            assert memos.recall("What colour is the kettle?", by=ANA, needed=True).hits
        seen = memos.get(cube.id, by=ANA)
        assert (seen.behaviour.reads, seen.state) == (5, State.ACTIVATED)


def test_recalls_at_once_count_every_use(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cubes = [memos.remember(f"Kettle number {number} is blue.", by=ANA) for number in range(3)]
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(memos.recall, "kettle", by=ANA, needed=True) for _ in range(40)]
            assert all(len(each.result().hits) == 3 for each in asked)
        assert [memos.get(cube.id, by=ANA).behaviour.reads for cube in cubes] == [40] * 3
        assert memos.verify_audit().problems == ()


def test_a_cube_forgotten_under_a_recall_does_not_take_the_record_along(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        kept = memos.remember("The kettle is blue.", by=ANA)
        gone = memos.remember("The kettle is green.", by=ANA)
        recall = memos.recall("kettle", by=ANA, needed=True)
        memos.forget(gone.id, by=ANA)
        with pytest.raises(CubeNotFoundError):
            memos.get(gone.id, by=ANA)
        assert {hit.cube.id for hit in recall.hits} == {kept.id, gone.id}
        (entry,) = memos.audit(by=ANA, operation="recall")
        assert set(entry.record.detail["cubes"]) == {kept.id, gone.id}


@pytest.mark.parametrize("idle", [20.0, 0.01])
def test_records_that_come_apart_are_handed_over_by_one_thread_that_ends_after_them(
    vault: SlowVault, monkeypatch: pytest.MonkeyPatch, idle: float
) -> None:
    monkeypatch.setattr("memos_integrations.core.reads.IDLE_S", idle)
    memos, senders = MemOS(vault), set()
    cube = memos.remember("Tea.", by=ANA)
    there = len(vault._chain)
    for number in range(1, 4):
        before = {*threading.enumerate()}
        memos.get(cube.id, by=ANA)
        senders |= {each for each in threading.enumerate() if each.name == "read-log"} - (before - senders)
        deadline = time.monotonic() + 10
        while len(vault._chain) < there + number and time.monotonic() < deadline:
            time.sleep(GATHERED_S / 10)
        assert len(vault._chain) == there + number, "nobody asked, and it was handed over"
    if idle > 1:
        assert len(senders) == 1
    else:
        for each in senders:
            each.join(10)
            assert not each.is_alive()
