"""Words that follow one another in a sentence, found in time that grows with the text and not with its repetitions."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BREAK = re.compile(r"[.!?\n。\uff01\uff1f]")


class Chain:
    """Patterns of which each stands within so many characters after the one before, in one sentence.

    What `first.{0,a}second.{0,b}third` finds, too, but in time that is a product of all of them where a text repeats
    their words: a megabyte of one phrase would take a minute.
    """

    def __init__(self, parts: Sequence[str], gaps: Sequence[int]) -> None:
        self._parts = [re.compile(part, re.IGNORECASE) for part in parts]
        self._gaps = tuple(gaps)

    def search(self, text: str) -> bool | None:
        """Whether the text holds such a row; None where it does not, as a pattern says it."""
        first, *others = self._parts
        ends = [found.end() for found in first.finditer(text)]
        for part, gap in zip(others, self._gaps, strict=True):
            if not ends:
                return None
            ends = _reached(text, ends, part, gap)
        return True if ends else None


def _reached(text: str, ends: Sequence[int], part: re.Pattern[str], gap: int) -> list[int]:
    """Where those matches of a pattern end that begin close enough behind one of *ends*, without a stop between."""
    reached: list[int] = []
    at = 0
    for found in part.finditer(text, ends[0]):
        while at + 1 < len(ends) and ends[at + 1] <= found.start():
            at += 1
        if found.start() - ends[at] <= gap and _BREAK.search(text, ends[at], found.start()) is None:
            reached.append(found.end())
    return reached
