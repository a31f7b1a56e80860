"""What is recorded of reading: at once, in the order of the reads, and waited for only when too much is under way."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, wait
from enum import StrEnum
from threading import Lock, Semaphore

from memos_integrations.core.errors import CubeNotFoundError, MemOSError, VersionConflictError
from memos_integrations.core.ports import Durability, Receipt, Transaction, Vault

MOST_UNDER_WAY = 64
"""How many records of reads may be unacknowledged at once."""


class ReadAudit(StrEnum):
    """When a read returns.

    STRICT: when its record survives what the vault's writes survive. It costs every read a flush to the disk.

    BATCHED: when its record is queued for the vault's writer; an earlier record that failed raises in the next call.
    When the process dies (`kill -9`) the records of at most the last `MOST_UNDER_WAY` (64) reads are missing. When the
    machine dies, up to 64 more: every 64th record asks for the durability of the vault's writes, and flushes those
    before it. Any durable write, and `flush`, do too. Nothing goes missing from the middle, and the chain holds. What
    is denied, and everything that writes, is waited for.
    """

    BATCHED = "batched"
    STRICT = "strict"


class ReadLog:
    """Records of reads on their way into a vault. Thread-safe."""

    def __init__(self, vault: Vault, how: ReadAudit) -> None:
        self._vault, self._how = vault, how
        self._under_way: deque[Future[None]] = deque()
        self._room = Semaphore(MOST_UNDER_WAY)
        self._lock = Lock()
        self._submitted = 0
        self._uses: list[Future[None]] = []

    def record(self, transaction: Transaction, instead: Transaction | None = None) -> None:
        """Record a read; *instead* is what is recorded when a cube moved or went in the meantime.

        Raises:
            VaultError: This record (STRICT), or one before it, failed.
        """
        self.settle()
        if self._how is ReadAudit.STRICT:
            self._submit(transaction, instead, None).result()
            return
        self._room.acquire()
        try:
            with self._lock:
                self._submitted += 1
                durability = None if self._submitted % MOST_UNDER_WAY == 0 else Durability.PROCESS
                recorded = self._submit(transaction, instead, durability)
                self._under_way.append(recorded)
                if transaction.changes:
                    self._uses = [use for use in self._uses if not use.done()] + [recorded]
        except MemOSError:
            self._room.release()
            raise
        recorded.add_done_callback(lambda _: self._room.release())

    def settle(self) -> None:
        """Take what is in the log off the list.

        Raises:
            VaultError: A record failed; it is not in the log.
        """
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
        with self._lock:
            under_way = list(self._under_way)
        wait(under_way)
        self.settle()

    def wait_for_uses(self) -> None:
        """Wait until the uses that were recorded before this call show in the cubes."""
        # All uses: one that was written a second time, without its moves, comes later than those after it.
        with self._lock:
            self._uses = [use for use in self._uses if not use.done()]
            uses = list(self._uses)
        wait(uses)
        self.settle()

    def _submit(
        self, transaction: Transaction, instead: Transaction | None, durability: Durability | None
    ) -> Future[None]:
        """A future of the record, whichever of the two it becomes."""
        recorded: Future[None] = Future()

        def ended(written: Future[Receipt]) -> None:
            # Runs in the vault's writer thread, which must not wait.
            failure = written.exception()
            if isinstance(failure, VersionConflictError | CubeNotFoundError) and instead is not None:
                try:
                    self._vault.submit(instead).add_done_callback(finished)
                except MemOSError as exc:
                    recorded.set_exception(exc)
            else:
                finished(written)

        def finished(written: Future[Receipt]) -> None:
            failure = written.exception()
            if failure is None:
                recorded.set_result(None)
            else:
                recorded.set_exception(failure)

        self._vault.submit(transaction, durability=durability).add_done_callback(ended)
        return recorded
