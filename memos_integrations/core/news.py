"""Waking whoever waits for something to be written in this process."""

from __future__ import annotations

from threading import Condition


class News:
    """Counts what was written; who waits is woken by the next. Thread-safe."""

    def __init__(self) -> None:
        self._happened = Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How often something was written so far."""
        with self._happened:
            return self._count

    def ring(self, _: object = None) -> None:
        """Something was written; short enough for a vault's writer thread."""
        with self._happened:
            self._count += 1
            self._happened.notify_all()

    def wait(self, seen: int, seconds: float) -> bool:
        """Whether something was written after the first *seen*, within *seconds*."""
        with self._happened:
            return self._happened.wait_for(lambda: self._count != seen, seconds)
