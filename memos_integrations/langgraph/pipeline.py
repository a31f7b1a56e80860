"""A memory pipeline as a graph: a node for each step, and one that makes all of it true.

The state holds names, ids and what the run is given; no word that a step read or wrote. Nothing is written before
`commit`, so a graph that is stopped, or whose process dies, leaves nothing behind. Gone on with later, in another
process too, it takes the steps anew up to where it stands; and what was committed once is not committed again.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, NotRequired, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Checkpointer

from memos_integrations.core.access import CallContext
from memos_integrations.core.errors import IdentityError
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.pipeline.opened import OpenRun
from memos_integrations.core.pipeline.pipeline import step_name
from memos_integrations.core.pipeline.report import CubeChange, PipelineReport
from memos_integrations.core.pipeline.running import MOST_ATTEMPTS, OVERTAKEN
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.policies import asker
from memos_integrations.langgraph.subgraph import tell
from memos_integrations.memos import MemOS

MOST_OPEN = 32
"""So many runs of one graph are kept open at once; the one left alone longest is closed, and begun anew if needed."""


class PipelineState(TypedDict):
    """`given`: the pipeline's parameters. `run`: its id, made if none is given. `pipeline`: what it did, in the end.

    Before `commit` (say `interrupt_before=["commit"]`), `pipeline` names what would change: ids, before and after.
    """

    given: NotRequired[dict[str, Any]]
    run: NotRequired[str]
    asker: NotRequired[str]
    pipeline: NotRequired[dict[str, Any]]


def pipeline_graph(
    memos: MemOS,
    pipeline: MemPipeline,
    *,
    principal: Identity | None = None,
    context: CallContext | None = None,
    checkpointer: Checkpointer = None,
    interrupt_before_commit: bool = False,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph that runs *pipeline*: nodes `1_recall`, `2_archive` … and `commit`; all or nothing, as `MemOS.run`.

    With *interrupt_before_commit* and a *checkpointer* it stops before anything is written, for somebody to look at
    `pipeline` in the state. With a *checkpointer* only what the state tells becomes true: where the steps, taken anew
    because of what somebody wrote or in another process, would change other memories, it raises.
    It tells `memos.step` and `memos.pipeline` to `stream_mode="custom"`.

    Raises:
        IdentityError: At run time: nobody is asking, or somebody else goes on with a run that was begun.
        PipelineError, MemOSError: At run time, as `MemOS.run`; nothing was changed.
    """
    nodes = _Nodes(memos, pipeline, principal, context, stops=interrupt_before_commit or bool(checkpointer))
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(PipelineState)
    before = START
    for number, step in enumerate(pipeline.steps, start=1):
        name = f"{number}_{step_name(step).replace(' ', '_')}"
        graph.add_node(name, nodes.step(number))
        graph.add_edge(before, name)
        before = name
    graph.add_node("commit", nodes.commit)
    graph.add_edge(before, "commit")
    graph.add_edge("commit", END)
    stops = ["commit"] if interrupt_before_commit else None
    return graph.compile(checkpointer=checkpointer, name=f"pipeline {pipeline.name}", interrupt_before=stops)


class _Nodes:
    def __init__(
        self,
        memos: MemOS,
        pipeline: MemPipeline,
        principal: Identity | None,
        context: CallContext | None,
        *,
        stops: bool,
    ) -> None:
        self._stops = stops
        self._memos, self._pipeline, self._principal, self._context = memos, pipeline, principal, context
        self._open: OrderedDict[str, OpenRun] = OrderedDict()
        self._lock = Lock()

    def step(self, number: int) -> Any:
        """The node of one step."""

        def node(state: PipelineState, config: RunnableConfig) -> dict[str, Any]:
            begun = self._begun(state, config, first=number == 1)
            opened = self._opened(begun, config)
            try:
                self._memos.advance(opened, number)
            except BaseException:
                self._closed(begun["run"])
                raise
            would = [change.model_dump(mode="json", exclude={"diff"}) for change in opened.changes]
            tell("memos.step", run=begun["run"], step=number, changes=len(would))
            return {**begun, "pipeline": {"run": begun["run"], "committed": False, "changes": would}}

        return node

    def commit(self, state: PipelineState, config: RunnableConfig) -> dict[str, Any]:
        """The node that makes it true."""
        begun = self._begun(state, config, first=False)
        told_of = (state.get("pipeline") or {}).get("changes", ()) if self._stops else None
        looked_at = None if told_of is None else [CubeChange.model_validate(each) for each in told_of]
        report = self._finished(begun, config, looked_at)
        told = report.model_dump(mode="json", exclude={"changes": {"__all__": {"diff"}}})
        tell("memos.pipeline", run=report.run, commit=report.commit, known=report.known)
        return {"pipeline": told | {"committed": True}}

    def _finished(
        self, begun: dict[str, Any], config: RunnableConfig, looked_at: list[CubeChange] | None
    ) -> PipelineReport:
        """All of it made true; taken anew where somebody was faster, and only as it was *looked_at*."""
        for attempt in range(MOST_ATTEMPTS):
            try:
                return self._memos.finish(self._opened(begun, config), looked_at=looked_at)
            except OVERTAKEN:
                if attempt == MOST_ATTEMPTS - 1:
                    raise
            finally:
                self._closed(begun["run"])
            if looked_at is None:
                break
        again: dict[str, Any] = {"given": begun["given"], "run_id": begun["run"], "context": self._context}
        return self._memos.run(self._pipeline, by=self._identified(config), **again)

    def _begun(self, state: PipelineState, config: RunnableConfig, *, first: bool) -> dict[str, Any]:
        """The run that a state speaks of, if it is the one who began it that asks now."""
        who = asker(self._memos, self._identified(config), self._context)
        if not first and state.get("asker") != who:
            raise IdentityError("Somebody else goes on with a pipeline that was begun: run it yourself.")
        run = state.get("run") if not first or state.get("run") else str(uuid4())
        return {"run": run, "asker": who, "given": dict(state.get("given") or {})}

    def _opened(self, begun: dict[str, Any], config: RunnableConfig) -> OpenRun:
        with self._lock:
            opened = self._open.get(begun["run"])
            if opened is None or dict(opened.run.given) != begun["given"]:
                how: dict[str, Any] = {"given": begun["given"], "run_id": begun["run"], "context": self._context}
                opened = self._memos.begin(self._pipeline, by=self._identified(config), **how)
                self._open[begun["run"]] = opened
            self._open.move_to_end(begun["run"])
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            return opened

    def _closed(self, run: str) -> None:
        with self._lock:
            opened = self._open.pop(run, None)
        if opened is not None:
            opened.close()

    def _identified(self, config: RunnableConfig) -> Any:
        return identify(self._principal, get_runtime(), config)
