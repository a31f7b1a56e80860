"""LoCoMo's F1 for answers (Maharana et al. 2024): words without articles and punctuation, stemmed after Porter.

Category 1 (several pieces of evidence) is scored piece by piece between the commas; of a category-3 answer what stands
before the semicolon counts. NLTK's stemmer needs no download.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from functools import lru_cache

from nltk.stem import PorterStemmer

_PORTER = PorterStemmer()
_DROPPED = re.compile(r"\b(?:a|an|the|and)\b")
MULTI_HOP, OPEN_DOMAIN = 1, 3


@lru_cache(maxsize=1 << 15)
def _stem(word: str) -> str:
    stem: str = _PORTER.stem(word)
    return stem


def words(text: str) -> list[str]:
    """The stems that are compared."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return [_stem(word) for word in _DROPPED.sub(" ", plain).split()]


def f1(said: str, gold: str) -> float:
    """F1 of the words, 0..1."""
    ours, theirs = words(said), words(gold)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def score(said: str, gold: object, category: int) -> float:
    """The official score of one answer, 0..1."""
    wanted = str(gold)
    if category == OPEN_DOMAIN:
        wanted = wanted.split(";", maxsplit=1)[0].strip()
    if category != MULTI_HOP:
        return f1(said, wanted)
    pieces = [piece.strip() for piece in wanted.split(",")]
    ours = [piece.strip() for piece in said.split(",")]
    return sum(max(f1(one, piece) for one in ours) for piece in pieces) / len(pieces)
