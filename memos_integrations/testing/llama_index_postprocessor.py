"""PostprocessorContract: what query engines, chat engines and pipelines expect of a LlamaIndex node postprocessor.

class TestMyPostprocessor(PostprocessorContract):
    def postprocessor(self):
        return MyPostprocessor(...)
"""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms.mock import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode


class Fixed(BaseRetriever):
    """Always finds the same nodes."""

    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.nodes


def seen(nodes: list[NodeWithScore]) -> list[tuple[str, str]]:
    """Ids and words of nodes."""
    return [(node.node.node_id, node.node.get_content(MetadataMode.NONE)) for node in nodes]


class PostprocessorContract:
    """Promises of a `BaseNodePostprocessor`. Override `postprocessor`, and `nodes` or `query` where they do not fit."""

    known_faults: ClassVar[Mapping[str, str]] = {}
    """Name of a test -> reason: it is expected to fail, and noticed when it no longer does."""

    hangs: ClassVar[Mapping[str, str]] = {}
    """Name of a test -> reason: it would never end, and is not run."""

    query = QueryBundle("Which tea does she like?")

    def postprocessor(self) -> BaseNodePostprocessor:
        """The part under test."""
        raise NotImplementedError

    def restored(self, settings: dict[str, Any]) -> BaseNodePostprocessor:
        """One from what `to_dict` gave; override it where live parts have to be handed over."""
        return type(self.postprocessor()).from_dict(settings)

    def nodes(self) -> list[NodeWithScore]:
        """What a retriever found: scored and unscored, with metadata."""
        return [
            NodeWithScore(
                node=TextNode(id_="a", text="Tea is a drink.", metadata={"window": "All of tea."}), score=0.9
            ),
            NodeWithScore(node=TextNode(id_="b", text="She likes green tea.", metadata={"page": 2}), score=0.5),
            NodeWithScore(node=TextNode(id_="c", text="Coffee is another.", metadata={"page": 3}), score=0.2),
        ]

    @pytest.fixture(autouse=True)
    def _faults(self, request: pytest.FixtureRequest) -> None:
        name = request.node.originalname
        if name in self.hangs:
            pytest.xfail(self.hangs[name])
        if name in self.known_faults:
            request.applymarker(pytest.mark.xfail(reason=self.known_faults[name], strict=True))

    def test_it_is_one(self) -> None:
        assert isinstance(self.postprocessor(), BaseNodePostprocessor)
        assert self.postprocessor().class_name() != "BaseNodePostprocessor"

    def test_sync_and_async_give_the_same(self) -> None:
        part = self.postprocessor()
        sync = part.postprocess_nodes(self.nodes(), query_bundle=self.query)
        later = asyncio.run(part.apostprocess_nodes(self.nodes(), query_bundle=self.query))
        assert seen(sync) == seen(later)
        assert [node.score for node in sync] == [node.score for node in later]

    def test_a_query_as_text_is_a_query(self) -> None:
        part = self.postprocessor()
        by_text = part.postprocess_nodes(self.nodes(), query_str=self.query.query_str)
        assert seen(by_text) == seen(part.postprocess_nodes(self.nodes(), query_bundle=self.query))
        with pytest.raises(ValueError, match="query"):
            part.postprocess_nodes(self.nodes(), query_bundle=self.query, query_str="Tea?")

    def test_without_a_query_it_adds_nothing_and_does_not_fail(self) -> None:
        given = {node.node.node_id for node in self.nodes()}
        for nodes in (
            self.postprocessor().postprocess_nodes(self.nodes()),
            asyncio.run(self.postprocessor().apostprocess_nodes(self.nodes())),
        ):
            assert {node.node.node_id for node in nodes} <= given

    def test_no_nodes_are_no_error(self) -> None:
        assert isinstance(self.postprocessor().postprocess_nodes([], query_bundle=self.query), list)
        assert self.postprocessor().postprocess_nodes([]) == []

    def test_a_missing_score_is_no_error(self) -> None:
        nodes = [NodeWithScore(node=node.node, score=None) for node in self.nodes()]
        assert isinstance(self.postprocessor().postprocess_nodes(nodes, query_bundle=self.query), list)

    def test_what_comes_in_is_not_changed(self) -> None:
        nodes = self.nodes()
        before = [copy.deepcopy(node).to_dict() for node in nodes]
        self.postprocessor().postprocess_nodes(nodes, query_bundle=self.query)
        asyncio.run(self.postprocessor().apostprocess_nodes(nodes, query_bundle=self.query))
        assert [node.to_dict() for node in nodes] == before

    def test_no_node_comes_out_twice(self) -> None:
        ids = [node_id for node_id, _ in seen(self.postprocessor().postprocess_nodes(self.nodes(), self.query))]
        assert len(ids) == len(set(ids))

    def test_its_settings_are_json_and_make_it_again(self) -> None:
        part = self.postprocessor()
        settings = json.loads(json.dumps(part.to_dict()))
        assert settings["class_name"] == part.class_name()
        again = self.restored(settings)
        assert seen(again.postprocess_nodes(self.nodes(), self.query)) == seen(
            part.postprocess_nodes(self.nodes(), self.query)
        )

    def test_a_pickled_copy_does_the_same(self) -> None:
        part = self.postprocessor()
        there, here = multiprocessing.Pipe()
        with there, here:
            there.send(part)
            copied = here.recv()
        assert seen(copied.postprocess_nodes(self.nodes(), self.query)) == seen(
            part.postprocess_nodes(self.nodes(), self.query)
        )

    def test_a_deep_copy_does_the_same(self) -> None:
        part = self.postprocessor()
        copied = copy.deepcopy(part)
        assert seen(copied.postprocess_nodes(self.nodes(), self.query)) == seen(
            part.postprocess_nodes(self.nodes(), self.query)
        )

    def test_threads_share_one(self) -> None:
        part = self.postprocessor()
        expected = seen(part.postprocess_nodes(self.nodes(), self.query))
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: seen(part.postprocess_nodes(self.nodes(), self.query)), range(12)))
        assert all(result == expected for result in results)

    def test_two_query_engines_share_one(self) -> None:
        part = self.postprocessor()
        engines = [
            RetrieverQueryEngine(
                retriever=Fixed(self.nodes()),
                response_synthesizer=get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
                node_postprocessors=[part],
            )
            for _ in range(2)
        ]
        first, second = (engine.query(self.query) for engine in engines)
        later = asyncio.run(engines[0].aquery(self.query))
        assert str(first) == str(second) == str(later)
