"""Single signals: BM25, closeness in time, and their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

K1 = 0.9
B = 0.75

MANY = 1_000
"""Among fewer documents every word counts."""

COMMON_ONE_IN = 10
"""A word that more than one in so many documents hold is common."""

MOST_TERMS = 12
"""Of more words than these, the rarest count."""


def idf(documents: int, matching: int) -> float:
    """How much a term tells when *matching* of *documents* hold it (BM25 in Lucene's form, never negative)."""
    return math.log(1.0 + (documents - matching + 0.5) / (matching + 0.5))


def telling(matching: Sequence[int], documents: int) -> list[int]:
    """The places of the words that a search by words follows, when *matching* of *documents* hold each.

    All of them among few documents. Among many (`MANY`) common words are passed over where two rarer ones remain, and
    of more than `MOST_TERMS` the rarest are taken: their share of a score is the largest, and their postings short.
    """
    places = list(range(len(matching)))
    if documents < MANY:
        return places
    rare = [place for place in places if 0 < matching[place] * COMMON_ONE_IN <= documents]
    kept = rare if len(rare) >= 2 else [place for place in places if matching[place]]
    return sorted(sorted(kept, key=lambda place: (matching[place], place))[:MOST_TERMS])


def bm25(tf: Floats, lengths: Floats, *, weight: float, average: float, b: float = B) -> Floats:
    """One term's share of BM25 for the documents that hold it (Robertson and Zaragoza 2009, k1 0.9).

    `tf` is how often each document holds the term, `lengths` their lengths in terms, `weight` the term's `idf`,
    `average` the mean length of all documents searched, `b` how far a long one is held back.
    """
    held_back = K1 * (1.0 - b + b * lengths / max(average, 1e-9))
    scores: Floats = weight * tf / np.maximum(tf + held_back, 1e-9)  # none without words, at b 1
    return scores


def scaled(scores: Sequence[float | None]) -> list[float]:
    """Scores stretched to 0..1 over the candidates; None and a range of nothing give 0 (or 1 for a lone positive)."""
    known = [score for score in scores if score is not None]
    if not known:
        return [0.0] * len(scores)
    low, high = min(0.0, *known), max(known)
    span = high - low
    return [0.0 if score is None or span <= 0 else (score - low) / span for score in scores]


def closeness(moment: datetime, window: tuple[datetime, datetime], *, scale_days: float = 4.0) -> float:
    """1 within the window, falling by e for every `scale_days` outside it."""
    start, end = window
    gap = max((start - moment).total_seconds(), (moment - end).total_seconds(), 0.0)
    return math.exp(-gap / (scale_days * 86_400.0))


def fuse(parts: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> list[float]:
    """The weighted sum of signals per candidate; a signal without a weight counts nothing."""
    columns = [(weights.get(name, 0.0), list(values)) for name, values in parts.items()]
    length = len(columns[0][1]) if columns else 0
    return [sum(weight * values[row] for weight, values in columns) for row in range(length)]
