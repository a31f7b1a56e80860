"""Weights fitted on one half of the conversations and tried on the other, both ways round.

What is recorded of each question are the shares (`Hit.parts`) of its candidates; a weight is a factor of a share. The
factors are those that make the evidence likeliest when a candidate is drawn by its score (ListNet, Cao et al. 2007),
held near 1 and never below nothing. How strongly, and how sharp the draw is, is not picked: that would look at what is
to be found out. They are fitted by every setting, and the mean is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEPS, RATE = 150, 0.05
HELD = (0.01, 0.03, 0.1, 0.3)
"""How strongly the factors are held near 1."""
SHARP = (5.0, 10.0, 20.0, 40.0)
"""How much a score's difference says: at 20 a candidate that is a tenth better is drawn e squared times as often."""
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
    """The factors that make the evidence of these questions likeliest: the mean over all settings, of equal sums."""
    told = [one for one in asked if one.evidence.any()]
    if not told:
        return np.ones(signals)
    each = [_fitted(told, signals, held, sharp) for held in HELD for sharp in SHARP]
    whole: Floats = np.mean([factors / factors.mean() for factors in each], axis=0)
    return whole


def _fitted(told: Sequence[Shares], signals: int, held: float, sharp: float) -> Floats:
    factors, speed, size = np.ones(signals), np.zeros(signals), np.zeros(signals)
    table = np.concatenate([one.shares * one.rest[:, None] for one in told]) * sharp
    counts = np.array([len(one.shares) for one in told])
    starts = np.cumsum(counts) - counts
    wanted = np.concatenate([one.evidence / one.evidence.sum() for one in told]) @ table
    for step in range(1, STEPS + 1):
        scores = table @ factors
        drawn = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), counts))
        drawn /= np.repeat(np.add.reduceat(drawn, starts), counts)
        slope = (drawn @ table - wanted) / len(told) + held * (factors - 1.0)
        # Adam (Kingma and Ba 2015), so that signals of any size are moved alike.
        speed, size = 0.9 * speed + 0.1 * slope, 0.99 * size + 0.01 * slope**2
        move = speed / (1.0 - 0.9**step) / (np.sqrt(size / (1.0 - 0.99**step)) + 1e-8)
        factors = np.maximum(factors - RATE * move, 0.0)
    return factors


def cross_fitted(asked: Sequence[Shares], signals: Sequence[str]) -> dict[str, object]:
    """R@10 of each half with the factors of the other, of both together, and the factors."""
    halves = [[one for one in asked if one.plain and one.conversation % 2 == side] for side in (0, 1)]
    if not all(halves):
        return {}
    factors = [fitted(half, len(signals)) for half in halves]
    held_out = [[one.recall(factors[1 - side]) for one in halves[side]] for side in (0, 1)]
    at_5 = [one.recall(factors[1 - side], k=5) for side in (0, 1) for one in halves[side]]
    adversarial = [one.recall(factors[1 - one.conversation % 2]) for one in asked if not one.plain]
    return {
        "recall_at_5": _rounded(at_5),
        "recall_at_10": _rounded([*held_out[0], *held_out[1]]),
        "heldout_recall_at_10": _rounded(held_out[1]),
        "recall_at_10_even_conversations": _rounded(held_out[0]),
        "recall_at_10_odd_conversations": _rounded(held_out[1]),
        "adversarial_recall_at_10": _rounded(adversarial),
        "factors": {
            fit: {name: round(float(value), 3) for name, value in zip(signals, each, strict=True)}
            for fit, each in zip(("fitted_on_even", "fitted_on_odd"), factors, strict=True)
        },
    }


def _rounded(values: Sequence[float]) -> float:
    return round(100 * float(np.mean(values)), 2) if values else 0.0
