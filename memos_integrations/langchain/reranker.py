"""Any LangChain reranker as the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from langchain_core.documents import BaseDocumentCompressor, Document

from memos_integrations.core.errors import RerankError

PLACE = "memos_place"
"""The key of a document's metadata that says which text it was."""


@runtime_checkable
class CrossEncoder(Protocol):
    """What LangChain's `BaseCrossEncoder` promises."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """How well the two texts of each pair fit."""
        ...


class LangChainReranker:
    """Fills the `Reranker` port with a document compressor, or with a cross-encoder (anything with its `score`).

    Of a compressor the order counts: what it gives back first is best, what it drops comes last.

    Raises:
        RerankError: It is neither.
    """

    def __init__(self, model: BaseDocumentCompressor | CrossEncoder) -> None:
        if not isinstance(model, BaseDocumentCompressor | CrossEncoder):
            raise RerankError(f"A {type(model).__name__} is neither a document compressor nor a cross-encoder.")
        self._model = model

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One score per text, the higher the better.

        Errors of classes that only the model's own client knows pass through as they are.

        Raises:
            RerankError: The model failed, or gave back documents that it was not given.
        """
        try:
            if isinstance(self._model, BaseDocumentCompressor):
                return self._by_order(self._model, query, texts)
            return [float(score) for score in self._model.score([(query, text) for text in texts])]
        except (ValueError, TypeError, RuntimeError, OSError) as exc:
            raise RerankError(f"{type(self._model).__name__} failed to rerank {len(texts)} texts: {exc}") from exc

    @staticmethod
    def _by_order(model: BaseDocumentCompressor, query: str, texts: Sequence[str]) -> list[float]:
        given = [Document(page_content=text, metadata={PLACE: place}) for place, text in enumerate(texts)]
        scores = [0.0] * len(texts)
        for rank, document in enumerate(model.compress_documents(given, query)):
            place = document.metadata.get(PLACE)
            if not isinstance(place, int) or not 0 <= place < len(texts):
                raise RerankError(f"{type(model).__name__} gave back a document without the metadata it came with.")
            scores[place] = max(scores[place], 1.0 - rank / (len(texts) + 1))
        return scores
