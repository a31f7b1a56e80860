"""What trips people up in LlamaIndex, each trap once, with real engines: here our parts stand in it and hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.embeddings.mock_embed_model import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import MockLLM
from llama_index.core.memory import InsertMethod, Memory
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.workflow import Context, JsonPickleSerializer, JsonSerializer

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.llama_index import (
    MemOSAccessPostprocessor,
    MemOSAsyncChatStore,
    MemOSIngestion,
    MemOSMemory,
    MemOSMemoryBlock,
    MemOSNodePostprocessor,
    MemOSRerankPostprocessor,
    MemOSRetriever,
    MemOSToolSpec,
    acting_as,
)
from memos_integrations.llama_index.transcript import is_recalled
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.llama_index.scripted import calls, last_words, says, scripted

# LlamaIndex's workflows look at every attribute of an agent, deprecated ones too.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecationWarning", "ignore:is_running called from within a step"
)

ANA = Principal(tenant="home", user="ana")
BOB = Principal(tenant="home", user="bob")
DOCUMENTS = CubeFilter(namespace=("home", "ana", "documents"))


def user(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.USER, content=text)


def said(messages: Any) -> list[str]:
    return [str(message.content) for message in messages]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault") as memos:
        yield memos


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex([TextNode(text="Tea is a drink.")], embed_model=MockEmbedding(embed_dim=4))


# --- ingestion ----------------------------------------------------------------------------------------------------


def pipeline(memos: MemOS, strategy: DocstoreStrategy, who: Principal = ANA, vectors: bool = True) -> IngestionPipeline:
    return IngestionPipeline(
        transformations=[MemOSIngestion(memos, principal=who), MockEmbedding(embed_dim=4)],
        docstore=SimpleDocumentStore(),
        vector_store=SimpleVectorStore() if vectors else None,
        docstore_strategy=strategy,
    )


def note(name: str, text: str, **metadata: Any) -> Document:
    return Document(text=text, doc_id=name, metadata=metadata)


def documents(memos: MemOS, who: Principal = ANA) -> list[str]:
    return sorted(cube.text for cube in memos.find(CubeFilter(namespace=("home", who.user, "documents")), by=who))


def test_upserts_replace_a_changed_document_and_write_an_unchanged_one_once(home: MemOS) -> None:
    line = pipeline(home, DocstoreStrategy.UPSERTS)
    for text in ("The cat sleeps.", "The cat sleeps.", "The cat plays."):
        line.run(documents=[note("cat", text), note("dog", "The dog barks.")])
    assert documents(home) == ["The cat plays.", "The dog barks."]
    dog = home.find(DOCUMENTS, by=ANA)
    line.run(documents=[note("dog", "The dog barks.", checked=True)])
    changed = {cube.id for cube in home.find(DOCUMENTS, by=ANA)} ^ {cube.id for cube in dog}
    assert len(changed) == 2  # other metadata is another version: one goes, one comes
    assert documents(home) == ["The cat plays.", "The dog barks."]


@pytest.mark.parametrize("how", ["run", "arun"])
def test_upserts_and_delete_takes_no_memory_of_a_document_that_was_not_in_this_run(home: MemOS, how: str) -> None:
    """The docstore forgets what is not in the run; memory forgets what it is told to, and nobody else's."""
    pipeline(home, DocstoreStrategy.UPSERTS, BOB).run(documents=[note("cat", "Bob's cat sleeps.")])
    line = pipeline(home, DocstoreStrategy.UPSERTS_AND_DELETE)

    def run(*given: Document) -> None:
        asyncio.run(line.arun(documents=list(given))) if how == "arun" else line.run(documents=list(given))

    run(note("cat", "The cat sleeps."), note("dog", "The dog barks."))
    run(note("cat", "The cat plays."))
    assert sorted(line.docstore.get_all_document_hashes().values()) == ["cat"]
    assert documents(home) == ["The cat plays.", "The dog barks."]
    assert documents(home, BOB) == ["Bob's cat sleeps."]


