"""MemOSStore beyond the conformance kit: principals, versions, audit, graphs, restarts, bad input."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.store.base import PutOp

from memos_integrations import Ruling, WriteGate
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import IdentityError, InvalidMemoryError, LegalHoldError
from memos_integrations.core.items import ItemQuery
from memos_integrations.langgraph import MemOSStore
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault


class State(TypedDict, total=False):
    seen: list[Any]


def test_principals_have_items_of_their_own(memos: MemOS, ana: Principal, bob: Principal) -> None:
    hers, his = MemOSStore(memos, principal=ana), MemOSStore(memos, principal=bob)
    hers.put(("prefs",), "tea", {"likes": "green"})
    assert his.get(("prefs",), "tea") is None
    assert his.search((), query="green") == his.list_namespaces() == []
    his.put(("prefs",), "tea", {"likes": "none"})
    his.delete(("prefs",), "tea")
    item = hers.get(("prefs",), "tea")
    assert item is not None
    assert item.value == {"likes": "green"}


def test_versions_audit_and_hold(memos: MemOS, ana: Principal) -> None:
    store = MemOSStore(memos, principal=ana)
    store.put(("a",), "k", {"n": 1})
    store.put(("a",), "k", {"n": 2})
    assert [item.value for item in store.history(("a",), "k")] == [{"n": 1}, {"n": 2}]
    cube_id = store.cube_id(("a",), "k")
    assert cube_id is not None
    assert [entry.record.operation for entry in memos.audit(by=ana, cube_id=cube_id)][:2] == ["put", "put"]
    memos.hold(cube_id, by=Principal(tenant="home", user="root", roles={"admin"}))
    for change in (lambda: store.put(("a",), "k", {"n": 3}), lambda: store.delete(("a",), "k")):
        with pytest.raises(LegalHoldError):
            change()
    assert [item.value for item in store.history(("a",), "k")][-1] == {"n": 2}


@pytest.mark.parametrize("value", [[1], "x", {1: 2}, {"a": {2: 3}}, {"a": float("nan")}, {"a": object()}, {"a": b"x"}])
def test_what_is_no_json_object_is_refused_and_nothing_is_lost(memos: MemOS, ana: Principal, value: Any) -> None:
    store = MemOSStore(memos, principal=ana)
    store.put(("a",), "k", {"n": 1})
    with pytest.raises(InvalidMemoryError):
        store.put(("a",), "k", value)
    assert store.get(("a",), "k") is not None


def test_ordinary_memories_are_no_items(memos: MemOS, ana: Principal) -> None:
    store = MemOSStore(memos, principal=ana)
    assert store.search(()) == []
    assert store.list_namespaces() == []
    store.put(("a",), "k", {"text": "Ana collects stamps from Iceland"})
    assert "stamps" in memos.recall("What does Ana collect?", by=ana).text


def test_nobody_asks_outside_a_graph(memos: MemOS) -> None:
    with pytest.raises(IdentityError):
        MemOSStore(memos).get(("a",), "k")


async def test_in_a_graph_the_one_who_runs_it_is_asked(memos: MemOS) -> None:
    def node(state: State) -> State:
        store = get_store()
        store.put(("seen",), "k", {"n": len(store.search(("seen",)))})
        return {"seen": [item.value for item in store.search(("seen",))]}

    async def later(state: State) -> State:
        found = await get_store().asearch(("seen",))
        return {"seen": [item.value for item in found]}

    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_node("later", later)
    graph.add_edge(START, "node")
    graph.add_edge("node", "later")
    compiled = graph.compile(store=MemOSStore(memos))
    for user in ("ana", "bob"):
        who = {"configurable": {"tenant": "home", "user_id": user}}
        assert (await compiled.ainvoke({}, who))["seen"] == [{"n": 0}]
    assert (await compiled.ainvoke({}, who))["seen"] == [{"n": 1}]


def test_langmem_tools_work_on_it(memos: MemOS, ana: Principal) -> None:
    langmem = pytest.importorskip("langmem")
    store = MemOSStore(memos, principal=ana)
    manage = langmem.create_manage_memory_tool(namespace=("memories",), store=store)
    search = langmem.create_search_memory_tool(namespace=("memories",), store=store)
    manage.invoke({"content": "Ana plays the cello", "action": "create"})
    assert "cello" in str(search.invoke({"query": "cello"}))


def test_it_is_there_after_a_restart(tmp_path: Path, ana: Principal) -> None:
    with MemOS.open(tmp_path) as memos:
        MemOSStore(memos, principal=ana).put(("a@b.com", "x.y"), "k", {"n": 1})
    with MemOS.open(tmp_path) as memos:
        item = MemOSStore(memos, principal=ana).get(("a@b.com", "x.y"), "k")
        assert item is not None
        assert item.value == {"n": 1}


class ToolCaller(GenericFakeChatModel):
    """Says what it was told to say, tools or not."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def test_an_agents_tools_write_for_whoever_runs_it(memos: MemOS) -> None:
    @tool
    def note(text: str, runtime: ToolRuntime) -> str:
        """Note it."""
        runtime.store.put(("notes",), text, {"text": text})
        return str(len(runtime.store.search(("notes",))))

    call = {"name": "note", "args": {"text": "hi"}, "id": "1"}
    said = [AIMessage("", tool_calls=[call]), AIMessage("done")] * 2
    agent = create_agent(ToolCaller(messages=iter(said)), [note], store=MemOSStore(memos))
    for user in ("ana", "bob"):
        who = {"configurable": {"tenant": "home", "user_id": user}}
        assert agent.invoke({"messages": [("user", "note hi")]}, who)["messages"][-2].content == "1"


