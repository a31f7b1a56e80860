"""LlamaIndex embedding models as the engine's embedder."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.mock_embed_model import MockEmbedding

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import EmbeddingError
from memos_integrations.core.ports import Embedder
from memos_integrations.llama_index import LlamaIndexEmbedder
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault


class Letters(BaseEmbedding):
    """Counts vowels: small, exact, and different for different texts."""

    fails: bool = False

    def _get_text_embedding(self, text: str) -> list[float]:
        if self.fails:
            raise RuntimeError("out of memory")
        return [float(text.lower().count(vowel)) for vowel in "aeiou"]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [1.0] * 5

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def test_vectors_are_unit_rows_of_single_precision_in_order() -> None:
    embedder = LlamaIndexEmbedder(Letters(model_name="letters"))
    rows = embedder.embed(["aaa", "a e", *["u"] * 25])
    assert isinstance(embedder, Embedder)
    assert (rows.dtype, rows.shape, embedder.dim) == (np.float32, (27, 5), 5)
    np.testing.assert_allclose(rows[:2], [[1, 0, 0, 0, 0], [0.5**0.5, 0.5**0.5, 0, 0, 0]], rtol=1e-6)
    assert embedder.embed([]).shape == (0, 5)


def test_the_name_is_the_models_or_the_one_given() -> None:
    assert LlamaIndexEmbedder(Letters(model_name="letters-1")).name.endswith("/letters-1")
    assert LlamaIndexEmbedder(MockEmbedding(embed_dim=4), name="mock-4").name == "mock-4"
    with pytest.raises(EmbeddingError, match="name="):
        LlamaIndexEmbedder(MockEmbedding(embed_dim=4))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="out of memory"):
        LlamaIndexEmbedder(Letters(model_name="letters", fails=True), dim=5).embed(["tea"])
    with pytest.raises(EmbeddingError, match="length 5, not 6"):
        LlamaIndexEmbedder(Letters(model_name="letters"), dim=6).embed(["tea"])


def test_a_vault_filled_with_it_finds_by_meaning() -> None:
    ana = Principal(tenant="home", user="ana")
    with MemOS(InMemoryVault(), embedder=LlamaIndexEmbedder(Letters(model_name="letters"))) as memos:
        memos.remember("aaaa", by=ana)
        memos.remember("uuuu", by=ana)
        recall = memos.recall("ua uu uu", by=ana, needed=True)
        assert recall.hits[0].text == "uuuu"
        assert recall.hits[0].parts["dense"] > recall.hits[-1].parts["dense"]
