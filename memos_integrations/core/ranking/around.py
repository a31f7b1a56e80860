"""What stands around a memory in its session: an exchange is often found by words that only its neighbour has.

"Did you go?" - "Yes, on Friday": the answer holds none of the question's words. How far that goes follows the shape of
the material, which is told by the mean number of terms of the memories searched (see `shape_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ranking.signals import Floats, bm25, idf

Numbers = npt.NDArray[np.int64]

CONTEXT_ROWS = 2_000
"""Of so many memories all are scored with their neighbours; of more, the best by their own words alone."""

SHORT, LONG = 25.0, 75.0
"""Mean terms of a memory: up to the first a message says one thing, beyond the second it is a text of its own."""

BY_CHANCE, UNEVEN = 0.8, 1.0
"""Spread of the lengths (standard deviation over mean): messages of one kind stay below the first; from the second on
there are remarks and whole pages side by side."""

BEFORE, AFTER = 0.4, 0.2
"""What a term of the message before, and of the one after, counts beside one of the message itself."""

NAME_ONE_IN = 4
"""A word that one in so many memories holds (the name of who speaks) does not tell which of them is meant."""

BEST_OF_SESSION = 3


@dataclass(frozen=True, slots=True)
class Shape:
    """How to read memories of this length: BM25's `b`, and how much neighbours count (0..1)."""

    b: float
    near: float


def shape_of(average: float, uneven: float = 0.0) -> Shape:
    """The shape of memories of *average* terms, whose lengths are so *uneven* (see `unevenness`).

    Short messages differ in length by chance (b 0.4), long ones by how much they tell, so that length must be paid for
    (b 1); so it must where pages stand beside remarks. The neighbours of a long message dilute it.
    """
    length = min(1.0, max(0.0, (average - SHORT) / (LONG - SHORT)))
    return Shape(b=0.4 + 0.6 * max(length, uneven), near=1.0 - length)


def unevenness(lengths: Floats) -> float:
    """How far the lengths differ by more than chance, 0..1."""
    mean = float(lengths.mean()) if lengths.size else 0.0
    spread = float(lengths.std()) / mean if mean > 0.0 else 0.0
    return min(1.0, max(0.0, (spread - BY_CHANCE) / (UNEVEN - BY_CHANCE)))


def neighbours(sessions: Numbers) -> tuple[Numbers, Numbers]:
    """The places of the memory before and the one after in the same session, -1 where there is none.

    *sessions* has one number per memory, in the order in which they were written; 0 is no session.
    """
    count = sessions.size
    before = np.full(count, -1, dtype=np.int64)
    joined = np.flatnonzero((sessions[1:] == sessions[:-1]) & (sessions[1:] != 0))
    before[joined + 1] = joined
    after = np.full(count, -1, dtype=np.int64)
    after[joined] = joined + 1
    return before, after


def _at(values: Floats, places: Numbers) -> Floats:
    found: Floats = np.where(places >= 0, values[np.maximum(places, 0)], 0.0)
    return found


def around(
    tf: Sequence[Floats], matching: Sequence[int], lengths: Floats, sessions: Numbers, *, documents: int, average: float
) -> Mapping[str, Floats]:
    """Scores per memory: `words`, `context`, `earlier` and `session`.

    `words` is BM25 in the material's shape, `context` the same over a message and its neighbours, `earlier` what the
    message two before scores by itself, `session` the mean of the session's best three by `context`.

    `tf` holds per query term how often each memory has it, `matching` in how many of all *documents* it is; *average*
    is their mean length. A term that is in more than a quarter of many documents is passed over in `context`, unless
    all are.
    """
    shape = shape_of(average, unevenness(lengths))
    before, after = neighbours(sessions)
    both = lengths + shape.near * (BEFORE * _at(lengths, before) + AFTER * _at(lengths, after))
    widened = float(both.mean()) if both.size else 1.0
    told = [df * NAME_ONE_IN <= documents for df in matching]
    if documents < 4 * NAME_ONE_IN or not any(told):
        told = [True] * len(matching)
    words, own, context = np.zeros(lengths.size), np.zeros(lengths.size), np.zeros(lengths.size)
    for held, df, tells in zip(tf, matching, told, strict=True):
        weight = idf(documents, df)
        share = _shares(held, lengths, weight, average, shape.b)
        words += share
        if tells:
            own += share
            wide = held + shape.near * (BEFORE * _at(held, before) + AFTER * _at(held, after))
            context += _shares(wide, both, weight, widened, shape.b)
    earlier = _at(_at(own, before), before) * shape.near
    return {"words": words, "context": context, "earlier": earlier, "session": best_of_sessions(context, sessions)}


def _shares(tf: Floats, lengths: Floats, weight: float, average: float, b: float) -> Floats:
    return np.where(tf > 0.0, bm25(tf, lengths, weight=weight, average=average, b=b), 0.0)


def best_of_sessions(scores: Floats, sessions: Numbers) -> Floats:
    """Per memory, the mean of its session's best three; nothing without a session (0)."""
    order = np.lexsort((-scores, sessions))
    grouped = sessions[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=grouped[:1] - 1))
    sizes = np.diff(np.append(starts, grouped.size))
    rank = np.arange(grouped.size) - np.repeat(starts, sizes)
    best = np.where((rank < BEST_OF_SESSION) & (grouped != 0), scores[order], 0.0)
    if not starts.size:
        return scores
    means = np.add.reduceat(best, starts) / np.minimum(sizes, BEST_OF_SESSION)
    found = np.empty_like(scores)
    found[order] = np.repeat(means, sizes)
    return found


def likeness_in_sessions(scores: Floats, sessions: Numbers) -> float:
    """How alike the scores of one session are: the intraclass correlation (Fisher 1925, one way), at most 1.

    0 is what chance gives, less says that whatever a session holds, what fits stands alone in it. *sessions* has one
    number per memory, 0 for none. 0 too where there are fewer than two sessions, or none has two memories.
    """
    inside = sessions != 0
    told = scores[inside]
    _, place, sizes = np.unique(sessions[inside], return_inverse=True, return_counts=True)
    count, groups = told.size, sizes.size
    if groups < 2 or count == groups:
        return 0.0
    means = np.bincount(place, told) / sizes
    between = float((sizes * (means - told.mean()) ** 2).sum()) / (groups - 1)
    within = float(((told - means[place]) ** 2).sum()) / (count - groups)
    size = (count - float((sizes**2).sum()) / count) / (groups - 1)
    both = between + (size - 1.0) * within
    return (between - within) / both if both > 0.0 else 0.0
