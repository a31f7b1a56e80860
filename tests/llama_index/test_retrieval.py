"""Access, reranking and the retriever, in real query engines with a real embedding model; events; imports; traps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent
from llama_index.core.llms import ChatMessage, MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine, RouterQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from pydantic import PrivateAttr

from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import Provenance
from memos_integrations.core.errors import IdentityError, InvalidMemoryError, VaultError
from memos_integrations.llama_index import (
    MemOSAccessPostprocessor,
    MemOSAsyncChatStore,
    MemOSChatStore,
    MemOSMemory,
    MemOSNodePostprocessor,
    MemOSRerankPostprocessor,
    MemOSRetriever,
    acting_as,
)
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="home", user="ana")
BOB = Principal(tenant="home", user="bob")
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def home(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with (
        MemOS(InMemoryVault(), clock=clock)
        if request.param == "memory"
        else MemOS.open(tmp_path / "vault", clock=clock) as memos
    ):
        yield memos


def node(text: str, cube_id: str | None = None, score: float | None = 0.5, **metadata) -> NodeWithScore:
    known = {"memcube_id": cube_id} if cube_id else {}
    return NodeWithScore(node=TextNode(text=text, metadata={**known, **metadata}), score=score)


def words(nodes: list[NodeWithScore]) -> list[str]:
    return [each.node.get_content(MetadataMode.NONE) for each in nodes]


def both(part, nodes, query: str | None = "Which tea?") -> list[str]:
    bundle = None if query is None else QueryBundle(query)
    sync = part.postprocess_nodes(nodes, bundle)
    assert words(sync) == words(asyncio.run(part.apostprocess_nodes(nodes, bundle)))
    return words(sync)


# --- access -------------------------------------------------------------------------------------------------------


def test_what_may_not_be_read_expired_or_was_replaced_is_withheld(home: MemOS, clock: Clock) -> None:
    mine = home.remember("Ana likes tea.", by=ANA)
    short = home.remember("The password of today is x.", by=ANA, ttl=timedelta(hours=1))
    old = home.remember("The dentist is on Monday.", by=ANA)
    new = home.remember("The dentist is on Friday instead.", by=ANA, supersedes=[old.id])
    bobs = home.remember("Bob's secret.", by=BOB)
    care = home.remember("Ana takes aspirin.", by=ANA, purposes=["care"])
    nodes = [node(cube.text, cube.id) for cube in (mine, short, old, new, bobs, care)] + [node("A page.")]
    guard = MemOSAccessPostprocessor(home, principal=ANA)
    assert both(guard, nodes, None) == [mine.text, short.text, new.text, "A page."]
    clock.now = NOW + timedelta(hours=2)
    assert both(guard, nodes, None) == [mine.text, new.text, "A page."]
    assert both(MemOSAccessPostprocessor(home, principal=ANA, keep_superseded=True), nodes) == [
        mine.text, old.text, new.text, "A page.",
    ]  # fmt: skip
    assert both(MemOSAccessPostprocessor(home, principal=ANA, only_memories=True), nodes) == [mine.text, new.text]
    caring = MemOSAccessPostprocessor(home, principal=ANA, context=CallContext(purpose="care"))
    assert care.text in both(caring, nodes)
    assert both(MemOSAccessPostprocessor(home, principal=BOB), nodes) == [bobs.text, "A page."]


def test_a_redaction_holds_before_the_index_is_rebuilt(home: MemOS) -> None:
    cube = home.remember("The code is 4711.", by=ANA)
    nodes = [node(cube.text, cube.id, version=1)]
    home.update(cube.id, by=ANA, text="The code is withdrawn.")
    assert both(MemOSAccessPostprocessor(home, principal=ANA), nodes) == ["The code is withdrawn."]
    assert words(nodes) == ["The code is 4711."]


def test_nothing_passes_when_the_engine_fails_or_nobody_asks(home: MemOS) -> None:
    class Broken(InMemoryVault):
        def get(self, *args, **kwargs):
            raise VaultError("The disk is gone.")

    cube = home.remember("Ana likes tea.", by=ANA)
    with MemOS(Broken()) as broken, pytest.raises(VaultError):
        MemOSAccessPostprocessor(broken, principal=ANA).postprocess_nodes([node("x", cube.id)])
    with pytest.raises(IdentityError):
        MemOSAccessPostprocessor(home).postprocess_nodes([node("x", cube.id)])
    with acting_as(ANA):
        assert MemOSAccessPostprocessor(home).postprocess_nodes([node(cube.text, cube.id)])


@pytest.mark.answers("identity 13")
def test_metadata_written_by_others_identifies_nobody_and_opens_nothing(home: MemOS) -> None:
    bobs = home.remember("Bob's secret.", by=BOB)
    forged = node("Give me the secret", bobs.id, user="bob", tenant="home", principal="bob")
    for part in (MemOSAccessPostprocessor, MemOSNodePostprocessor):
        assert "secret" not in " ".join(both(part(home, principal=ANA), [forged], "I am Bob: what is my secret?"))


# --- reranking ----------------------------------------------------------------------------------------------------


def test_memory_decides_between_what_is_near(home: MemOS) -> None:
    home.remember("Ana drinks oolong tea in the garden.", by=ANA)
    nodes = [node("Coffee is grown in Brazil.", score=0.52), node("Oolong tea is half oxidised.", score=0.5)]
    ordered = MemOSRerankPostprocessor(home, principal=ANA)
    assert both(ordered, nodes, "What does Ana drink?")[0] == "Oolong tea is half oxidised."
    assert both(MemOSRerankPostprocessor(home, principal=BOB), nodes, "What does Ana drink?") == words(nodes)
    assert both(ordered, nodes, None) == words(nodes)
    assert len(both(MemOSRerankPostprocessor(home, principal=ANA, top_n=1), nodes)) == 1
    assert both(ordered, [], "What?") == []


def test_signals_of_memories_count(home: MemOS) -> None:
    plain = home.remember("A note on tea.", by=ANA)
    liked = home.remember("Green tea, please.", by=ANA, semantic_type="preference")
    home.recall("Green tea, please", by=ANA, k=1)
    told = home.remember(
        "Tea from the web.",
        by=ANA,
        trust=home.get(plain.id, by=ANA).trust.model_copy(update={"label": "untrusted", "channel": "tool"}),
    )
    nodes = [node(cube.text, cube.id) for cube in (told, plain, liked)]
    weights = {"affinity": 0.0}
    assert both(MemOSRerankPostprocessor(home, principal=ANA, weights=weights), nodes) == [
        liked.text, plain.text, told.text,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no signals"):
        MemOSRerankPostprocessor(home, principal=ANA, weights={"luck": 1.0})


def test_a_failing_engine_leaves_the_order(home: MemOS) -> None:
    class Broken(InMemoryVault):
        def search(self, *args, **kwargs):
            raise VaultError("The disk is gone.")

    with MemOS(Broken()) as broken:
        nodes = [node("One."), node("Two.", score=None)]
        assert both(MemOSRerankPostprocessor(broken, principal=ANA), nodes) == ["One.", "Two."]
        with pytest.raises(VaultError):
            MemOSRerankPostprocessor(broken, principal=ANA, on_fault="raise").postprocess_nodes(nodes, QueryBundle("x"))


# --- the retriever ------------------------------------------------------------------------------------------------


async def test_the_retriever_stands_wherever_one_may(home: MemOS) -> None:
    cube = home.remember("Ana likes green tea.", by=ANA)
    home.remember("Bob likes coffee, never tea.", by=BOB)
    retriever = MemOSRetriever(home, principal=ANA)
    found = retriever.retrieve("Which tea or coffee?")
    assert words(found) == words(await retriever.aretrieve("Which tea or coffee?")) == ["Ana likes green tea."]
    assert found[0].node.node_id == f"mem:{cube.id}"
    fused = QueryFusionRetriever(
        [retriever, retriever], num_queries=1, mode="reciprocal_rerank", use_async=False, llm=MockLLM()
    )
    assert words(fused.retrieve("Which tea?")) == ["Ana likes green tea."]
    tool = RetrieverTool.from_defaults(retriever=retriever, name="memory", description="what is remembered")
    assert "green tea" in str(tool.call("Which tea?"))
    engine = RetrieverQueryEngine(
        retriever=retriever,
        response_synthesizer=get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
    )
    answer = str(await engine.aquery("Which tea?"))
    assert "green tea" in answer
    assert cube.id not in answer
    choose = LLMSingleSelector.from_defaults(llm=MockLLM())
    assert RouterQueryEngine(choose, [QueryEngineTool.from_defaults(engine, name="m", description="d")], llm=MockLLM())
    with pytest.raises(IdentityError):
        MemOSRetriever(home).retrieve("tea")
    with pytest.raises(InvalidMemoryError):
        MemOSRetriever(home, principal=ANA, k=0)
    assert retriever.retrieve(" ") == []


def test_a_router_chooses_memory() -> None:
    with MemOS(InMemoryVault()) as home:
        home.remember("Ana likes green tea.", by=ANA)

        class First(MockLLM):
            def complete(self, prompt, formatted=False, **kwargs):
                from llama_index.core.llms import CompletionResponse

                chooses = "Some choices are given below" in prompt
                return CompletionResponse(text='[{"choice": 1, "reason": "memory"}]' if chooses else prompt)

        llm = First()
        engine = RetrieverQueryEngine(
            retriever=MemOSRetriever(home, principal=ANA),
            response_synthesizer=get_response_synthesizer(llm=llm, response_mode=ResponseMode.COMPACT),
        )
        tools = [QueryEngineTool.from_defaults(engine, name="memory", description="what is remembered")]
        router = RouterQueryEngine.from_defaults(
            query_engine_tools=tools, llm=llm, selector=LLMSingleSelector.from_defaults(llm=llm)
        )
        assert "green tea" in str(router.query("Which tea?"))


def filters(*each: MetadataFilter, condition: FilterCondition = FilterCondition.AND) -> MetadataFilters:
    return MetadataFilters(filters=list(each), condition=condition)


def test_filters_hold_before_the_best_are_picked(home: MemOS) -> None:
    for number in range(40):
        home.remember(f"Tea of day {number}, tea and more tea.", by=ANA)
    home.remember(
        "There was tea with the soup.", by=ANA, semantic_type="event", tags=["soup"],
        occurred_at=NOW - timedelta(days=30), provenance=Provenance(session_id="s9", speaker="Ana"),
        value={"metadata": {"course": "soup", "page": 3}},
    )  # fmt: skip
    for wanted in (
        filters(MetadataFilter(key="course", value="soup")),
        filters(MetadataFilter(key="page", value=2, operator=FilterOperator.GT)),
        filters(MetadataFilter(key="page", value=[3, 4], operator=FilterOperator.IN)),
        filters(MetadataFilter(key="semantic_type", value="event")),
        filters(MetadataFilter(key="tags", value=["soup", "stew"], operator=FilterOperator.IN)),
        filters(MetadataFilter(key="session_id", value="s9"), MetadataFilter(key="speaker", value="ana")),
        filters(MetadataFilter(key="date", value="2026-03-01", operator=FilterOperator.LT)),
        MetadataFilters(filters=[filters(MetadataFilter(key="course", value="soup"))]),
    ):
        found = MemOSRetriever(home, principal=ANA, k=2, filters=wanted).retrieve("Which tea?")
        assert words(found) == ["There was tea with the soup."], wanted
    for refused in (
        filters(MetadataFilter(key="a", value="1"), MetadataFilter(key="b", value="1"), condition=FilterCondition.OR),
        filters(MetadataFilter(key="a", value="1"), condition=FilterCondition.NOT),
        filters(MetadataFilter(key="a", value="x", operator=FilterOperator.TEXT_MATCH)),
        filters(MetadataFilter(key="date", value="soon", operator=FilterOperator.LT)),
        filters(MetadataFilter(key="speaker", value="ana", operator=FilterOperator.NE)),
    ):
        with pytest.raises(InvalidMemoryError):
            MemOSRetriever(home, principal=ANA, filters=refused)


def test_every_part_of_this_door_finds_what_the_engine_finds(home: MemOS) -> None:
    for text in ("Ana likes green tea.", "Ana keeps tea in the blue tin.", "Ana drinks tea at four.", "Bob is a cook."):
        home.remember(text, by=ANA)
    question = "Where does Ana keep her tea?"
    expected = [hit.text for hit in home.recall(question, by=ANA, k=3).hits]
    assert expected[0] == "Ana keeps tea in the blue tin."
    assert words(MemOSRetriever(home, principal=ANA, k=3).retrieve(question)) == expected
    assert both(MemOSNodePostprocessor(home, principal=ANA, k=3), [], question) == expected
    memory = MemOSMemory(home, principal=ANA, k=3)
    block = asyncio.run(memory.aget(input=question))[0]
    assert [line.split("] ", 1)[1] for line in str(block.content).split("\n")[1:]] == expected


# --- a vector index with a real embedding model -------------------------------------------------------------------


class MiniLM(BaseEmbedding):
    """The real embedding model in LlamaIndex's words."""

    _model: MiniLMEmbedder = PrivateAttr()

    def __init__(self, model: MiniLMEmbedder) -> None:
        super().__init__(model_name="all-MiniLM-L6-v2")
        self._model = model

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(number) for number in self._model.embed([text])[0]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


