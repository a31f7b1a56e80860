"""The doors give the hits of `memos.recall`: same cubes, same order, same scores."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.cache.memory import InMemoryCache
from llama_index.core.schema import NodeWithScore

from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.langchain import MemOSRetriever
from memos_integrations.langgraph import memory_subgraph
from memos_integrations.llama_index import MemOSMemory, MemOSNodePostprocessor
from memos_integrations.llama_index import MemOSRetriever as LlamaIndexRetriever
from tests.benchmarks.invented import ME, collection, fill

BOB = Principal(tenant="bench", user="bob")


def told(nodes: list[NodeWithScore]) -> list[tuple[str, float]]:
    return [(str(each.node.metadata["memcube_id"]), float(each.score or 0.0)) for each in nodes]


@pytest.mark.parametrize("with_model", [False, True])
def test_every_door_gives_the_hits_of_recall(with_model: bool, tmp_path: Path, models: dict[str, Path]) -> None:
    made = collection("talk", first=12)
    embedder = MiniLMEmbedder(models["minilm"]) if with_model else None
    with MemOS.open(tmp_path, embedder=embedder) as memos:
        fill(memos, made)
        retriever = MemOSRetriever(memos=memos, principal=ME, k=5)
        graph = memory_subgraph(memos, principal=ME, k=5)
        apart = memory_subgraph(memos, principal=ME, k=5, keep_s=60, cache=InMemoryCache())
        nodes = MemOSNodePostprocessor(memos, principal=ME, k=5)
        finds = LlamaIndexRetriever(memos, principal=ME, k=5)
        for asked, _ in made.questions[1::4]:
            recall = memos.recall(asked, by=ME, k=5)
            hits: list[Any] = [(hit.cube.id, pytest.approx(hit.score)) for hit in recall.hits]
            assert hits
            assert [(each.id, each.metadata["score"]) for each in retriever.invoke(asked)] == hits
            for each_graph in (graph, apart, apart):  # searched where it is ranked, apart, and out of a cache
                state = each_graph.invoke({"messages": [HumanMessage(asked)]})
                assert [(each["id"], each["score"]) for each in state["memory"]["cubes"]] == hits
            assert told(nodes.postprocess_nodes([], query_str=asked)) == hits
            assert told(asyncio.run(nodes.apostprocess_nodes([], query_str=asked))) == hits
            assert told(finds.retrieve(asked)) == told(asyncio.run(finds.aretrieve(asked))) == hits
            for shown in (
                MemOSMemory(memos, principal=ME, k=5).get(input=asked),
                asyncio.run(MemOSMemory(memos, principal=ME, k=5).aget(input=asked)),
            ):
                assert str(shown[0].content).split("\n")[1:] == recall.text.split("\n")
        assert not MemOSRetriever(memos=memos, principal=BOB).invoke(made.questions[0][0])
