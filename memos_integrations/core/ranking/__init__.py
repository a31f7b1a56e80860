"""Ranking: the retrieval signals and how they become one order. Pure.

Every statistic is taken over the cubes that the asker may see, so that no score tells of others' memories.
"""

from __future__ import annotations

from memos_integrations.core.ranking.around import (
    CONTEXT_ROWS,
    Numbers,
    Shape,
    around,
    best_of_sessions,
    likeness_in_sessions,
    neighbours,
    shape_of,
    unevenness,
)
from memos_integrations.core.ranking.late import TokenRows, late_interaction, packed_rows, strangeness, unread
from memos_integrations.core.ranking.signals import (
    COMMON_ONE_IN,
    MANY,
    MOST_TERMS,
    B,
    Floats,
    bm25,
    closeness,
    fuse,
    idf,
    scaled,
    telling,
)

__all__ = [
    "COMMON_ONE_IN",
    "CONTEXT_ROWS",
    "MANY",
    "MOST_TERMS",
    "B",
    "Floats",
    "Numbers",
    "Shape",
    "TokenRows",
    "around",
    "best_of_sessions",
    "bm25",
    "closeness",
    "fuse",
    "idf",
    "late_interaction",
    "likeness_in_sessions",
    "neighbours",
    "packed_rows",
    "scaled",
    "shape_of",
    "strangeness",
    "telling",
    "unevenness",
    "unread",
]
