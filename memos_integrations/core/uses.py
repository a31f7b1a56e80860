"""What reads leave beside cubes, gathered over many reads: a cube used again and again is written once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from threading import Lock

from memos_integrations.core.errors import IntegrityError, MemOSError
from memos_integrations.core.ports import Change, Durability, Move, Receipt, Transaction, Use, Vault

MOST_READS = 32
"""The uses of so many reads are written together; of no more than twice as many are any unwritten."""

GATHERED_S = 0.5
"""How long the first of them waits for others, if nobody asks for it sooner."""


def apart(transaction: Transaction) -> tuple[Transaction, tuple[Use, ...]]:
    """A record of a read, and the uses that may come later: all but those of cubes that it moves."""
    moved = {change.cube_id for change in transaction.changes if isinstance(change, Move)}
    later = tuple([each for each in transaction.changes if isinstance(each, Use) and each.cube_id not in moved])
    if not later:
        return transaction, ()
    return Transaction(without(transaction.changes, later), transaction.audit, transaction.events), later


def without(changes: Sequence[Change], later: Sequence[Use]) -> tuple[Change, ...]:
    """The changes but for those uses."""
    if len(changes) == len(later):
        return ()
    ids = {use.cube_id for use in later}
    return tuple([each for each in changes if not (isinstance(each, Use) and each.cube_id in ids)])


class Uses:
    """Uses of cubes on their way into a vault; to hand them over costs a read nothing. Thread-safe."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._gathered: list[Use] = []
        self._reads, self._since = 0, 0.0
        self._lock, self._sending = Lock(), Lock()
        self._written: Future[None] = Future()
        self._written.set_result(None)
        self._failed: MemOSError | None = None

    @property
    def due_in(self) -> float | None:
        """In how many seconds somebody should `send` them; None when there are none."""
        with self._lock:
            return max(0.0, self._since + GATHERED_S - time.monotonic()) if self._gathered else None

    def add(self, uses: Sequence[Use]) -> None:
        """Take the uses of one read along; waits only where too much is under way."""
        with self._lock:
            if not self._gathered:
                self._since = time.monotonic()
            self._gathered += uses
            self._reads += 1
            full = self._reads >= MOST_READS
        if full:
            self.send()

    def send(self) -> None:
        """Hand over what was gathered, as one transaction, once that before it is written."""
        with self._sending:
            wait([self._written])
            with self._lock:
                uses, self._gathered, self._reads = self._gathered, [], 0
            if uses:
                self._hand_over(uses)

    def flush(self) -> None:
        """Return when all that was handed over before shows in the cubes."""
        self.send()
        wait([self._written])

    def settle(self) -> None:
        """Say what went wrong.

        Raises:
            VaultError: Uses could not be written.
        """
        if self._failed is not None:
            with self._lock:
                failed, self._failed = self._failed, None
            if failed is not None:
                raise failed

    def _hand_over(self, uses: Sequence[Use]) -> None:
        self._written = written = Future[None]()
        self._submit(uses, written)

    def _submit(self, uses: Sequence[Use], written: Future[None]) -> None:
        def ended(done: Future[Receipt]) -> None:
            # Runs in the vault's writer thread, which must not wait.
            failure = done.exception()
            if isinstance(failure, MemOSError):
                self._failed = failure
            bad = failure.cube_id if isinstance(failure, IntegrityError) else None
            rest = [use for use in uses if use.cube_id != bad]
            if 0 < len(rest) < len(uses):  # what is damaged does not take the others along
                self._submit(rest, written)
            else:
                written.set_result(None)

        try:
            submitted = self._vault.submit(Transaction(tuple(uses)), durability=Durability.PROCESS)
        except MemOSError as exc:
            self._failed = exc
            written.set_result(None)
        else:
            submitted.add_done_callback(ended)
