"""The cross-fit of the recall benchmark: what it fits on one half finds more on the other."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.crossfit import Shares, cross_fitted, fitted, shares_of

SIGNALS = ("true", "noise")


def asked(conversation: int, seed: int) -> Shares:
    """Forty candidates; the evidence is told by the first signal, and the second is larger and says nothing."""
    dice = np.random.default_rng(seed)
    evidence = dice.choice(40, 3, replace=False)
    parts = [{"true": 0.2 * (place in evidence) + 0.1 * dice.random(), "noise": dice.random()} for place in range(40)]
    scores = [sum(part.values()) for part in parts]
    found = [str(place) for place in range(40)]
    return shares_of(conversation, True, parts, scores, found, [str(place) for place in evidence], SIGNALS)


def test_a_signal_that_says_nothing_loses_its_weight() -> None:
    half = [asked(0, seed) for seed in range(40)]
    factors = fitted(half, len(SIGNALS))
    assert factors[0] > 1.0 > factors[1]
    before, after = (float(np.mean([one.recall(each) for one in half])) for each in (np.ones(2), factors))
    assert after > before + 0.2


def test_each_half_is_tried_with_the_factors_of_the_other() -> None:
    result = cross_fitted([asked(number % 2, number) for number in range(60)], SIGNALS)
    assert result["recall_at_10"] > 70.0
    assert result["heldout_recall_at_10"] == result["recall_at_10_odd_conversations"]
    assert cross_fitted([asked(0, 1)], SIGNALS) == {}


def test_the_standing_of_a_memory_is_kept() -> None:
    parts = [{"true": 0.4}, {"true": 0.3}]
    one = shares_of(0, True, parts, [0.2, 0.3], ["a", "b"], ["b"], SIGNALS)
    assert one.recall(np.ones(2), k=1) == 1.0