def test_without_a_vector_store_upserts_still_replace_the_documents_own(home: MemOS) -> None:
    line = pipeline(home, DocstoreStrategy.UPSERTS_AND_DELETE, vectors=False)
    for text in ("The cat sleeps.", "The cat plays."):
        with pytest.warns(UserWarning, match="duplicates_only"):
            line.run(documents=[note("cat", text)])
    assert documents(home) == ["The cat plays."]


def test_metadata_of_any_kind_is_taken_as_far_as_json_goes(home: MemOS) -> None:
    odd = {"when": date(2026, 3, 9), "nan": float("nan"), "none": None, "list": [1, {"x": b"y"}]}
    odd |= {"nul": "a\x00b", "half": "\ud800", "name": r"\u0000 is NUL"}
    step = MemOSIngestion(home, principal=ANA)
    (node,) = step([TextNode(text="A page.", metadata=odd)])
    value = home.get(node.metadata["memcube_id"], by=ANA).payload.value["metadata"]
    assert value == {
        "when": "2026-03-09", "nan": "NaN", "none": None, "list": [1, {"x": "b'y'"}], "nul": "a b", "half": "?",
        "name": r"\u0000 is NUL",
    }  # fmt: skip
    with pytest.raises(InvalidMemoryError, match="split it"):
        step([TextNode(text="word " * 300_000)])


# --- callbacks and spans ------------------------------------------------------------------------------------------


def test_older_callbacks_reach_parts_by_the_settings(home: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    """`as_query_engine(callback_manager=...)` is a TypeError upstream: the index gives its own; so set it before."""
    debug = LlamaDebugHandler(print_trace_on_end=False)
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([debug]))
    index = VectorStoreIndex([TextNode(text="Tea is a drink.")], embed_model=MockEmbedding(embed_dim=4))
    parts = [MemOSNodePostprocessor(home, principal=ANA), MemOSRerankPostprocessor(home, principal=ANA)]
    with pytest.raises(TypeError, match="callback_manager"):
        index.as_query_engine(llm=MockLLM(), callback_manager=CallbackManager([debug]))
    home.remember("Ana likes green tea.", by=ANA)
    assert "green tea" in str(index.as_query_engine(llm=MockLLM(), node_postprocessors=parts).query("Which tea?"))
    assert len(debug.get_event_pairs(CBEventType.RERANKING)) == 1
    assert debug.get_event_pairs(CBEventType.SYNTHESIZE)


def test_engines_that_share_a_part_take_its_callbacks_over_and_nothing_else(home: MemOS) -> None:
    home.remember("Ana likes green tea.", by=ANA)
    part, traces = MemOSRerankPostprocessor(home, principal=ANA), []
    engines = []
    for _ in range(2):
        debug = LlamaDebugHandler(print_trace_on_end=False)
        traces.append(debug)
        engines.append(
            RetrieverQueryEngine(
                retriever=MemOSRetriever(home, principal=ANA),
                response_synthesizer=get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
                node_postprocessors=[part],
                callback_manager=CallbackManager([debug]),
            )
        )
    first, second = (str(engine.query("Which tea?")) for engine in engines)
    assert "green tea" in first
    assert first == second
    assert [len(trace.get_event_pairs(CBEventType.RERANKING)) for trace in traces] == [0, 2]