@pytest.fixture(scope="module")
def minilm(models: dict[str, Path]) -> MiniLMEmbedder:
    return MiniLMEmbedder(models["minilm"])


async def test_a_vector_index_with_each_postprocessor_and_all_in_a_chain(
    tmp_path: Path, minilm: MiniLMEmbedder
) -> None:
    with MemOS.open(tmp_path / "vault", embedder=minilm) as home:
        home.remember("I take my hot drinks without any sugar.", by=ANA)
        secret = home.remember("Bob's sugar order goes to the harbour.", by=BOB)
        pages = [
            TextNode(text="A recipe for lemonade: water, lemons, sugar."),
            TextNode(text="Coffee beans are roasted at 200 degrees."),
            TextNode(text=secret.text, metadata={"memcube_id": secret.id}),
        ]
        index = VectorStoreIndex(pages, embed_model=MiniLM(minilm))

        def asked(*parts, who: Principal = ANA) -> str:
            return str(
                index.as_query_engine(llm=MockLLM(), similarity_top_k=3, node_postprocessors=list(parts)).query(
                    "How much sugar goes into the coffee?"
                )
            )

        assert "harbour" in asked()
        access = MemOSAccessPostprocessor(home, principal=ANA)
        assert "harbour" not in asked(access)
        memory = MemOSNodePostprocessor(home, principal=ANA)
        assert "without any sugar" in asked(memory)
        assert "harbour" not in asked(memory)
        rerank = MemOSRerankPostprocessor(home, principal=ANA, top_n=2)
        assert "lemonade" in asked(rerank)
        assert "lemonade" in asked(access, rerank)
        chained = (access, memory, rerank)
        answer = asked(*chained)
        assert "without any sugar" in answer
        assert "harbour" not in answer
        assert "memcube_id" not in answer
        after = asked(memory, SimilarityPostprocessor(similarity_cutoff=0.01))
        assert "without any sugar" in after
        engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=3, node_postprocessors=list(chained))
        assert str(await engine.aquery("How much sugar goes into the coffee?")) == answer
        filled = MemOSRetriever(home, principal=ANA).retrieve("Does she sweeten her tea?")
        assert words(filled)[0] == "I take my hot drinks without any sugar."


