"""MemOS for LangChain, LangGraph and LlamaIndex: governed, durable memory from one engine.

    from memos_integrations import MemOS, Principal

    ana = Principal(tenant="acme", user="ana")
    with MemOS.open("vault") as memos:
        memos.remember("My train leaves at 7:40 from platform 6.", by=ana)
        print(memos.recall("When does my train leave?", by=ana).text)

The doors to the frameworks are `memos_integrations.langchain`, `.langgraph` and `.llama_index`; this module imports
none of them, and no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memos_integrations.core.access import CallContext, Decision, Principal, Verb
    from memos_integrations.core.conflict import ConflictModel, ConflictRules, Decided
    from memos_integrations.core.conversation import Conversation, Message
    from memos_integrations.core.cube import (
        BlobRef,
        Channel,
        Layer,
        Licence,
        MemCube,
        Origin,
        Provenance,
        State,
        Tier,
        Trust,
        TrustLabel,
    )
    from memos_integrations.core.errors import MemOSError
    from memos_integrations.core.gate import Ruling, WriteGate
    from memos_integrations.core.lifecycle import Ageing
    from memos_integrations.core.memstore import Delivery, MemStore, Rate
    from memos_integrations.core.operator import ErasureReceipt, Hit, IngestReport, Recall
    from memos_integrations.core.operator.surfacing import Surfaced, TrustGate
    from memos_integrations.core.operator.tiering import Tiering
    from memos_integrations.core.pipeline import MemBranch, MemPipeline, PipelineReport, Snapshot
    from memos_integrations.core.ports import Embedder, Reranker, Vault
    from memos_integrations.core.reader import Intent, MemoryCall, MemReader, Turn
    from memos_integrations.core.scheduler import MemoryPlan, MemScheduler
    from memos_integrations.memos import MemOS

__version__ = "0.1.0"

_ROOMS = {
    "memos_integrations.core.access": (
        "CallContext",
        "Decision",
        "Principal",
        "Verb",
    ),
    "memos_integrations.core.conflict": (
        "ConflictModel",
        "ConflictRules",
        "Decided",
    ),
    "memos_integrations.core.conversation": (
        "Conversation",
        "Message",
    ),
    "memos_integrations.core.cube": (
        "BlobRef",
        "Channel",
        "Layer",
        "Licence",
        "MemCube",
        "Origin",
        "Provenance",
        "State",
        "Tier",
        "Tiering",
        "Trust",
        "TrustLabel",
    ),
    "memos_integrations.core.errors": ("MemOSError",),
    "memos_integrations.core.gate": ("Ruling", "WriteGate"),
    "memos_integrations.core.lifecycle": ("Ageing",),
    "memos_integrations.core.operator.tiering": ("Tiering",),
    "memos_integrations.core.memstore": ("Delivery", "MemStore", "Rate"),
    "memos_integrations.core.operator": (
        "ErasureReceipt",
        "Hit",
        "IngestReport",
        "Recall",
    ),
    "memos_integrations.core.operator.surfacing": ("Surfaced", "TrustGate"),
    "memos_integrations.core.pipeline": (
        "MemBranch",
        "MemPipeline",
        "PipelineReport",
        "Snapshot",
    ),
    "memos_integrations.core.ports": (
        "Embedder",
        "Reranker",
        "Vault",
    ),
    "memos_integrations.core.reader": (
        "Intent",
        "MemReader",
        "MemoryCall",
        "Turn",
    ),
    "memos_integrations.core.scheduler": (
        "MemScheduler",
        "MemoryPlan",
    ),
    "memos_integrations.memos": ("MemOS",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Ageing",
    "BlobRef",
    "CallContext",
    "Channel",
    "ConflictModel",
    "ConflictRules",
    "Conversation",
    "Decided",
    "Decision",
    "Delivery",
    "Embedder",
    "ErasureReceipt",
    "Hit",
    "IngestReport",
    "Intent",
    "Layer",
    "Licence",
    "MemBranch",
    "MemCube",
    "MemOS",
    "MemOSError",
    "MemPipeline",
    "MemReader",
    "MemScheduler",
    "MemStore",
    "MemoryCall",
    "MemoryPlan",
    "Message",
    "Origin",
    "PipelineReport",
    "Principal",
    "Provenance",
    "Rate",
    "Recall",
    "Reranker",
    "Ruling",
    "Snapshot",
    "State",
    "Surfaced",
    "Tier",
    "Tiering",
    "Trust",
    "TrustGate",
    "TrustLabel",
    "Turn",
    "Vault",
    "Verb",
    "WriteGate",
]


def __getattr__(name: str) -> Any:
    """Load the room of a name when the name is first used (PEP 562), so that importing the package costs nothing."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOM_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
