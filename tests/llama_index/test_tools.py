"""Memory as tools, documents into memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings.mock_embed_model import MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.schema import MetadataMode, NodeRelationship, TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import Channel, TrustLabel
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, IdentityError, VaultError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.llama_index import (
    MemOSAccessPostprocessor,
    MemOSIngestion,
    MemOSRetriever,
    MemOSToolSpec,
    acting_as,
)
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="home", user="ana")
BOB = Principal(tenant="home", user="bob")
DOCUMENTS = CubeFilter(namespace=("home", "ana", "documents"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault") as memos:
        yield memos


def tools(memos: MemOS, who: Principal | None = ANA, **how) -> dict:
    return {tool.metadata.name: tool for tool in MemOSToolSpec(memos, principal=who, **how).to_tool_list()}


def id_in(answer: object) -> str:
    return str(answer).split("id ")[1].split(")")[0]


async def test_the_life_of_a_memory_by_tools_sync_and_async(home: MemOS) -> None:
    for asynchronous in (False, True):
        by_name = tools(home)

        async def use(name: str, by_name: dict = by_name, asynchronous: bool = asynchronous, **arguments) -> str:
            tool = by_name[name]
            return str(await tool.acall(**arguments) if asynchronous else tool.call(**arguments))

        cube_id = id_in(await use("remember", text="Ana's train leaves at 7:40."))
        assert cube_id in await use("recall", query="When does the train leave?")
        await use("update", memory_id=cube_id, text="Ana's train leaves at 8:10.")
        history = await use("history", memory_id=cube_id)
        assert history.index("7:40") < history.index("8:10")
        explained = await use("explain", memory_id=cube_id)
        assert "trust: unverified" in explained
        assert "you may read it because: user:ana" in explained
        assert "Forgotten" in await use("forget", memory_id=cube_id)
        assert await use("recall", query="When does the train leave?") == "Nothing is remembered about this."


@pytest.mark.answers("identity 14")
def test_no_schema_lets_a_model_say_who_it_is(home: MemOS) -> None:
    by_name = tools(home)
    assert sorted(by_name) == ["explain", "forget", "history", "recall", "remember", "update"]
    fields = {name for tool in by_name.values() for name in tool.metadata.get_parameters_dict()["properties"]}
    assert fields == {"text", "query", "limit", "memory_id"}
    with pytest.raises(IdentityError):
        tools(home, None)["recall"].call(query="I am Ana. What do I like?")
    with acting_as(ANA):
        tools(home, None)["remember"].call(text="Ana likes tea.")
    assert home.recall("tea", by=ANA, needed=True).hits


def test_tools_of_one_do_nothing_to_anothers(home: MemOS) -> None:
    cube = home.remember("Bob's locker code is 4711.", by=BOB)
    shared = home.remember("The team meets at nine.", by=BOB, readers=["ana"])
    by_name = tools(home)
    for name, more in (("update", {"text": "x"}), ("forget", {}), ("history", {}), ("explain", {})):
        with pytest.raises(CubeNotFoundError):
            by_name[name].call(memory_id=cube.id, **more)
    assert "4711" not in str(by_name["recall"].call(query="Which locker code?"))
    assert "nine" in str(by_name["explain"].call(memory_id=shared.id))
    with pytest.raises(AccessDeniedError):
        by_name["forget"].call(memory_id=shared.id)


async def test_a_namespace_is_kept_to_in_writing_and_in_looking_up(home: MemOS) -> None:
    home.remember("Ana's train leaves at 7:40.", by=ANA)
    trip = tools(home, namespace=("home", "ana", "trip"))
    assert str(trip["recall"].call(query="When does the train leave?")) == "Nothing is remembered about this."
    trip["remember"].call(text="The train to Bled leaves at 9:05.")
    for answer in (trip["recall"].call(query="When does the train leave?"), await trip["recall"].acall(query="train?")):
        assert "9:05" in str(answer)
        assert "7:40" not in str(answer)


@pytest.mark.answers("AISVS 8.2.3")
def test_what_a_model_remembers_is_marked_as_its_own(home: MemOS) -> None:
    cube = home.get(id_in(tools(home)["remember"].call(text="Ana likes tea.")), by=ANA)
    assert (cube.trust.channel, cube.trust.label) == (Channel.ASSISTANT, TrustLabel.UNVERIFIED)


# --- documents ----------------------------------------------------------------------------------------------------


def pipeline(memos: MemOS, who: Principal = ANA, **how) -> IngestionPipeline:
    step = MemOSIngestion(memos, principal=who, **how)
    return IngestionPipeline(transformations=[TokenTextSplitter(chunk_size=25, chunk_overlap=0), step])


def river(text: str = "The Danube flows through Vienna and Budapest. " * 6) -> Document:
    return Document(text=text, doc_id="river", metadata={"topic": "rivers", "pages": 3})


def test_nodes_become_memories_with_their_source_and_a_changed_document_replaces_its_own(home: MemOS) -> None:
    cat = Document(text="Cats sleep a lot.", doc_id="cat", metadata={"topic": "cats"})
    line = pipeline(home)
    nodes = line.run(documents=[river(), cat])
    cubes = home.find(DOCUMENTS, by=ANA)
    assert {node.metadata["memcube_id"] for node in nodes} == {cube.id for cube in cubes}
    assert {cube.provenance.source for cube in cubes} == {"river", "cat"}
    assert all(cube.trust.channel is Channel.DOCUMENT for cube in cubes)
    assert "memcube_id" not in nodes[0].get_content(MetadataMode.LLM)
    assert "memcube_id" not in nodes[0].get_content(MetadataMode.EMBED)
    before = {cube.id for cube in cubes}
    line.run(documents=[river(), cat])
    assert {cube.id for cube in home.find(DOCUMENTS, by=ANA)} == before
    line.run(documents=[river("The Danube ends in the Black Sea.")])
    assert sorted(cube.text for cube in home.find(DOCUMENTS, by=ANA)) == [
        "Cats sleep a lot.",
        "The Danube ends in the Black Sea.",
    ]


def test_nobody_elses_document_of_the_same_name_is_touched(home: MemOS) -> None:
    pipeline(home, BOB, namespace=("home", "library")).run(documents=[river()])
    pipeline(home, ANA, namespace=("home", "library")).run(documents=[river("Ana's own words on the river.")])
    library = CubeFilter(namespace=("home", "library"))
    assert len(home.find(library, by=BOB)) > 1
    assert [cube.text for cube in home.find(library, by=ANA)] == ["Ana's own words on the river."]


def test_a_cache_never_skips_the_writing(home: MemOS, tmp_path: Path) -> None:
    line = pipeline(home)
    line.run(documents=[river()])
    for cube in home.find(DOCUMENTS, by=ANA):
        home.forget(cube.id, by=ANA)
    line.run(documents=[river()])
    assert home.find(DOCUMENTS, by=ANA)
    with MemOS.open(tmp_path / "other") as other:
        again = IngestionPipeline(transformations=pipeline(other).transformations, cache=line.cache)
        again.run(documents=[river()])
        assert other.find(DOCUMENTS, by=ANA)


def test_batches_of_one_document_do_not_take_each_other_away(home: MemOS) -> None:
    step = MemOSIngestion(home, principal=ANA)
    chunks = TokenTextSplitter(chunk_size=25, chunk_overlap=0)([river()])
    step(chunks[:1])
    step(chunks[1:])
    assert len(home.find(DOCUMENTS, by=ANA)) == len({chunk.text for chunk in chunks})


def test_a_node_that_comes_in_marked_is_the_same_memory(home: MemOS) -> None:
    step = MemOSIngestion(home, principal=ANA)
    marked = step([TextNode(text="A page.", metadata={"page": 1})])
    assert step(marked)[0].metadata == marked[0].metadata
    assert len(home.find(DOCUMENTS, by=ANA)) == 1


def test_what_is_found_names_the_document_that_it_is_part_of(home: MemOS) -> None:
    """Its id, by which docstores, indices and filters know it; the file is its source."""
    river = Document(text="The Danube flows through Vienna.", doc_id="river", metadata={"file_path": "books/river.txt"})
    MemOSIngestion(home, principal=ANA)([river])
    (found,) = MemOSRetriever(home, principal=ANA).retrieve("Where does the Danube flow?")
    assert (found.node.ref_doc_id, found.node.metadata["source"]) == ("river", "books/river.txt")
    of_it = MetadataFilters(filters=[MetadataFilter(key="ref_doc_id", value=found.node.ref_doc_id)])
    assert MemOSRetriever(home, principal=ANA, filters=of_it).retrieve("Where does the Danube flow?")


async def test_the_async_pipeline_and_what_stands_after_it(home: MemOS) -> None:
    nodes = await pipeline(home).arun(documents=[river()])
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=4))
    guard = MemOSAccessPostprocessor(home, principal=ANA)
    found = index.as_retriever(similarity_top_k=9).retrieve("the Danube")
    assert len(await guard.apostprocess_nodes(found)) == len(found) > 0
    assert await MemOSAccessPostprocessor(home, principal=BOB).apostprocess_nodes(found) == []
    assert found[0].node.relationships[NodeRelationship.SOURCE].node_id == "river"
    home.forget(found[0].node.metadata["memcube_id"], by=ANA)
    assert len(await guard.apostprocess_nodes(found)) < len(found)


def test_nodes_without_words_pass_and_without_identity_nothing_does(home: MemOS) -> None:
    nodes = [TextNode(text=""), TextNode(text="Words.")]
    empty, marked = MemOSIngestion(home, principal=ANA)(nodes)
    assert "memcube_id" not in empty.metadata
    assert "memcube_id" in marked.metadata
    assert nodes[1].metadata == {}
    with pytest.raises(IdentityError):
        MemOSIngestion(home)(nodes)


@pytest.mark.slow
def test_worker_processes_write_into_the_same_vault(home: MemOS) -> None:
    """Each opens the vault by its address; no document is lost, none stands twice, and a changed one is replaced."""
    line = IngestionPipeline(transformations=[MemOSIngestion(home, principal=ANA)], disable_cache=True)
    for said in ("garden", "garden", "cellar"):
        documents = [Document(text=f"Note {n} about the {said}.", doc_id=f"n{n}") for n in range(4)]
        nodes = line.run(documents=documents, num_workers=2)
        cubes = home.find(DOCUMENTS, by=ANA)
        assert {cube.id for cube in cubes} == {node.metadata["memcube_id"] for node in nodes}
        assert sorted(cube.text for cube in cubes) == [f"Note {n} about the {said}." for n in range(4)]
    texts = [f"Note {n} about the attic." for n in range(4)]
    documents = [Document(text=text, doc_id=f"n{n}") for n, text in enumerate(texts)]
    asyncio.run(line.arun(documents=documents, num_workers=2))
    assert sorted(cube.text for cube in home.find(DOCUMENTS, by=ANA)) == [
        f"Note {n} about the attic." for n in range(4)
    ]
    assert home.verify_audit().ok


@pytest.mark.slow
def test_worker_processes_cannot_reach_what_is_kept_in_memory() -> None:
    with MemOS(InMemoryVault()) as memos, pytest.raises(VaultError, match="kept in memory"):
        IngestionPipeline(transformations=[MemOSIngestion(memos, principal=ANA)]).run(
            documents=[Document(text=f"Note {n}.", doc_id=f"n{n}") for n in range(2)], num_workers=2
        )
