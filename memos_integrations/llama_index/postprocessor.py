"""Recall as a LlamaIndex node postprocessor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import MemCube
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.core.text import estimate_tokens
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import Fence, Policy, denied, dispatcher, recalled, recalling
from memos_integrations.llama_index.nodes import cube_id_of, cube_ids, fresh, to_node
from memos_integrations.llama_index.transcript import readable

RRF = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)."""


class MemOSNodePostprocessor(Attached, BaseNodePostprocessor):
    """Adds what the principal may recall about the query, and drops nodes that the principal may not read.

    A node made from a cube says so by `memcube_id` in its metadata; it stays only while the principal may read that
    cube, with a query or without, and shows its present words. Nodes without the key are not memories and pass. A
    memory whose text a node already has is not repeated. Incoming nodes are
    never changed. It works on an empty list too: then memory answers alone.

    With a `token_budget`, memories and nodes are fused by rank (reciprocal rank fusion), and what is best by both
    orders stays while it fits. Recalled memories come `first` (the default), `last`, or `fused` among the nodes.
    `on_fault` says whether a failing recall ends the query (`raise`, the default) or leaves the nodes as they are;
    access is decided in either case, or nothing passes.

    `as_of` recalls what was known then, `valid_at` what held then; nodes that came in are judged as of now.
    Where neither is said, nodes of memories that do not hold now are dropped; what the question asks for is recalled.

    See `Attached` for how it is stored and restored.

    Raises:
        IdentityError: At query time, when nobody is asking.
    """

    k: int = Field(default=8, ge=1)
    position: Literal["first", "last", "fused"] = "first"
    token_budget: int | None = Field(default=None, ge=1)
    namespace: tuple[str, ...] = ()
    as_of: datetime | None = None
    valid_at: datetime | None = None
    on_fault: Policy = "raise"

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSNodePostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids, recall = self.by, cube_ids(nodes), None
        cubes = self.memos.get_many(ids, **self._holding(by)) if ids else []
        kept = self._readable(nodes, cubes, by)
        if not (question := asked(query_bundle)):
            return kept
        with Fence(self.class_name(), "recall", self.on_fault):
            recalling(self.class_name(), by, question)
            recall = self.memos.recall(question, **self._wishes(by))
        return self._joined(kept, by, recall)

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids, recall = self.by, cube_ids(nodes), None
        cubes = await self.memos.aget_many(ids, **self._holding(by)) if ids else []
        kept = self._readable(nodes, cubes, by)
        if not (question := asked(query_bundle)):
            return kept
        with Fence(self.class_name(), "recall", self.on_fault):
            recalling(self.class_name(), by, question)
            recall = await self.memos.arecall(question, **self._wishes(by))
        return self._joined(kept, by, recall)

    def _readable(self, nodes: list[NodeWithScore], cubes: Sequence[MemCube], by: Principal) -> list[NodeWithScore]:
        present = {cube.id: cube for cube in cubes}
        known = [(node, cube_id_of(node)) for node in nodes]
        kept = [
            node if cube_id is None else fresh(node, present[cube_id])
            for node, cube_id in known
            if cube_id is None or cube_id in present
        ]
        denied(self.class_name(), by, {"not readable": len(nodes) - len(kept)} if len(kept) < len(nodes) else {})
        return kept

    def _holding(self, by: Principal) -> dict[str, Any]:
        return {"by": by, "context": self.context, "holding": self.as_of is None and self.valid_at is None}

    def _wishes(self, by: Principal) -> dict[str, Any]:
        wishes: dict[str, Any] = {"by": by, "k": self.k, "namespace": self.namespace, "context": self.context}
        wishes |= {"as_of": self.as_of, "valid_at": self.valid_at}
        return wishes if self.token_budget is None else {**wishes, "token_budget": self.token_budget}

    def _joined(self, nodes: list[NodeWithScore], by: Principal, recall: Recall | None) -> list[NodeWithScore]:
        if recall is None:
            return nodes
        recalled(self.class_name(), by, recall)
        memories, others = without_repeats(recall.hits, nodes)
        fused = by_rank(memories, others)
        if self.token_budget is not None:
            fused = within(self.token_budget, fused)
        if self.position == "fused":
            return fused
        kept = {id(node) for node in fused}
        first, then = (memories, others) if self.position == "first" else (others, memories)
        return [node for node in (*first, *then) if id(node) in kept]


def asked(query_bundle: QueryBundle | None) -> str:
    """The words of a query; empty when there are none."""
    return "" if query_bundle is None else readable(query_bundle.query_str)


def without_repeats(
    hits: Sequence[Hit], nodes: Sequence[NodeWithScore]
) -> tuple[list[NodeWithScore], list[NodeWithScore]]:
    """The hits as nodes and the other nodes, each memory and each text once; a recalled memory takes its node's place.

    Only a memory gives way to a document with the same words: documents among themselves are the retriever's affair.
    """
    recalled_ids = {hit.cube.id for hit in hits}
    others = [node for node in nodes if cube_id_of(node) not in recalled_ids]
    said = {_folded(node.node.get_content(MetadataMode.NONE)) for node in others}
    memories = []
    for hit in hits:
        words = _folded(hit.text)
        if words not in said:
            said.add(words)
            memories.append(to_node(hit))
    return memories, others


def by_rank(*lists: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The lists in one order by reciprocal rank; of equal ranks the earlier list's comes first. Scores stay."""
    ranked = [
        (1.0 / (RRF + rank), -number, node) for number, each in enumerate(lists) for rank, node in enumerate(each)
    ]
    return [node for _, _, node in sorted(ranked, key=lambda entry: (entry[0], entry[1]), reverse=True)]


def within(budget: int, nodes: Iterable[NodeWithScore]) -> list[NodeWithScore]:
    """The nodes that fit into *budget* tokens, as a language model is shown them; one too long is passed over."""
    kept = []
    for node in nodes:
        tokens = estimate_tokens(node.node.get_content(MetadataMode.LLM))
        if tokens <= budget:
            kept.append(node)
            budget -= tokens
    return kept


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
