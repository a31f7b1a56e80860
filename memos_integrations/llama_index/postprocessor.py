"""Recall and access as a LlamaIndex node postprocessor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, Self

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, PrivateAttr

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import IdentityError, MemOSError
from memos_integrations.core.operator import Hit
from memos_integrations.llama_index.nodes import CUBE_ID, to_node
from memos_integrations.memos import MemOS

Identity = Principal | Callable[[], Principal]
"""A fixed principal, or a function that says who is asking now (a context variable's `get`, for instance)."""

dispatcher = get_dispatcher(__name__)


def identify(given: Identity | None) -> Principal:
    """Who asks. LlamaIndex passes no runtime context, so it is what the application gave, or what its function says.

    Raises:
        IdentityError: Nothing was given, or the function did not return a principal.
    """
    principal = given if given is None or isinstance(given, Principal) else given()
    if isinstance(principal, Principal):
        return principal
    raise IdentityError(
        "Nobody is asking: give the postprocessor principal=Principal(...), or a function that returns one."
    )


class MemOSNodePostprocessor(BaseNodePostprocessor):
    """Adds what the principal may recall about the query, and drops nodes that the principal may not read.

    A node made from a cube says so by `memcube_id` in its metadata; it stays only while the principal may read that
    cube, with a query or without. Nodes without the key are not memories and pass. Recalled memories come `first`
    (the default) or `last`; one that arrives as a node already is taken fresh from the engine, and one whose text a
    node already has is not repeated. Incoming nodes are never changed.

    `to_dict` gives the settings without engine and identity; `from_dict(settings, memos=..., principal=...)` takes
    them back.

    Raises:
        IdentityError: At query time, when `principal` is missing or its function names nobody.
    """

    k: int = Field(default=8, ge=1)
    position: Literal["first", "last"] = "first"
    namespace: tuple[str, ...] = ()
    context: CallContext | None = None
    _memos: MemOS = PrivateAttr()
    _principal: Identity | None = PrivateAttr()

    def __init__(self, memos: MemOS, *, principal: Identity | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._memos = memos
        self._principal = principal

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSNodePostprocessor"

    def __getstate__(self) -> NoReturn:
        raise MemOSError(
            "A MemOSNodePostprocessor holds an open vault and cannot be pickled. Build one in each process, for "
            "example with MemOSNodePostprocessor.from_dict(settings, memos=MemOS.open(...), principal=...)."
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by = identify(self._principal)
        ids = cube_ids(nodes)
        readable = self._memos.may_read(ids, by=by, context=self.context) if ids else set()
        kept = [node for node in nodes if _cube_id(node) in {None, *readable}]
        if query_bundle is None or not query_bundle.query_str.strip():
            return kept
        recall = self._memos.recall(query_bundle.query_str, **self._wishes(by))
        return self._joined(kept, recall.hits)

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by = identify(self._principal)
        ids = cube_ids(nodes)
        readable = await self._memos.amay_read(ids, by=by, context=self.context) if ids else set()
        kept = [node for node in nodes if _cube_id(node) in {None, *readable}]
        if query_bundle is None or not query_bundle.query_str.strip():
            return kept
        recall = await self._memos.arecall(query_bundle.query_str, **self._wishes(by))
        return self._joined(kept, recall.hits)

    def _wishes(self, by: Principal) -> dict[str, Any]:
        return {"by": by, "k": self.k, "namespace": self.namespace, "context": self.context}

    def _joined(self, nodes: list[NodeWithScore], hits: Sequence[Hit]) -> list[NodeWithScore]:
        recalled = {hit.cube.id for hit in hits}
        others = [node for node in nodes if _cube_id(node) not in recalled]
        said = {node.node.get_content(MetadataMode.NONE).strip() for node in others}
        memories = [to_node(hit) for hit in hits if hit.text.strip() not in said]
        return memories + others if self.position == "first" else others + memories


def cube_ids(nodes: Sequence[NodeWithScore]) -> list[str]:
    """The cubes that the nodes were made from, each once."""
    return list(dict.fromkeys(cube_id for node in nodes if (cube_id := _cube_id(node)) is not None))


def _cube_id(node: NodeWithScore) -> str | None:
    cube_id = node.node.metadata.get(CUBE_ID)
    return None if cube_id is None else str(cube_id)
