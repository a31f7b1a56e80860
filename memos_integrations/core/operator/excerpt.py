"""A long memory in part: its head, and what is around a word asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def excerpt(line: str, terms: Sequence[str], length: int) -> str:
    """At most about *length* characters of a rendered memory: its head (date, speaker) and what is around a term."""
    if len(line) <= length:
        return line
    folded = line.casefold()
    places = [place for term in terms if (place := folded.find(term, min(40, len(line)))) >= 0]
    start = max(0, min(places, default=0) - length // 4)
    return f"{line[:40]} […] {line[start : start + length]} […]" if start > 40 else f"{line[:length]} […]"
