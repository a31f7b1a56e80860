"""Meaning: how likely a later statement says against an earlier one, by signs and by sentence vectors together.

Signs know the words that they were learned with. Sentence vectors also tell words that were never seen apart: whether
two statements are of one matter, whether what only each says is of one sort, whether one sounds like news or like an
end. Logistic regression over both: the signs, four cosines, and every place of the two vectors. The weights in
`weights_minilm.json` were learned by `tests/benchmarks/conflict_weights.py` from the same pairs as those of the signs
alone; they are for one embedder, which they name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from math import fsum

import numpy as np
import numpy.typing as npt

from memos_integrations.core.claims import Claim
from memos_integrations.core.conflict.signs import of_one_matter, signs_of
from memos_integrations.core.contrast import meetings
from memos_integrations.core.ports import Embedder, Vectors

Floats = npt.NDArray[np.float64]

NEAR, ALIKE = 0.3, 0.6
"""Two statements are of one matter that share a thing and whose vectors have this cosine at least, or that have the
higher one whatever they share. 99 of 100 changes told in words are above the first."""

KNOTS = (-1.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Where a cosine begins to count anew: the weights between them make a broken line of it."""

SCALE = 2.0
"""How much a place of a vector counts before it is weighed: one penalty is for all weights."""

HELD = 1 << 12
"""Statements whose vectors are held: a memory is held against others more often than it is written."""


def only_in(newer: str, older: str) -> tuple[str, str]:
    """The words that only the later says, and only the earlier, in the two clauses that share most; all, if none do."""
    pairs = [pair for _, _, met in meetings(newer, older) for pair in met]
    best = max(pairs, key=lambda pair: pair.alike, default=None)
    if best is None:
        return newer, older
    return " ".join(word.low for word in best.only_n), " ".join(word.low for word in best.only_o)


def least_cosine(newer: str, older: str, mine: Sequence[Claim], theirs: Sequence[Claim]) -> float:
    """The cosine from which on two texts with these claims are of one matter."""
    return NEAR if of_one_matter(newer, older, mine, theirs) else ALIKE


def measures_of(rows: Vectors) -> Floats:
    """What the unit rows of the later, the earlier, what only each says (zeros for nothing) are told by, as numbers."""
    newer, older, new, old = (np.asarray(row, np.float64) for row in rows)
    cosines = [newer @ older, new @ old, newer @ old, older @ new]
    bent = [min(max(float(each) - knot, 0.0), 1.0) for each in cosines for knot in KNOTS]
    return np.concatenate([bent, SCALE * newer, SCALE * older])


class Meaning:
    """What an embedder's vectors say of two statements, beside their signs. Thread-safe."""

    def __init__(self, embedder: Embedder, weights: Weights) -> None:
        self._embedder, self._weights = embedder, weights
        self._row = lru_cache(maxsize=HELD)(self._embedded)

    def log_odds(self, newer: str, older: str, mine: Sequence[Claim], theirs: Sequence[Claim]) -> float:
        """The log-odds, to the base e, that the later says against the earlier; minus infinity for two matters.

        Raises:
            EmbeddingError: The embedder failed.
        """
        if float(self._row(newer) @ self._row(older)) < least_cosine(newer, older, mine, theirs):
            return -np.inf
        signs = self._weights.of(signs_of(newer, older, mine, theirs))
        return signs + float(measures_of(self.rows(newer, older)) @ self._weights.measures)

    def rows(self, newer: str, older: str) -> Vectors:
        """The unit rows that `measures_of` takes, float32 of shape `(4, dim)`."""
        return np.stack([self._row(each) for each in (newer, older, *only_in(newer, older))])

    def _embedded(self, text: str) -> Vectors:
        row: Vectors = self._embedder.embed([text])[0] if text else np.zeros(self._embedder.dim, np.float32)
        return row


@dataclass(frozen=True)
class Weights:
    """What was learned for one embedder: the weight of each sign (the empty one counts always), of each measure."""

    embedder: str
    signs: dict[str, float]
    measures: Floats

    def of(self, signs: Iterable[str]) -> float:
        """What signs speak for, added up."""
        return fsum([self.signs[""], *(self.signs.get(sign, 0.0) for sign in signs)])


def meaning_of(embedder: Embedder | None) -> Meaning | None:
    """What reads statements by the embedder; None without one, or where nothing was learned for it."""
    if embedder is None or embedder.name != _weights().embedder:
        return None
    return Meaning(embedder, _weights())


@cache
def _weights() -> Weights:
    told = json.loads(files(__package__).joinpath("weights_minilm.json").read_text("utf-8"))
    return Weights(told["embedder"], told["signs"], np.array(told["measures"], np.float64))
