"""Access as a LlamaIndex node postprocessor: what may not be read does not reach a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from memos_integrations.core.access import Principal, Verb
from memos_integrations.core.cube import MemCube
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import denied, dispatcher
from memos_integrations.llama_index.nodes import cube_id_of, cube_ids, fresh


class MemOSAccessPostprocessor(Attached, BaseNodePostprocessor):
    """Drops the nodes of memories that may not be used in a prompt now, that something replaces, or that are over.

    A node made from a cube says so by `memcube_id` in its metadata. It is withheld when that cube is forgotten,
    another's, expired, quarantined, or not for this context; unless `keep_ended`, when it holds no longer (`valid_to`
    is over), or not yet (`valid_from` is to come); unless `keep_superseded`, when a newer memory that the principal
    may read replaces it. One that an index holds in old words is shown in the present ones, so that a redaction holds
    before the index is rebuilt. Other nodes are not memories and pass, unless `only_memories`.

    It needs no query, and there is no policy to let nodes pass when the engine fails: it raises.

    Raises:
        IdentityError: At query time, when nobody is asking.
        VaultError: The store failed; nothing passes.
    """

    keep_superseded: bool = False
    keep_ended: bool = False
    only_memories: bool = False

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSAccessPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids = self.by, cube_ids(nodes)
        cubes = self.memos.get_many(ids, **self._asking(by)) if ids else []
        newer = self.memos.superseded(cubes, by=by, context=self.context) if cubes else {}
        return self._passed(nodes, by, cubes, newer)

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        by, ids = self.by, cube_ids(nodes)
        cubes = await self.memos.aget_many(ids, **self._asking(by)) if ids else []
        newer = await self.memos.asuperseded(cubes, by=by, context=self.context) if cubes else {}
        return self._passed(nodes, by, cubes, newer)

    def _asking(self, by: Principal) -> dict[str, Any]:
        holding = not self.keep_ended
        return {"by": by, "verb": Verb.USE_IN_PROMPT, "holding": holding, "context": self.context}

    def _passed(
        self, nodes: Sequence[NodeWithScore], by: Principal, cubes: Sequence[MemCube], newer: Mapping[str, str]
    ) -> list[NodeWithScore]:
        readable = {cube.id: cube for cube in cubes}
        passed: list[NodeWithScore] = []
        withheld: Counter[str] = Counter()
        for node in nodes:
            cube_id = cube_id_of(node)
            if cube_id is None and self.only_memories:
                withheld["not a memory"] += 1
            elif cube_id is None:
                passed.append(node)
            elif cube_id not in readable:
                withheld["not readable"] += 1
            elif cube_id in newer and not self.keep_superseded:
                withheld["superseded"] += 1
            else:
                passed.append(fresh(node, readable[cube_id]))
        denied(self.class_name(), by, withheld)
        return passed
