"""Vectors from elsewhere, made fit for a vault: checked, single precision, unit length. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.ports import Vectors


def unit_rows(rows: Any, *, count: int, dim: int | None, source: str) -> Vectors:
    """*rows* as float32 of shape `(count, dim)`, each row divided by its L2 norm; any width when *dim* is None.

    A row of zeros stays one: it is like nothing, which is what an embedder says of a text it has no word for.

    Raises:
        EmbeddingError: Not a matrix of finite numbers of that shape; the message names *source*.
    """
    try:
        matrix = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise EmbeddingError(f"{source} did not return rows of numbers of one length: {exc}.") from exc
    if count == 0 and matrix.size == 0:
        return np.empty((0, dim or 0), dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] == 0:
        raise EmbeddingError(f"{source} returned shape {matrix.shape} for {count} texts; one vector each was expected.")
    if dim is not None and matrix.shape[1] != dim:
        raise EmbeddingError(f"{source} returned vectors of length {matrix.shape[1]}, not {dim}. Is it another model?")
    # As `np.linalg.norm` adds them up, without what it decides first: it costs more than all the rest on one row.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.add.reduce(matrix * matrix, axis=1, keepdims=True))
    shortest, longest = (lengths.item(),) * 2 if count == 1 else (lengths.min(), lengths.max())
    if shortest > 0.0 and longest < np.inf:  # then every number is finite
        usual: Vectors = (matrix / lengths).astype(np.float32)
        return usual
    if not np.isfinite(matrix).all():
        raise EmbeddingError(f"{source} returned NaN or infinity; such a vector cannot be compared. Nothing was kept.")
    unit: Vectors = np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > 0).astype(np.float32)
    return unit


class FrameworkEmbedder:
    """Fills the `Embedder` port with what another framework calls to embed texts: `rows` gives one vector a text.

    Without `dim` one text is embedded to find it out.
    """

    def __init__(self, rows: Callable[[list[str]], Any], *, name: str, dim: int | None) -> None:
        self._embed = rows
        self._name = name
        self._given_dim = dim

    @property
    def name(self) -> str:
        """What a vault knows the model by."""
        return self._name

    @cached_property
    def dim(self) -> int:
        """Length of each vector; found out by embedding one text when it was not given."""
        return self._given_dim or self._rows(["length"], dim=None).shape[1]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit row per text, float32, shape `(len(texts), dim)`; `(0, dim)` for no texts.

        Errors of classes that only the model's own client knows pass through as they are.

        Raises:
            EmbeddingError: The model failed, or what it returned is not one finite vector of length `dim` per text.
        """
        return self._rows(list(texts), dim=self.dim)

    def _rows(self, texts: list[str], dim: int | None) -> Vectors:
        try:
            rows = self._embed(texts) if texts else []
        except (ValueError, RuntimeError, OSError) as exc:
            raise EmbeddingError(f"{self._name} failed to embed {len(texts)} texts: {exc}") from exc
        return unit_rows(rows, count=len(texts), dim=dim, source=self._name)
