"""What was handed to whom a moment ago: to look at it again is no new use of a licence. Of this process only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import MemCube

AGAIN = timedelta(minutes=10)
"""For so long what a use was paid for may be looked at again: a prompt is put together after its recall."""

MOST_KEPT = 8192


class Handed:
    """Versions whose licence was used up by one, and for whom. Thread-safe."""

    def __init__(self) -> None:
        self._at: OrderedDict[tuple[str, str, str, int], datetime] = OrderedDict()
        self._lock = Lock()

    def note(self, cube: MemCube, caller: Caller) -> None:
        """That a use was counted just now."""
        with self._lock:
            self._at[_key(cube, caller)] = caller.now
            self._at.move_to_end(_key(cube, caller))
            if len(self._at) > MOST_KEPT:
                self._at.popitem(last=False)

    def lately(self, cube: MemCube, caller: Caller) -> bool:
        """Whether this very version was handed to the caller within `AGAIN`."""
        at = self._at.get(_key(cube, caller))
        return at is not None and abs(caller.now - at) <= AGAIN

    def again(self, cube: MemCube, caller: Caller, use_up: Callable[..., bool]) -> bool:
        """Whether the caller may have the words: given them lately, or by another use."""
        return self.lately(cube, caller) or use_up(cube, caller, operation="read")


def _key(cube: MemCube, caller: Caller) -> tuple[str, str, str, int]:
    return caller.by.tenant, caller.by.subject, cube.id, cube.version
