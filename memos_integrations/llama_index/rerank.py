"""Reranking by memory: what this user has used, said and prefers, how far it is trusted, how new it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, field_validator

from memos_integrations.core.access import Principal, Verb
from memos_integrations.core.affinity import affinity
from memos_integrations.core.cube import Channel, MemCube, TrustLabel
from memos_integrations.core.operator import Hit, Recall
from memos_integrations.core.ranking import fuse, scaled
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import Fence, MemoryRankEvent, Policy, dispatcher, recalled, recalling
from memos_integrations.llama_index.nodes import cube_id_of, cube_ids
from memos_integrations.llama_index.postprocessor import asked

WEIGHTS = {"retrieved": 0.5, "affinity": 0.3, "used": 0.1, "said": 0.1, "prefers": 0.1, "trust": 0.1, "recency": 0.05}
"""How much each signal counts: the retriever's order carries, memory decides between what is near."""

TRUST = list(TrustLabel)
RECENCY_DAYS = 30.0
READ_OFTEN = 5.0
"""After so many reads half of what use can give is given."""


class MemOSRerankPostprocessor(Attached, BaseNodePostprocessor):
    """Orders nodes by what memory knows: nothing is added, and nothing dropped but what is below `top_n`.

    The score of a node is the weighted sum of signals, each 0..1 (`weights` changes some of them):
    `retrieved`, its score so far, scaled over the nodes (by rank where a score is missing); `affinity`, how many of
    its words are in what the user's memory says of the question; and of nodes made from a cube (`memcube_id`) that
    the principal may read: `used` (read often, found helpful), `said` (by the principal), `prefers` (a preference),
    `trust`, and `recency` beside the newest. Without a query there is no affinity. Incoming nodes are not changed.

    The signals of each node are in a `MemoryRankEvent`. `on_fault` says whether a failing engine ends the query or
    leaves the order as it was (`continue`, the default).

    Raises:
        IdentityError: At query time, when nobody is asking.
    """

    top_n: int | None = Field(default=None, ge=1)
    k: int = Field(default=8, ge=1)
    weights: dict[str, float] = Field(default_factory=lambda: dict(WEIGHTS))
    namespace: tuple[str, ...] = ()
    on_fault: Policy = "continue"

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(weights.keys() - WEIGHTS.keys()):
            raise ValueError(f"there are no signals {unknown}; there are {sorted(WEIGHTS)}")
        return {**WEIGHTS, **weights}

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSRerankPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids, question = self.by, cube_ids(nodes), asked(query_bundle)
        cubes: list[MemCube] = []
        recall: Recall | None = None
        with self._told(nodes, question) as result:
            with Fence(self.class_name(), "rerank", self.on_fault) as fence:
                cubes = self.memos.get_many(ids, **self._asking(by)) if ids else []
                if self._recalls(nodes, question):
                    recalling(self.class_name(), by, question)
                    recall = self.memos.recall(question, k=self.k, namespace=self.namespace, **self._who(by))
            result.extend(self._ordered(nodes, by, cubes, recall) if fence.fault is None else nodes[: self.top_n])
        return result

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids, question = self.by, cube_ids(nodes), asked(query_bundle)
        cubes: list[MemCube] = []
        recall: Recall | None = None
        with self._told(nodes, question) as result:
            with Fence(self.class_name(), "rerank", self.on_fault) as fence:
                cubes = await self.memos.aget_many(ids, **self._asking(by)) if ids else []
                if self._recalls(nodes, question):
                    recalling(self.class_name(), by, question)
                    recall = await self.memos.arecall(question, k=self.k, namespace=self.namespace, **self._who(by))
            result.extend(self._ordered(nodes, by, cubes, recall) if fence.fault is None else nodes[: self.top_n])
        return result

    def _who(self, by: Principal) -> dict[str, Any]:
        return {"by": by, "context": self.context}

    def _asking(self, by: Principal) -> dict[str, Any]:
        return {**self._who(by), "verb": Verb.USE_IN_PROMPT}

    def _recalls(self, nodes: Sequence[NodeWithScore], question: str) -> bool:
        return bool(nodes and question and self.weights["affinity"])

    @contextmanager
    def _told(self, nodes: list[NodeWithScore], question: str) -> Iterator[list[NodeWithScore]]:
        """The result, to be filled within; LlamaIndex's own events and callbacks of a reranking stand around it."""
        result: list[NodeWithScore] = []
        top_n = self.top_n or len(nodes)
        dispatcher.event(ReRankStartEvent(query=question, nodes=nodes, top_n=top_n, model_name=self.class_name()))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.class_name(),
            EventPayload.QUERY_STR: question,
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield result
            event.on_end(payload={EventPayload.NODES: result})
        dispatcher.event(ReRankEndEvent(nodes=result))

    def _ordered(
        self, nodes: list[NodeWithScore], by: Principal, cubes: Sequence[MemCube], recall: Recall | None
    ) -> list[NodeWithScore]:
        hits = recall.hits if recall else ()
        if recall is not None:
            recalled(self.class_name(), by, recall)
        signals = signals_of(nodes, {cube.id: cube for cube in cubes}, hits, by)
        scores = fuse(signals, self.weights)
        places = sorted(range(len(nodes)), key=lambda place: -scores[place])[: self.top_n]
        shares = [{name: round(values[place], 6) for name, values in signals.items()} for place in places]
        dispatcher.event(
            MemoryRankEvent(
                part=self.class_name(),
                principal=by.subject,
                node_ids=[nodes[place].node.node_id for place in places],
                scores=[scores[place] for place in places],
                signals=shares,
            )
        )
        return [NodeWithScore(node=nodes[place].node, score=scores[place]) for place in places]


def signals_of(
    nodes: Sequence[NodeWithScore], cubes: Mapping[str, MemCube], hits: Sequence[Hit], by: Principal
) -> dict[str, list[float]]:
    """Every signal of every node, each 0..1."""
    own = [cubes.get(cube_id_of(node) or "") for node in nodes]
    newest = max((_said_at(cube) for cube in own if cube), default=None)
    return {
        "retrieved": _retrieved(nodes),
        "affinity": affinity([node.node.get_content(MetadataMode.NONE) for node in nodes], hits),
        "used": [0.0 if cube is None else _used(cube) for cube in own],
        "said": [float(cube is not None and _said(cube, by)) for cube in own],
        "prefers": [float(cube is not None and cube.descriptive.semantic_type == "preference") for cube in own],
        "trust": [0.0 if cube is None else TRUST.index(cube.trust.label) / (len(TRUST) - 1) for cube in own],
        "recency": [0.0 if cube is None or newest is None else _recency(cube, newest) for cube in own],
    }


def _retrieved(nodes: Sequence[NodeWithScore]) -> list[float]:
    scores = [node.score for node in nodes]
    if any(score is None for score in scores):
        return [1.0 - place / len(nodes) for place in range(len(nodes))]
    return scaled(scores)


def _used(cube: MemCube) -> float:
    seen = cube.behaviour
    worth = max(0.0, seen.heat + 2.0 * (seen.helpful - seen.wrong))
    return worth / (worth + READ_OFTEN)


def _said(cube: MemCube, by: Principal) -> bool:
    return cube.trust.channel is Channel.USER and by.subject in (cube.provenance.author, cube.governance.owner)


def _recency(cube: MemCube, newest: datetime) -> float:
    days = max(0.0, (newest - _said_at(cube)).total_seconds() / 86_400.0)
    return 1.0 / (1.0 + days / RECENCY_DAYS)


def _said_at(cube: MemCube) -> datetime:
    return cube.provenance.occurred_at or cube.descriptive.created_at
