"""Recall as a LlamaIndex retriever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import Fence, Policy, recalled, recalling
from memos_integrations.llama_index.filters import to_cube_filter
from memos_integrations.llama_index.identity import Identity
from memos_integrations.llama_index.nodes import to_node
from memos_integrations.llama_index.postprocessor import asked
from memos_integrations.memos import MemOS


class MemOSRetriever(BaseRetriever):
    """What one principal may know about the query, best first, as scored nodes with stable ids (`mem:<cube id>`).

    It stands wherever a retriever may: in a `RetrieverQueryEngine`, fused with others, behind a router, as a tool.
    `filters` hold before the best *k* are picked (see `filters.to_cube_filter`), `namespace` and *k* as in
    `MemOS.recall`. Whoever calls a retriever wants a search, so it searches for small talk too. The nodes' lineage is
    in their relationships: SOURCE the conversation or document, NEXT what replaces it, PREVIOUS what it replaces,
    CHILD what it was made of.

    Args:
        memos: The engine.
        principal: Who asks, or a function that says so; None: whoever `acting_as` names.
        as_of: Recall what was known then; None: what is known now.
        valid_at: Recall what held in the world then; None: whatever is known.
        on_fault: `raise`, or `continue` with no nodes when the engine fails.

    Raises:
        IdentityError: At query time, when nobody is asking.
        InvalidMemoryError: *k* is below 1, or a filter cannot be asked of a vault.
    """

    def __init__(
        self,
        memos: MemOS,
        *,
        principal: Identity | None = None,
        k: int = 8,
        namespace: Sequence[str] = (),
        filters: MetadataFilters | None = None,
        token_budget: int | None = None,
        context: CallContext | None = None,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        on_fault: Policy = "raise",
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        if k < 1:
            raise InvalidMemoryError(f"k must be at least 1, not {k}.")
        self._attached, self.on_fault = Attached(memos, principal=principal), on_fault
        self._wishes: dict[str, Any] = {
            "k": k,
            "namespace": tuple(namespace),
            "where": to_cube_filter(filters),
            "token_budget": token_budget,
            "context": context,
            "as_of": as_of,
            "valid_at": valid_at,
            "needed": True,
        }

    @property
    def memos(self) -> MemOS:
        """The engine; a copy or a pickle finds it again, see `Attached`."""
        return self._attached.memos

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        by, question = self._begun(query_bundle)
        with Fence("MemOSRetriever", "recall", self.on_fault):
            if question:
                recall = self.memos.recall(question, by=by, **self._wishes)
                recalled("MemOSRetriever", by, recall)
                return [to_node(hit) for hit in recall.hits]
        return []

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        by, question = self._begun(query_bundle)
        with Fence("MemOSRetriever", "recall", self.on_fault):
            if question:
                recall = await self.memos.arecall(question, by=by, **self._wishes)
                recalled("MemOSRetriever", by, recall)
                return [to_node(hit) for hit in recall.hits]
        return []

    def _begun(self, query_bundle: QueryBundle) -> tuple[Principal, str]:
        by, question = self._attached.by, asked(query_bundle)
        if question:
            recalling("MemOSRetriever", by, question)
        return by, question
