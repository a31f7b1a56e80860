"""Places in a text that say what they hold, and the text with those places replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from memos_integrations.core.errors import InvalidMemoryError


class Marked(NamedTuple):
    """`text[start:end]` holds something of a kind: `email`, `card`, `api_key` and so on."""

    start: int
    end: int
    kind: str


Detector = Callable[[str], Iterable[Marked]]
"""Finds places in a text; it sees the text after Unicode hygiene, and must not keep it."""

VAGUE = "national_id"

Pseudonym = Callable[[str, str, str], str]
"""What stands in a text for a value: from tenant, kind and value. No detector may find anything in it."""


def word(said: str) -> Detector:
    """Finds a word, or words in a row, whatever their case, where they stand by themselves.

    Raises:
        InvalidMemoryError: There is none.
    """
    parts = [re.escape(part) for part in said.split()]
    if not parts:
        raise InvalidMemoryError("A word that is to be taken out is not blank.")
    form = re.compile(r"(?<!\w)" + r"\s+".join(parts) + r"(?!\w)", re.IGNORECASE)
    return lambda text: (Marked(found.start(), found.end(), "word") for found in form.finditer(text))


def apart(found: Iterable[Marked]) -> list[Marked]:
    """The places in order, none over another: those that overlap are one, so that nothing of either is left.

    It is of the kind of the longest; of the same place, of the first. A kind that says less than others do of the same
    place (`national_id`: some country's) gives way to them.
    """
    joined: list[Marked] = []
    best: Marked | None = None
    for each in sorted(found, key=lambda each: each.start):
        if best is None or joined[-1].end <= each.start:
            best = each
            joined.append(each)
            continue
        best = min(best, each, key=lambda of: (of.start - of.end, of.start, of.kind == VAGUE))
        joined[-1] = Marked(joined[-1].start, max(joined[-1].end, each.end), best.kind)
    return joined


def overlapping(places: Sequence[Marked], others: Iterable[Marked]) -> Iterator[tuple[Marked, Marked]]:
    """Each of the places with each of the others that stands over it, or over a part; the places in order, apart."""
    at = 0
    for other in sorted(others):
        while at < len(places) and places[at].end <= other.start:
            at += 1
        beyond = at
        while beyond < len(places) and places[beyond].start < other.end:
            yield places[beyond], other
            beyond += 1


def replaced(text: str, found: Sequence[Marked], by: Callable[[Marked], str]) -> str:
    """The text with each place (in order, none over another) replaced."""
    told: list[str] = []
    at = 0
    for each in found:
        told += [text[at : each.start], by(each)]
        at = each.end
    return "".join(told) + text[at:]