async def test_recalls_and_writes_are_spans_in_either_way_of_asking(home: MemOS) -> None:
    spans, root = SimpleSpanHandler(), get_dispatcher()
    part, retriever = MemOSNodePostprocessor(home, principal=ANA), MemOSRetriever(home, principal=ANA)
    memory, step = MemOSMemory(home, principal=ANA), MemOSIngestion(home, principal=ANA)
    root.add_span_handler(spans)
    try:
        part.postprocess_nodes([], query_str="Which tea?")
        await part.apostprocess_nodes([], query_str="Which tea?")
        await retriever.aretrieve("Which tea?")
        memory.put(user("I like tea."))
        await memory.aput(user("Which tea?"))
        memory.get()
        await memory.aget()
        step([TextNode(text="Tea is a drink.")])
        await step.acall([TextNode(text="Tea is a drink.")])
        await MemOSMemoryBlock(home, principal=ANA).aget([user("Which tea?")])
    finally:
        root.span_handlers.remove(spans)
    names = {span.id_.split("-")[0] for span in spans.completed_spans}
    assert names >= {
        "MemOSNodePostprocessor._postprocess_nodes", "MemOSNodePostprocessor._apostprocess_nodes",
        "MemOSRetriever.aretrieve", "MemOSMemory.put_messages", "MemOSMemory.aput_messages", "MemOSMemory.get",
        "MemOSMemory.aget", "MemOSIngestion.__call__", "MemOSIngestion.acall", "MemOSMemoryBlock._aget",
    }  # fmt: skip


async def test_what_is_refused_is_told_by_every_part(home: MemOS) -> None:
    class Kept(BaseEventHandler):
        events: list = []  # noqa: RUF012

        def handle(self, event, **_) -> None:
            self.events.append(event)

    bobs = home.remember("Bob's secret.", by=BOB)
    kept, root = Kept(events=[]), get_dispatcher()
    found = [NodeWithScore(node=TextNode(text="x", metadata={"memcube_id": bobs.id}), score=1.0)]
    root.add_event_handler(kept)
    try:
        for part in (MemOSNodePostprocessor, MemOSAccessPostprocessor):
            part(home, principal=ANA).postprocess_nodes(found)
            await part(home, principal=ANA).apostprocess_nodes(found)
        tools = {tool.metadata.name: tool for tool in MemOSToolSpec(home, principal=ANA).to_tool_list()}
        for name, more in (("update", {"text": "y"}), ("forget", {}), ("history", {}), ("explain", {})):
            with pytest.raises(CubeNotFoundError):
                tools[name].call(memory_id=bobs.id, **more)
            with pytest.raises(CubeNotFoundError):
                await tools[name].acall(memory_id=bobs.id, **more)
    finally:
        root.event_handlers.remove(kept)
    told = [event for event in kept.events if event.class_name() == "MemoryAccessDeniedEvent"]
    assert [event.part for event in told] == [
        *["MemOSNodePostprocessor"] * 2, *["MemOSAccessPostprocessor"] * 2, *["MemOSToolSpec"] * 8,
    ]  # fmt: skip
    assert {(event.withheld, event.principal) for event in told} == {(1, "user:ana")}
    assert bobs.id not in str([event.model_dump() for event in told])


# --- wherever postprocessors and retrievers are called ------------------------------------------------------------


async def test_postprocessors_in_chat_engines_and_tools(home: MemOS, index: VectorStoreIndex) -> None:
    home.remember("Ana likes green tea.", by=ANA)
    part = MemOSNodePostprocessor(home, principal=ANA)
    for make in (ContextChatEngine, CondensePlusContextChatEngine):
        memory = MemOSMemory(home, principal=ANA, session_id=make.__name__, recall_from="session")
        engine = make.from_defaults(
            llm=MockLLM(), retriever=index.as_retriever(), memory=memory, node_postprocessors=[part]
        )
        for answer in (engine.chat("Which tea do I like?"), await engine.achat("Which tea do I like best?")):
            found = [node.node.get_content() for node in answer.source_nodes]
            assert "Ana likes green tea." in found
            assert "Tea is a drink." in found
    tool = RetrieverTool.from_defaults(index.as_retriever(), name="n", description="d", node_postprocessors=[part])
    assert "green tea" in str(tool.call("Which tea?"))
    assert "green tea" in str(await tool.acall("Which tea?"))


