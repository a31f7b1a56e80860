"""Whose turn it is to write, whether a thread may take it itself, and who cannot wait for what comes after it."""

from __future__ import annotations

import signal
from _signal import getsignal  # type: ignore[import-not-found]  # `signal`'s own takes fifteen times as long
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import get_ident, main_thread
from typing import Any

from memos_integrations.core.errors import VaultError

WITHIN = "This was called in the middle of another write of the same thread: wait for it when that is over."

_HARMLESS = (int(signal.SIG_DFL), int(signal.SIG_IGN), signal.default_int_handler, None)  # plain: compared 62 times
_SIGNALS = sorted(map(int, signal.valid_signals()))


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One time that a thread writes."""

    thread: int


def undisturbed(thread: int) -> bool:
    """Whether no handler of a signal can run in the middle of what a thread does, and wait there for another write.

    They run in the main thread. An interrupt (Ctrl-C) may come: it breaks off what is under way.
    """
    return thread != main_thread().ident or all(getsignal(each) in _HARMLESS for each in _SIGNALS)


class Afterwards(Future[Any]):
    """What a thread queued in the middle of a write that only it can end: true after that.

    While *still* says that the write is not over, the thread itself is refused by `result`, with *reason*.
    """

    def __init__(self, reason: str, still: Callable[[], bool]) -> None:
        super().__init__()
        self._maker, self._reason, self._still = get_ident(), reason, still

    def result(self, timeout: float | None = None) -> Any:
        """The receipt.

        Raises:
            VaultError: It is waited for before the write that it comes after is over.
        """
        if timeout is None and get_ident() == self._maker and not self.done() and self._still():
            raise VaultError(self._reason)
        return super().result(timeout)
