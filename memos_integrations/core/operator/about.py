"""Whether memories are about something: by the embedder's cosine, or without one by the words that they share."""

from __future__ import annotations

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.text import terms


class About:
    """Says of a memory whether it is about *text*.

    That is: whether the cosine of both, or the share of the words of *text* that it holds, is *at_least* so much.

    Raises:
        InvalidMemoryError: *at_least* is not from 0 to 1, or *text* is none or blank.
    """

    def __init__(self, text: str, at_least: float, embedding: Embedding) -> None:
        if not isinstance(text, str) or not text.strip():
            raise InvalidMemoryError(f"What memories are to be about is said in words, not {text!r:.80}.")
        if isinstance(at_least, bool) or not isinstance(at_least, int | float) or not 0 <= at_least <= 1:
            raise InvalidMemoryError(f"at_least is a number from 0 to 1, not {at_least!r}.")
        self._least, self._embedding, self._words = at_least, embedding, frozenset(terms(text))
        self._row = embedding.asked(text) if embedding.has_vectors() else None

    def __call__(self, cube: MemCube) -> bool:
        """Whether this one is."""
        if self._row is not None:
            return float(self._embedding.asked(cube.text) @ self._row) >= self._least
        shared = len(self._words.intersection(terms(cube.text)))
        return shared > 0 and shared >= self._least * len(self._words)
