"""Any LlamaIndex embedding model as the engine's embedder."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding

from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.vectors import FrameworkEmbedder

UNNAMED = "unknown"
"""What LlamaIndex calls a model that was given no name."""


class LlamaIndexEmbedder(FrameworkEmbedder):
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
        name = name or f"{embedding.class_name()}/{embedding.model_name}"
        super().__init__(embedding.get_text_embedding_batch, name=name, dim=dim)
