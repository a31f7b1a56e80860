"""The scopes of a plan as tasks of their own: one recall in the end, caches that mix nobody up, retries that end."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from langchain_core.messages import HumanMessage
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import AccessDeniedError, IdentityError, InvalidMemoryError, VaultBusyError
from memos_integrations.core.scheduler import Action, MemoryPlan, MemScheduler, PlanStep
from memos_integrations.langgraph import MemoryState, memory_subgraph
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.langgraph.test_subgraph import ANA, ASKED, BOB, stored
from tests.tea import NOW
from tests.words_embedder import WordsEmbedder

LATELY = {"messages": [HumanMessage("Which tea or coffee did I have last week?")]}


@pytest.fixture
def weeks(memos: MemOS, ana: Principal) -> MemOS:
    for days, text in (
        (2, "Ana had mint tea with Eva."),
        (7, "Ana had black tea at home."),
        (40, "Ana had white tea."),
    ):
        memos.remember(text, by=ana, occurred_at=NOW - timedelta(days=days))
    return memos


class EverywhereScheduler(MemScheduler):
    """Looks in several places: by words everywhere, in two namespaces, and at the latest."""

    def plan(self, call: Any, **how: Any) -> MemoryPlan:
        plan = super().plan(call, **how)
        places = [("home", "ana"), ("home", "ana", "trips")]
        more = [PlanStep(action=Action.FULLTEXT, reason=str(place), k=20, namespace=place) for place in places]
        latest = PlanStep(action=Action.LATEST, reason="the latest too", k=3)
        return plan.model_copy(update={"steps": (*plan.steps, *more, latest)}) if plan.needed else plan


def looks(graph: Any, *given: Any, **how: Any) -> list[dict[str, Any]]:
    """The tasks that looked through a scope."""
    return [update for update in graph.stream(*given, stream_mode="updates", **how) if "mem_look" in update]


def as_told(found: dict[str, Any]) -> list[tuple[str, float, dict[str, float], str]]:
    return [(hit["id"], hit["score"], hit["parts"], hit["why"]) for hit in found["recalled"]["hits"]]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_plan_of_two_scopes_is_two_tasks_and_the_recall_of_the_engine(
    weeks: MemOS, ana: Principal, is_async: bool
) -> None:
    graph = memory_subgraph(weeks, principal=ana)
    assert len(looks(graph, LATELY)) == 2
    assert looks(graph, ASKED) == []  # one scope: nothing to look through apart
    found = await graph.ainvoke(LATELY) if is_async else graph.invoke(LATELY)
    same = weeks.recall(LATELY["messages"][0].text, by=ana)
    assert as_told(found) == [(hit.cube.id, hit.score, hit.parts, hit.why) for hit in same.hits]
    assert (found["recalled"]["text"], found["memory"]["tokens"]) == (same.text, same.token_count)


async def test_in_every_task_the_runtime_says_who_asks(weeks: MemOS, ana: Principal) -> None:
    def who(runtime: Any) -> Principal:
        return Principal(tenant="home", user=runtime.context["login"])

    graph = memory_subgraph(weeks, principal=who)
    hers, his = [await graph.ainvoke(LATELY, context={"login": user}) for user in ("ana", "bob")]
    assert "mint tea" in hers["recalled"]["text"]
    assert "mint tea" not in his["recalled"]["text"]
    assert as_told(hers) == as_told(graph.invoke(LATELY, context={"login": "ana"}))


@pytest.mark.parametrize("vectors", [False, True])
def test_every_scope_of_a_plan_of_ones_own_is_a_task(ana: Principal, bob: Principal, vectors: bool) -> None:
    embedder = WordsEmbedder() if vectors else None
    with MemOS(InMemoryVault(), scheduler=EverywhereScheduler(), embedder=embedder, clock=lambda: NOW) as memos:
        memos.remember("Ana likes green tea.", by=ana)
        memos.remember("Ana saw tea gardens.", by=ana, namespace=("home", "ana", "trips"))
        memos.remember("Bob likes black coffee, never tea.", by=bob)
        graph = memory_subgraph(memos, principal=ana)
        tasks = looks(graph, LATELY)
        # Words and meaning look through one scope, and are one task; the window, two places and the latest are others.
        assert len(tasks) == 5
        found = graph.invoke(LATELY)
        same = memos.recall(LATELY["messages"][0].text, by=ana)
        assert as_told(found) == [(hit.cube.id, hit.score, hit.parts, hit.why) for hit in same.hits]
        assert "Bob" not in repr([tasks, found])
        plan = memos.plan(memos.read("Which tea did I have last week?"))
        # In the audit log one recall stands, however many tasks it took.
        entries = memos.audit(by=ana, operation="recall")
        assert plan.needed
        assert sum(entry.record.detail["recall"] == found["memory"]["recall"] for entry in entries) == 1


def test_findings_hold_no_words_and_no_turn_sees_those_of_another(weeks: MemOS, ana: Principal) -> None:
    saver = InMemorySaver()
    graph = memory_subgraph(weeks, principal=ana, checkpointer=saver)
    thread = {"configurable": {"thread_id": "1"}}
    graph.invoke(LATELY, thread, interrupt_before=["mem_operator"])
    findings = graph.get_state(thread).values["memory_findings"]
    assert [finding["scope"] for finding in findings] == [0, 1]
    assert all(seen["signals"] for finding in findings for seen in finding["seen"])
    assert "mint" not in json.dumps(findings)
    first = graph.invoke(LATELY, thread)
    assert "mint tea" in first["recalled"]["text"]
    assert b"mint tea" not in stored(saver)
    found = graph.invoke({"messages": [HumanMessage("Where does Ana keep her tea?")]}, thread)
    assert found["recalled"]["hits"][0]["text"] == "Ana keeps her tea in the blue tin."
    assert len(graph.get_state(thread).values["memory_findings"]) == 0


@pytest.mark.answers("AISVS 5.2.2", "identity 15")
def test_what_changed_while_it_was_looked_for_is_looked_for_anew(weeks: MemOS, ana: Principal) -> None:
    graph = memory_subgraph(weeks, principal=ana, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    graph.invoke(LATELY, thread, interrupt_before=["mem_operator"])
    (gone,) = [hit.cube for hit in weeks.recall("mint tea with Eva", by=ana).hits if "mint" in hit.text]
    weeks.forget(gone.id, by=ana)
    new = weeks.remember("Ana had ginger tea.", by=ana, occurred_at=NOW - timedelta(days=3))
    found = graph.invoke(None, thread)
    assert new.id in [hit["id"] for hit in found["recalled"]["hits"]]
    assert "mint" not in repr(found)


def test_somebody_else_cannot_go_on_with_a_search(weeks: MemOS) -> None:
    graph = memory_subgraph(weeks, checkpointer=InMemorySaver())

    def in_thread(who: dict[str, Any]) -> dict[str, Any]:
        return {"configurable": {**who["configurable"], "thread_id": "1"}}

    graph.invoke(LATELY, in_thread(ANA), interrupt_before=["mem_look"])
    with pytest.raises(IdentityError, match="Somebody else"):
        graph.invoke(None, in_thread(BOB))
    assert "mint tea" in graph.invoke(None, in_thread(ANA))["recalled"]["text"]


# --- caches -------------------------------------------------------------------------------------------------------


def was_kept(graph: Any, *given: Any, **how: Any) -> list[bool]:
    """Of each task that looked through a scope: whether the cache answered."""
    return [bool(update.get("__metadata__", {}).get("cached")) for update in looks(graph, *given, **how)]


def settled(memos: MemOS, graph: Any, *who: dict[str, Any]) -> None:
    """Ask for each until that these memories were used is on record: a first use changes their state."""
    ana, before = Principal(tenant="home", user="ana"), -1
    while before != memos.generation(by=ana):
        before = memos.generation(by=ana)
        for each in who:
            graph.invoke(ASKED, each)
        memos.audit(by=ana)  # waits for what is on its way into the log
    for each in who:
        graph.invoke(ASKED, each)


def test_two_users_with_one_question_and_one_cache_never_share(weeks: MemOS) -> None:
    graph = memory_subgraph(weeks, keep_s=60, cache=InMemoryCache())
    for _ in range(2):
        hers, his = (graph.invoke(ASKED, who)["recalled"]["text"] for who in (ANA, BOB))
        assert "honey" in hers
        assert "coffee, never tea" not in hers
        assert "coffee, never tea" in his
        assert "honey" not in his
    settled(weeks, graph, ANA, BOB)
    assert was_kept(graph, ASKED, ANA) == was_kept(graph, ASKED, BOB) == [True]
    more = {"configurable": {"tenant": "office", "user_id": "ana"}}
    assert was_kept(graph, ASKED, more) == [False]
    assert graph.invoke(ASKED, more)["recalled"]["hits"] == []


def test_roles_and_context_are_in_the_key(weeks: MemOS, ana: Principal) -> None:
    cache = InMemoryCache()
    graph = memory_subgraph(weeks, keep_s=60, cache=cache)
    weeks.remember("The tea fund holds 40 euros.", by=ana, readers=["group:fund"])
    bob = {"tenant": "home", "user_id": "bob"}
    for groups in (frozenset(), frozenset({"fund"}), frozenset()):
        found = graph.invoke(ASKED, context={**bob, "groups": groups})
        assert ("fund" in found["recalled"]["text"]) == bool(groups)


@pytest.mark.parametrize("change", ["write", "update", "forget", "share"])
async def test_after_any_change_the_cache_answers_no_more(
    weeks: MemOS, ana: Principal, bob: Principal, change: str
) -> None:
    graph = memory_subgraph(weeks, keep_s=60, cache=InMemoryCache())
    cube = weeks.recall("honey", by=ana).hits[0].cube
    settled(weeks, graph, ANA, BOB)
    assert was_kept(graph, ASKED, ANA) == was_kept(graph, ASKED, BOB) == [True]
    match change:
        case "write":
            weeks.remember("Ana likes oolong tea best.", by=ana)
        case "update":
            weeks.update(cube.id, by=ana, text="Ana likes oolong tea best.")
        case "forget":
            weeks.forget(cube.id, by=ana)
        case "share":
            weeks.update(cube.id, by=ana, readers=["bob"])
    text = (await graph.ainvoke(ASKED, ANA))["recalled"]["text"]
    assert ("oolong" in text) == (change in {"write", "update"})
    assert ("honey" in text) == (change in {"write", "share"})
    assert ("honey" in (await graph.ainvoke(ASKED, BOB))["recalled"]["text"]) == (change == "share")


def test_what_the_cache_holds_are_no_words_and_every_recall_is_on_record(weeks: MemOS, ana: Principal) -> None:
    cache = InMemoryCache()
    graph = memory_subgraph(weeks, principal=ana, keep_s=60, cache=cache)
    before = len(weeks.audit(by=ana, operation="recall"))
    same = [as_told(graph.invoke(ASKED)) for _ in range(3)]
    assert same[0] == same[1] == same[2] != []
    assert len(weeks.audit(by=ana, operation="recall")) == before + 3
    assert b"honey" not in repr(vars(cache)).encode()


def test_what_expires_is_not_found_again(ana: Principal) -> None:
    now = [NOW]
    with MemOS(InMemoryVault(), clock=lambda: now[0]) as memos:
        memos.remember("Ana's tea is in the oven.", by=ana, ttl=timedelta(minutes=5))
        memos.remember("Ana likes tea.", by=ana)
        graph = memory_subgraph(memos, principal=ana, keep_s=3_600, cache=InMemoryCache())
        assert len(graph.invoke(ASKED)["recalled"]["hits"]) == 2
        now[0] += timedelta(minutes=6)
        assert [hit["text"] for hit in graph.invoke(ASKED)["recalled"]["hits"]] == ["Ana likes tea."]


def test_in_a_parent_its_own_cache_serves_and_mixes_nobody(weeks: MemOS) -> None:
    parent = StateGraph(MemoryState)
    parent.add_node("memory", memory_subgraph(weeks, keep_s=60, cache=InMemoryCache()))
    parent.add_edge(START, "memory")
    graph = parent.compile(cache=InMemoryCache())
    with pytest.raises(InvalidMemoryError, match="both"):
        memory_subgraph(weeks, keep_s=60)

    def kept(who: dict[str, Any]) -> list[bool]:
        steps = graph.stream(ASKED, who, stream_mode="updates", subgraphs=True)
        return [bool(update.get("__metadata__", {}).get("cached")) for _, update in steps if "mem_look" in update]

    names = [{cube["id"] for cube in graph.invoke(ASKED, who)["memory"]["cubes"]} for who in (ANA, BOB)]
    assert names[0].isdisjoint(names[1])
    settled(weeks, graph, ANA)
    assert kept(ANA) == [True]
    assert [{cube["id"] for cube in graph.invoke(ASKED, who)["memory"]["cubes"]} for who in (ANA, BOB)] == names


# --- retries ------------------------------------------------------------------------------------------------------


class FaultyVault(InMemoryVault):
    """A vault whose searches fail as often as they are told to."""

    faults: list[Exception]
    searches = 0

    def search(self, *args: Any, **kwargs: Any) -> Any:
        self.searches += 1
        if self.faults:
            raise self.faults.pop()
        return super().search(*args, **kwargs)


@pytest.fixture
def faulty(ana: Principal) -> Any:
    vault = FaultyVault()
    vault.faults = []
    with MemOS(vault, clock=lambda: NOW) as memos:
        memos.remember("Ana likes tea.", by=ana)
        vault.searches = 0
        yield memos, vault


@pytest.mark.parametrize("question", [ASKED, LATELY])
async def test_a_busy_vault_is_asked_again(faulty: Any, ana: Principal, question: dict[str, Any]) -> None:
    memos, vault = faulty
    graph = memory_subgraph(memos, principal=ana, retry=RetryPolicy(initial_interval=0.01, retry_on=VaultBusyError))
    vault.faults = [VaultBusyError("another process writes")]
    assert graph.invoke(question)["recalled"]["hits"]
    vault.faults = [VaultBusyError("another process writes")]
    assert (await graph.ainvoke(question))["recalled"]["hits"]


@pytest.mark.parametrize(("fault", "tries"), [(VaultBusyError("busy"), 3), (AccessDeniedError("no"), 1)])
def test_by_itself_it_tries_three_times_and_a_denial_once(faulty: Any, ana: Principal, fault: Any, tries: int) -> None:
    memos, vault = faulty
    vault.faults = [fault] * 9
    with pytest.raises(type(fault)):
        memory_subgraph(memos, principal=ana).invoke(ASKED)
    assert vault.searches == tries


# --- a state of one's own -----------------------------------------------------------------------------------------


class Ticket(TypedDict, total=False):
    subject: str
    log: list[Any]
    memory: dict[str, Any]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_state_of_ones_own_says_what_it_asks(memos: MemOS, is_async: bool) -> None:
    graph = memory_subgraph(memos, state_schema=Ticket, ask=lambda state: state["subject"])
    given = {"subject": "Which tea or coffee do I like?", "log": ["opened"]}
    alone = await graph.ainvoke(given, ANA) if is_async else graph.invoke(given, ANA)
    assert "honey" in alone["recalled"]["text"]
    parent = StateGraph(Ticket)
    parent.add_node("memory", graph)
    parent.add_node("log", lambda state: {"log": [*state["log"], len(state["memory"]["cubes"])]})
    parent.add_edge(START, "memory")
    parent.add_edge("memory", "log")
    compiled = parent.compile(checkpointer=InMemorySaver())
    thread = {"configurable": {**ANA["configurable"], "thread_id": "1"}}
    found = await compiled.ainvoke(given, thread) if is_async else compiled.invoke(given, thread)
    assert found["log"] == ["opened", len(alone["memory"]["cubes"])]
    assert "honey" not in repr(found)


def test_a_state_of_ones_own_may_ask_with_messages_or_not_at_all(memos: MemOS, ana: Principal) -> None:
    graph = memory_subgraph(memos, principal=ana, state_schema=Ticket, ask=lambda state: state["log"])
    assert "blue tin" in graph.invoke({"log": [("user", "Where does Ana keep her tea?")]})["recalled"]["text"]
    assert graph.invoke({"log": []})["memory"]["needed"] is False
