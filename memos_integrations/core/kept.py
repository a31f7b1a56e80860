"""What a pure function gave, kept at hand: a dictionary that makes what it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Asked = TypeVar("_Asked")
_Made = TypeVar("_Made")


class Kept(dict[_Asked, _Made]):
    """`kept[x]` is `make(x)`, computed at most once as long as it is kept; *most* of them are.

    What nobody asked for while half of *most* others came in is let go of: so numbers and names that stand once in a
    text push out no word that stands in many.

    `map(kept.__getitem__, many)` costs a third of what `functools.lru_cache` does: nothing is put in order when
    something is found, and no Python runs. Only for functions whose answers never change and may be shared. Safe to
    use from many threads: at worst two of them compute the same.
    """

    __slots__ = ("_before", "_half", "_make")

    def __init__(self, make: Callable[[_Asked], _Made], most: int) -> None:
        super().__init__()
        self._make, self._half = make, max(1, most // 2)
        self._before: dict[_Asked, _Made] = {}

    def __missing__(self, asked: _Asked) -> _Made:
        """Make it, or take it from among those before, and keep it."""
        before = self._before
        made = before[asked] if asked in before else self._make(asked)
        if len(self) >= self._half:
            self._before = dict(self)
            self.clear()
        self[asked] = made
        return made
