"""Reranking by memory as a LangChain document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, field_validator

from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.affinity import affinity
from memos_integrations.core.cube import MemCube, TrustLabel
from memos_integrations.core.operator import Recall
from memos_integrations.core.ranking import fuse
from memos_integrations.langchain.identity import Identity, identify, running
from memos_integrations.langchain.retriever import CUBE_ID
from memos_integrations.memos import MemOS

WEIGHTS = {"retrieved": 0.4, "affinity": 0.6, "trust": 0.1}
"""How much each signal counts. A document that says half of what memory says overtakes a few places of the order."""

TRUST = list(TrustLabel)


class MemOSDocumentCompressor(BaseDocumentCompressor):
    """Orders documents by what memory says of the question, and drops memories that may no longer be read.

    The score of a document is the weighted sum of three signals, each 0..1: `retrieved`, its place in the order that
    came in; `affinity`, how many words it shares with what the principal's memory says of the question; `trust`, of
    documents made from cubes. It is put into `metadata["relevance_score"]`, the shares into `metadata["signals"]`.
    Documents made from a cube (`memcube_id` in their metadata) stay only while the principal may use it in a prompt,
    with its present words, and while it holds (`valid_from`, `valid_to`), unless the question asks for another time. At
    most `top_n` are kept. For `ContextualCompressionRetriever`, which passes no config: give it its `principal`, or use
    it in a chain, where the chain's config counts.

    Raises:
        IdentityError: Nobody is asking.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memos: MemOS = Field(exclude=True, repr=False)
    principal: Identity | None = Field(default=None, exclude=True, repr=False)
    top_n: int | None = Field(default=None, ge=1)
    k: int = Field(default=8, ge=1)
    weights: dict[str, float] = Field(default_factory=lambda: dict(WEIGHTS))
    namespace: tuple[str, ...] = ()
    context: CallContext | None = None

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(weights.keys() - WEIGHTS.keys()):
            raise ValueError(f"there are no signals {unknown}; there are {sorted(WEIGHTS)}")
        return {**WEIGHTS, **weights}

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """The documents that may be shown, best first."""
        by = identify(self.principal, None, running())
        if not documents:
            return []
        ids = _cube_ids(documents)
        cubes = self.memos.get_many(ids, **self._holding(by)) if ids else []
        recall = self.memos.recall(query, **self._wishes(by)) if query.strip() else None
        if more := _asked_for(ids, cubes, recall):
            cubes += self.memos.get_many(more, **self._holding(by, holding=False))
        return self._ordered(documents, cubes, recall)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """`compress_documents`, without blocking the event loop."""
        by = identify(self.principal, None, running())
        if not documents:
            return []
        ids = _cube_ids(documents)
        cubes = await self.memos.aget_many(ids, **self._holding(by)) if ids else []
        recall = await self.memos.arecall(query, **self._wishes(by)) if query.strip() else None
        if more := _asked_for(ids, cubes, recall):
            cubes += await self.memos.aget_many(more, **self._holding(by, holding=False))
        return self._ordered(documents, cubes, recall)

    def _holding(self, by: Principal, *, holding: bool = True) -> dict[str, Any]:
        return {"by": by, "verb": Verb.USE_IN_PROMPT, "context": self.context, "holding": holding}

    def _wishes(self, by: Principal) -> dict[str, Any]:
        return {"by": by, "k": self.k, "namespace": self.namespace, "context": self.context, "needed": True}

    def _ordered(
        self, documents: Sequence[Document], cubes: Sequence[MemCube], recall: Recall | None
    ) -> list[Document]:
        fresh = {cube.id: cube for cube in cubes}
        kept = [each for each in documents if CUBE_ID not in each.metadata or str(each.metadata[CUBE_ID]) in fresh]
        own = [fresh.get(str(each.metadata.get(CUBE_ID))) for each in kept]
        texts = [each.page_content if cube is None else cube.text for each, cube in zip(kept, own, strict=True)]
        signals = {
            "retrieved": [1.0 - place / len(kept) for place in range(len(kept))],
            "affinity": affinity(texts, recall.hits if recall else ()),
            "trust": [0.0 if cube is None else TRUST.index(cube.trust.label) / (len(TRUST) - 1) for cube in own],
        }
        scores = fuse(signals, self.weights)
        places = sorted(range(len(kept)), key=lambda place: -scores[place])[: self.top_n]
        return [
            kept[place].model_copy(
                update={
                    "page_content": texts[place],
                    "metadata": {
                        **kept[place].metadata,
                        "relevance_score": scores[place],
                        "signals": {name: values[place] for name, values in signals.items()},
                    },
                }
            )
            for place in places
        ]


def _cube_ids(documents: Sequence[Document]) -> list[str]:
    return list(dict.fromkeys(str(each.metadata[CUBE_ID]) for each in documents if CUBE_ID in each.metadata))


def _asked_for(ids: Sequence[str], cubes: Sequence[MemCube], recall: Recall | None) -> list[str]:
    """What does not hold now, and the question is about: recall gives it all the same."""
    there = {cube.id for cube in cubes}
    given = {hit.cube.id for hit in recall.hits} if recall else set()
    return [each for each in ids if each in given and each not in there]
