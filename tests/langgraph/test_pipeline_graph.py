"""A pipeline as a graph: a node for each step, all of it or nothing, gone on with in another process too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import State
from memos_integrations.core.errors import IdentityError, PipelineError
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.pipeline.steps import declared
from memos_integrations.langgraph import pipeline_graph
from memos_integrations.memos import MemOS
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = {"tenant": "home", "user_id": "ana"}
BOB = {"tenant": "home", "user_id": "bob"}
STEPS = [
    {"recall": {"prompt": "blue tin", "k": 1, "as": "tin"}},
    {"expect": {"in": "tin"}},
    {"archive": {"in": "tin"}},
    {"remember": {"text": "Ana keeps her tea in the $colour tin.", "as": "new"}},
]
PIPELINE = MemPipeline("repaint", declared(STEPS), parameters=["colour"])


def thread(name: str = "t", who: dict[str, str] = ANA) -> Any:
    return {"configurable": {"thread_id": name, **who}}


def tins(memos: MemOS, ana: Principal) -> list[str]:
    return sorted(hit.text for hit in memos.recall("Which tin?", by=ana, needed=True).hits if "tin" in hit.text)


def test_each_step_is_a_node_and_nothing_is_true_before_the_commit(memos: MemOS, ana: Principal) -> None:
    graph = pipeline_graph(memos, PIPELINE)
    assert list(graph.get_graph().nodes)[1:-1] == ["1_recall", "2_expect", "3_archive", "4_remember", "commit"]
    seen: list[str] = []
    for update in graph.stream({"given": {"colour": "red"}}, thread(), stream_mode="updates"):
        ((name, _),) = update.items()
        seen.append(name)
        if name != "commit":
            assert tins(memos, ana) == ["Ana keeps her tea in the blue tin."]
    assert seen[-1] == "commit"
    assert tins(memos, ana) == ["Ana keeps her tea in the red tin."]
    assert memos.verify_audit().ok


async def test_it_runs_in_a_loop_and_tells(memos: MemOS, ana: Principal) -> None:
    graph = pipeline_graph(memos, PIPELINE)
    given = {"given": {"colour": "red"}}
    events = [each async for each in graph.astream(given, thread(), stream_mode="custom")]
    assert [each["event"] for each in events] == ["memos.step"] * 4 + ["memos.pipeline"]
    assert "tea" not in json.dumps(events)
    assert tins(memos, ana) == ["Ana keeps her tea in the red tin."]


def test_somebody_may_look_before_it_is_written(memos: MemOS, ana: Principal) -> None:
    graph = pipeline_graph(memos, PIPELINE, checkpointer=InMemorySaver(), interrupt_before_commit=True)
    stopped = graph.invoke({"given": {"colour": "red"}}, thread())
    assert sorted(change["what"] for change in stopped["pipeline"]["changes"]) == ["moved", "new"]
    assert not stopped["pipeline"]["committed"]
    assert "blue" not in json.dumps(stopped)
    assert tins(memos, ana) == ["Ana keeps her tea in the blue tin."]
    with pytest.raises(IdentityError):
        graph.invoke(None, thread(who=BOB))
    done = graph.invoke(None, thread())
    assert done["pipeline"]["committed"]
    assert done["pipeline"]["commit"]
    assert tins(memos, ana) == ["Ana keeps her tea in the red tin."]


def test_another_process_goes_on_and_commits_once(tmp_path: Path, ana: Principal) -> None:
    saver, reports = InMemorySaver(), []
    with MemOS(SQLiteVault(tmp_path / "memory.db")) as memos:
        old = memos.remember("Ana keeps her tea in the blue tin.", by=ana)
        graph = pipeline_graph(memos, PIPELINE, checkpointer=saver, interrupt_before_commit=True)
        graph.invoke({"given": {"colour": "red"}}, thread())
    with MemOS(SQLiteVault(tmp_path / "memory.db")) as memos:
        before = saver.get_tuple(thread())
        graph = pipeline_graph(memos, PIPELINE, checkpointer=saver, interrupt_before_commit=True)
        reports.append(graph.invoke(None, thread())["pipeline"])
        again = {"configurable": {**before.config["configurable"], **ANA}}
        reports.append(graph.invoke(None, again)["pipeline"])  # as if the checkpoint after the commit had been lost
        assert [report["known"] for report in reports] == [False, True]
        assert tins(memos, ana) == ["Ana keeps her tea in the red tin."]
        assert memos.get(old.id, by=ana).state is State.ARCHIVED


def test_a_step_that_fails_leaves_nothing(memos: MemOS, ana: Principal) -> None:
    steps = [*STEPS, {"expect": {"in": "new", "at_least": 2}}]
    graph = pipeline_graph(memos, MemPipeline("fails", declared(steps), parameters=["colour"]))
    with pytest.raises(PipelineError, match="'new' holds 1"):
        graph.invoke({"given": {"colour": "red"}}, thread())
    with pytest.raises(PipelineError, match="must be given colour"):
        graph.invoke({}, thread())
    with pytest.raises(IdentityError):
        graph.invoke({"given": {"colour": "red"}}, {"configurable": {}})
    assert tins(memos, ana) == ["Ana keeps her tea in the blue tin."]


def test_somebody_else_was_faster(memos: MemOS, ana: Principal) -> None:
    graph = pipeline_graph(memos, PIPELINE, checkpointer=InMemorySaver(), interrupt_before_commit=True)
    graph.invoke({"given": {"colour": "red"}}, thread())
    (tin,) = [hit.cube for hit in memos.recall("Which tin?", by=ana, needed=True).hits if "tin" in hit.text]
    memos.update(tin.id, by=ana, text="Ana keeps her tea in the blue tin on the shelf.")
    done = graph.invoke(None, thread())
    assert done["pipeline"]["committed"]
    assert tins(memos, ana) == ["Ana keeps her tea in the red tin."]


PURGE = MemPipeline("purge", declared([{"find": {"tags": ["old"], "as": "old"}}, {"forget": {"in": "old"}}]))


@pytest.mark.parametrize("how", ["overtaken", "another process"])
def test_nothing_is_erased_that_was_not_looked_at(memos: MemOS, ana: Principal, how: str) -> None:
    draft = memos.remember("A first draft.", by=ana, tags=["old"])
    will = memos.remember("Grandmother left the house to Kim.", by=ana)
    saver = InMemorySaver()
    graph = pipeline_graph(memos, PURGE, checkpointer=saver, interrupt_before_commit=True)
    stopped = graph.invoke({}, thread())
    assert [change["cube_id"] for change in stopped["pipeline"]["changes"]] == [draft.id]
    memos.relabel(will.id, by=ana, add=["old"])
    if how == "overtaken":
        memos.relabel(draft.id, by=ana, add=["seen"])
    else:
        graph = pipeline_graph(memos, PURGE, checkpointer=saver, interrupt_before_commit=True)
    with pytest.raises(PipelineError, match="something else than was looked at"):
        graph.invoke(None, thread())
    assert memos.may_read([draft.id, will.id], by=ana) == {draft.id, will.id}
    (undone,) = memos.audit(by=ana, operation="pipeline_undone")
    assert undone.record.detail["error"] == "PipelineError"  # type: ignore[index]
    memos.relabel(will.id, by=ana, remove=["old"])
    assert graph.invoke(None, thread())["pipeline"]["committed"], "as it was looked at, it goes on"
    assert memos.may_read([draft.id, will.id], by=ana) == {will.id}


@pytest.mark.parametrize("how", ["another process", "given"])
def test_no_other_words_are_written_than_were_looked_at(memos: MemOS, ana: Principal, how: str) -> None:
    said = iter(["The door is green.", "The door is violet."])

    def paint(run: Any) -> None:
        run.memory.remember(next(said), by=ana)

    saver = InMemorySaver()
    pipeline = PIPELINE if how == "given" else MemPipeline("paints", [paint])
    graph = pipeline_graph(memos, pipeline, checkpointer=saver, interrupt_before_commit=True)
    graph.invoke({"given": {"colour": "red"} if how == "given" else {}}, thread())
    if how == "given":
        graph.update_state(thread(), {"given": {"colour": "black"}})
    else:
        graph = pipeline_graph(memos, pipeline, checkpointer=saver, interrupt_before_commit=True)
    with pytest.raises(PipelineError, match="something else than was looked at"):
        graph.invoke(None, thread())
    assert tins(memos, ana) == ["Ana keeps her tea in the blue tin."]
    assert not [hit for hit in memos.recall("Which door?", by=ana, needed=True).hits if "door" in hit.text]