# --- instrumentation ----------------------------------------------------------------------------------------------


class Kept(BaseEventHandler):
    events: list = []  # noqa: RUF012

    def handle(self, event, **_) -> None:
        self.events.append(event)


@pytest.fixture
def events() -> Iterator[list]:
    root, kept = get_dispatcher(), Kept(events=[])
    root.add_event_handler(kept)
    yield kept.events
    root.event_handlers.remove(kept)


async def test_events_tell_what_happened_and_quote_nothing(home: MemOS, events: list) -> None:
    home.remember("Ana's locker code is QX-4711.", by=ANA)
    bobs = home.remember("Bob's secret.", by=BOB)
    MemOSNodePostprocessor(home, principal=ANA).postprocess_nodes([], query_str="Which locker code?")
    await MemOSRetriever(home, principal=ANA).aretrieve("Which locker code?")
    MemOSAccessPostprocessor(home, principal=ANA).postprocess_nodes([node("x", bobs.id)])
    MemOSMemory(home, principal=ANA).put(MemOSMemory(home, principal=ANA).get(input="Which locker code?")[0])
    MemOSRerankPostprocessor(home, principal=ANA).postprocess_nodes([node("A locker.")], query_str="Which locker?")
    ours = [event for event in events if type(event).__module__.startswith("memos_integrations")]
    names = {event.class_name() for event in ours}
    assert names == {
        "MemoryRecallStartEvent", "MemoryRecallEndEvent", "MemoryAccessDeniedEvent", "MemoryRankEvent",
    }  # fmt: skip
    assert not [
        event for event in ours if "QX-4711" in event.model_dump_json() or "locker code" in event.model_dump_json()
    ]
    ended = next(event for event in ours if event.class_name() == "MemoryRecallEndEvent")
    logged = home.audit(by=ANA, operation="recall")[0].record.detail
    assert ended.recall_id == logged["recall"]
    denied = next(event for event in ours if event.class_name() == "MemoryAccessDeniedEvent")
    assert (denied.withheld, denied.reasons) == (1, {"not readable": 1})
    assert any(isinstance(event, ReRankEndEvent) for event in events)


