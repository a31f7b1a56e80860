"""The signals, held against numbers worked out by hand and properties that must hold for any input."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.ranking import bm25, closeness, fuse, idf, scaled

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_bm25_by_hand() -> None:
    # 4 documents, 1 holds the term twice in 6 terms; the average length is 3.
    weight = idf(4, 1)
    assert weight == pytest.approx(math.log(1 + 3.5 / 1.5))
    score = bm25(np.array([2.0]), np.array([6.0]), weight=weight, average=3.0)
    assert score[0] == pytest.approx(weight * 2 / (2 + 0.9 * (0.25 + 0.75 * 2)))


def test_a_memory_without_words_has_no_share_where_length_is_paid_for_in_full() -> None:
    scores = bm25(np.array([1.0, 0.0]), np.array([3.0, 0.0]), weight=1.0, average=1.5, b=1.0)
    assert scores.tolist() == [pytest.approx(1 / (1 + 0.9 * 2)), 0.0]


@given(st.integers(1, 10**6), st.data())
def test_a_rarer_term_tells_more_and_none_tells_less_than_nothing(documents: int, data: st.DataObject) -> None:
    often = data.draw(st.integers(1, documents))
    rarely = data.draw(st.integers(1, often))
    assert idf(documents, rarely) >= idf(documents, often) > 0


@given(st.lists(st.none() | st.floats(-1, 100), max_size=9))
def test_scaled_scores_keep_their_order_within_zero_and_one(scores: list[float | None]) -> None:
    stretched = scaled(scores)
    assert all(0.0 <= score <= 1.0 for score in stretched)
    known = [(score, new) for score, new in zip(scores, stretched, strict=True) if score is not None]
    assert [new for _, new in sorted(known)] == sorted(new for _, new in known)


def test_unknown_scores_count_nothing_and_the_best_counts_one() -> None:
    assert scaled([None, 4.0, 2.0]) == [0.0, 1.0, 0.5]
    assert scaled([0.0, 0.0]) == [0.0, 0.0]
    assert scaled([]) == []


def test_closeness_is_one_inside_and_fades_outside() -> None:
    window = (NOW, NOW + timedelta(days=7))
    assert closeness(NOW, window) == closeness(NOW + timedelta(days=3), window) == 1.0
    assert closeness(NOW - timedelta(days=4), window) == pytest.approx(math.exp(-1))
    assert closeness(NOW + timedelta(days=400), window) < 1e-9


def test_fusion_is_the_weighted_sum_of_the_signals_that_have_a_weight() -> None:
    signals = {"bm25": [1.0, 0.5], "time": [0.0, 1.0], "unknown": [9.0, 9.0]}
    assert fuse(signals, {"bm25": 0.6, "time": 0.4}) == pytest.approx([0.6, 0.7])
    assert fuse({}, {}) == []
