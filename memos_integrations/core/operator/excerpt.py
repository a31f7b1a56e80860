"""A long memory in part: its head, and what is around the words asked for. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from memos_integrations.core.text.words import fold

CHARACTERS_PER_TOKEN = 3
"""How many characters a token has at least, in most texts: a memory longer than half the budget is shown in part."""

HEAD = 40
"""So many characters hold the date and the speaker."""

MOST_PLACES = 200
"""So many places of one word are looked at."""


def excerpt(line: str, terms: Sequence[str], length: int, marks: str = "") -> str:
    """At most about *length* characters of a rendered memory: its head (date, speaker) and what tells most of it.

    *marks* are what it ends with that says how far it is to be relied on: they stand behind any part of it.

    That is the stretch with the most of *terms* in it. A word that stands there again and again tells less of where to
    look than one that stands there once.
    """
    if len(line) <= length:
        return line
    words = line.removesuffix(marks)
    start = max(0, _densest(words, terms, 3 * length // 4) - length // 4)
    part = f"{words[:HEAD]} […] {words[start : start + length]} […]" if start > HEAD else f"{words[:length]} […]"
    return part + marks


def _densest(line: str, terms: Sequence[str], width: int) -> int:
    """Where the first of the *width* characters stands that hold the most of the terms; 0 where none stands."""
    folded = line.lower() if line.isascii() else "".join((fold(letter) or " ")[0] for letter in line)
    found = sorted(
        (match.start(), number)
        for number, term in enumerate(terms)
        for match in islice(_beginning_with(term).finditer(folded, min(HEAD, len(line))), MOST_PLACES)
    )
    often, inside = Counter(number for _, number in found), Counter[int]()
    best, start, first, stop = 0.0, 0, 0, 0
    for place, number in found:
        while stop < len(found) and found[stop][0] < place + width:
            inside[found[stop][1]] += 1
            stop += 1
        told = sum(1.0 / often[each] for each, there in inside.items() if there)
        if told > best:
            best, start, first = told, place, place
        elif told == best and place < first + width:
            start = place  # as many of them, and more of what follows
        inside[number] -= 1
    return start


def _beginning_with(term: str) -> re.Pattern[str]:
    """Words with this stem; of other scripts, in which words are not always apart, the stem wherever it stands."""
    if not term.isascii():
        return re.compile(re.escape(term))
    stem = term[:-1] if len(term) > 3 and term[-1] in "ei" else term
    return re.compile(rf"(?<![a-z0-9]){re.escape(stem)}")
