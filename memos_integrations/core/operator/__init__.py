"""MemOperator: carries out plans (recall) and turns what is said into cubes (write). Paper §5.4.1."""

from __future__ import annotations

from memos_integrations.core.operator.activation import draft_activation, draft_parameter
from memos_integrations.core.operator.blob import Blob, blob_of
from memos_integrations.core.operator.context import Citation, CitedContext, cited_context
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.excerpt import excerpt
from memos_integrations.core.operator.ingest import Progress
from memos_integrations.core.operator.options import (
    MemoryChanges,
    MemoryOptions,
    changes_by_part,
    draft_memory,
    draft_message,
    parts,
)
from memos_integrations.core.operator.queries import scopes_of
from memos_integrations.core.operator.recall import MemOperator
from memos_integrations.core.operator.recalled import Cost, Hit, Recall, marks_of, render
from memos_integrations.core.operator.receipts import ErasureReceipt, IngestReport
from memos_integrations.core.operator.relearning import Learner, Relearnt
from memos_integrations.core.operator.scopes import Finding
from memos_integrations.core.operator.write import Draft, finished
from memos_integrations.core.operator.writer import CubeWriter

__all__ = [
    "Blob",
    "Citation",
    "CitedContext",
    "Cost",
    "CubeWriter",
    "Draft",
    "Embedding",
    "ErasureReceipt",
    "Finding",
    "Hit",
    "IngestReport",
    "Learner",
    "MemOperator",
    "MemoryChanges",
    "MemoryOptions",
    "Progress",
    "Recall",
    "Relearnt",
    "blob_of",
    "changes_by_part",
    "cited_context",
    "draft_activation",
    "draft_memory",
    "draft_message",
    "draft_parameter",
    "excerpt",
    "finished",
    "marks_of",
    "parts",
    "render",
    "scopes_of",
]
