"""Other stores on the same turns and questions, with the same vectors: what each finds, best first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from memos_integrations import Conversation, Embedder

Ranked = list[tuple[str, ...]]
MOST = 50


def langgraph_inmemorystore(conversation: Conversation, questions: Sequence[str], embedder: Embedder) -> Ranked:
    """LangGraph's InMemoryStore with an index."""
    from langgraph.store.memory import InMemoryStore

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [list(map(float, row)) for row in embedder.embed(list(texts))]

    store = InMemoryStore(index={"dims": embedder.dim, "embed": embed, "fields": ["text"]})
    for message in conversation.messages:
        store.put(("turns",), message.id, {"text": f"{message.speaker}: {message.text}"})
    return [tuple(item.key for item in store.search(("turns",), query=one, limit=MOST)) for one in questions]


def llamaindex_vector(conversation: Conversation, questions: Sequence[str], embedder: Embedder) -> Ranked:
    """LlamaIndex's VectorStoreIndex over nodes that bring their vectors."""
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.core.schema import QueryBundle, TextNode

    texts = [f"{message.speaker}: {message.text}" for message in conversation.messages]
    nodes = [
        TextNode(id_=message.id, text=text, embedding=row.tolist())
        for message, text, row in zip(conversation.messages, texts, embedder.embed(texts), strict=True)
    ]
    # The model is never asked: nodes and questions come with their vectors.
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=embedder.dim))
    retriever = index.as_retriever(similarity_top_k=MOST)
    asked = [
        QueryBundle(one, embedding=row.tolist())
        for one, row in zip(questions, embedder.embed(list(questions)), strict=True)
    ]
    return [tuple(found.node.node_id for found in retriever.retrieve(one)) for one in asked]


PEERS: dict[str, tuple[str, Callable[[Conversation, Sequence[str], Embedder], Ranked]]] = {
    "langgraph_inmemorystore": ("langgraph", langgraph_inmemorystore),
    "llamaindex_vector": ("llama_index", llamaindex_vector),
}
"""By name: the package that is needed, and how it is asked."""

WITHOUT_ADAPTER = {"llamaindex_bm25": "llama_index.retrievers.bm25", "mem0": "mem0", "txtai_hybrid": "txtai"}


def not_run(embedder: Embedder | None) -> dict[str, str]:
    """Why a peer was not asked."""
    reasons = {}
    for name, (package, _) in PEERS.items():
        if embedder is None:
            reasons[name] = "it searches by vectors; this track has none"
        elif find_spec(package) is None:
            reasons[name] = f"{package} is not installed"
    for name, package in WITHOUT_ADAPTER.items():
        there = find_spec(package.partition(".")[0]) is not None and (package != "llama_index.retrievers.bm25")
        reasons[name] = (
            "no adapter is written for it" if there else f"{package} is not installed, and no adapter is written"
        )
    return reasons
