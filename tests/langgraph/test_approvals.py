"""Requests to memory that a human decides on: asked once, done once, by nobody else, and never without an answer."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    AccessDeniedError,
    ApprovalError,
    CubeNotFoundError,
    IdentityError,
    InvalidMemoryError,
    LegalHoldError,
)
from memos_integrations.core.ports import CubeFilter
from memos_integrations.langgraph import MemOSStore, RequestState, as_node, memory_requests
from memos_integrations.langgraph.approvals import JOURNAL
from memos_integrations.memos import MemOS

ROOT = Path(__file__).resolve().parents[2]


def thread(user: str = "ana", name: str = "1") -> dict[str, Any]:
    return {"configurable": {"tenant": "home", "user_id": user, "thread_id": name}}


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    with sqlite3.connect(tmp_path / "checkpoints.db", check_same_thread=False) as connection:
        yield SqliteSaver(connection)
    connection.close()


@asynccontextmanager
async def saved(kind: str, folder: Path) -> AsyncIterator[Any]:
    if kind == "memory":
        yield InMemorySaver()
    else:
        async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
            yield saver


@pytest.fixture
def tea(memos: MemOS, ana: Principal) -> MemCube:
    return memos.remember("Ana hides the honey behind the oats.", by=ana)


def deeds(memos: MemOS, by: Principal, cube_id: str, operation: str) -> int:
    entries = memos.audit(by=by, cube_id=cube_id, operation=operation)
    return sum(entry.record.outcome == "allowed" for entry in entries)


def asked(result: dict[str, Any]) -> dict[str, Any]:
    (pending,) = result["__interrupt__"]
    return pending.value  # type: ignore[no-any-return]


def share(cube: MemCube, *readers: str, **more: Any) -> dict[str, Any]:
    return {"memory_request": {"action": "share", "cubes": [cube.id], "readers": list(readers), **more}}


def forget(cube: MemCube) -> dict[str, Any]:
    return {"memory_request": {"action": "forget", "cubes": [cube.id]}}


# --- asked, answered, done ----------------------------------------------------------------------------------------


def test_sharing_waits_for_a_yes_and_happens_once(
    memos: MemOS, ana: Principal, bob: Principal, tea: MemCube, saver: Any
) -> None:
    graph = memory_requests(memos, checkpointer=saver)
    shown = asked(graph.invoke(share(tea, "bob"), thread()))
    assert (shown["action"], shown["cubes"], shown["readers"]) == ("share", {tea.id: 1}, ["bob"])
    assert shown["by"] == "user:ana"
    assert "honey" not in json.dumps(shown)
    with pytest.raises(CubeNotFoundError):
        memos.get(tea.id, by=bob)
    done = graph.invoke(Command(resume=True), thread())
    assert (done["memory_receipt"]["done"], done["memory_request"]) == (True, None)
    assert memos.get(tea.id, by=bob).version == 2
    for again in (Command(resume=True), Command(resume=False), None):
        graph.invoke(again, thread())
    assert memos.get(tea.id, by=bob).version == 2


@pytest.mark.parametrize("answer", [False, "yes", 1, [True], {"approved": "yes"}, {"reason": "no!"}])
def test_anything_but_a_yes_is_a_no(memos: MemOS, ana: Principal, tea: MemCube, answer: Any) -> None:
    graph = memory_requests(memos, checkpointer=InMemorySaver())
    graph.invoke(forget(tea), thread())
    done = graph.invoke(Command(resume=answer), thread())
    assert memos.get(tea.id, by=ana) == tea
    assert done["memory_receipt"]["done"] is False
    assert done["memory_receipt"]["reason"] in {"no!", "a human said no"}


def test_forgetting_waits_and_happens_once(memos: MemOS, ana: Principal, tea: MemCube, saver: Any) -> None:
    graph = memory_requests(memos, checkpointer=saver)
    (pending,) = graph.invoke(forget(tea), thread())["__interrupt__"]
    assert memos.get(tea.id, by=ana) == tea
    done = graph.invoke(Command(resume={pending.id: {"approved": True, "reason": "moved out"}}), thread())
    assert done["memory_receipt"] == {
        "action": "forget",
        "cubes": [tea.id],
        "request": done["memory_receipt"]["request"],
        "done": True,
        "reason": "moved out",
        "derived": [],
    }
    graph.invoke(Command(resume=True), thread())
    assert deeds(memos, ana, tea.id, "forget") == 1
    with pytest.raises(CubeNotFoundError):
        memos.get(tea.id, by=ana)


def test_to_remember_with_readers_is_to_share(memos: MemOS, ana: Principal, bob: Principal, saver: Any) -> None:
    graph = memory_requests(memos, checkpointer=saver)
    request = {"action": "remember", "text": "The picnic is on 9 May.", "readers": ["bob"]}
    shown = asked(graph.invoke({"memory_request": request}, thread()))
    assert (shown["text"], shown["readers"]) == ("The picnic is on 9 May.", ["bob"])
    assert memos.recall("When is the picnic?", by=bob).hits == ()
    done = graph.invoke(Command(resume=True), thread())
    hits = memos.recall("When is the picnic?", by=bob).hits
    assert [hit.cube.id for hit in hits] == done["memory_receipt"]["cubes"]
    assert (hits[0].cube.governance.owner, hits[0].cube.trust.label) == ("user:ana", "unverified")
    # Asked again in the same thread it is the same request; under another id another one.
    graph.invoke({"memory_request": request}, thread())
    assert graph.invoke(Command(resume=True), thread())["memory_receipt"]["cubes"] == [hits[0].cube.id]
    other = {**request, "id": "2", "text": "The picnic begins at noon."}
    graph.invoke({"memory_request": other}, thread())
    assert graph.invoke(Command(resume=True), thread())["memory_receipt"]["cubes"] != [hits[0].cube.id]
    # What a model tells again is no second memory, whatever the request is called.
    graph.invoke({"memory_request": {**request, "id": "3"}}, thread())
    assert graph.invoke(Command(resume=True), thread())["memory_receipt"]["cubes"] == [hits[0].cube.id]


def test_for_oneself_no_human_is_asked_and_no_checkpointer_needed(memos: MemOS, ana: Principal) -> None:
    request = {"action": "remember", "text": "The spare key hangs behind the boiler."}
    done = memory_requests(memos, principal=ana).invoke({"memory_request": request})
    assert done["memory_receipt"]["done"] is True
    assert memos.recall("Where is the spare key?", by=ana).hits[0].cube.id == done["memory_receipt"]["cubes"][0]


def test_whoever_builds_the_graph_says_what_needs_a_human(memos: MemOS, ana: Principal, bob: Principal) -> None:
    one, two = (memos.remember(text, by=ana) for text in ("Ana's boat is called Heron.", "Ana's cat is called Miso."))
    free = memory_requests(memos, approve=("forget",))
    assert free.invoke(share(one, "bob"), thread())["memory_receipt"]["done"] is True
    assert memos.get(one.id, by=bob).text == one.text

    def outsiders(request: Any, by: Principal) -> bool:
        return by.user != "ana" or "*" in request.readers

    silent = memory_requests(memos, approve=lambda *_: None, checkpointer=InMemorySaver())  # type: ignore[arg-type]
    assert asked(silent.invoke({"memory_request": {"action": "remember", "text": "Hi."}}, thread()))["text"] == "Hi."

    policy = memory_requests(memos, approve=outsiders, checkpointer=InMemorySaver())
    assert policy.invoke(share(two, "bob"), thread())["memory_receipt"]["done"] is True
    assert asked(policy.invoke(share(two, "*"), thread()))["readers"] == ["*"]


def test_distilling_waits_and_is_given_what_was_approved(memos: MemOS, ana: Principal, tea: MemCube) -> None:
    made: list[Any] = []

    def distil(cubes: list[MemCube], by: Principal, key: str) -> dict[str, Any]:
        made.append(([cube.text for cube in cubes], by.user, key))
        return {"adapter": "a1"}

    graph = memory_requests(memos, distil=distil, checkpointer=InMemorySaver())
    shown = asked(graph.invoke({"memory_request": {"action": "distil", "cubes": [tea.id]}}, thread()))
    assert made == []
    done = graph.invoke(Command(resume=True), thread())
    assert done["memory_receipt"]["made"] == {"adapter": "a1"}
    assert made == [([tea.text], "ana", shown["request"])]
    # What was made is noted where no recall finds it, and goes with its source.
    assert "a1" not in memos.recall("adapter a1", by=ana, needed=True).text
    graph.invoke({"memory_request": {"action": "distil", "cubes": [tea.id]}}, thread())
    assert graph.invoke(Command(resume=True), thread())["memory_receipt"]["made"] == {"adapter": "a1"}
    assert len(made) == 1
    assert len(memos.forget(tea.id, by=ana).erased) > 0
    assert memos.find(CubeFilter(namespace=("home", "ana", "memos.requests")), by=ana, context=JOURNAL) == []
    with pytest.raises(InvalidMemoryError, match="distil="):
        memory_requests(memos).invoke({"memory_request": {"action": "distil", "cubes": [tea.id]}}, thread())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_asynchronously_the_same(
    memos: MemOS, ana: Principal, bob: Principal, tea: MemCube, kind: str, tmp_path: Path
) -> None:
    async with saved(kind, tmp_path) as saver:
        graph = memory_requests(memos, checkpointer=saver)
        shown = asked(await graph.ainvoke(share(tea, "bob"), thread()))
        assert shown["cubes"] == {tea.id: 1}
        for _ in range(2):
            await graph.ainvoke(Command(resume=True), thread())
        assert memos.get(tea.id, by=bob).version == 2
        told = [each async for each in graph.astream(forget(memos.get(tea.id, by=ana)), thread(), stream_mode="custom")]
        assert [(each["event"], each["action"]) for each in told] == [("memos.approval", "forget")]
        told = [each async for each in graph.astream(Command(resume=True), thread(), stream_mode="custom")]
        assert told == [{"event": "memos.write", "action": "forget", "cubes": [tea.id], "done": True}]
        await asyncio.gather(*(graph.ainvoke(Command(resume=True), thread()) for _ in range(2)))
        assert deeds(memos, ana, tea.id, "forget") == 1


class Office(TypedDict):
    wish: str
    outcome: NotRequired[str]


# --- fails closed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["alone", "in a parent", "no thread"])
async def test_without_anywhere_to_wait_nothing_is_done(memos: MemOS, ana: Principal, tea: MemCube, how: str) -> None:
    graph: Any = memory_requests(memos)
    config: dict[str, Any] = thread()
    if how == "in a parent":
        parent = StateGraph(RequestState)
        parent.add_node("requests", graph)
        parent.add_edge(START, "requests")
        graph = parent.compile()
    if how == "no thread":
        del config["configurable"]["thread_id"]
    with pytest.raises(ApprovalError, match="checkpointer"):
        graph.invoke(forget(tea), config)
    with pytest.raises(ApprovalError, match="checkpointer"):
        await graph.ainvoke(share(tea, "bob"), config)
    assert memos.get(tea.id, by=ana) == tea


def test_the_state_cannot_say_that_a_human_agreed(memos: MemOS, ana: Principal, tea: MemCube) -> None:
    graph = memory_requests(memos, checkpointer=InMemorySaver())
    agreed = {"approved": True, "reason": ""}
    result = graph.invoke({**forget(tea), "memory_decision": agreed, "memory_fixed": {"waits": False}}, thread())
    assert asked(result)["action"] == "forget"
    with pytest.raises(InvalidMemoryError):
        graph.invoke({"memory_request": {**forget(tea)["memory_request"], "approved": True}}, thread(name="2"))
    assert memos.get(tea.id, by=ana) == tea


def test_nobody_goes_on_in_anothers_name(memos: MemOS, ana: Principal, bob: Principal, tea: MemCube) -> None:
    saver = InMemorySaver()
    graph = memory_requests(memos, checkpointer=saver)
    graph.invoke(share(tea, "bob"), thread())
    with pytest.raises(IdentityError, match="Somebody else"):
        graph.invoke(Command(resume=True), thread("bob"))
    assert memos.get(tea.id, by=ana) == tea
    assert graph.invoke(None, thread())["memory_receipt"]["done"] is True
    with pytest.raises(IdentityError):
        memory_requests(memos).invoke(forget(tea), {"configurable": {"thread_id": "1"}})


def test_what_one_may_not_do_is_refused_before_a_human_is_asked(
    memos: MemOS, ana: Principal, bob: Principal, tea: MemCube
) -> None:
    graph = memory_requests(memos, checkpointer=InMemorySaver())
    with pytest.raises(CubeNotFoundError):
        graph.invoke(forget(tea), thread("bob"))
    memos.update(tea.id, by=ana, readers=["bob"])
    for request in (forget(tea), share(tea, "eve")):
        with pytest.raises(AccessDeniedError):
            graph.invoke(request, thread("bob"))
    memos.hold(tea.id, by=Principal(tenant="home", user="root", roles={"admin"}))
    for request in (forget(tea), share(tea, "eve")):
        with pytest.raises(LegalHoldError):
            graph.invoke(request, thread())


def test_a_memory_that_changed_since_it_was_shown_is_left_alone(memos: MemOS, ana: Principal, tea: MemCube) -> None:
    for name, request in (("1", share(tea, "bob")), ("2", forget(tea))):
        graph = memory_requests(memos, checkpointer=InMemorySaver())
        shown = asked(graph.invoke(request, thread(name=name)))
        newer = memos.update(tea.id, by=ana, text=f"Ana's secret number {name}.")
        receipt = graph.invoke(Command(resume=True), thread(name=name))["memory_receipt"]
        assert shown["cubes"] != {tea.id: newer.version}
        assert (receipt["done"], memos.get(tea.id, by=ana).ref) == (False, newer.ref)
        assert "Read it again" in receipt["reason"]


def test_shown_in_a_parent_that_shares_nothing_it_is_still_bound_to_what_was_shown(
    memos: MemOS, ana: Principal, tea: MemCube
) -> None:
    node = as_node(
        memory_requests(memos),
        into=lambda state: share(tea, "bob"),
        out_of=lambda result: {"outcome": str(result["memory_receipt"]["done"])},
    )
    parent = StateGraph(Office)
    parent.add_node("requests", node)
    parent.add_edge(START, "requests")
    graph = parent.compile(checkpointer=InMemorySaver())
    graph.invoke({"wish": tea.id}, thread())
    newer = memos.update(tea.id, by=ana, text="Ana's secret.")
    assert graph.invoke(Command(resume=True), thread())["outcome"] == "False"
    assert memos.get(tea.id, by=ana).ref == newer.ref
    with pytest.raises(InvalidMemoryError, match="checkpoint"):
        memory_requests(memos, checkpointer=False)


def test_nobody_else_can_note_what_was_made(memos: MemOS, ana: Principal, bob: Principal, tea: MemCube) -> None:
    graph = memory_requests(memos, distil=lambda cubes, by, key: {"adapter": "hers"}, checkpointer=InMemorySaver())
    shown = asked(graph.invoke({"memory_request": {"action": "distil", "cubes": [tea.id]}}, thread()))
    memos.remember(
        json.dumps({"adapter": "his"}),
        by=bob,
        context=JOURNAL,
        namespace=("home", "ana", "memos.requests"),
        semantic_type="journal",
        tags=[shown["request"]],
        purposes=[str(JOURNAL.purpose)],
        readers=["ana"],
    )
    done = graph.invoke(Command(resume=True), thread())
    assert done["memory_receipt"]["made"] == {"adapter": "hers"}


def test_resumed_twice_at_once_it_is_done_once(memos: MemOS, ana: Principal, bob: Principal) -> None:
    for number in range(5):
        cube = memos.remember(f"Ana's secret number {number}.", by=ana)
        graph, where = memory_requests(memos, checkpointer=InMemorySaver()), thread(name=f"{number}")
        graph.invoke(share(cube, "bob"), where)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: graph.invoke(Command(resume=True), where), range(2)))  # noqa: B023
        assert memos.get(cube.id, by=bob).version == 2
        assert graph.get_state(where).values["memory_receipt"]["done"] is True


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "burn"},
        {"action": "share", "cubes": ["x"]},
        {"action": "forget"},
        {"action": "forget", "cubes": ["a", "b"]},
        {"action": "remember", "text": "  "},
        {"action": "remember", "text": "x", "cubes": ["y"]},
        {"action": "forget", "cubes": ["a"], "as": "admin"},
        "forget everything",
    ],
)
def test_a_request_without_sense_is_refused(memos: MemOS, ana: Principal, request_: Any) -> None:
    with pytest.raises(InvalidMemoryError, match="request"):
        memory_requests(memos, principal=ana).invoke({"memory_request": request_})
    with pytest.raises(InvalidMemoryError):
        memory_requests(memos, approve=("burn",))  # type: ignore[arg-type]


# --- in a graph of one's own ---------------------------------------------------------------------------------------


class Desk(RequestState):
    note: NotRequired[str]


def test_in_a_parent_the_interrupt_surfaces_and_a_request_is_done_once(
    memos: MemOS, ana: Principal, tea: MemCube, saver: Any
) -> None:
    """Whatever store the parent has, or none: the engine is the one that the nodes were given."""
    parent = StateGraph(Desk)
    parent.add_node("requests", memory_requests(memos))
    parent.add_node("note", lambda state: {"note": str(state.get("memory_receipt", {}).get("done"))})
    parent.add_edge(START, "requests")
    parent.add_edge("requests", "note")
    with other_engine() as other:
        graph = parent.compile(checkpointer=saver, store=MemOSStore(other, principal=ana))
        shown = asked(graph.invoke(forget(tea), thread()))
        assert shown["cubes"] == {tea.id: 1}
        assert graph.invoke(Command(resume=True), thread())["note"] == "True"
        # The next turn of the thread asks nothing, and nothing is done again.
        assert graph.invoke({"note": ""}, thread())["note"] == "True"
    assert deeds(memos, ana, tea.id, "forget") == 1


@contextmanager
def other_engine() -> Iterator[MemOS]:
    from memos_integrations.vaults.memory import InMemoryVault

    with MemOS(InMemoryVault()) as other:
        yield other


@pytest.mark.parametrize("is_async", [False, True])
async def test_in_a_parent_that_shares_nothing(memos: MemOS, ana: Principal, tea: MemCube, is_async: bool) -> None:
    node = as_node(
        memory_requests(memos),
        into=lambda state: {"memory_request": {"action": "forget", "cubes": [state["wish"]]}},
        out_of=lambda result: {"outcome": str(result["memory_receipt"]["done"])},
    )
    parent = StateGraph(Office)
    parent.add_node("requests", node)
    parent.add_edge(START, "requests")
    graph = parent.compile(checkpointer=InMemorySaver())
    for step in ({"wish": tea.id}, Command(resume=True)):
        result = await graph.ainvoke(step, thread()) if is_async else graph.invoke(step, thread())
    assert result["outcome"] == "True"
    assert deeds(memos, ana, tea.id, "forget") == 1


# --- and when the process dies in between -------------------------------------------------------------------------

DYING = """
import json, os, sqlite3, sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from memos_integrations import MemOS
from memos_integrations.langgraph import approvals, memory_requests

