"""What is recorded of reading: at once, in the order of the reads, and waited for only when too much is under way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from threading import Event, Lock, Semaphore, Thread

from memos_integrations.core.errors import CubeNotFoundError, MemOSError, VersionConflictError
from memos_integrations.core.events import CubeMoved, MemEvent
from memos_integrations.core.ports import Change, Durability, Move, Receipt, Transaction, Vault
from memos_integrations.core.uses import Uses, apart, without

MOST_UNDER_WAY = 64
"""How many records of reads may be unacknowledged at once."""

MOST_GATHERED = 32
"""How many records go to the vault together: half of what may be under way, so that gathering goes on meanwhile."""

GATHERED_S = 0.02
"""How long the first of them waits for others."""


IDLE_S = 1.0
"""How long the thread that hands them over outlives the last of them."""


class ReadAudit(StrEnum):
    """When a read returns.

    STRICT: when its record survives what the vault's writes survive. It costs every read a flush to the disk.

    BATCHED: when its record is queued; records go to the vault's writer `MOST_GATHERED` (32) together, or after
    `GATHERED_S` (20 ms). An earlier record that failed raises in a later call, at the latest in `close`.
    When the process dies (`kill -9`) the records of at most the last `MOST_UNDER_WAY` (64) reads are missing. When the
    machine dies, up to 64 more: every 64th record asks for the durability of the vault's writes, and flushes those
    before it. Any durable write, and `flush`, do too. Nothing goes missing from the middle, and the chain holds. What
    is denied, and everything that writes, is waited for. How often and when cubes were used is written for several
    reads together (`uses.py`), within the same bounds; what asks for a cube by id, or lists, sees it all.
    """

    BATCHED = "batched"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class _Read:
    """One record on its way: what is written, and *instead* of it when a cube moved or went in the meantime."""

    transaction: Transaction
    instead: Transaction | None
    recorded: Future[None] = field(default_factory=Future)


class ReadLog:
    """Records of reads on their way into a vault. Thread-safe."""

    def __init__(self, vault: Vault, how: ReadAudit) -> None:
        self._vault, self._how = vault, how
        self._gathered: list[_Read] = []
        self._under_way: deque[Future[None]] = deque()
        self._room = Semaphore(MOST_UNDER_WAY)
        self._lock, self._sending = Lock(), Lock()
        self._first = Event()
        self._sender: Thread | None = None
        self._since_durable = 0
        self._moving: list[Future[None]] = []
        self._uses = Uses(vault)

    def record(self, transaction: Transaction, instead: Transaction | None = None) -> None:
        """Record a read; *instead* is what is recorded when a cube moved or went in the meantime.

        Raises:
            VaultError: This record (STRICT), or one before it, failed.
        """
        self.settle()
        if self._how is ReadAudit.STRICT:
            read = _Read(transaction, instead)
            self._alone(read, None)
            read.recorded.result()
            return
        transaction, uses = apart(transaction)
        if uses:
            self._uses.add(uses)
            if instead is not None:
                instead = Transaction(without(instead.changes, uses), instead.audit, instead.events)
        read = _Read(transaction, instead)
        self._room.acquire()
        read.recorded.add_done_callback(lambda _: self._room.release())
        with self._lock:
            self._gathered.append(read)
            self._under_way.append(read.recorded)
            if transaction.changes:
                self._moving = [each for each in self._moving if not each.done()] + [read.recorded]
            count = len(self._gathered)
        if count >= MOST_GATHERED:
            self.send()
        elif count == 1:
            self._send_later()

    def settle(self) -> None:
        """Take what is in the log off the list.

        Raises:
            VaultError: A record failed; it is not in the log.
        """
        self._uses.settle()
        while True:
            with self._lock:
                if not self._under_way or not self._under_way[0].done():
                    return
                recorded = self._under_way.popleft()
            recorded.result()

    def flush(self) -> None:
        """Wait until every record made before this call is in the log.

        Raises:
            VaultError: A record failed; it is not in the log.
        """
        self.send()
        with self._lock:
            under_way = list(self._under_way)
        wait(under_way)
        self._uses.flush()
        self.settle()

    def wait_for_uses(self) -> None:
        """Wait until the uses that were recorded before this call show in the cubes."""
        # All uses: one that was written a second time, without its moves, comes later than those after it.
        with self._lock:
            self._moving = moving = [each for each in self._moving if not each.done()]
        if moving:
            self.send()
        wait(moving)
        self._uses.flush()
        self.settle()

    # --- to the vault

    def _send_later(self) -> None:
        with self._lock:
            self._first.set()
            if self._sender is not None:
                return
            self._sender = Thread(target=self._sends, name="read-log", daemon=True)
            self._sender.start()

    def _sends(self) -> None:
        # One thread for as long as reads go on: to start one costs more than to record a read.
        while True:
            due = self._uses.due_in
            if due == 0.0:
                self._uses.send()
            elif self._first.wait(IDLE_S if due is None else due):
                self._first.clear()
                time.sleep(GATHERED_S)
                self.send()
            elif due is None:
                with self._lock:
                    if not self._first.is_set():
                        self._sender = None
                        return

    def send(self) -> None:
        """Hand over what was gathered, as one transaction: what is written next comes after it in the log."""
        with self._sending:  # one at a time: records reach the vault in the order of the reads
            with self._lock:
                reads, self._gathered = self._gathered, []
            if not reads:
                return
            self._since_durable += len(reads)
            durability: Durability | None = Durability.PROCESS
            if self._since_durable >= MOST_UNDER_WAY:
                self._since_durable, durability = 0, None
            if len(reads) == 1:
                self._alone(reads[0], durability)
                return
            try:
                written = self._vault.submit(_together(reads), durability=durability)
            except MemOSError as exc:
                _done(reads, exc)
            else:
                written.add_done_callback(partial(self._sent, reads, durability))

    def _sent(self, reads: Sequence[_Read], durability: Durability | None, written: Future[Receipt]) -> None:
        # Runs in the vault's writer thread, which must not wait.
        failure = written.exception()
        if isinstance(failure, VersionConflictError | CubeNotFoundError):
            for read in reads:
                self._alone(read, durability)
        else:
            _done(reads, failure)

    def _alone(self, read: _Read, durability: Durability | None) -> None:
        """One record, or what is recorded instead of it."""

        def ended(written: Future[Receipt]) -> None:
            failure = written.exception()
            if isinstance(failure, VersionConflictError | CubeNotFoundError) and read.instead is not None:
                self._submitted(read, read.instead, durability, lambda again: _done([read], again.exception()))
            else:
                _done([read], failure)

        self._submitted(read, read.transaction, durability, ended)

    def _submitted(
        self,
        read: _Read,
        transaction: Transaction,
        durability: Durability | None,
        ended: Callable[[Future[Receipt]], None],
    ) -> None:
        try:
            written = self._vault.submit(transaction, durability=durability)
        except MemOSError as exc:
            _done([read], exc)
        else:
            written.add_done_callback(ended)


def _together(reads: Sequence[_Read]) -> Transaction:
    """All of them in one; a cube that several of them used first moves once."""
    moved: set[str] = set()
    told: set[str] = set()
    changes: list[Change] = []
    events: list[MemEvent] = []
    for read in reads:
        for change in read.transaction.changes:
            if not isinstance(change, Move) or change.cube_id not in moved:
                changes.append(change)
            if isinstance(change, Move):
                moved.add(change.cube_id)
        for event in read.transaction.events:
            if not isinstance(event, CubeMoved) or event.cube_id not in told:
                events.append(event)
            if isinstance(event, CubeMoved):
                told.add(event.cube_id)
    entries = tuple(entry for read in reads for entry in read.transaction.audit)
    return Transaction(tuple(changes), entries, tuple(events))


def _done(reads: Sequence[_Read], failure: BaseException | None) -> None:
    for read in reads:
        if failure is None:
            read.recorded.set_result(None)
        else:
            read.recorded.set_exception(failure)
