"""Bounds around the engine for callers that must go on without it: a limit of time, a fence, and what is owed."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from memos_integrations.core.errors import (
    AccessDeniedError,
    IdentityError,
    InvalidMemoryError,
    MemOSError,
    TooSlowError,
)

T = TypeVar("T")
Policy = Literal["open", "closed"]

MOST_LEFT_BEHIND = 8
"""How many calls may still run after their time was up, before new ones are refused at once."""

MOST_OWED = 1_000
MOST_TRIES = 3
"""How often an owed write may fail while others succeed, before it is given up."""

MOST_IDLE = 4

NEVER_TOLERATED = (IdentityError, AccessDeniedError, InvalidMemoryError)
"""Not faults of the engine: who asks, what they may, and what they wrote do not get better by going on."""

log = logging.getLogger("memos_integrations")


class TimeBox:
    """Calls with a limit: after *seconds* the caller goes on, whether the call has ended or not. None: no limit.

    A call that is left behind ends in a daemon thread, so that it holds up neither the caller nor the end of the
    program. When `MOST_LEFT_BEHIND` of them are still running, the engine is taken to hang.
    """

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None and not seconds > 0:
            raise InvalidMemoryError(f"A limit is a number of seconds above 0, or None, not {seconds!r}.")
        self._seconds = seconds
        self._left: list[Future[object]] = []
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T]) -> T:
        """What *call* returns or raises.

        Raises:
            TooSlowError: It took too long, or earlier calls still hang.
        """
        if self._seconds is None:
            return call()
        future = self._start(call)
        try:
            return future.result(self._seconds)
        except TimeoutError as exc:
            raise self._too_slow(future, exc) from exc

    async def arun(self, call: Callable[[], T]) -> T:
        """`run`, without blocking the event loop."""
        future = self._start(call)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._seconds)
        except TimeoutError as exc:
            raise self._too_slow(future, exc) from exc

    def _start(self, call: Callable[[], T]) -> Future[T]:
        with self._lock:
            self._left = [future for future in self._left if not future.done()]
            if len(self._left) >= MOST_LEFT_BEHIND:
                raise TooSlowError(f"{len(self._left)} earlier calls to memory still hang; this one was not made.")
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def work() -> None:
            with _Into(future):
                future.set_result(context.run(call))

        _workers.do(work)
        return future

    def _too_slow(self, future: Future[T], exc: TimeoutError) -> BaseException:
        if future.done():
            return future.exception() or exc  # the call's own TimeoutError, not ours
        with self._lock:
            self._left.append(future)  # type: ignore[arg-type]
        return TooSlowError(f"Memory did not answer within {self._seconds} s; give it longer, or look at the vault.")


class _Workers:
    """Daemon threads that stay for the next call: a vault opens a connection for every thread that is new to it."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def do(self, job: Callable[[], None]) -> None:
        """Run the job soon; it must not raise."""
        with self._lock:
            found = self._idle > 0
            self._idle -= found
        self._jobs.put(job)
        if not found:
            threading.Thread(target=self._work, name="memos-timebox", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                if self._idle >= MOST_IDLE:
                    return
                self._idle += 1


_workers = _Workers()


def _forked() -> None:
    """A forked child has none of the threads."""
    global _workers  # noqa: PLW0603 - the pool is the process's own
    _workers = _Workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class _Into(Generic[T]):
    """Brings what is raised within to the one who waits for the future."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if exc is not None:
            self._future.set_exception(exc)
        return True


class Owed:
    """Writes that failed, in their order, to be made up for before the next one. They must be safe to repeat.

    In this process only: what must outlive it has to raise where it fails. The oldest go when there are too many. One
    that fails while later ones succeed stands in nobody's way: after `MOST_TRIES` it is given up.
    """

    def __init__(self, most: int = MOST_OWED) -> None:
        self._writes: deque[Callable[[], object]] = deque(maxlen=most)
        self._tries = Counter[Callable[[], object]]()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, write: Callable[[], object]) -> None:
        """Owe a write."""
        with self._lock:
            self._writes.append(write)

    def settle(self, write: Callable[[], T]) -> T:
        """Make up for what is owed, then *write*; what fails is owed, and raises."""
        while (owed := self._next()) is not None:
            try:
                with Fence("open", "a write that was owed") as owing:
                    owed()
            except NEVER_TOLERATED as exc:  # it would fail for ever, and stand in the way of the others
                log.warning("A write that was owed is given up: %s: %s", type(exc).__name__, exc)
            except BaseException:
                with self._lock:
                    self._writes.appendleft(owed)
                self.add(write)
                raise
            if owing.fault is not None:
                return self._before(owed, write)
        return self._made(write)

    def _made(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except NEVER_TOLERATED:
            raise
        except BaseException:
            self.add(write)
            raise

    def _before(self, owed: Callable[[], object], write: Callable[[], T]) -> T:
        """*write*, before one that failed again: it tells whether the engine is at fault, or that one."""
        with self._lock:
            self._writes.appendleft(owed)
        written = self._made(write)
        with self._lock:
            self._tries[owed] += 1
            if self._tries[owed] >= MOST_TRIES and owed in self._writes:
                self._writes.remove(owed)
                log.warning("A write that was owed is given up: others succeed where it fails.")
            if owed not in self._writes:
                del self._tries[owed]
        return written

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            return self._writes.popleft() if self._writes else None


class Fence:
    """Ends a fault of the engine here when the policy is `open`: logged, kept as `fault`, and the caller goes on.

    With `closed` everything passes, and with either what is no fault of the engine (see `NEVER_TOLERATED`).
    """

    def __init__(self, policy: Policy, during: str) -> None:
        self._policy, self._during = policy, during
        self.fault: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._policy == "closed" or not isinstance(exc, Exception) or isinstance(exc, NEVER_TOLERATED):
            return False
        self.fault = exc
        said = exc if isinstance(exc, MemOSError) else "see its own log"  # foreign words may quote what is private
        log.warning("Memory failed during %s; going on without it: %s: %s", self._during, type(exc).__name__, said)
        return True
