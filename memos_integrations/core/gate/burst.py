"""How much one source brings at once: a memory that is written very often, or by very many, is being written for it."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from threading import Lock

MOST_SOURCES = 4096

Source = tuple[str, ...]


class Bursts:
    """Counts what each source did lately, in this process. Thread-safe.

    *most* memories *within* this time are no burst; *ruling* is what is done with one, None: nobody counts. The clock
    is the caller's: one that jumps back counts as standing.
    """

    def __init__(self, name: str, does: str, ruling: str | None, most: int, within: timedelta) -> None:
        self.name, self.does, self.ruling = name, does, ruling
        self.most, self.within = most, within
        self._brought: OrderedDict[Source, deque[datetime]] = OrderedDict()
        self._lock = Lock()

    def is_burst(self, source: Source, now: datetime) -> bool:
        """Whether one more now would not be the first of a burst."""
        with self._lock:
            times = self._brought.get(source)
            return times is not None and len(times) > self.most and now - times[0] <= self.within

    def count(self, source: Source, now: datetime) -> int:
        """How many, with this one, came within the time: more than `most` is a burst."""
        with self._lock:
            times = self._brought.setdefault(source, deque(maxlen=self.most + 1))
            self._brought.move_to_end(source)
            if len(self._brought) > MOST_SOURCES:
                self._brought.popitem(last=False)
            times.append(max(now, times[-1]) if times else now)
            while times[-1] - times[0] > self.within:
                times.popleft()
            return len(times)
