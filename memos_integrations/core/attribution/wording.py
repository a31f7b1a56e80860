"""How much of a memory's wording stands in a text (Broder 1997, containment of word shingles). Pure.

Case, punctuation, white space and compatibility forms do not count. Paraphrase, translation, other orders of the words
and edits of more than about a third of them defeat it. Memories of fewer than six words are too short to tell, and
those made from one pattern, which share most of their words, are taken for each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise

from pydantic import Field

from memos_integrations.core.cube import Label, MemCube, Text, Value

FEWEST_WORDS = 6
"""Shorter memories say what many people say in the same words."""

FEWEST_SHARED = 4
THRESHOLD = 0.4
"""This share of a memory's pairs of neighbouring words has to stand in a text. Measured: `make bench-attribution`."""

WINDOW = 40
MOST_WINDOWS = 64

_WORD = re.compile(r"\w+")


class Source(Value):
    """A memory whose wording stands in a text: `share` of its pairs of words (0 to 1), `shared` in number."""

    cube: MemCube
    share: float = Field(ge=0.0, le=1.0)
    shared: int = Field(ge=0)


class Attributed(Value):
    """What a text was attributed to, best first. Empty says that nothing was found, not that nothing is there."""

    sources: tuple[Source, ...] = ()
    words: int = Field(ge=0)
    note: Text = ""
    by: Label


def words_of(text: str) -> list[str]:
    """The words of a text without regard to case, marks, compatibility forms and characters of no width."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(each for each in plain if unicodedata.category(each) not in {"Cf", "Mn"}))


def shingles(words: list[str]) -> frozenset[int]:
    """The pairs of neighbouring words, as 64-bit numbers."""
    pairs = (f"{first} {second}" for first, second in pairwise(words))
    return frozenset(int.from_bytes(blake2b(pair.encode(), digest_size=8).digest()) for pair in pairs)


def containment(mine: Collection[int], there: Collection[int], among: Mapping[int, int]) -> tuple[float, int]:
    """Which share of a memory's pairs of words stands *there*, and how many of them.

    A pair that stands in n of the memories looked at (*among*) counts for one n-th: turns of phrase tell little.
    """
    shared = [pair for pair in mine if pair in there]
    whole = sum(1 / among[pair] for pair in mine)
    return (min(1.0, sum(1 / among[pair] for pair in shared) / whole) if shared else 0.0), len(shared)


def is_source(share: float, shared: int) -> bool:
    """Whether so much is more than chance."""
    return share >= THRESHOLD and shared >= FEWEST_SHARED


def windows(words: list[str]) -> Iterator[str]:
    """Pieces of a text to look for: overlapping, at most `MOST_WINDOWS` of them, spread over a longer text."""
    starts = range(0, max(1, len(words)), WINDOW // 2)
    step = max(1, -(-len(starts) // MOST_WINDOWS))
    for start in starts[::step]:
        yield " ".join(words[start : start + WINDOW * step])
