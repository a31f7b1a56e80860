"""Recall as a LangChain retriever: what a chain gets, and for whom."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langgraph.graph import MessagesState, StateGraph
from pydantic import ValidationError

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.errors import IdentityError
from memos_integrations.langchain import MemOSRetriever
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = {"configurable": {"tenant": "home", "user_id": "ana"}}
BOB = {"configurable": {"tenant": "home", "user_id": "bob"}}


def texts(documents: list[Document]) -> str:
    return " ".join(document.page_content for document in documents)


class TestStandardRetriever(RetrieversIntegrationTests):
    """The suite of langchain-tests, unmodified."""

    @pytest.fixture(autouse=True)
    def _open(self, memos: MemOS, ana: Principal) -> None:
        self.params = {"memos": memos, "principal": ana}

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return MemOSRetriever

    @property
    def retriever_constructor_params(self) -> dict:
        return self.params

    @property
    def retriever_query_example(self) -> str:
        return "Who likes tea?"


def test_a_document_carries_id_score_and_provenance_as_plain_json(memos: MemOS, ana: Principal) -> None:
    cube = memos.remember("Ana was born in Porto.", by=ana)
    found = MemOSRetriever(memos=memos, principal=ana, k=1).invoke("Where was Ana born?")
    assert [document.id for document in found] == [cube.id]
    metadata = json.loads(json.dumps(found[0].metadata))
    assert found[0].page_content == "Ana was born in Porto."
    assert metadata["version"] == 1
    assert metadata["semantic_type"] == "fact"
    assert metadata["namespace"] == ["home", "ana"]
    assert metadata["superseded_by"] is None
    assert metadata["created_at"].startswith("2026-03-09T12:00")
    assert metadata["score"] > 0
    assert metadata["parts"]["bm25"] > 0
    assert isinstance(metadata["provenance"], dict)


def test_one_retriever_serves_two_people_by_config(memos: MemOS) -> None:
    retriever = MemOSRetriever(memos=memos)
    assert "coffee" not in texts(retriever.invoke("tea or coffee?", ANA))
    assert "green tea" not in texts(retriever.invoke("tea or coffee?", BOB))
    assert "coffee" in texts(retriever.invoke("tea or coffee?", BOB))


@pytest.mark.answers("llama_index #22701", "identity 16")
async def test_one_retriever_serves_two_people_at_the_same_time(memos: MemOS) -> None:
    retriever = MemOSRetriever(memos=memos)
    found = await asyncio.gather(*(retriever.ainvoke("tea or coffee?", who) for who in [ANA, BOB] * 10))
    assert all("coffee" not in texts(documents) for documents in found[::2])
    assert all("green tea" not in texts(documents) for documents in found[1::2])
    assert all(documents for documents in found)


def test_batch_keeps_each_caller_apart(memos: MemOS) -> None:
    ana, bob = MemOSRetriever(memos=memos).batch(["tea or coffee?"] * 2, [ANA, BOB])
    assert "coffee" not in texts(ana)
    assert "green tea" not in texts(bob)


def test_config_reaches_the_retriever_through_a_chain(memos: MemOS) -> None:
    chain = {"found": MemOSRetriever(memos=memos), "asked": RunnablePassthrough()} | RunnableLambda(
        lambda given: texts(given["found"])
    )
    assert "coffee" in chain.invoke("tea or coffee?", BOB)
    assert "coffee" not in chain.invoke("tea or coffee?", ANA)


def test_config_reaches_the_retriever_behind_a_tool_within_a_chain(memos: MemOS) -> None:
    tool = create_retriever_tool(MemOSRetriever(memos=memos), "recall", "What is known about the user.")
    chain = RunnableLambda(lambda prompt: tool.invoke({"query": prompt}))
    assert "coffee" in chain.invoke("tea or coffee?", BOB)
    assert "coffee" not in chain.invoke("tea or coffee?", ANA)


def test_a_whole_principal_may_be_configured(memos: MemOS, bob: Principal) -> None:
    retriever = MemOSRetriever(memos=memos)
    assert "coffee" in texts(retriever.invoke("coffee", {"configurable": {"principal": bob}}))
    field = retriever.configurable_fields(principal=ConfigurableField(id="who"))
    assert "coffee" in texts(field.invoke("coffee", {"configurable": {"who": bob}}))


def test_the_given_principal_wins_over_config(memos: MemOS, ana: Principal) -> None:
    assert "coffee" not in texts(MemOSRetriever(memos=memos, principal=ana).invoke("coffee", BOB))


def test_groups_and_roles_come_with_a_principal_and_never_with_loose_config(memos: MemOS, ana: Principal) -> None:
    memos.remember("The team meets in room Lisbon.", by=ana, layer="shared", readers=["group:team"])
    retriever = MemOSRetriever(memos=memos)
    member = {"configurable": {"principal": Principal(tenant="home", user="bob", groups=frozenset({"team"}))}}
    claimed = {"configurable": {**BOB["configurable"], "groups": ["team"], "roles": ["admin"]}}
    assert "Lisbon" in texts(retriever.invoke("Where does the team meet?", member))
    assert "Lisbon" not in texts(retriever.invoke("Where does the team meet?", claimed))


@pytest.mark.parametrize(
    "configurable",
    [{}, {"tenant": "home"}, {"user_id": "ana"}, {"tenant": "home", "user_id": ""}, {"tenant": "home", "user_id": 7}],
)
async def test_without_a_whole_identity_nothing_is_recalled(memos: MemOS, configurable: dict) -> None:
    retriever = MemOSRetriever(memos=memos)
    with pytest.raises(IdentityError):
        retriever.invoke("user_id: ana, tenant: home. What do I like?", {"configurable": configurable})
    with pytest.raises(IdentityError):
        await retriever.ainvoke("What do I like?", {"configurable": configurable})


async def test_k_counts_in_the_constructor_and_in_the_call(memos: MemOS, ana: Principal) -> None:
    retriever = MemOSRetriever(memos=memos, principal=ana, k=3)
    assert len(retriever.invoke("tea")) == 3
    assert len(retriever.invoke("tea", k=1)) == 1
    assert len(await retriever.ainvoke("tea", k=2)) == 2
    with pytest.raises(ValidationError):
        MemOSRetriever(memos=memos, principal=ana, k=0)


def test_nothing_known_is_an_empty_list(memos: MemOS, ana: Principal) -> None:
    nobody = Principal(tenant="elsewhere", user="eve")
    assert MemOSRetriever(memos=memos, principal=nobody).invoke("tea") == []
    with MemOS(InMemoryVault()) as empty:
        assert MemOSRetriever(memos=empty, principal=ana).invoke("tea") == []


def test_small_talk_is_searched_too_because_a_retriever_was_asked(memos: MemOS, ana: Principal) -> None:
    memos.remember("The parrot says hello.", by=ana)
    assert memos.recall("Hello!", by=ana).hits == ()
    assert texts(MemOSRetriever(memos=memos, principal=ana).invoke("Hello!")) == "The parrot says hello."


def test_namespace_and_context_narrow_recall(memos: MemOS, ana: Principal) -> None:
    memos.remember("Tea for the trip: mint.", by=ana, namespace=("home", "ana", "trip"))
    memos.remember("Tea against migraine: ginger.", by=ana, purposes=["care"])
    trip = MemOSRetriever(memos=memos, principal=ana, namespace=("home", "ana", "trip"))
    assert [document.page_content for document in trip.invoke("Which tea?")] == ["Tea for the trip: mint."]
    care = MemOSRetriever(memos=memos, principal=ana, context=CallContext(purpose="care"))
    assert "ginger" in texts(care.invoke("Which tea against migraine?"))
    assert "ginger" not in texts(MemOSRetriever(memos=memos, principal=ana).invoke("Which tea against migraine?"))


async def test_a_slow_recall_does_not_block_the_event_loop(ana: Principal) -> None:
    class SlowVault(InMemoryVault):
        def search(self, *args, **kwargs):
            time.sleep(0.3)
            return super().search(*args, **kwargs)

    with MemOS(SlowVault()) as memos:
        memos.remember("Ana likes tea.", by=ana)
        recalling = asyncio.ensure_future(MemOSRetriever(memos=memos, principal=ana).ainvoke("tea"))
        ticks = 0
        while not recalling.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert len(await recalling) == 1
        assert ticks >= 10


def test_tracing_sees_a_name_and_no_engine(memos: MemOS, ana: Principal) -> None:
    seen: list[dict] = []

    class Trace(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, *, metadata=None, **kwargs):
            seen.append(metadata)

    retriever = MemOSRetriever(memos=memos, principal=ana)
    retriever.invoke("tea", {"callbacks": [Trace()]})
    assert seen[0]["ls_retriever_name"] == "memos"
    assert "ana" not in repr(retriever)
    assert {"memos", "principal"}.isdisjoint(retriever.model_dump())


def test_threads_share_one_retriever(memos: MemOS) -> None:
    retriever, failed = MemOSRetriever(memos=memos), []

    def ask(who: dict, forbidden: str) -> None:
        for _ in range(10):
            if forbidden in texts(retriever.invoke("tea or coffee?", who)):
                failed.append(forbidden)

    threads = [threading.Thread(target=ask, args=pair) for pair in [(ANA, "coffee"), (BOB, "green tea")] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


async def test_in_a_graph_the_runtime_context_says_who_asks(memos: MemOS) -> None:
    retriever = MemOSRetriever(memos=memos)

    def look(state: MessagesState) -> dict:
        return {"messages": [AIMessage(texts(retriever.invoke("tea or coffee?")))]}

    async def alook(state: MessagesState) -> dict:
        return {"messages": [AIMessage(texts(await retriever.ainvoke("tea or coffee?")))]}

    graph = StateGraph(MessagesState, context_schema=dict)
    graph.add_node("look", RunnableLambda(look, alook))
    graph.set_entry_point("look")
    agent = graph.compile()
    for user, coffee in (("ana", False), ("bob", True)):
        context = {"tenant": "home", "user_id": user}
        asked = {"messages": [("user", "I am bob.")]}
        assert ("black coffee" in agent.invoke(asked, context=context)["messages"][-1].text) == coffee
        assert ("black coffee" in (await agent.ainvoke(asked, context=context))["messages"][-1].text) == coffee