thread = {"configurable": {"tenant": "home", "user_id": "ana", "thread_id": "1"}}

def asked(folder, request):
    connection = sqlite3.connect(folder + "/checkpoints.db", check_same_thread=False)
    with MemOS.open(folder + "/vault") as memos:
        def distil(cubes, by, key):
            with open(folder + "/calls", "a") as file:
                file.write(key + " ")
            return {"adapter": "a1"}

        graph = memory_requests(memos, checkpointer=SqliteSaver(connection), distil=distil)
        if request:
            approvals._Nodes._told = lambda *_: os._exit(9)  # done in the vault, and noted nowhere
            graph.invoke({"memory_request": request}, thread)
            graph.invoke(Command(resume=True), thread)
        done = graph.invoke(None, thread)["memory_receipt"]["done"]
    connection.close()
    return done

requests = json.loads(sys.argv[2])
for action, request in requests.items():  # each in a process of its own, which has imported already
    child = os.fork()
    if not child:
        asked(sys.argv[1] + "/" + action, request)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, action
print(json.dumps({action: asked(sys.argv[1] + "/" + action, None) for action in requests}))
"""


def test_a_process_that_dies_after_the_deed_has_done_it_once(tmp_path: Path, ana: Principal, bob: Principal) -> None:
    requests, cubes = {}, {}
    for action in ("remember", "share", "forget", "distil"):
        with MemOS.open(tmp_path / action / "vault") as memos:
            cube = cubes[action] = memos.remember("Ana hides the honey behind the oats.", by=ana)
        requests[action] = {
            "remember": {"action": "remember", "text": "The picnic is on 9 May.", "readers": ["bob"]},
            "share": share(cube, "bob")["memory_request"],
            "forget": forget(cube)["memory_request"],
            "distil": {"action": "distil", "cubes": [cube.id]},
        }[action]
    line = [sys.executable, "-c", DYING, str(tmp_path), json.dumps(requests)]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == dict.fromkeys(requests, True)
    with MemOS.open(tmp_path / "remember" / "vault") as memos:
        assert len(memos.recall("When is the picnic?", by=bob).hits) == 1
    assert len((tmp_path / "distil" / "calls").read_text().split()) == 1
    with MemOS.open(tmp_path / "share" / "vault") as memos:
        assert [each.version for each in memos.history(cubes["share"].id, by=ana)] == [1, 2]
        assert memos.get(cubes["share"].id, by=bob).version == 2
    with MemOS.open(tmp_path / "forget" / "vault") as memos:
        assert deeds(memos, ana, cubes["forget"].id, "forget") == 1
