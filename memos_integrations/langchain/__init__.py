"""The LangChain door: recall as a retriever, embeddings and chat models as parts of the engine.

Converts in, calls the engine once, converts out. Needs the extra `langchain`; `MemOSChatModel` needs `hf` too and is
loaded when it is first asked for, so that the rest of the door works without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memos_integrations.core.extras import require

require("langchain_core", extra="langchain")

from memos_integrations.langchain.embeddings import LangChainEmbedder  # noqa: E402
from memos_integrations.langchain.parser import ChatParser  # noqa: E402
from memos_integrations.langchain.retriever import MemOSRetriever  # noqa: E402

if TYPE_CHECKING:
    from memos_integrations.langchain.chat_model import MemOSChatModel

__all__ = ["ChatParser", "LangChainEmbedder", "MemOSChatModel", "MemOSRetriever"]


def __getattr__(name: str) -> Any:
    if name == "MemOSChatModel":
        from memos_integrations.langchain.chat_model import MemOSChatModel

        return MemOSChatModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
