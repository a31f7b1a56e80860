"""Weights fitted on one half of the conversations and tried on the other, both ways round.

What is recorded of each question are the shares (`Hit.parts`) of its hits; a weight is a factor of a share. One factor
after the other is tried at a few sizes, three times round, and kept where it raises R@10 of the half that is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FACTORS = (0.0, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0)
ROUNDS = 3
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """One question: the shares of each hit by signal, shape (hits, signals), and which hits are evidence."""

    conversation: int
    plain: bool
    shares: Floats
    rest: Floats
    evidence: npt.NDArray[np.bool_]
    gold: int

    def recall(self, factors: Floats, k: int = 10) -> float:
        """R@k with these factors."""
        order = np.argsort(-(self.shares @ factors) * self.rest, kind="stable")[:k]
        return float(self.evidence[order].sum()) / self.gold


def shares_of(
    conversation: int,
    plain: bool,
    parts: Sequence[Mapping[str, float]],
    scores: Sequence[float],
    found: Sequence[str],
    gold: Sequence[str],
    signals: Sequence[str],
) -> Shares:
    """What is recorded of one question. *rest* is what the standing of a memory made of the sum of its shares."""
    table = np.array([[part.get(name, 0.0) for name in signals] for part in parts]).reshape(len(parts), len(signals))
    total = table.sum(axis=1)
    rest = np.divide(np.array(scores), total, out=np.ones(len(parts)), where=total > 0.0)
    return Shares(conversation, plain, table, rest, np.array([turn in gold for turn in found], dtype=bool), len(gold))


def fitted(asked: Sequence[Shares], signals: int) -> Floats:
    """The factors that find most."""
    factors = np.ones(signals)
    best = _mean(asked, factors)
    for _ in range(ROUNDS):
        for place in range(signals):
            kept = factors[place]
            for factor in FACTORS:
                tried = factors.copy()
                tried[place] = kept * factor
                if (found := _mean(asked, tried)) > best:
                    best, factors = found, tried
    return factors


def cross_fitted(asked: Sequence[Shares], signals: Sequence[str]) -> dict[str, object]:
    """R@10 of each half with the factors of the other, of both together, and the factors."""
    halves = [[one for one in asked if one.plain and one.conversation % 2 == side] for side in (0, 1)]
    if not all(halves):
        return {}
    factors = [fitted(half, len(signals)) for half in halves]
    held_out = [[one.recall(factors[1 - side]) for one in halves[side]] for side in (0, 1)]
    adversarial = [one.recall(factors[1 - one.conversation % 2]) for one in asked if not one.plain]
    return {
        "recall_at_10": _rounded([*held_out[0], *held_out[1]]),
        "recall_at_10_even_conversations": _rounded(held_out[0]),
        "recall_at_10_odd_conversations": _rounded(held_out[1]),
        "adversarial_recall_at_10": _rounded(adversarial),
        "factors": {
            fit: {name: round(float(value), 3) for name, value in zip(signals, each, strict=True)}
            for fit, each in zip(("fitted_on_even", "fitted_on_odd"), factors, strict=True)
        },
    }


def _mean(asked: Sequence[Shares], factors: Floats) -> float:
    return float(np.mean([one.recall(factors) for one in asked]))


def _rounded(values: Sequence[float]) -> float:
    return round(100 * float(np.mean(values)), 2) if values else 0.0
