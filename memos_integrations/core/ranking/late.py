"""Late interaction: every token of the question looks for the token of a memory that is nearest to it.

Khattab and Zaharia 2020 (arXiv:2004.12832). A question's rare words weigh more, as in BM25. A long memory is looked at
in windows, of which the best counts: over the whole of it every question finds something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ranking.signals import Floats, idf

Packed = npt.NDArray[np.int8]
TokenIds = npt.NDArray[np.int64]
TokenRows = tuple[Packed, TokenIds]
"""One memory's unit token vectors in steps of 1/127, shape `(tokens, dim)`, and the ids of the tokens."""

WINDOW = 192
STEP = 96


def packed_rows(rows: npt.NDArray[np.float32], ids: TokenIds) -> TokenRows:
    """Token vectors in a quarter of the space; the error of a cosine is below 0.01."""
    return np.round(np.clip(rows, -1.0, 1.0) * 127.0).astype(np.int8), ids


def late_interaction(asked: npt.NDArray[np.float32], ids: TokenIds, memories: Sequence[TokenRows]) -> Floats:
    """Per memory, the mean over the question's tokens of their nearest token's cosine, weighted by `idf`.

    The document frequency is taken over *memories*. A memory without tokens scores 0.
    """
    scores = np.zeros(len(memories))
    there = [place for place, (rows, _) in enumerate(memories) if len(rows)]
    if not there or not len(ids):
        return scores
    df = Counter(token for place in there for token in set(memories[place][1].tolist()))
    weights = np.array([idf(len(there), df[token]) for token in ids.tolist()])
    weights /= weights.sum()
    cosines = np.concatenate([memories[place][0] for place in there]).astype(np.float32) @ (asked.T / np.float32(127))
    start = 0
    for place in there:
        stop = start + len(memories[place][0])
        begins = range(start, max(start + 1, stop - WINDOW + STEP), STEP)
        nearest = np.stack([cosines[at : min(at + WINDOW, stop)].max(axis=0) for at in begins])
        scores[place] = float((nearest @ weights).max())
        start = stop
    return scores
