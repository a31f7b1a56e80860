"""Each door honours the state of a memory, a hold on it, and the time in which it holds; contradictions are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from memos_integrations import MemOS, Principal, State
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langchain import MemOSDocumentCompressor, MemOSMiddleware, memory_tools
from memos_integrations.langchain import MemOSRetriever as LangChainRetriever
from memos_integrations.langgraph import MemOSStore, memory_subgraph
from memos_integrations.llama_index import MemOSAccessPostprocessor, MemOSNodePostprocessor
from memos_integrations.llama_index import MemOSRetriever as LlamaIndexRetriever
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.langchain.scripted import ScriptedModel
from tests.lifetime import ADMIN, ANA, DAY, START, Clock

ASKED = "Which colour is the kettle?"
LIVES = "Do I live in Lisbon, or did I move to Porto?"
HELD = "held"
RECALLED = {State.GENERATED, State.ACTIVATED, State.FROZEN, HELD}


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    with MemOS(vault, clock=clock, conflicts=ConflictRules()) as made:
        yield made
        assert made.verify_audit().ok


def moved(memos: MemOS, cube_id: str, state: State | str, told: str = "The kettle is red now.") -> None:
    if state is State.MERGED:
        memos.merge([cube_id, memos.remember("A spoon.", by=ANA).id], by=ANA, text=f"{told} A spoon.")
    elif state == HELD:
        memos.hold(cube_id, by=ADMIN)
    elif memos.get(cube_id, by=ANA).state is not state and state is not State.GENERATED:
        memos.move(cube_id, state, by=ANA)


# --- the doors, each as the words that a model would see


def by_middleware(memos: MemOS, question: str) -> list[str]:
    model = ScriptedModel(lines=["Understood."])
    agent = create_agent(model, middleware=[MemOSMiddleware(memos, principal=ANA, remember=())])
    agent.invoke({"messages": [HumanMessage(question)]})
    return [text for text in model.texts[-1] if text != question]


def by_middleware_later(memos: MemOS, question: str) -> list[str]:
    model = ScriptedModel(lines=["Understood."])
    agent = create_agent(model, middleware=[MemOSMiddleware(memos, principal=ANA, remember=())])
    asyncio.run(agent.ainvoke({"messages": [HumanMessage(question)]}))
    return [text for text in model.texts[-1] if text != question]


def by_tool(memos: MemOS, question: str) -> list[str]:
    return [memory_tools(memos, principal=ANA)[1].invoke({"query": question})]


def by_postprocessor(memos: MemOS, question: str) -> list[str]:
    nodes = MemOSNodePostprocessor(memos=memos, principal=ANA).postprocess_nodes([], QueryBundle(question))
    return [each.node.get_content(MetadataMode.LLM) for each in nodes]


def by_subgraph(memos: MemOS, question: str) -> list[str]:
    told = memory_subgraph(memos, principal=ANA).invoke({"messages": [HumanMessage(question)]})
    return [told["recalled"]["text"]]


DOORS: dict[str, Callable[[MemOS, str], list[str]]] = {
    "middleware": by_middleware,
    "middleware, async": by_middleware_later,
    "tool": by_tool,
    "postprocessor": by_postprocessor,
    "subgraph": by_subgraph,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("state", [*State, HELD])
def test_a_door_shows_a_memory_in_the_states_of_recall(memos: MemOS, state: State | str, door: str) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    moved(memos, cube.id, state)
    assert any("blue" in text for text in DOORS[door](memos, ASKED)) == (state in RECALLED)


@pytest.mark.answers("AISVS 8.3.1")
@pytest.mark.parametrize("door", DOORS)
def test_a_door_shows_no_memory_whose_time_is_over(memos: MemOS, clock: Clock, door: str) -> None:
    memos.remember("The kettle is blue.", by=ANA, ttl=timedelta(hours=1))
    assert any("blue" in text for text in DOORS[door](memos, ASKED))
    clock.now += timedelta(hours=2)
    assert not any("blue" in text for text in DOORS[door](memos, ASKED))


@pytest.mark.parametrize("door", DOORS)
def test_a_door_shows_what_holds_now_and_not_what_held(memos: MemOS, clock: Clock, door: str) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    clock.now += timedelta(days=40)
    memos.remember("I moved to Porto.", by=ANA)
    clock.now += timedelta(days=1)
    shown = "\n".join(DOORS[door](memos, LIVES))
    assert "Porto" in shown
    assert "Lisbon" not in shown


@pytest.mark.parametrize("state", [*State, HELD])
def test_a_node_of_a_memory_passes_while_it_is_kept(memos: MemOS, state: State | str) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    nodes = LlamaIndexRetriever(memos, principal=ANA).retrieve(ASKED)
    moved(memos, cube.id, state)
    for passing in (MemOSAccessPostprocessor(memos=memos, principal=ANA),):
        passed: list[NodeWithScore] = passing.postprocess_nodes(nodes, QueryBundle(ASKED))
        assert bool(passed) == (state is not State.EXPIRED)


def test_a_node_of_what_holds_no_longer_is_withheld(memos: MemOS, clock: Clock) -> None:
    memos.remember("The kettle is blue.", by=ANA, valid_to=clock.now + timedelta(days=1))
    nodes = LlamaIndexRetriever(memos, principal=ANA).retrieve(ASKED)
    clock.now += timedelta(days=2)
    for keeps in (False, True):
        passing = MemOSAccessPostprocessor(memos=memos, principal=ANA, keep_ended=keeps)
        assert bool(passing.postprocess_nodes(nodes, QueryBundle(ASKED))) == keeps


@pytest.mark.parametrize("times", [{"valid_to": START + DAY}, {"valid_from": START + 90 * DAY}])
def test_what_came_in_of_a_memory_that_does_not_hold_now_is_dropped(
    memos: MemOS, clock: Clock, times: dict[str, datetime]
) -> None:
    memos.remember("The kettle is blue.", by=ANA, **times)  # type: ignore[arg-type]
    (cube,) = memos.find(CubeFilter(), by=ANA)
    clock.now += 2 * DAY
    document = Document(page_content="The kettle is blue.", metadata={"memcube_id": cube.id})
    node = NodeWithScore(node=TextNode(text="The kettle is blue.", metadata={"memcube_id": cube.id}))
    compressor = MemOSDocumentCompressor(memos=memos, principal=ANA)
    postprocessor = MemOSNodePostprocessor(memos=memos, principal=ANA)
    assert list(compressor.compress_documents([document], ASKED)) == []
    assert asyncio.run(compressor.acompress_documents([document], ASKED)) == []
    assert postprocessor.postprocess_nodes([node], QueryBundle(ASKED)) == []
    when = "Which colour did the kettle have before?" if "valid_to" in times else "Which colour will the kettle be?"
    assert len(compressor.compress_documents([document], when)) == 1
    assert len(postprocessor.postprocess_nodes([node], QueryBundle(when))) == 1


# --- LangGraph's BaseStore


def test_the_store_does_not_find_an_item_that_holds_no_longer(memos: MemOS, clock: Clock) -> None:
    store = MemOSStore(memos, principal=ANA)
    store.put(("kitchen",), "kettle", {"colour": "blue"})
    cube_id = store.cube_id(("kitchen",), "kettle")
    assert cube_id is not None
    memos.update(cube_id, by=ANA, valid_to=clock.now + timedelta(days=1))
    assert store.search(("kitchen",))
    assert store.search(("kitchen",), query="kettle blue")
    clock.now += timedelta(days=2)
    assert store.search(("kitchen",)) == store.search(("kitchen",), query="kettle blue") == []


@pytest.mark.parametrize("state", [*State, HELD])
def test_the_store_honours_the_state_of_an_item(memos: MemOS, state: State | str) -> None:
    store = MemOSStore(memos, principal=ANA)
    store.put(("kitchen",), "kettle", {"colour": "blue"})
    cube_id = store.cube_id(("kitchen",), "kettle")
    assert cube_id is not None
    moved(memos, cube_id, state, memos.get(cube_id, by=ANA).text)
    there = state in RECALLED
    assert (store.get(("kitchen",), "kettle") is not None) == (state is not State.EXPIRED)  # by its key, as `MemOS.get`
    assert bool(store.search(("kitchen",))) == there
    assert bool(store.search(("kitchen",), query="blue")) == there
    if state is not State.MERGED:  # what it was merged into stands in its namespace
        assert (("kitchen",) in store.list_namespaces()) == there
    if state in {State.FROZEN, HELD}:
        for change in (
            lambda: store.put(("kitchen",), "kettle", {"colour": "red"}),
            lambda: store.delete(("kitchen",), "kettle"),
        ):
            with pytest.raises((LegalHoldError, IllegalTransitionError)):
                change()
        assert [item.value for item in store.history(("kitchen",), "kettle")] == [{"colour": "blue"}]
    elif there:
        store.put(("kitchen",), "kettle", {"colour": "red"})
        assert store.get(("kitchen",), "kettle").value == {"colour": "red"}  # type: ignore[union-attr]


def test_the_store_gives_no_item_whose_time_is_over(memos: MemOS, clock: Clock) -> None:
    store = MemOSStore(memos, principal=ANA)
    store.put(("kitchen",), "kettle", {"colour": "blue"}, ttl=60)
    assert store.get(("kitchen",), "kettle", refresh_ttl=False) is not None
    clock.now += timedelta(minutes=61)
    assert store.get(("kitchen",), "kettle") is None
    assert store.search(("kitchen",), query="blue") == []


# --- what is contradicted, and kept beside


def contradicted(memos: MemOS, clock: Clock) -> tuple[MemCube, MemCube]:
    old = memos.remember("I live in Lisbon, and I play the cello in an orchestra.", by=ANA)
    clock.now += timedelta(days=40)
    new = memos.remember("I moved to Porto.", by=ANA)
    clock.now += timedelta(days=1)
    assert memos.get(old.id, by=ANA).state in RECALLED
    return old, new


@pytest.mark.parametrize("door", DOORS)
def test_a_door_says_what_is_contradicted(memos: MemOS, clock: Clock, door: str) -> None:
    old, new = contradicted(memos, clock)
    lines = [line for text in DOORS[door](memos, LIVES) for line in text.splitlines()]
    assert sum("contradicted by another memory" in line for line in lines) == 2
    memos.undo(memos.decisions(new.id, by=ANA)[0], by=ANA)
    assert not any("contradicted" in text for text in DOORS[door](memos, LIVES))
    assert old.id != new.id


def test_a_hit_names_what_contradicts_it_as_far_as_the_asker_sees_it(memos: MemOS, clock: Clock) -> None:
    old, new = contradicted(memos, clock)
    hits = {hit.cube.id: hit for hit in memos.recall(LIVES, by=ANA).hits}
    assert hits[old.id].conflicts_with == (new.id,)
    assert hits[new.id].conflicts_with == (old.id,)
    assert f"conflicts with {new.id}" in hits[old.id].why
    (document, *_) = LangChainRetriever(memos=memos, principal=ANA).invoke(LIVES)
    assert document.metadata["conflicts_with"] in ([old.id], [new.id])
    memos.move(new.id, State.ARCHIVED, by=ANA)
    (hit,) = memos.recall(LIVES, by=ANA).hits
    assert (hit.cube.id, hit.conflicts_with) == (old.id, ())


def test_who_sees_one_side_only_is_not_told_of_the_other(memos: MemOS, clock: Clock) -> None:
    ben = Principal(tenant="acme", user="ben")
    old, _ = contradicted(memos, clock)
    memos.update(old.id, by=ANA, readers=["user:ben"], layer="shared")
    (hit,) = memos.recall("Where does she live? Lisbon, Porto, cello", by=ben, needed=True).hits
    assert (hit.cube.id, hit.conflicts_with) == (old.id, ())


# --- when a memory holds


@pytest.mark.parametrize("door", DOORS)
def test_a_door_shows_no_memory_that_no_longer_holds(memos: MemOS, clock: Clock, door: str) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA, valid_to=clock.now + timedelta(hours=1))
    assert any("blue" in text for text in DOORS[door](memos, ASKED))
    clock.now += timedelta(hours=2)
    assert not any("blue" in text for text in DOORS[door](memos, ASKED))
    assert memos.get(cube.id, by=ANA).state in RECALLED  # nobody ticked
    memos.tick(by=ANA)
    assert not any("blue" in text for text in DOORS[door](memos, ASKED))


@pytest.mark.parametrize("door", DOORS)
def test_a_door_shows_what_is_to_begin_where_that_is_asked_behind_what_holds(
    memos: MemOS, clock: Clock, door: str
) -> None:
    begins = clock.now + timedelta(days=100)
    memos.remember("The kettle in the kitchen is blue.", by=ANA)
    memos.remember("The kettle in the kitchen is red.", by=ANA, valid_from=begins)
    now = "Which colour is the kettle in the kitchen, blue or red?"
    told = "\n".join(DOORS[door](memos, now))
    assert ("is blue" in told, "is red" in told) == (True, False)
    asked = "Which colour will the kettle in the kitchen be, blue or red?"
    shown = "\n".join(DOORS[door](memos, asked))
    assert f"from {begins:%Y-%m-%d}" in shown
    assert 0 <= shown.find("is blue") < shown.find("is red")
    first, second = memos.recall(asked, by=ANA).hits
    assert ("blue" in first.text, "red" in second.text) == (True, True)
    clock.now = begins + timedelta(hours=1)
    assert {hit.text for hit in memos.recall(now, by=ANA).hits} >= {second.text}
    assert "is red" in "\n".join(DOORS[door](memos, now))


@pytest.mark.parametrize("asked", ["Which colour is the kettle?", "Which colour did the kettle have before?"])
def test_what_was_rewritten_for_later_is_told_as_it_is_until_then(memos: MemOS, clock: Clock, asked: str) -> None:
    begins = clock.now + timedelta(days=100)
    cube = memos.remember("The colour of the kettle is blue.", by=ANA)
    memos.update(cube.id, by=ANA, text="The colour of the kettle is red.", valid_from=begins)
    then = clock.now
    assert [hit.text for hit in memos.recall(asked, by=ANA).hits] == ["The colour of the kettle is blue."]
    later = memos.recall("Which colour will the kettle have next year?", by=ANA).hits
    assert [hit.text for hit in later] == ["The colour of the kettle is red."]
    clock.now = begins + timedelta(days=1)
    assert [hit.text for hit in memos.recall(ASKED, by=ANA).hits] == ["The colour of the kettle is red."]
    past = memos.recall(ASKED, by=ANA, as_of=then).hits
    assert [hit.text for hit in past] == ["The colour of the kettle is blue."]


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(days=365)])
def test_what_was_rewritten_is_told_in_its_new_words_by_a_clock_that_went_back(
    memos: MemOS, clock: Clock, back: timedelta
) -> None:
    cube = memos.remember("The kettle is blue.", by=ANA)
    clock.now += DAY
    memos.update(cube.id, by=ANA, text="The kettle is red.")
    clock.now -= back
    assert [hit.text for hit in memos.recall(ASKED, by=ANA).hits] == ["The kettle is red."]
    assert [each.text for each in memos.get_many([cube.id], by=ANA, holding=True)] == ["The kettle is red."]


def test_what_is_merged_of_what_is_to_begin_stands_for_what_holds(memos: MemOS, clock: Clock) -> None:
    blue = memos.remember("The kettle is blue.", by=ANA)
    spoon = memos.remember("The spoon is red.", by=ANA, valid_from=clock.now + timedelta(days=100))
    both = memos.merge([blue.id, spoon.id], by=ANA)
    assert [hit.cube.id for hit in memos.recall(ASKED, by=ANA).hits] == [both.id]


def test_what_is_merged_of_what_is_all_to_begin_is_to_begin(memos: MemOS, clock: Clock) -> None:
    told = ("The kettle will hum.", "The kettle is blue.")
    both = memos.merge([memos.remember(text, by=ANA, valid_from=clock.now + 9 * DAY).id for text in told], by=ANA)
    assert memos.recall(ASKED, by=ANA).hits == ()
    assert [hit.cube.id for hit in memos.recall("Which colour will the kettle be?", by=ANA).hits] == [both.id]
    clock.now += 10 * DAY
    assert [hit.cube.id for hit in memos.recall(ASKED, by=ANA).hits] == [both.id]


def test_a_full_answer_is_given_though_the_best_are_to_begin(memos: MemOS, clock: Clock) -> None:
    for n in range(12):
        memos.remember(f"The kettle is blue, and the kettle number {n} too.", by=ANA, valid_from=clock.now + n * DAY)
        memos.remember(f"Number {n} is where the kettle stands.", by=ANA)
    hits = memos.recall("kettle blue", by=ANA, k=8, needed=True).hits
    assert len(hits) == 8
    assert all(hit.cube.descriptive.valid_from in {None, clock.now} for hit in hits)


def test_what_is_to_begin_is_no_node_and_does_not_age(memos: MemOS, clock: Clock) -> None:
    begins = clock.now + timedelta(days=900)
    cube = memos.remember("The kettle is blue.", by=ANA, valid_from=begins, half_life=timedelta(days=9))
    nodes = LlamaIndexRetriever(memos, principal=ANA).retrieve("Which colour will the kettle be?")
    for keeps in (False, True):
        passing = MemOSAccessPostprocessor(memos=memos, principal=ANA, keep_ended=keeps)
        assert bool(passing.postprocess_nodes(nodes, QueryBundle(ASKED))) == keeps
    clock.now = begins - timedelta(days=1)
    assert memos.tick(by=ANA, ageing=Ageing(budgets={"ana": 1})).archived == {}
    clock.now = begins + timedelta(days=5)
    assert memos.tick(by=ANA).archived == {}
    assert [hit.cube.id for hit in memos.recall(ASKED, by=ANA).hits] == [cube.id]
    clock.now = begins + timedelta(days=60)
    assert memos.tick(by=ANA).archived == {cube.id: "decay"}


def test_what_no_longer_holds_is_found_by_id_by_time_and_by_questions_about_the_past(
    memos: MemOS, clock: Clock
) -> None:
    told = clock.now
    cube = memos.remember("I live in Lisbon.", by=ANA, valid_to=told + timedelta(days=1))
    clock.now += timedelta(days=3)
    asked = "Where do I live?"
    assert memos.recall(asked, by=ANA, needed=True).hits == ()
    assert memos.answer(asked, by=ANA).abstained
    assert memos.get(cube.id, by=ANA) is not None
    for how in ({"valid_at": told}, {"as_of": told + timedelta(hours=1)}):
        assert [hit.cube.id for hit in memos.recall(asked, by=ANA, **how).hits] == [cube.id]
    assert [hit.cube.id for hit in memos.recall("Where did I live before?", by=ANA).hits] == [cube.id]
    wanted = CubeFilter(states=frozenset(State))
    assert [hit.cube.id for hit in memos.recall(asked, by=ANA, where=wanted).hits] == [cube.id]


def test_an_answer_gives_what_is_to_begin_only_where_it_is_asked_for(memos: MemOS, clock: Clock) -> None:
    begins = clock.now + timedelta(days=100)
    memos.remember("I live in Porto.", by=ANA, valid_from=begins)
    assert memos.answer("Where do I live?", by=ANA).abstained
    assert "Porto" in memos.answer("Where will I live?", by=ANA).text
    assert "Porto" in memos.answer("Where do I live?", by=ANA, valid_at=begins).text
    assert str(begins.year) in memos.answer("When do I live in Porto?", by=ANA).text
    memos.remember("I live in Lisbon.", by=ANA, occurred_at=clock.now - timedelta(days=9))
    assert "Lisbon" in memos.answer("Where do I live?", by=ANA).text
    clock.now = begins + timedelta(days=1)
    assert "Porto" in memos.answer("Where do I live?", by=ANA).text


def test_what_was_merged_stands_for_its_sources_until_they_are_back(memos: MemOS, clock: Clock) -> None:
    ends = clock.now + timedelta(days=1)
    code = memos.remember("The gate code is 1234.", by=ANA, valid_to=ends)
    kettle = memos.remember("The kettle is blue.", by=ANA)
    made = memos.merge([code.id, kettle.id], by=ANA, text="The gate code is 1234; the kettle is blue.")
    clock.now += timedelta(days=2)
    assert [hit.cube.id for hit in memos.recall(ASKED, by=ANA).hits] == [made.id]
    memos.tick(by=ANA)
    assert [hit.cube.id for hit in memos.recall(ASKED, by=ANA).hits] == [kettle.id]
