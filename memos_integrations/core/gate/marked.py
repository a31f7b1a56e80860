"""Places in a text that say what they hold, and the text with those places replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


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


def apart(found: Iterable[Marked]) -> list[Marked]:
    """The places in order, none over another: of two that overlap, the longer stays; of the same place, the first.

    A kind that says less than others do of the same place (`national_id`: some country's) gives way to them.
    """
    kept: list[Marked] = []
    for each in sorted(found, key=lambda each: (each.start - each.end, each.start, each.kind == VAGUE)):
        if all(each.end <= other.start or other.end <= each.start for other in kept):
            kept.append(each)
    return sorted(kept)


def replaced(text: str, found: Sequence[Marked], by: Callable[[Marked], str]) -> str:
    """The text with each place (in order, none over another) replaced."""
    told: list[str] = []
    at = 0
    for each in found:
        told += [text[at : each.start], by(each)]
        at = each.end
    return "".join(told) + text[at:]
