"""Any LangChain embedding model as the engine's embedder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from langchain_core.embeddings import Embeddings

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.ports import Vectors
from memos_integrations.core.vectors import unit_rows


class LangChainEmbedder:
    """Fills the `Embedder` port with LangChain `Embeddings`.

    `name` must tell the model and its settings from every other: a vault stores it and refuses vectors of another
    name, and LangChain embeddings have no name of their own. Without `dim` one text is embedded to find it out.
    Prompts and memories both go through `embed_documents`, so that equal texts get equal vectors.
    """

    def __init__(self, embeddings: Embeddings, *, name: str, dim: int | None = None) -> None:
        if not name.strip():
            raise EmbeddingError("The embedder needs a name: give the model's, with its version, as name=.")
        self._embeddings = embeddings
        self._name = name
        self._given_dim = dim

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    @cached_property
    def dim(self) -> int:
        """Length of each vector."""
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
            rows = self._embeddings.embed_documents(texts) if texts else []
        except (ValueError, RuntimeError, OSError) as exc:
            raise EmbeddingError(f"{self._name} failed to embed {len(texts)} texts: {exc}") from exc
        return unit_rows(rows, count=len(texts), dim=dim, source=self._name)
