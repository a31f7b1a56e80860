"""The writer thread: everything that changes a vault passes here, many transactions per fsync (group commit)."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from memos_integrations.core.errors import InvalidMemoryError, MemOSError, VaultClosedError, VaultError
from memos_integrations.core.ports import Durability, Receipt, Transaction
from memos_integrations.vaults.connection import FOREIGN, translated
from memos_integrations.vaults.guard import Guard
from memos_integrations.vaults.jobs import Job, Preparing
from memos_integrations.vaults.scrubbing import written_anew
from memos_integrations.vaults.sqlite_rows import Prepared
from memos_integrations.vaults.sqlite_write import Head, write_head
from memos_integrations.vaults.turns import WITHIN, Afterwards, Turn, undisturbed
from memos_integrations.vaults.whereabouts import check_process, check_there, place_of

GROUP = 512
"""Most transactions per commit: enough that the fsync is shared, few enough that nobody waits long."""

WAL_WAIT_S = 5.0
"""How long an erase waits for readers of the old pages before it is acknowledged with the write-ahead log unsettled."""

POISON = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, OverflowError, TypeError, ValueError)
"""What one transaction's values can raise: its own failure, not that of the others in the group."""

LOOK_S = 0.05
"""How often the thread looks whether who writes is still there; it is told so besides."""

Together = Callable[[sqlite3.Connection, Head, "list[Job]"], tuple[Head, list[Any]]]


