"""The interpreter's search for cycles, put off while very many values are made of which none is part of one.

A value is dropped when nobody holds it any more. What the search finds beyond that are objects that hold each other,
and memories on their way into a vault never do; but each pass looks at all of them again.
"""

from __future__ import annotations

import gc
from threading import Lock
from types import TracebackType
from typing import Self

EVERY = 8_192
"""After so many values the young are searched, whoever else made them; every eighth time everything is."""


class Unswept:
    """`with Unswept() as sweeping`: no search but those of `made`, in the whole process; as it was before, afterwards.

    Several may overlap, in whatever threads: the last to end sets it back. Who has no automatic search keeps none.
    """

    _lock = Lock()
    _open = 0
    _was_on = False

    def __init__(self) -> None:
        self._made = self._searched = 0

    def __enter__(self) -> Self:
        with Unswept._lock:
            if not Unswept._open:
                Unswept._was_on = gc.isenabled()
                gc.disable()
            Unswept._open += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Unswept._lock:
            Unswept._open -= 1
            if not Unswept._open and Unswept._was_on:
                gc.enable()

    def made(self, count: int) -> None:
        """So many more values were made: search when it is time."""
        self._made += count
        if Unswept._was_on and self._made >= (self._searched + 1) * EVERY:
            self._searched = self._made // EVERY
            gc.collect(1 if self._searched % 8 else 2)
