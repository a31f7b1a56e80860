"""The port that an embedder fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors of length `dim`.

    Same text, same vector, on every machine: a vault stores `name` and `dim` and refuses vectors of another.
    """

    @property
    def name(self) -> str:
        """What tells this embedder from every other, weights and settings included."""
        ...

    @property
    def dim(self) -> int:
        """Length of each vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One L2-normalised row per text, float32, shape `(len(texts), dim)`.

        Raises:
            EmbeddingError: The model failed.
        """
        ...


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that also tells each token's vector, for late interaction (`ranking.late_interaction`)."""

    def embed_with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[tuple[Vectors, npt.NDArray[np.int64]]]]:
        """The rows of `embed`, and per text one unit row per token with the token ids. An empty text has no tokens.

        Raises:
            EmbeddingError: The model failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """Which embedder filled a vault."""

    name: str
    dim: int
