"""MemOS for LangChain, LangGraph and LlamaIndex: governed, durable memory from one engine.

    from memos_integrations import MemOS, Principal

    ana = Principal(tenant="acme", user="ana")
    with MemOS.open("vault") as memos:
        memos.remember("I moved to Lisbon in March.", by=ana)
        print(memos.recall("Where do I live?", by=ana).text)

The doors to the frameworks are `memos_integrations.langchain`, `.langgraph` and `.llama_index`; this module imports
none of them, and no torch.
"""

from memos_integrations.core.access import CallContext, Decision, Principal, Verb
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.core.cube import (
    BlobRef,
    Channel,
    Layer,
    MemCube,
    Origin,
    Provenance,
    State,
    Tier,
    Trust,
    TrustLabel,
)
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.operator import ErasureReceipt, Hit, IngestReport, Recall
from memos_integrations.core.ports import Embedder, Vault
from memos_integrations.core.reader import Intent, MemoryCall, MemReader, Turn
from memos_integrations.core.scheduler import MemoryPlan, MemScheduler
from memos_integrations.memos import MemOS

__version__ = "0.1.0"

__all__ = [
    "BlobRef",
    "CallContext",
    "Channel",
    "Conversation",
    "Decision",
    "Embedder",
    "ErasureReceipt",
    "Hit",
    "IngestReport",
    "Intent",
    "Layer",
    "MemCube",
    "MemOS",
    "MemOSError",
    "MemReader",
    "MemScheduler",
    "MemoryCall",
    "MemoryPlan",
    "Message",
    "Origin",
    "Principal",
    "Provenance",
    "Recall",
    "State",
    "Tier",
    "Trust",
    "TrustLabel",
    "Turn",
    "Vault",
    "Verb",
]