async def test_nothing_blocks_the_event_loop_while_the_engine_is_slow() -> None:
    class SlowVault(InMemoryVault):
        slow = False

        def search(self, *args, **kwargs):
            time.sleep(0.15 * self.slow)
            return super().search(*args, **kwargs)

    vault = SlowVault()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, principal=ANA, session_id="s")
        await memory.aput_messages([user("I like tea."), says("Noted."), user("Which tea?")])
        vault.slow = True
        for call in (
            MemOSRetriever(memos, principal=ANA).aretrieve("Which tea?"),
            MemOSRerankPostprocessor(memos, principal=ANA).apostprocess_nodes(
                [NodeWithScore(node=TextNode(text="Tea."), score=1.0)], QueryBundle("Which tea?")
            ),
            memory.aget(),
            memory.aget_all(),
            memory.aset([user("New.")]),
            MemOSMemoryBlock(memos, principal=ANA).aget([user("Which tea?")]),
            MemOSAsyncChatStore(memos, principal=ANA).get_messages("s"),
        ):
            working, ticks = asyncio.ensure_future(call), 0
            while not working.done():
                await asyncio.sleep(0.01)
                ticks += 1
            await working
            assert ticks >= 5, call


@pytest.mark.parametrize("query", ["Which\x00 tea?", "Which \ud800 tea?", "word " * 30_000 + "Which tea?", 'tea" OR ('])
async def test_a_query_of_any_kind_is_asked(home: MemOS, query: str) -> None:
    """Query engines are asked what users paste."""
    home.remember("Ana likes green tea.", by=ANA)
    part, retriever = MemOSNodePostprocessor(home, principal=ANA), MemOSRetriever(home, principal=ANA)
    found = part.postprocess_nodes([], query_str=query) + await part.apostprocess_nodes([], query_str=query)
    found += retriever.retrieve(query) + await retriever.aretrieve(query)
    assert [node.node.get_content() for node in found if node.node.get_content() == "Ana likes green tea."] == [
        "Ana likes green tea."
    ] * 4
    assert MemOSRerankPostprocessor(home, principal=ANA).postprocess_nodes(found[:1], query_str=query) != []
    memory = MemOSMemory(home, principal=ANA, on_fault="raise")
    assert "green tea" in str(said(memory.get(input=query)))
    assert said(await memory.aget(input=user(query))) == said(memory.get(input=query))


# --- memory -------------------------------------------------------------------------------------------------------


def test_the_memory_as_json_text(home: MemOS) -> None:
    """`Memory.to_json()` fails upstream: how it inserts blocks is no JSON."""
    memory = MemOSMemory(home, principal=ANA, session_id="s", insert="into_user")
    memory.put(user("Hello."))
    again = MemOSMemory.from_json(memory.to_json())
    assert (again.insert, said(again.get_all())) == ("into_user", ["Hello."])
    assert "Hello." not in memory.to_json()


async def test_two_blocks_of_one_memory_have_names_and_places_of_their_own(home: MemOS) -> None:
    home.remember("Ana's cat is called Mochi.", by=ANA, namespace=("home", "ana", "pets"))
    with pytest.raises(ValueError, match="unique"):
        Memory.from_defaults(memory_blocks=[MemOSMemoryBlock(home, principal=ANA) for _ in range(2)])
    blocks = [MemOSMemoryBlock(home, principal=ANA), MemOSMemoryBlock(home, principal=ANA, name="pets", k=1)]
    memory = Memory.from_defaults(
        session_id="s", memory_blocks=blocks, insert_method=InsertMethod.USER,
        chat_store=MemOSAsyncChatStore(home, principal=ANA),
    )  # fmt: skip
    await memory.aput(user("What is my cat called?"))
    assert str(said(await memory.aget())).count("Mochi") == 2


