"""Documents into memory, as a step of a LlamaIndex ingestion pipeline."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, TransformComponent
from pydantic import Field

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import (
    Channel,
    MemCube,
    Origin,
    PlaintextPayload,
    Provenance,
    Trust,
    TrustLabel,
    sha256,
)
from memos_integrations.core.ports import CubeFilter, ValueTest
from memos_integrations.llama_index.attached import Attached
from memos_integrations.llama_index.events import dispatcher, wrote
from memos_integrations.llama_index.nodes import CUBE_ID

DOCUMENT = Trust(channel=Channel.DOCUMENT, label=TrustLabel.UNVERIFIED)
MOST = 1_000_000
ORDER_OF_A_LABEL = 900
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""NUL as JSON writes it; not the six characters of its name after a backslash of the text."""


class MemOSIngestion(Attached, TransformComponent):
    """Nodes in, the same nodes out, each now a memory too: with provenance, and known by `memcube_id`.

    A node becomes one cube: its text, its metadata as value (retriever filters ask for them), its document as source.
    The same node again is the same cube. When a document comes in changed (another hash), the chunks of its earlier
    version are forgotten, after the new ones are durable; nothing else is: no other document, no other principal's.
    Texts of documents are marked as such and as unverified: what they say is nobody's statement.

    It may stand in a pipeline with a cache: a step with an effect is never skipped (its cached key is new each time),
    and what comes after it is cached as ever, since the nodes it gives are the same. Nodes without text pass.

    Args:
        readers: Who else may read it: users, `group:NAME`, `role:NAME`, `*`.
        namespace: Where the memories stand; default (tenant, user, "documents").

    Raises:
        IdentityError: Nobody is asking.
        VaultError, EmbeddingError: What is written so far stays; running it again writes the rest.
    """

    namespace: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    semantic_type: str = Field(default="document", min_length=1)

    @classmethod
    def class_name(cls) -> str:
        """The name under which `to_dict` files it."""
        return "MemOSIngestion"

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The settings, and a `run` that differs each time: a pipeline's cache keys on this, and must not skip it."""
        settings: dict[str, Any] = super().to_dict(**kwargs)
        return settings | {"run": uuid.uuid4().hex}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> MemOSIngestion:
        """The step, from its settings."""
        restored: MemOSIngestion = super().from_dict({k: v for k, v in data.items() if k != "run"}, **kwargs)
        return restored

    @dispatcher.span
    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Remember the nodes; copies of them that say which cube each became."""
        by = self.by
        cubes = {node.node_id: self.memos.remember(text, **self._options(node, by)) for node, text in _worded(nodes)}
        return self._finished(nodes, cubes, by)

    @dispatcher.span
    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        """Remember the nodes without blocking the event loop."""
        by = self.by
        cubes = {
            node.node_id: await self.memos.aremember(text, **self._options(node, by)) for node, text in _worded(nodes)
        }
        return await self._off_loop(self._finished, nodes, cubes, by)

    # --- parts

    def _where(self, by: Principal) -> tuple[str, ...]:
        return self.namespace or (by.tenant, by.user, "documents")

    def _options(self, node: BaseNode, by: Principal) -> dict[str, Any]:
        document, metadata = _document(node), _plain(node.metadata)
        source = str(node.metadata.get("file_path") or node.metadata.get("url") or document)
        value = {
            "metadata": metadata,
            "ref_doc_id": document,
            "doc_hash": _document_hash(node),
            "node_id": node.node_id,
            "source": source,
        }
        identity = [list(self._where(by)), document, value["doc_hash"], _text(node), metadata, sorted(self.readers)]
        return {
            "by": by,
            "context": self.context,
            "key": f"node:{sha256(json.dumps(identity, sort_keys=True).encode())}",
            "namespace": self._where(by),
            "readers": self.readers,
            "semantic_type": self.semantic_type,
            "origin": Origin.EXTERNAL_RETRIEVAL,
            "trust": DOCUMENT,
            "value": value,
            "provenance": Provenance(source=source[:ORDER_OF_A_LABEL], message_id=node.node_id[:ORDER_OF_A_LABEL]),
        }

    def _finished(self, nodes: Sequence[BaseNode], cubes: dict[str, MemCube], by: Principal) -> list[BaseNode]:
        """Forget what the documents said before, and mark the nodes."""
        if cubes:
            wrote(self.class_name(), by, "remember", [cube.id for cube in cubes.values()])
        kept = {cube.id for cube in cubes.values()}
        for document, current in _versions(nodes).items():
            stale = [
                cube for cube in self._of_document(document, by) if cube.id not in kept and _hash(cube) not in current
            ]
            for cube in stale:
                self.memos.forget(cube.id, by=by, context=self.context)
            if stale:
                wrote(self.class_name(), by, "forget", [cube.id for cube in stale])
        return [_marked(node, cubes[node.node_id]) if node.node_id in cubes else node for node in nodes]

    def _of_document(self, document: str, by: Principal) -> list[MemCube]:
        """The principal's own cubes of a document, as far as this step wrote them."""
        where = CubeFilter(
            namespace=self._where(by),
            semantic_types=(self.semantic_type,),
            value=(ValueTest(("ref_doc_id",), "eq", document),),
        )
        found = self.memos.find(where, by=by, k=MOST, context=self.context)
        return [cube for cube in found if cube.governance.owner == by.subject and cube.namespace == self._where(by)]


def _worded(nodes: Sequence[BaseNode]) -> list[tuple[BaseNode, str]]:
    return [(node, text) for node in nodes if (text := _text(node)).strip()]


def _text(node: BaseNode) -> str:
    return node.get_content(MetadataMode.NONE).replace("\x00", " ").encode("utf-8", "replace").decode()


def _document(node: BaseNode) -> str:
    return node.ref_doc_id or node.node_id


def _document_hash(node: BaseNode) -> str:
    """The hash of the whole document, so that chunks of one version know each other even in different batches."""
    source = node.source_node
    if source is not None and source.hash:
        return source.hash
    if CUBE_ID not in node.metadata:
        return node.hash
    unmarked = {name: value for name, value in node.metadata.items() if name != CUBE_ID}
    return node.model_copy(update={"metadata": unmarked}).hash


def _versions(nodes: Sequence[BaseNode]) -> dict[str, set[str]]:
    """The documents of the nodes, each with the hashes of the version that came in now."""
    versions: dict[str, set[str]] = {}
    for node in nodes:
        versions.setdefault(_document(node), set()).add(_document_hash(node))
    return versions


def _hash(cube: MemCube) -> str | None:
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    return value.get("doc_hash") if isinstance(value, dict) else None


def _marked(node: BaseNode, cube: MemCube) -> BaseNode:
    """A copy of the node that says its cube, to engines and not to models. It keeps its id and its relations."""
    marked = node.model_copy(deep=True)
    marked.metadata[CUBE_ID] = cube.id
    for hidden in (marked.excluded_llm_metadata_keys, marked.excluded_embed_metadata_keys):
        if CUBE_ID not in hidden:
            hidden.append(CUBE_ID)
    return marked


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata as JSON: what is no JSON (NaN, too) as its text, a mark of an earlier run left out."""
    kept = {key: value for key, value in metadata.items() if key != CUBE_ID}
    text = NUL.sub(r"\1 ", json.dumps(kept, default=str, ensure_ascii=False))
    plain: dict[str, Any] = json.loads(text.encode("utf-8", "replace"), parse_constant=str)
    return plain
