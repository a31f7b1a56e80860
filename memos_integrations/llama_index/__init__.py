"""The LlamaIndex door: memory for query engines, chat engines and agents.

Converts in, calls the engine once, converts out. Needs the extra `llama-index`; `MemOSLLM` needs `hf` too. Each name
is loaded when it is first asked for: a query engine does not pay for agents, nor an agent for ingestion.

There is no `VectorStore`: that interface promises nearness of vectors alone, and that a document is gone when anybody
deletes its id. A memory is versioned, ranked by words, time and trust as well, and only its owner forgets it: search
with `MemOSRetriever`, fill with `MemOSIngestion`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memos_integrations.core.extras import require

# The namespace alone: what is heavy is loaded with the part that needs it.
require("llama_index", extra="llama-index")

if TYPE_CHECKING:
    from memos_integrations.llama_index.access import MemOSAccessPostprocessor
    from memos_integrations.llama_index.chat_store import MemOSAsyncChatStore, MemOSChatStore
    from memos_integrations.llama_index.embeddings import LlamaIndexEmbedder
    from memos_integrations.llama_index.identity import acting_as
    from memos_integrations.llama_index.ingestion import MemOSIngestion
    from memos_integrations.llama_index.llm import MemOSLLM
    from memos_integrations.llama_index.memory import MemOSMemory
    from memos_integrations.llama_index.memory_block import MemOSMemoryBlock
    from memos_integrations.llama_index.postprocessor import MemOSNodePostprocessor
    from memos_integrations.llama_index.rerank import MemOSRerankPostprocessor
    from memos_integrations.llama_index.reranker import LlamaIndexReranker
    from memos_integrations.llama_index.retriever import MemOSRetriever
    from memos_integrations.llama_index.tools import MemOSToolSpec

_ROOM_OF = {
    "LlamaIndexEmbedder": "embeddings",
    "LlamaIndexReranker": "reranker",
    "MemOSAccessPostprocessor": "access",
    "MemOSAsyncChatStore": "chat_store",
    "MemOSChatStore": "chat_store",
    "MemOSIngestion": "ingestion",
    "MemOSLLM": "llm",
    "MemOSMemory": "memory",
    "MemOSMemoryBlock": "memory_block",
    "MemOSNodePostprocessor": "postprocessor",
    "MemOSRerankPostprocessor": "rerank",
    "MemOSRetriever": "retriever",
    "MemOSToolSpec": "tools",
    "acting_as": "identity",
}

__all__ = [
    "LlamaIndexEmbedder",
    "LlamaIndexReranker",
    "MemOSAccessPostprocessor",
    "MemOSAsyncChatStore",
    "MemOSChatStore",
    "MemOSIngestion",
    "MemOSLLM",
    "MemOSMemory",
    "MemOSMemoryBlock",
    "MemOSNodePostprocessor",
    "MemOSRerankPostprocessor",
    "MemOSRetriever",
    "MemOSToolSpec",
    "acting_as",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
