"""LangChain embeddings as the engine's embedder."""

from __future__ import annotations

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import EmbedderMismatchError, EmbeddingError
from memos_integrations.core.ports import Embedder
from memos_integrations.langchain import LangChainEmbedder
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault


class Answering(Embeddings):
    """A model of somebody else's that returns what it is told to."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(texts) if callable(self.answer) else self.answer

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.fixture
def embedder() -> LangChainEmbedder:
    return LangChainEmbedder(DeterministicFakeEmbedding(size=12), name="fake-12")


def test_vectors_are_unit_rows_of_single_precision(embedder: LangChainEmbedder) -> None:
    rows = embedder.embed(["tea", "coffee", "tea"])
    assert isinstance(embedder, Embedder)
    assert (rows.dtype, rows.shape, embedder.dim) == (np.float32, (3, 12), 12)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[2])


def test_no_texts_give_no_rows(embedder: LangChainEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 12)


def test_a_row_of_zeros_stays_like_nothing() -> None:
    rows = LangChainEmbedder(Answering([[0.0, 0.0], [3.0, 4.0]]), name="zeros", dim=2).embed(["", "tea"])
    np.testing.assert_allclose(rows, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        [[1.0, 0.0, 0.0]],
        [[1.0, 0.0], [1.0, 0.0]],
        [[1.0], [1.0, 2.0]],
        [],
        [1.0, 2.0],
        None,
        [["a", "b"]],
        [[float("nan"), 1.0]],
        [[float("inf"), 1.0]],
        ValueError("bad input"),
        RuntimeError("CUDA"),
        ConnectionError("down"),
        TimeoutError("slow"),
    ],
)
def test_what_cannot_be_used_is_refused(answer: object) -> None:
    with pytest.raises(EmbeddingError, match="two"):
        LangChainEmbedder(Answering(answer), name="two", dim=2).embed(["tea"])


def test_an_error_only_the_client_knows_passes_through() -> None:
    class QuotaError(Exception):
        pass

    with pytest.raises(QuotaError):
        LangChainEmbedder(Answering(QuotaError()), name="two", dim=2).embed(["tea"])


def test_a_nameless_embedder_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="name"):
        LangChainEmbedder(DeterministicFakeEmbedding(size=4), name=" ")


def test_a_vault_filled_with_it_finds_by_meaning_and_refuses_another(embedder: LangChainEmbedder) -> None:
    vault, ana = InMemoryVault(), Principal(tenant="home", user="ana")
    with MemOS(vault, embedder=embedder) as memos:
        memos.remember("green tea", by=ana)
        recall = memos.recall("green tea", by=ana)
        assert recall.hits[0].parts["dense"] > 0
        with pytest.raises(EmbedderMismatchError):
            MemOS(vault, embedder=LangChainEmbedder(DeterministicFakeEmbedding(size=12), name="another-12"))