class GroupWriter:
    """A thread that commits what is queued, as much as is there, up to `GROUP` transactions at a time.

    Who is alone with one new cube commits it in their own thread: to hand it over and to be woken again takes a sixth
    of the time. Two never write at once, and nothing overtakes what was queued before.

    A refused transaction rolls back alone. A failed commit fails the whole group and nothing else: the next group is
    tried again. Futures are done only after the commit, so callbacks on them run in this thread and must not wait
    for another write.
    """

    def __init__(
        self,
        file: Path,
        connect: Callable[[], sqlite3.Connection],
        drop_index_files: Callable[[], bool],
        guard: Guard,
        prepare: Callable[[Sequence[Transaction]], list[Prepared]],
    ) -> None:
        self._connect, self._drop_index_files, self._guard = connect, drop_index_files, guard
        self._ready = Preparing(prepare, guard)
        self._file, self._place = file, place_of(file)
        self._connection: sqlite3.Connection | None = connect()
        self._survives: Durability | None = Durability.COMMIT  # as `connect` sets it
        self._settled = True  # the last transaction ended as it should
        self._queue: deque[Job] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.RLock()  # a signal's handler may come by in the middle
        self._turn: Turn | None = None  # whose turn it is to write
        self._closed = False
        self._process = os.getpid()
        self._unsettled: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="vault-writer", daemon=True)
        self._thread.start()

    @property
    def unsettled(self) -> frozenset[str]:
        """Erased cubes that an index file or the write-ahead log may still hold; retried with every later group."""
        return frozenset(self._unsettled)

    def submit(self, job: Job) -> Future[Any]:
        """Queue a job, or do it here and now when it is one new cube and nobody else writes or waits.

        Raises:
            VaultClosedError: The vault was closed, or this process is a fork of the one that opened it.
        """
        check_process(self._process)
        mine = Turn(threading.get_ident())
        here = job.is_one_new and undisturbed(mine.thread)
        # Whatever interrupts this thread, and wherever: that it is its turn stands in one place alone.
        try:
            with self._lock:
                if self._closed:
                    raise VaultClosedError("The vault was closed; open it again.")
                if here and self._turn is None and not self._queue:
                    self._turn = mine
                else:
                    self._put(job, mine.thread)
            if self._turn is mine:
                self._commit(self._ready([job]))
        except BaseException:
            if self._turn is mine:
                self._guard.witness.doubt()
            raise
        finally:
            if self._turn is mine:
                self._turn = None
                if self._queue:
                    self._bell.put(None)
        return job.future

    def _put(self, job: Job, thread: int) -> None:
        turn = self._turn
        if turn is not None and turn.thread == thread and type(job.future) is Future:
            job.future = Afterwards(WITHIN, lambda: self._turn is turn)
        self._queue.append(job)
        if self._turn is None:  # who gives it back meanwhile looks at the queue after that
            self._bell.put(None)

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._lock:
            self._closed = True
        self._bell.put(None)
        turn = self._turn
        if turn is None or turn.thread != threading.get_ident():  # else it stops when that is over
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._takes_turn(Turn(threading.get_ident())):
                self._do(self._group())
                self._turn = None
        finally:
            self._stop()

    def _do(self, jobs: list[Job]) -> None:
        try:
            for _, run in groupby(self._ready(jobs), key=lambda each: id(each) if each.alone else 0):
                self._commit(list(run))
        finally:
            for job in jobs:
                if not job.future.done():  # something broke that is nobody's fault here; nobody may wait for ever
                    job.future.set_exception(_stopped())

    def _takes_turn(self, mine: Turn) -> bool:
        """Wait until there are jobs and nobody else writes; False when there will be none any more."""
        while True:
            with self._lock:
                busy = self._turn is not None
                if not busy and self._queue:
                    self._turn = mine
                    return True
                if not busy and self._closed:
                    return False
            with suppress(Empty):
                self._bell.get(timeout=LOOK_S if busy else None)

    def _group(self) -> list[Job]:
        """What is queued now. Cancelled jobs fall out."""
        jobs: list[Job] = []
        while self._queue and len(jobs) < GROUP:
            job = self._queue.popleft()
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
        return jobs

    def _commit(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        outcomes: list[Any] = [_stopped()] * len(jobs)
        try:
            outcomes = self._write(jobs)
        except FOREIGN as exc:
            outcomes = [translated(exc)] * len(jobs)
            self._recover(exc)
        except VaultError as exc:
            outcomes = [exc] * len(jobs)
        else:
            gone = (job.erases for job, outcome in zip(jobs, outcomes, strict=True) if not _refused(outcome))
            with suppress(*FOREIGN):  # what is committed is committed; the rest of the clean-up is tried again
                self._settle({cube_id for ids in gone for cube_id in ids})
        finally:
            for job, outcome in zip(jobs, outcomes, strict=True):
                if _refused(outcome):
                    job.future.set_exception(outcome)
                else:
                    job.future.set_result(outcome)

    def _write(self, jobs: list[Job]) -> list[Any]:
        check_there(self._file, self._place)
        if self._connection is None:
            self._connection, self._survives = self._connect(), Durability.COMMIT
        connection = self._connection
        survives = Durability.COMMIT
        if all(job.durability is Durability.PROCESS for job in jobs):
            survives = Durability.PROCESS
        if not self._settled:  # an interrupt may have left it anywhere
            self._guard.notary.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        # With NORMAL a commit in WAL mode is written but not flushed; the next FULL one flushes it along.
        if survives is not self._survives:
            self._survives = None
            connection.execute(f"PRAGMA synchronous = {'FULL' if survives is Durability.COMMIT else 'NORMAL'}")
            self._survives = survives
        if jobs[0].anew:
            with self._guard.witness.own():
                written_anew(connection)
        try:
            outcomes = self._transact(connection, jobs, _alone if jobs[0].alone else self._in_runs)
        except (MemOSError, *POISON) as exc:
            if jobs[0].alone:
                return [exc if isinstance(exc, MemOSError) else _poisoned(exc)]
            # A row that is refused is one transaction's matter: find out whose.
            outcomes = self._transact(connection, jobs, self._singly)
        if survives is Durability.COMMIT:  # as they say already
            return outcomes
        return [Receipt(each.commit, survives) if isinstance(each, Receipt) else each for each in outcomes]

    def _transact(self, connection: sqlite3.Connection, jobs: list[Job], work: Together) -> list[Any]:
        """Do jobs in one transaction, and commit it."""
        self._settled = done = False
        connection.execute("BEGIN IMMEDIATE")
        try:
            head, outcomes = work(connection, self._guard.begin(connection), jobs)
            write_head(connection, head)
            self._guard.commit(connection, head)
            done = True
        finally:
            if not done:
                self._guard.notary.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._settled = True
        return outcomes

    def _in_runs(self, connection: sqlite3.Connection, head: Head, jobs: list[Job]) -> tuple[Head, list[Any]]:
        """Jobs that only bring something new share their statements with those beside them."""
        outcomes: list[Any] = []
        for may_share, run in groupby(jobs, key=lambda job: job.new is not None):
            if may_share:
                new = [job.new for job in run if job.new is not None]
                head, more = self._guard.notary.inserted(connection, head, new)
            else:
                head, more = self._singly(connection, head, list(run))
            outcomes += more
        return head, outcomes

    def _singly(self, connection: sqlite3.Connection, head: Head, jobs: list[Job]) -> tuple[Head, list[Any]]:
        """Each job under a savepoint of its own: a refused one is undone alone."""
        outcomes: list[Any] = []
        for job in jobs:
            connection.execute("SAVEPOINT job")
            try:
                head, outcome = job.work(connection, head)
            except MemOSError as exc:
                outcome = exc
                connection.execute("ROLLBACK TO job")
            except POISON as exc:
                outcome = _poisoned(exc)
                outcome.__cause__ = exc
                connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            outcomes.append(outcome)
        return head, outcomes

    def _recover(self, exc: Exception) -> None:
        """After an I/O error the connection's view of the file cannot be trusted: the next group opens a new one."""
        if getattr(exc, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR and self._connection is not None:
            self._connection.close()
            self._connection = None

    def _settle(self, erased: set[str]) -> None:
        """Make an erase true outside the tables too: no index file and no write-ahead log that still holds it."""
        self._unsettled |= erased
        if not self._unsettled:
            return
        # New erases wait for the readers of older pages; leftovers of earlier ones only try.
        deadline = time.monotonic() + (WAL_WAIT_S if erased else 0.0)
        while not (self._drop_index_files() and self._emptied_wal()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)
        self._unsettled = set()

    def _emptied_wal(self) -> bool:
        if self._connection is None:
            return False
        (timeout,) = self._connection.execute("PRAGMA busy_timeout").fetchone()
        self._connection.execute("PRAGMA busy_timeout = 0")  # or a blocked checkpoint would hold every writer back
        try:
            with self._guard.saying_the_same(self._connection):
                (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise  # a disk that is full does not get better by waiting, as readers do
            return False
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(timeout)}")
        return not busy

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
        if self._connection is not None:
            self._connection.close()
        while self._queue:
            job = self._queue.popleft()
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(VaultClosedError("The vault was closed; open it again."))


def _alone(connection: sqlite3.Connection, head: Head, jobs: list[Job]) -> tuple[Head, list[Any]]:
    head, outcome = jobs[0].work(connection, head)
    return head, [outcome]


def _poisoned(exc: Exception) -> MemOSError:
    if isinstance(exc, sqlite3.IntegrityError):
        return translated(exc)
    return InvalidMemoryError(f"The transaction holds a value that the vault cannot store ({exc}); it was undone.")


def _stopped() -> MemOSError:
    return VaultError("The vault's writer stopped unexpectedly; what it was writing was undone. Open the vault again.")


def _refused(outcome: object) -> bool:
    return isinstance(outcome, MemOSError)
