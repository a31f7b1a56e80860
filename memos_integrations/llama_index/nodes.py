"""Hits as LlamaIndex nodes."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.schema import MetadataMode, NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from memos_integrations.core.cube import MemCube, PlaintextPayload, Relation
from memos_integrations.core.operator import Hit
from memos_integrations.core.operator.recalled import beginning_in_words, standing_in_words

CUBE_ID = "memcube_id"
"""Metadata key by which a node says which cube it was made from."""

TOLD = ("speaker", "date", "caution")
"""The metadata that a language model gets to see beside the text."""


def to_node(hit: Hit) -> NodeWithScore:
    """A hit as a scored node, with the stable id `mem:<cube id>`.

    The metadata is flat (fits any vector store) and holds nothing that changes from query to query, so that the
    node's hash changes only with the memory. The model sees speaker and date; an embedding model sees the text alone.
    """
    cube = hit.cube
    cautions = (beginning_in_words(hit), standing_in_words(hit.superseded_by, hit.conflicts_with))
    described, source = cube.descriptive, cube.provenance
    metadata = {
        CUBE_ID: cube.id,
        "version": cube.version,
        "semantic_type": described.semantic_type,
        "speaker": source.speaker,
        "date": (source.occurred_at or described.created_at).isoformat(),
        "source": source.source,
        "session_id": source.session_id,
        "message_id": source.message_id,
        "conflicts_with": ", ".join(hit.conflicts_with) or None,
        "caution": "; ".join(each.strip(" ()") for each in cautions if each) or None,
    }
    kept = {name: value for name, value in metadata.items() if value is not None}
    node = TextNode(
        id_=node_id(cube.id),
        text=hit.text,
        metadata=kept,
        excluded_llm_metadata_keys=[name for name in kept if name not in TOLD],
        excluded_embed_metadata_keys=list(kept),
        relationships=_relationships(cube, hit.superseded_by),
    )
    return NodeWithScore(node=node, score=hit.score)


def cube_id_of(node: NodeWithScore) -> str | None:
    """The cube that a node says it was made from."""
    cube_id = node.node.metadata.get(CUBE_ID)
    return None if cube_id is None else str(cube_id)


def cube_ids(nodes: Sequence[NodeWithScore]) -> list[str]:
    """The cubes that the nodes were made from, each once."""
    return list(dict.fromkeys(cube_id for node in nodes if (cube_id := cube_id_of(node)) is not None))


def fresh(node: NodeWithScore, cube: MemCube) -> NodeWithScore:
    """The node, when it shows the cube as it is now; else a copy with the present words and version."""
    said = node.node.get_content(MetadataMode.NONE)
    known = node.node.metadata.get("version")
    if known in (None, cube.version) and said == cube.text:
        return node
    copied = node.node.model_copy(deep=True)
    copied.set_content(cube.text)
    copied.embedding = None
    if known is not None:
        copied.metadata["version"] = cube.version
    return NodeWithScore(node=copied, score=node.score)


def node_id(cube_id: str) -> str:
    """The id of the node that stands for a cube."""
    return f"mem:{cube_id}"


def _relationships(
    cube: MemCube, superseded_by: str | None
) -> dict[NodeRelationship, RelatedNodeInfo | list[RelatedNodeInfo]]:
    """SOURCE: conversation or document; NEXT, PREVIOUS: newer and older; CHILD: what it was made of."""
    related: dict[NodeRelationship, RelatedNodeInfo | list[RelatedNodeInfo]] = {}
    replaced = [link.target for link in cube.provenance.links if link.relation is Relation.SUPERSEDES]
    if source := _document(cube) or cube.provenance.source:
        related[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    if superseded_by:
        related[NodeRelationship.NEXT] = _related([superseded_by])[0]
    if replaced:
        related[NodeRelationship.PREVIOUS] = _related(replaced)[0]
    if cube.provenance.derived_from:
        related[NodeRelationship.CHILD] = _related([ref.id for ref in cube.provenance.derived_from])
    return related


def _document(cube: MemCube) -> str | None:
    """The id of the document that an ingested node is part of; its source may be a file or an address."""
    value = cube.payload.value if isinstance(cube.payload, PlaintextPayload) else None
    document = value.get("ref_doc_id") if isinstance(value, dict) else None
    return document if isinstance(document, str) and document else None


def _related(cube_ids: Sequence[str]) -> list[RelatedNodeInfo]:
    return [RelatedNodeInfo(node_id=node_id(cube_id)) for cube_id in cube_ids]
