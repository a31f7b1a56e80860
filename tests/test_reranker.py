"""A reranker of the user's own: whose order counts, what becomes of its mistakes, and the two frameworks' rerankers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from memos_integrations import MemOS, Principal, Reranker
from memos_integrations.core.errors import RerankError
from memos_integrations.langchain import LangChainReranker
from memos_integrations.llama_index import LlamaIndexReranker
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
TEXTS = ("The kettle is blue and old.", "The kettle is red.", "A kettle, a kettle, a kettle of tea.")
ASKED = "Which kettle is there?"


class Shortest:
    """Likes short texts; gives logits, not shares."""

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return [-float(len(text)) for text in texts]


class Saying:
    """Gives what it is told to give."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = scores

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return self.scores


class ShortestPairs:
    """A cross-encoder."""

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        return [-float(len(text)) for _, text in text_pairs]


class ShortestDocuments(BaseDocumentCompressor):
    """A compressor that keeps the two shortest, with their score."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: object = None
    ) -> Sequence[Document]:
        return sorted(documents, key=lambda each: len(each.page_content))[:2]


class ShortestNodes(BaseNodePostprocessor):
    """A postprocessor that keeps the two shortest."""

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        assert query_bundle is not None
        return sorted(nodes, key=lambda each: len(each.node.get_content()))[:2]


def recalled(reranker: Reranker | None, by: Principal = ANA) -> list[str]:
    with MemOS(InMemoryVault(), reranker=reranker) as memos:
        for text in TEXTS:
            memos.remember(text, by=ANA)
        hits = memos.recall(ASKED, by=by, k=3, needed=True).hits
        assert all(hit.score == pytest.approx(sum(hit.parts.values())) for hit in hits)
        return [hit.text for hit in hits]


@pytest.mark.parametrize(
    "reranker",
    [
        Shortest(),
        LangChainReranker(ShortestPairs()),
        LangChainReranker(ShortestDocuments()),
        LlamaIndexReranker(ShortestNodes()),
    ],
)
def test_the_order_is_the_rerankers(reranker: Reranker) -> None:
    assert isinstance(reranker, Reranker)
    found = recalled(reranker)
    assert found[:2] == sorted(TEXTS, key=len)[:2]
    assert sorted(found) == sorted(TEXTS), "what it dropped comes last"
    assert recalled(None)[0] != found[0]


def test_it_is_shown_nothing_that_may_not_be_read() -> None:
    assert recalled(Saying(()), by=Principal(tenant="acme", user="bob")) == []


@pytest.mark.parametrize("scores", [(), (1.0,), (1.0, 2.0, float("nan")), (1.0, float("inf"), 0.0), (1.0,) * 4])
def test_scores_that_cannot_be_used_are_an_error(scores: Sequence[float]) -> None:
    with pytest.raises(RerankError, match="one finite number each"):
        recalled(Saying(scores))


class Failing(ShortestPairs, ShortestDocuments):
    """Out of order, whoever asks."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: object = None
    ) -> Sequence[Document]:
        raise RuntimeError("no GPU")


class Inventing(ShortestDocuments):
    """Gives back what it was not given."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: object = None
    ) -> Sequence[Document]:
        return [Document("new")]


class FailingNodes(ShortestNodes):
    """Out of order."""

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        raise ValueError("no such model")


@pytest.mark.parametrize(
    ("reranker", "told"),
    [
        (LangChainReranker(Failing()), "no GPU"),
        (LangChainReranker(Inventing()), "without the metadata"),
        (LlamaIndexReranker(FailingNodes()), "no such model"),
    ],
)
def test_a_reranker_that_fails_is_told_of(reranker: Reranker, told: str) -> None:
    with pytest.raises(RerankError, match=told):
        recalled(reranker)


def test_what_is_no_reranker_is_refused() -> None:
    with pytest.raises(RerankError, match="neither"):
        LangChainReranker(object())  # type: ignore[arg-type]
