"""Late interaction: every token of the question looks for the token of a memory that is nearest to it.

Khattab and Zaharia 2020 (arXiv:2004.12832). A question's rare words weigh more, as in BM25. A long memory is looked at
in windows, of which the best counts: over the whole of it every question finds something.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from memos_integrations.core.ranking.signals import Floats, idf

Packed = npt.NDArray[np.int8]
TokenIds = npt.NDArray[np.int64]
TokenRows = tuple[Packed, TokenIds]
"""One memory's unit token vectors in steps of 1/127, shape `(tokens, dim)`, and the ids of the tokens."""

BEFORE = 0.9
"""What a token of the message before counts beside one of the message itself."""

WINDOW = 192
STEP = 96

LEARNED, STRANGE = 1.3, 1.7
"""Tokens per word or sign: of a language that an embedder has learnt, and of one that it has to spell."""

WHOLE = 100
"""A text of so many words and signs stands whole before every embedder; of longer ones the end may be cut."""

READ, UNREAD = 0.2, 0.5
"""Share of one and the same token: no word of a language that an embedder reads stands so often; from the second on
most of what was said is the token for whatever it has no token for."""

ENOUGH_TOKENS = 64
"""Of fewer tokens a share says nothing."""

TOGETHER = 8
"""A question's tokens are filled up with nothing to a multiple of so many: a product takes that many columns in one go,
and 13 columns longer than 16. To fill up to sixteen where eight do makes it 1.6 times as long."""

TOKENS_AT_ONCE = 1_024
"""So many are unpacked at a time: 1.5 MB with 384 dimensions, which stays in a processor's cache."""


def packed_rows(rows: npt.NDArray[np.float32], ids: TokenIds) -> TokenRows:
    """Token vectors in a quarter of the space; the error of a cosine is below 0.01."""
    return np.round(np.clip(rows, -1.0, 1.0) * 127.0).astype(np.int8), ids


def late_interaction(
    asked: npt.NDArray[np.float32],
    ids: TokenIds,
    memories: Sequence[TokenRows],
    before: TokenIds | None = None,
) -> tuple[Floats, Floats]:
    """Two scores per memory: by its own words, and by them and those of the message before.

    A score is the mean over the question's tokens of the nearest token's cosine, weighted by `idf`; in the second, a
    token of the message before counts `BEFORE` of its cosine.

    The second is for exchanges: "Did you go?" - "On Friday" answers what only both say together. *before* has the place
    of that message for each memory, -1 where there is none (without it there is none anywhere). The document frequency
    is taken over *memories*. A memory without tokens scores 0.
    """
    sizes = np.array([len(each[1]) for each in memories], dtype=np.int64)
    there = np.flatnonzero(sizes)
    if not there.size or not len(ids):
        return np.zeros(len(memories)), np.zeros(len(memories))
    weights = _weights(ids, [memories[place][1] for place in there.tolist()], sizes[there])
    nearest = np.zeros((len(memories), len(ids)), dtype=np.float32)
    turned = np.zeros((asked.shape[1], -(-len(ids) // TOGETHER) * TOGETHER), dtype=np.float32)
    turned[:, : len(ids)] = asked.T / np.float32(127)
    lengths = np.cumsum(sizes[there])
    room = np.empty((max(TOKENS_AT_ONCE, int(sizes.max())), asked.shape[1]), dtype=np.float32)
    first = 0
    while first < there.size:
        done = lengths[first - 1] if first else 0
        stop = max(first + 1, int(np.searchsorted(lengths, done + TOKENS_AT_ONCE, side="right")))
        part = there[first:stop]
        nearest[part] = _nearest([memories[place][0] for place in part.tolist()], turned, weights, room)
        first = stop
    own = nearest @ weights
    if before is None:
        return own, own
    known = before >= 0
    with_before = nearest.copy()
    with_before[known] = np.maximum(nearest[known], np.float32(BEFORE) * nearest[before[known]])
    return own, with_before @ weights


def strangeness(asked: tuple[int, int], told: Sequence[tuple[int, int]]) -> float:
    """How strange the language is to the embedder, from 0 (it has learnt it) to 1: a strange word is cut into pieces.

    *asked* are the tokens of the question, and its words and signs; *told* those of the memories: the longest, whose
    ends may be cut, are passed over. Strange is what is so on both sides: a question may hold a name, a memory code.
    """
    most = max((tokens for tokens, _ in told), default=0)
    whole = [each for each in told if each[0] < most or each[1] <= WHOLE]
    sums = [asked, (sum(tokens for tokens, _ in whole), sum(units for _, units in whole))]
    least = min((tokens / units for tokens, units in sums if units), default=0.0)
    return min(1.0, max(0.0, (least - LEARNED) / (STRANGE - LEARNED)))


def unread(ids: TokenIds, told: Sequence[TokenIds]) -> float:
    """How far an embedder does not read the signs at all, from 0 to 1: what it has no token for is one and the same.

    *ids* are the tokens of the question, *told* those of the memories. Unread is what is so on both sides.
    """
    different, counts = np.unique(ids, return_counts=True)
    often = different[(counts > 1) & (counts > READ * ids.size)]
    total = sum(map(len, told))
    if not often.size or total < ENOUGH_TOKENS:
        return 0.0
    every = np.concatenate(told)
    shares = [min(np.count_nonzero(ids == each) / ids.size, np.count_nonzero(every == each) / total) for each in often]
    return float(min(1.0, max(0.0, (max(shares) - READ) / (UNREAD - READ))))


def _weights(ids: TokenIds, held: Sequence[TokenIds], sizes: TokenIds) -> Floats:
    """What each token of the question weighs, together 1; *sizes* are the lengths of what is *held*."""
    every, (different, back) = np.concatenate(held), np.unique(ids, return_inverse=True)
    place = np.minimum(np.searchsorted(different, every), different.size - 1)
    hits = np.flatnonzero(different[place] == every)
    met = np.zeros((len(held), different.size), dtype=np.bool_)
    met[np.repeat(np.arange(len(held)), sizes)[hits], place[hits]] = True
    weights = np.array([idf(len(held), each) for each in met.sum(axis=0)[back].tolist()])
    total: Floats = weights / weights.sum()
    return total


def _nearest(
    rows: Sequence[Packed],
    turned: npt.NDArray[np.float32],
    weights: Floats,
    room: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Per memory and token of the question the cosine of the nearest token, in the memory's best window.

    *room* is overwritten: to unpack where was unpacked before costs half of what new memory does.
    """
    unpacked = room[: sum(map(len, rows))]
    np.concatenate(rows, out=unpacked, casting="unsafe")
    cosines = (unpacked @ turned)[:, : weights.size]
    starts = _starts([len(each) for each in rows])
    found: npt.NDArray[np.float32] = np.maximum.reduceat(cosines, starts, axis=0)
    for place, each in enumerate(rows):
        if len(each) > WINDOW:
            start, stop = int(starts[place]), int(starts[place]) + len(each)
            begins = range(start, stop - WINDOW + STEP, STEP)
            windows = np.stack([cosines[at : min(at + WINDOW, stop)].max(axis=0) for at in begins])
            found[place] = windows[int((windows @ weights).argmax())]
    return found


def _starts(lengths: Sequence[int]) -> TokenIds:
    return np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