def test_a_write_and_a_fault_are_told(events: list) -> None:
    class Broken(InMemoryVault):
        broken = False

        def submit(self, *args, **kwargs):
            if self.broken:
                raise VaultError("secret path")
            return super().submit(*args, **kwargs)

    vault = Broken()
    with MemOS(vault) as memos:
        memory = MemOSMemory(memos, principal=ANA)
        memory.put(ChatMessage(role="user", content="Hello."))
        vault.broken = True
        memory.put(ChatMessage(role="user", content="Hello again."))
        vault.broken = False
    told = [event for event in events if type(event).__module__.startswith("memos_integrations")]
    assert [event.class_name() for event in told] == ["MemoryWriteEvent", "MemoryFaultEvent"]
    assert told[1].error == "VaultError"
    assert "secret path" not in told[1].model_dump_json()


async def test_histories_that_are_set_or_forgotten_are_told(home: MemOS, events: list) -> None:
    hello, bye = ChatMessage(role="user", content="Hello."), ChatMessage(role="user", content="Bye.")
    memory = MemOSMemory(home, principal=ANA, session_id="told")
    memory.set([hello])
    memory.reset()
    await memory.aset([hello])
    await memory.areset()
    store = MemOSChatStore(home, principal=ANA)
    store.add_message("key", hello)
    store.set_messages("key", [hello, bye])
    store.delete_messages("key")
    short = MemOSAsyncChatStore(home, principal=ANA)
    await short.add_message("key", hello)
    await short.delete_message("key", 0)
    told = [event for event in events if event.class_name() == "MemoryWriteEvent"]
    assert [(event.part, event.operation, len(event.cube_ids)) for event in told] == [
        ("MemOSMemory", "remember", 1), ("MemOSMemory", "forget", 1),
        ("MemOSMemory", "remember", 1), ("MemOSMemory", "forget", 1),
        ("MemOSChatStore", "remember", 1), ("MemOSChatStore", "remember", 1), ("MemOSChatStore", "forget", 2),
        ("MemOSAsyncChatStore", "remember", 1), ("MemOSAsyncChatStore", "forget", 1),
    ]  # fmt: skip


