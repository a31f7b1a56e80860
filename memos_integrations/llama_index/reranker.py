"""Any LlamaIndex reranker as the engine's."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

from memos_integrations.core.errors import RerankError


class LlamaIndexReranker:
    """Fills the `Reranker` port with a node postprocessor that orders nodes (CohereRerank, LLMRerank, …).

    Its order counts: what it gives back first is best, what it drops (`top_n`) comes last.
    """

    def __init__(self, postprocessor: BaseNodePostprocessor) -> None:
        self._postprocessor = postprocessor

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One score per text, the higher the better.

        Errors of classes that only the model's own client knows pass through as they are.

        Raises:
            RerankError: The model failed, or gave back nodes that it was not given.
        """
        given = [
            NodeWithScore(node=TextNode(id_=str(place), text=text), score=1.0 - place / (len(texts) + 1))
            for place, text in enumerate(texts)
        ]
        name = self._postprocessor.class_name()
        try:
            ordered = self._postprocessor.postprocess_nodes(given, query_str=query)
        except (ValueError, TypeError, RuntimeError, OSError) as exc:
            raise RerankError(f"{name} failed to rerank {len(texts)} texts: {exc}") from exc
        scores = [0.0] * len(texts)
        places = {node.node.node_id: place for place, node in enumerate(given)}
        for rank, node in enumerate(ordered):
            if node.node.node_id not in places:
                raise RerankError(f"{name} gave back a node that it was not given.")
            scores[places[node.node.node_id]] = 1.0 - rank / (len(texts) + 1)
        return scores
