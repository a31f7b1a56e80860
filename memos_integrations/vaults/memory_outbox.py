"""The outbox of an in-memory vault."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from memos_integrations.core.events import MemEvent


class Outbox(ABC):
    """Events in the order in which they became true, numbered from 1."""

    _lock: AbstractContextManager[Any]
    _outbox: list[MemEvent]

    @abstractmethod
    def _check_open(self) -> None: ...

    def events(self, after: int, limit: int = 100) -> list[tuple[int, MemEvent]]:
        """Outbox events with a number above *after*, oldest first, each with its number."""
        with self._lock:
            self._check_open()
            first = max(0, after)
            return list(enumerate(self._outbox[first : first + max(0, limit)], start=first + 1))

    def last_event(self) -> int:
        """The number of the newest outbox event; 0 when there is none."""
        with self._lock:
            self._check_open()
            return len(self._outbox)
