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

    Several may overlap, in whatever threads: what they made counts together, and the last to end sets it back, so that
    where one always follows on another it is still searched. Who has no automatic search keeps none.
    """

    _lock = Lock()
    _open = _made = _searched = 0
    _was_on = False

    def __enter__(self) -> Self:
        with Unswept._lock:
            if not Unswept._open:
                Unswept._was_on = gc.isenabled()
                Unswept._made = Unswept._searched = 0
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
        with Unswept._lock:
            Unswept._made += count
            if not Unswept._was_on or Unswept._made < (Unswept._searched + 1) * EVERY:
                return
            Unswept._searched = searched = Unswept._made // EVERY
        gc.collect(1 if searched % 8 else 2)