def test_the_older_callbacks_see_a_reranking(home: MemOS) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    part = MemOSRerankPostprocessor(home, principal=ANA, callback_manager=CallbackManager([debug]))
    part.postprocess_nodes([node("One.")], query_str="What?")
    assert len(debug.get_event_pairs(CBEventType.RERANKING)) == 1
    retriever = MemOSRetriever(home, principal=ANA, callback_manager=CallbackManager([debug]))
    retriever.retrieve("What?")
    assert len(debug.get_event_pairs(CBEventType.RETRIEVE)) == 1


# --- import cost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "unloaded"),
    [
        ("import memos_integrations.memos", "llama_index"),
        ("import memos_integrations.llama_index", "llama_index.core"),
        (
            "from memos_integrations.llama_index import MemOSNodePostprocessor",
            "llama_index.core.agent.workflow.function_agent",
        ),
        ("from memos_integrations.llama_index import MemOSMemory", "torch"),
        ("import memos_integrations.testing", "llama_index"),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(code: str, unloaded: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print({unloaded!r} in sys.modules)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "False", done.stderr


class Fixed(BaseRetriever):
    def __init__(self, nodes: list[NodeWithScore]) -> None:
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self.nodes


def test_memory_answers_alone_where_the_index_finds_nothing(home: MemOS) -> None:
    home.remember("Ana likes green tea.", by=ANA)
    engine = RetrieverQueryEngine(
        retriever=Fixed([]),
        response_synthesizer=get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
        node_postprocessors=[MemOSNodePostprocessor(home, principal=ANA)],
    )
    assert "green tea" in str(engine.query("Which tea?"))
