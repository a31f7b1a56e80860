"""Recall as a LangChain retriever."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig
from pydantic import Field

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import MemCube
from memos_integrations.core.operator import Hit
from memos_integrations.langchain.identity import Identity, identify, running
from memos_integrations.memos import MemOS

CUBE_ID = "memcube_id"
"""The key of a document's metadata that says from which cube it was made."""


def document_of(cube: MemCube, **further: Any) -> Document:
    """A cube as a document: its id is the cube's, its metadata plain JSON that says from where it comes."""
    occurred_at = cube.provenance.occurred_at
    return Document(
        id=cube.id,
        page_content=cube.text,
        metadata={
            CUBE_ID: cube.id,
            **further,
            "provenance": cube.provenance.model_dump(mode="json", exclude_defaults=True),
            "trust": cube.trust.label.value,
            "created_at": cube.descriptive.created_at.isoformat(),
            "occurred_at": occurred_at.isoformat() if occurred_at else None,
            "version": cube.version,
            "semantic_type": cube.descriptive.semantic_type,
            "namespace": list(cube.namespace),
        },
    )


def to_document(hit: Hit) -> Document:
    """A hit as a document that also says how it scored, signal by signal, and why."""
    how = {"score": hit.score, "parts": dict(hit.parts), "why": hit.why}
    return document_of(hit.cube, **how, superseded_by=hit.superseded_by, conflicts_with=list(hit.conflicts_with))


class MemOSRetriever(BaseRetriever):
    """What one principal may know about the query, best first, as LangChain documents.

    Who asks is `principal`, or what the graph's context or the caller's config says (see `identify`). A retriever that
    is called by another one (compression, multi-query) gets no config from it: give such a one its `principal`. `k`
    can be given again with each call, `retriever.invoke("tea", k=3)`, or made `configurable_fields`. `namespace`
    narrows recall to what begins with it. Whoever calls a retriever wants a search, so it searches for small talk too.
    `as_of` recalls what was known then, `valid_at` what held then (see `MemOS.recall`); both may be given with a call.

    Raises:
        IdentityError: Nobody is asking.
    """

    memos: MemOS = Field(exclude=True, repr=False)
    principal: Identity | None = Field(default=None, exclude=True, repr=False)
    k: int = Field(default=8, ge=1)
    namespace: tuple[str, ...] = ()
    context: CallContext | None = None
    as_of: datetime | None = None
    valid_at: datetime | None = None

    # LangChain hands no config to _get_relevant_documents, so identity is settled one step earlier.

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Recall for whoever is asking; see `MemOS.recall`."""
        return super().invoke(input, config, **{**kwargs, "by": self._identify(config)})

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> list[Document]:
        """Recall for whoever is asking, without blocking the event loop."""
        return await super().ainvoke(input, config, **{**kwargs, "by": self._identify(config)})

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        by: Principal | None = None,
    ) -> list[Document]:
        recall = self.memos.recall(query, **self._wishes(k, by), **self._times(as_of, valid_at))
        return [to_document(hit) for hit in recall.hits]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        as_of: datetime | None = None,
        valid_at: datetime | None = None,
        by: Principal | None = None,
    ) -> list[Document]:
        recall = await self.memos.arecall(query, **self._wishes(k, by), **self._times(as_of, valid_at))
        return [to_document(hit) for hit in recall.hits]

    def _identify(self, config: RunnableConfig | None) -> Principal:
        return identify(self.principal, config, running())

    def _wishes(self, k: int | None, by: Principal | None) -> dict[str, Any]:
        return {
            "by": by or self._identify(None),
            "k": self.k if k is None else k,
            "namespace": self.namespace,
            "context": self.context,
            "needed": True,
        }

    def _times(self, as_of: datetime | None, valid_at: datetime | None) -> dict[str, Any]:
        return {"as_of": as_of or self.as_of, "valid_at": valid_at or self.valid_at}

    def _get_ls_params(self, **_: Any) -> LangSmithRetrieverParams:
        return LangSmithRetrieverParams(ls_retriever_name="memos")
