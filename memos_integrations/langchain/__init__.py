"""The LangChain door: memory for agents, chains and retrievers, and LangChain's models as parts of the engine.

Converts in, calls the engine once, converts out. Needs the extra `langchain`. What needs more is loaded when it is
first asked for: `MemOSMiddleware` (extra `agents`), `MemOSMemory` (extra `classic`), `MemOSChatModel` (extra `hf`).

There is no `VectorStore`: that interface promises that a document is replaced under its id, metadata included, and that
it is found by nearness of vectors alone. A memory is versioned, replaced by what supersedes it, and ranked by words,
time and trust as well; a store that kept the first promise would break the second. Search with `MemOSRetriever`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memos_integrations.core.extras import require

require("langchain_core", extra="langchain")

from memos_integrations.langchain.chat_history import MemOSChatMessageHistory  # noqa: E402
from memos_integrations.langchain.compressor import MemOSDocumentCompressor  # noqa: E402
from memos_integrations.langchain.embeddings import LangChainEmbedder  # noqa: E402
from memos_integrations.langchain.loader import MemOSLoader  # noqa: E402
from memos_integrations.langchain.parser import ChatParser  # noqa: E402
from memos_integrations.langchain.redaction import RedactedCallbacks, redact  # noqa: E402
from memos_integrations.langchain.reflection import ChatExtractor, MemOSReflection, Reflection  # noqa: E402
from memos_integrations.langchain.retriever import MemOSRetriever  # noqa: E402
from memos_integrations.langchain.tools import (  # noqa: E402
    ExplainTool,
    ForgetTool,
    HistoryTool,
    RecallTool,
    RememberTool,
    UpdateTool,
    memory_tools,
)

if TYPE_CHECKING:
    from memos_integrations.langchain.chat_model import MemOSChatModel
    from memos_integrations.langchain.classic import MemOSMemory
    from memos_integrations.langchain.middleware import MemOSMiddleware

_LAZY = {
    "MemOSChatModel": ("memos_integrations.langchain.chat_model", "langchain_core", "langchain"),
    "MemOSMemory": ("memos_integrations.langchain.classic", "langchain_classic", "classic"),
    "MemOSMiddleware": ("memos_integrations.langchain.middleware", "langchain", "agents"),
}

__all__ = [
    "ChatExtractor",
    "ChatParser",
    "ExplainTool",
    "ForgetTool",
    "HistoryTool",
    "LangChainEmbedder",
    "MemOSChatMessageHistory",
    "MemOSChatModel",
    "MemOSDocumentCompressor",
    "MemOSLoader",
    "MemOSMemory",
    "MemOSMiddleware",
    "MemOSReflection",
    "MemOSRetriever",
    "RecallTool",
    "RedactedCallbacks",
    "Reflection",
    "RememberTool",
    "UpdateTool",
    "memory_tools",
    "redact",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room, needed, extra = _LAZY[name]
    require(needed, extra=extra)
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
