"""Any LlamaIndex embedding model as the engine's embedder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from llama_index.core.base.embeddings.base import BaseEmbedding

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.ports import Vectors
from memos_integrations.core.vectors import unit_rows

UNNAMED = "unknown"
"""What LlamaIndex calls a model that was given no name."""


class LlamaIndexEmbedder:
    """Fills the `Embedder` port with a LlamaIndex `BaseEmbedding`.

    `name` must tell the model and its settings from every other: a vault stores it and refuses vectors of another
    name. Without it, class and `model_name` are the name. Prompts and memories are both embedded as texts, not as
    queries, so that equal texts get equal vectors.

    Raises:
        EmbeddingError: The model has no `model_name`, and no *name* was given.
    """

    def __init__(self, embedding: BaseEmbedding, *, name: str | None = None, dim: int | None = None) -> None:
        if name is None and embedding.model_name == UNNAMED:
            raise EmbeddingError(f"{embedding.class_name()} does not say which model it is: give it a name with name=.")
        self._embedding = embedding
        self._name = name or f"{embedding.class_name()}/{embedding.model_name}"
        self._given_dim = dim

    @property
    def name(self) -> str:
        """The name given, else class and model name."""
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
            rows = self._embedding.get_text_embedding_batch(texts) if texts else []
        except (ValueError, RuntimeError, OSError) as exc:
            raise EmbeddingError(f"{self._name} failed to embed {len(texts)} texts: {exc}") from exc
        return unit_rows(rows, count=len(texts), dim=dim, source=self._name)
