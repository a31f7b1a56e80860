"""Many transactions in one commit: made in one thread, written by another, a few in memory at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, Full, Queue
from threading import get_ident

from memos_integrations.core.errors import MemOSError, VaultError
from memos_integrations.core.ports import Erase, Receipt, Transaction
from memos_integrations.vaults.jobs import Job
from memos_integrations.vaults.locks import Locks
from memos_integrations.vaults.notary import Notary
from memos_integrations.vaults.numbering import Words
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_rows import Prepared, prepared
from memos_integrations.vaults.sqlite_write import Head
from memos_integrations.vaults.writer import GroupWriter

AHEAD = 2
"""So many transactions are made ahead of the one that is being written."""

LOOK_S = 0.05
"""How often whoever waits looks whether the other one is still there."""

MAKING = "While `submit_whole` asks for its transactions, making them may not write to the vault."


class Whole:
    """One commit of many transactions on its way; `run` in the thread that makes them."""

    def __init__(self, writer: GroupWriter, notary: Notary, words: Words, sealer: Sealer, locks: Locks | None) -> None:
        self._writer, self._notary, self._words, self._sealer, self._locks = writer, notary, words, sealer, locks
        self._queue: Queue[Prepared | None] = Queue(AHEAD)  # None: that was all
        self._stopped = False

    def run(self, transactions: Iterable[Transaction], making: set[int]) -> Receipt:
        """Hand transactions to the writer one after another; *making* are the threads that do so now.

        Raises:
            MemOSError: One was refused, or making one failed. Nothing of them happened.
        """
        job = Job(self._work, alone=True)
        future = self._writer.submit(job)
        making.add(get_ident())
        try:
            for transaction in transactions:
                # Named before they are handed over: the writer settles them when all is committed.
                job.erases += tuple(change.cube_id for change in transaction.changes if isinstance(change, Erase))
                if not self._hand(prepared(transaction, self._words, self._sealer, self._locks), future):
                    break  # it was refused: `result` says why
            else:
                self._hand(None, future)
        finally:
            self._stopped = True
            making.discard(get_ident())
            future.exception()  # waits: what was begun is undone, or durable
        receipt: Receipt = future.result()
        return receipt

    def _hand(self, rows: Prepared | None, future: Future[Receipt]) -> bool:
        while not future.done():
            try:
                self._queue.put(rows, timeout=LOOK_S)
            except Full:
                continue
            return True
        return False

    def _work(self, connection: sqlite3.Connection, head: Head) -> tuple[Head, Receipt]:
        receipt = Receipt(head.commit)
        for rows in self._coming():
            if rows.is_new:
                head, (outcome,) = self._notary.inserted(connection, head, [rows], keep=False)
                if isinstance(outcome, MemOSError):
                    raise outcome
                receipt = outcome
            else:
                head, receipt = self._notary.apply(connection, head, transaction=rows)
        return head, receipt

    def _coming(self) -> Iterator[Prepared]:
        while True:
            try:
                rows = self._queue.get(timeout=LOOK_S)
            except Empty:
                if self._stopped and self._queue.empty():
                    raise VaultError("What was to be written could not be made; nothing of it was written.") from None
                continue
            if rows is None:
                return
            yield rows
