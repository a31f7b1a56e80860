"""Vectors from elsewhere become unit rows: to the bit what `numpy.linalg.norm` would make of them."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pytest

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.vectors import unit_rows


def rows_of(matrix: npt.NDArray[np.float64] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return unit_rows(matrix, count=matrix.shape[0], dim=matrix.shape[1], source="ours")


@pytest.mark.parametrize("count", [1, 3, 64])
@pytest.mark.parametrize("width", [1, 7, 384])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_those_of_the_norm_to_the_bit(count: int, width: int, order: str) -> None:
    scales = 10.0 ** (np.arange(count) % 7 - 3)
    drawn = np.random.default_rng(count * width).normal(size=(count, width)) * scales[:, None]
    for matrix in (np.asarray(drawn, order=order), np.asarray(drawn, dtype=np.float32, order=order)):
        wide = matrix.astype(np.float64)
        assert (rows_of(matrix) == (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)).all()


def test_a_row_that_says_nothing_stays_zeros_beside_others() -> None:
    assert rows_of(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], [np.float32(0.6), np.float32(0.8)]]


def test_numbers_that_are_not_finite_are_refused_and_too_large_ones_are_no_warning() -> None:
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(EmbeddingError, match="NaN or infinity"):
            rows_of(np.array([[1.0, wrong], [1.0, 0.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows_of(np.array([[1e200, 0.0]])).tolist() == [[0.0, 0.0]]