@pytest.mark.parametrize("serializer", [JsonSerializer(), JsonPickleSerializer()])
async def test_a_context_restored_with_either_serializer_keeps_its_messages(home: MemOS, serializer: Any) -> None:
    """The stock memories come back empty (run-llama/llama_index#18069, #19228)."""
    agent = FunctionAgent(llm=scripted(lambda messages: says(f"{len(messages)} shown.")), streaming=False)
    context, memory = Context(agent), MemOSMemory(home, principal=ANA, session_id="s")
    await agent.run("One.", ctx=context, memory=memory)
    stored = context.to_dict(serializer=serializer)
    del context, memory
    again = Context.from_dict(agent, stored, serializer=serializer)
    await agent.run("Two.", ctx=again)
    assert said(MemOSMemory(home, principal=ANA, session_id="s").get_all()) == [
        "One.", "1 shown.", "Two.", "3 shown.",
    ]  # fmt: skip


async def test_a_history_given_to_a_run_takes_the_place_of_the_old_one(home: MemOS) -> None:
    agent = FunctionAgent(llm=scripted(lambda messages: says(f"To {last_words(messages)}")), streaming=False)
    memory = MemOSMemory(home, principal=ANA, session_id="s")
    await agent.run("a", memory=memory)
    await agent.run("b", memory=memory, chat_history=[user("Begin.")])
    assert said(memory.get_all()) == ["Begin.", "b", "To b"]
    await agent.run("c", memory=memory, chat_history=memory.get())
    assert said(memory.get_all()) == ["Begin.", "b", "To b", "c", "To c"]


async def test_runs_that_share_a_memory_at_once_lose_nothing(home: MemOS) -> None:
    agent = FunctionAgent(llm=scripted(lambda messages: says("Noted.")), streaming=False)
    memory = MemOSMemory(home, session_id="s")

    async def run(who: Principal, number: int) -> None:
        with acting_as(who):
            await agent.run(f"{who.user} {number}", memory=memory)

    await asyncio.gather(*(run(who, number) for number in range(5) for who in (ANA, BOB)))
    for who in (ANA, BOB):
        with acting_as(who):
            asked = [message for message in memory.get_all() if message.role is MessageRole.USER]
            assert sorted(said(asked)) == [f"{who.user} {number}" for number in range(5)]
            assert len(memory.get_all()) == 10


async def test_nested_handoffs_with_a_given_history_keep_one_history(home: MemOS) -> None:
    """Three agents, each handing on to the next; what each did, and the history given, is there in order and once."""
    home.remember("Ana gets sick on buses.", by=ANA)
    shown: dict[str, list[list[ChatMessage]]] = {"plan": [], "book": [], "write": []}

    def hand(to: str):
        return lambda messages: calls("handoff", f"to-{to}", to_agent=to, reason="next")

    def write(messages):
        if any(message.additional_kwargs.get("tool_call_id") == "note" for message in messages):
            return says("Written.")
        return calls("remember", "note", text="Ana goes to Bled by train.")

    script = {"plan": hand("book"), "book": hand("write"), "write": write}
    onward = {"plan": ["book"], "book": ["write"], "write": []}
    agents = [
        FunctionAgent(
            name=name, description=name, llm=scripted(script[name], shown[name]), can_handoff_to=onward[name],
            tools=MemOSToolSpec(home, principal=ANA).to_tool_list(), streaming=False,
        )
        for name in script
    ]  # fmt: skip
    memory = MemOSMemory(home, principal=ANA, session_id="s")
    memory.put(user("An older conversation."))
    flow = AgentWorkflow(agents=agents, root_agent="plan")
    given = [user("I want to go to Bled."), says("By bus or by train?")]
    answer = await flow.run("What do I get sick on?", memory=memory, chat_history=given)
    assert str(answer) == "Written."
    history = memory.get_all()
    assert said(history)[:3] == ["I want to go to Bled.", "By bus or by train?", "What do I get sick on?"]
    assert said(history)[-1] == "Written."
    assert len([message for message in history if message.role is MessageRole.TOOL]) == 3
    assert not [message for message in history if is_recalled(message)]
    for name in shown:
        assert "sick on buses" in str(said(shown[name][0])), name
    assert len(home.audit(by=ANA, operation="recall")) == 1
    assert "by train" in str(home.recall("How does Ana go to Bled?", by=ANA).text)