def test_a_filter_finds_what_stands_deep_in_a_very_wide_value(memos: MemOS, ana: Principal) -> None:
    store = MemOSStore(memos, principal=ana)
    store.put(("a",), "narrow", {"z": {"last": 1}})
    store.put(("a",), "wide", {**{f"k{n}": n for n in range(3_000)}, "z": {"last": 1}})
    assert {item.key for item in store.search((), filter={"z": {"last": 1}})} == {"narrow", "wide"}
    assert [item.key for item in store.search((), filter={"k2999": {"$gte": 2999}}, limit=1)] == ["wide"]


def test_text_is_ordered_too_and_what_is_absent_is_not_equal(memos: MemOS, ana: Principal) -> None:
    store = MemOSStore(memos, principal=ana)
    store.put(("a",), "old", {"day": "2026-01-02"})
    store.put(("a",), "new", {"day": "2026-03-04"})
    store.put(("a",), "none", {})
    assert [item.key for item in store.search((), filter={"day": {"$gt": "2026-02"}})] == ["new"]
    assert {item.key for item in store.search((), filter={"day": {"$ne": "2026-01-02"}})} == {"new", "none"}
    assert [item.key for item in store.search((), filter={"day": None})] == ["none"]


def test_what_comes_and_goes_while_many_items_are_looked_through_hides_no_other(memos: MemOS, ana: Principal) -> None:
    store = MemOSStore(memos, principal=ana)
    store.batch([PutOp(("n", f"{n % 3}"), f"k{n}", {"n": n}) for n in range(620)])
    looked: list[int] = []

    def keep(value: Any) -> bool:
        if not looked:  # two of the first page go, while it is looked through
            newest = store.search((), limit=2)
            for item in newest:
                store.delete(item.namespace, item.key)
        looked.append(value["n"])
        return value["n"] % 2 == 0

    found = memos.items.search(ItemQuery(keep=keep, limit=1_000), by=ana)
    left = {item.value["n"] for item in store.search((), limit=1_000)}
    assert len(left) == 618
    assert {item.value["n"] for item in found} >= {n for n in left if n % 2 == 0}
    assert len(looked) == len(set(looked))
    pages = [store.search((), limit=100, offset=offset) for offset in range(0, 700, 100)]
    assert {item.value["n"] for page in pages for item in page} == left


def test_what_others_let_one_read_is_no_item_of_ones_own(memos: MemOS, ana: Principal, bob: Principal) -> None:
    hers, his = MemOSStore(memos, principal=ana), MemOSStore(memos, principal=bob)
    for key in ("tea", "cup", "pot"):
        hers.put(("prefs",), key, {"likes": "green"})
        his.put(("prefs",), key, {"likes": "none"})
    his.put(("his",), "tea", {"likes": "none"})
    for namespace, key in ((("prefs",), "tea"), (("prefs",), "cup"), (("his",), "tea")):
        memos.update(str(his.cube_id(namespace, key)), by=bob, readers=["ana"])
    forged: Any = {"key": "tea", "value": {"likes": "what Bob sells"}}
    memos.remember("likes", by=bob, namespace=("home", "prefs"), semantic_type="item", value=forged, readers=["*"])
    assert hers.list_namespaces() == [("prefs",)]
    for how in ({}, {"query": "likes"}, {"filter": {"likes": {"$ne": "red"}}}):
        found = hers.search((), limit=10, **how)
        assert sorted((item.key, item.value["likes"]) for item in found) == [
            ("cup", "green"), ("pot", "green"), ("tea", "green"),
        ], how  # fmt: skip
        paged = [item for offset in range(4) for item in hers.search((), limit=1, offset=offset, **how)]
        assert sorted(item.key for item in paged) == ["cup", "pot", "tea"], how
    assert sorted(item.key for item in his.search(("prefs",))) == ["cup", "pot", "tea", "tea"]


def test_a_gate_leaves_addresses_so_that_what_is_found_can_be_got(ana: Principal) -> None:
    with MemOS(InMemoryVault(), gate=WriteGate(personal=Ruling.REDACT)) as gated:
        store = MemOSStore(gated, principal=ana)
        store.put(("users",), "zoe@example.com", {"mail": "zoe@example.com"})
        (found,) = store.search(("users",))
        assert found.key == "zoe@example.com"
        assert found.value == {"mail": "[email]"}
        assert store.get(("users",), found.key) is not None


@pytest.mark.parametrize("fixed", ["hold", "frozen"])
def test_what_may_not_change_is_read_all_the_same_and_keeps_no_other_from_ending(fixed: str) -> None:
    now = [datetime(2026, 3, 2, 9, tzinfo=UTC)]
    by = Principal(tenant="acme", user="ana")
    with MemOS(InMemoryVault(), clock=lambda: now[0]) as memos:
        store = MemOSStore(memos, principal=by, ttl={"default_ttl": 10, "refresh_on_read": True})
        for key in ("a", "kept", "z"):
            store.put(("n",), key, {"of": key})
        cube_id = store.cube_id(("n",), "kept")
        assert cube_id is not None
        if fixed == "hold":
            memos.hold(cube_id, by=Principal(tenant="acme", user="root", roles=frozenset({"admin"})))
        else:
            memos.move(cube_id, "frozen", by=by)
        now[0] += timedelta(minutes=5)
        found = store.get(("n",), "kept")
        assert found is not None
        assert found.value == {"of": "kept"}
        assert {item.key for item in store.search(("n",))} == {"a", "kept", "z"}
        now[0] += timedelta(minutes=60)
        assert store.sweep_ttl() == 2
        assert store.sweep_ttl() == 0
        assert [cube.id for cube in memos._governance._vault.get("acme", [cube_id])] == [cube_id]
