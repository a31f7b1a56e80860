"""The ports: what the engine asks of a vault and of an embedder, and the values that cross.

Small protocols, filled by `vaults/` and `backends/` and passed in by the user. Nothing to register. A vault
stores and finds; it knows no access rule. Governance compiles what a principal may see into a `Visibility`, and
the subjects that may read a cube into its `Put`; a vault only compares the two, before it picks the best k.
"""

from __future__ import annotations

from memos_integrations.core.ports.derivative import Derivative, least_allowed
from memos_integrations.core.ports.embedder import Embedder, EmbedderIdentity, TokenEmbedder, Vectors
from memos_integrations.core.ports.erasure import ErasureWitness
from memos_integrations.core.ports.keys import KeyProvider
from memos_integrations.core.ports.log import AuditEntry, AuditRecord, AuditReport, LogFilters, LogQuery, Outcome
from memos_integrations.core.ports.query import (
    RECALLABLE,
    CubeFilter,
    Edge,
    Found,
    Limit,
    Match,
    ValueTest,
    VaultQuery,
    Visibility,
    narrowed,
)
from memos_integrations.core.ports.reranker import Reranker
from memos_integrations.core.ports.transaction import (
    HEAT_HALF_LIFE_S,
    Change,
    Direct,
    Durability,
    Erase,
    Expect,
    Move,
    Put,
    PutVector,
    Receipt,
    Room,
    Transaction,
    Use,
    cooled,
)
from memos_integrations.core.ports.vault import Stage, Vault
from memos_integrations.core.ports.wire import Letter, Posting, Wire

__all__ = [
    "HEAT_HALF_LIFE_S",
    "RECALLABLE",
    "AuditEntry",
    "AuditRecord",
    "AuditReport",
    "Change",
    "CubeFilter",
    "Derivative",
    "Direct",
    "Durability",
    "Edge",
    "Embedder",
    "EmbedderIdentity",
    "Erase",
    "ErasureWitness",
    "Expect",
    "Found",
    "KeyProvider",
    "Letter",
    "Limit",
    "LogFilters",
    "LogQuery",
    "Match",
    "Move",
    "Outcome",
    "Posting",
    "Put",
    "PutVector",
    "Receipt",
    "Reranker",
    "Room",
    "Stage",
    "TokenEmbedder",
    "Transaction",
    "Use",
    "ValueTest",
    "Vault",
    "VaultQuery",
    "Vectors",
    "Visibility",
    "Wire",
    "cooled",
    "least_allowed",
    "narrowed",
]
