"""Questions that nobody plans for, through every door: the hits of `memos.recall`, or the same refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from memos_integrations import MemOS, Principal
from memos_integrations.core.cube import Provenance
from memos_integrations.langchain import MemOSRetriever
from memos_integrations.langgraph import memory_subgraph
from memos_integrations.llama_index import MemOSNodePostprocessor
from memos_integrations.llama_index import MemOSRetriever as LlamaIndexRetriever

ANA = Principal(tenant="acme", user="ana")


@pytest.mark.parametrize("k", [1, 3, 10**9])
@pytest.mark.parametrize(
    "question",
    [
        "the of and", "🫖🫖", "東京 お茶", "чайник кухня", "(a|b)*[", 'NEAR("kettle" blue) OR NOT *',
        "'; DROP TABLE cubes", "zzyzx quux", "kettle " * 10_000, "%_%", "?!",
    ],
)  # fmt: skip
def test_every_door_answers_as_recall_does(question: str, k: int, tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        for text in ("The kettle is blue.", "Yes, since Friday.", "東京でお茶を飲んだ", "Чайник стоит на кухне"):
            memos.remember(text, by=ANA, provenance=Provenance(thread_id="t"))
        hits = [hit.cube.id for hit in memos.recall(question, by=ANA, k=k).hits]
        needed = [hit.cube.id for hit in memos.recall(question, by=ANA, k=k, needed=True).hits]
        found = [each.id for each in MemOSRetriever(memos=memos, principal=ANA, k=k).invoke(question)]
        assert found in (hits, needed)
        state = memory_subgraph(memos, principal=ANA, k=k).invoke({"messages": [HumanMessage(question)]})
        assert [each["id"] for each in state["memory"]["cubes"]] in (hits, needed)
        nodes = MemOSNodePostprocessor(memos, principal=ANA, k=k).postprocess_nodes([], query_str=question)
        assert [each.node.metadata["memcube_id"] for each in nodes] in (hits, needed)
        finds = LlamaIndexRetriever(memos, principal=ANA, k=k).retrieve(question)
        assert [each.node.metadata["memcube_id"] for each in finds] in (hits, needed)
