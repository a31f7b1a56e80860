"""Any LangChain embedding model as the engine's embedder."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.vectors import FrameworkEmbedder


class LangChainEmbedder(FrameworkEmbedder):
    """Fills the `Embedder` port with LangChain `Embeddings`.

    `name` must tell the model and its settings from every other: a vault stores it and refuses vectors of another
    name, and LangChain embeddings have no name of their own. Without `dim` one text is embedded to find it out.
    Prompts and memories both go through `embed_documents`, so that equal texts get equal vectors.
    """

    def __init__(self, embeddings: Embeddings, *, name: str, dim: int | None = None) -> None:
        if not name.strip():
            raise EmbeddingError("The embedder needs a name: give the model's, with its version, as name=.")
        super().__init__(embeddings.embed_documents, name=name, dim=dim)
