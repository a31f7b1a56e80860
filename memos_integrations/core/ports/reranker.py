"""The port that a reranker fills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reranker(Protocol):
    """Reads the question and each text together, as a cross-encoder does, and says how well they fit.

    The best memories that recall found come in; their order is the reranker's (see `MemOperator`).
    """

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One finite number per text, in the order of the texts; the higher, the better it answers.

        Raises:
            RerankError: The model failed.
        """
        ...
