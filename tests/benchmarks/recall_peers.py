"""Other stores on the same turns and questions, with the same vectors: what each finds, best first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from memos_integrations import Conversation, Embedder
from tests.benchmarks.peers import langchain_embeddings

Ranked = list[tuple[str, ...]]
MOST = 50


def texts_of(conversation: Conversation) -> list[str]:
    """What every peer is given of a message."""
    return [f"{message.speaker}: {message.text}" for message in conversation.messages]


def langgraph_inmemorystore(conversation: Conversation, questions: Sequence[str], embedder: Embedder | None) -> Ranked:
    """LangGraph's InMemoryStore with an index."""
    from langgraph.store.memory import InMemoryStore

    assert embedder is not None

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [list(map(float, row)) for row in embedder.embed(list(texts))]

    store = InMemoryStore(index={"dims": embedder.dim, "embed": embed, "fields": ["text"]})
    for message in conversation.messages:
        store.put(("turns",), message.id, {"text": f"{message.speaker}: {message.text}"})
    return [tuple(item.key for item in store.search(("turns",), query=one, limit=MOST)) for one in questions]


def llamaindex_vector(conversation: Conversation, questions: Sequence[str], embedder: Embedder | None) -> Ranked:
    """LlamaIndex's VectorStoreIndex over nodes that bring their vectors."""
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.core.schema import QueryBundle, TextNode

    assert embedder is not None
    texts = texts_of(conversation)
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


def llamaindex_bm25(conversation: Conversation, questions: Sequence[str], embedder: Embedder | None) -> Ranked:
    """LlamaIndex's BM25Retriever as it comes: its own tokens, stems and stop words."""
    from llama_index.core.schema import TextNode

    nodes = [
        TextNode(id_=one.id, text=text) for one, text in zip(conversation.messages, texts_of(conversation), strict=True)
    ]
    retriever = import_module("llama_index.retrievers.bm25").BM25Retriever.from_defaults(
        nodes=nodes, similarity_top_k=min(MOST, len(nodes))
    )
    return [tuple(found.node.node_id for found in retriever.retrieve(one)) for one in questions]


def txtai_hybrid(conversation: Conversation, questions: Sequence[str], embedder: Embedder | None) -> Ranked:
    """txtai's Embeddings with `hybrid=True`: BM25 and vectors, half and half."""
    assert embedder is not None

    def transform(texts: Iterable[str]) -> object:
        return np.asarray(embedder.embed(list(texts)), dtype=np.float32)

    index = import_module("txtai").Embeddings(method="external", transform=transform, hybrid=True, backend="numpy")
    index.index((one.id, text, None) for one, text in zip(conversation.messages, texts_of(conversation), strict=True))
    return [tuple(str(name) for name, _ in index.search(one, MOST)) for one in questions]


def mem0_verbatim(conversation: Conversation, questions: Sequence[str], embedder: Embedder | None) -> Ranked:
    """mem0 with `infer=False`: every message is kept as it is, no model is asked."""
    assert embedder is not None
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({"MEM0_TELEMETRY": "False", "MEM0_DIR": folder})
        chat = import_module("langchain_core.language_models.fake_chat_models").FakeListChatModel(responses=["{}"])
        vectors = langchain_embeddings(lambda texts: np.asarray(embedder.embed(list(texts))).tolist())
        qdrant = {"path": f"{folder}/qdrant", "embedding_model_dims": embedder.dim}
        memory = import_module("mem0").Memory.from_config(
            {
                "embedder": {"provider": "langchain", "config": {"model": vectors}},
                "llm": {"provider": "langchain", "config": {"model": chat}},
                "vector_store": {"provider": "qdrant", "config": qdrant},
                "history_db_path": f"{folder}/history.db",
            }
        )
        for one, text in zip(conversation.messages, texts_of(conversation), strict=True):
            memory.add(text, user_id="me", metadata={"turn": one.id}, infer=False)
        found = [memory.search(one, top_k=MOST, filters={"user_id": "me"}, threshold=0.0) for one in questions]
        return [tuple(each["metadata"]["turn"] for each in one["results"]) for one in found]


PEERS: dict[str, tuple[str, bool, Callable[[Conversation, Sequence[str], Embedder | None], Ranked]]] = {
    "langgraph_inmemorystore": ("langgraph", True, langgraph_inmemorystore),
    "llamaindex_vector": ("llama_index.core", True, llamaindex_vector),
    "llamaindex_bm25": ("llama_index.retrievers.bm25", False, llamaindex_bm25),
    "txtai_hybrid": ("txtai", True, txtai_hybrid),
    "mem0": ("mem0", True, mem0_verbatim),
}
"""By name: the module that is needed, whether it needs vectors, and how it is asked."""


def not_run(embedder: Embedder | None) -> dict[str, str]:
    """Why a peer was not asked."""
    reasons = {}
    for name, (module, by_vectors, _) in PEERS.items():
        if by_vectors and embedder is None:
            reasons[name] = "it searches by vectors; this track has none"
        elif not installed(module):
            reasons[name] = f"{module} is not installed"
    return reasons


def installed(module: str) -> bool:
    """Whether a module is there; a package above it may lack."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
