"""Whether memories are about something: by the cosine of their vectors, or without any by the words that they share."""

from __future__ import annotations

from collections.abc import Sequence

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.text import terms


class About:
    """Says of memories whether they are about *text*, as *caller* may read them.

    That is: whether the cosine of both, or the share of the words of *text* that it holds, is *at_least* so much. The
    vector of a memory is the one that the vault keeps; only what has none there is embedded.

    Raises:
        InvalidMemoryError: *at_least* is not from 0 to 1, or *text* is none or blank.
    """

    def __init__(self, text: str, at_least: float, embedding: Embedding, caller: Caller) -> None:
        if not isinstance(text, str) or not text.strip():
            raise InvalidMemoryError(f"What memories are to be about is said in words, not {text!r:.80}.")
        if isinstance(at_least, bool) or not isinstance(at_least, int | float) or not 0 <= at_least <= 1:
            raise InvalidMemoryError(f"at_least is a number from 0 to 1, not {at_least!r}.")
        self._least, self._embedding, self._caller = at_least, embedding, caller
        self._words = frozenset(terms(text))
        self._row = embedding.asked(text) if embedding.has_vectors() else None

    def __call__(self, cubes: Sequence[MemCube]) -> list[bool]:
        """Of each whether it is."""
        if self._row is not None:
            return [each >= self._least for each in self._embedding.cosines(cubes, self._row, self._caller)]
        shared = [len(self._words.intersection(terms(cube.text))) for cube in cubes]
        return [each > 0 and each >= self._least * len(self._words) for each in shared]
