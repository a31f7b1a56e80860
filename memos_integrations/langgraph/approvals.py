"""What a graph asks to be done to memory, and the human who is asked first: share, forget, distil, remember.

Three nodes. `mem_request` checks the request and fixes what it is about; `mem_approval` asks; `mem_operation` does it.
Whatever is asked again after a crash or a second resume is asked of what was fixed, and done once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Checkpointer, RetryPolicy, interrupt

from memos_integrations.core.access import CallContext, Principal, Verb, as_subject
from memos_integrations.core.cube import MemCube, Provenance, canonical_json, new_id, sha256
from memos_integrations.core.errors import (
    AccessDeniedError,
    ApprovalError,
    CubeNotFoundError,
    IdentityError,
    InvalidMemoryError,
    VersionConflictError,
)
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.turns import MODEL
from memos_integrations.langgraph.identity import Identity, identify
from memos_integrations.langgraph.policies import RETRY, asker
from memos_integrations.langgraph.request import ACTIONS, HUMAN_DECIDES, Action, MemoryRequest, checked_request
from memos_integrations.langgraph.subgraph import MemoryGraph, tell
from memos_integrations.memos import MemOS

Update = dict[str, Any]

JOURNAL = CallContext(purpose="memos.requests")
"""What was made is noted for this purpose only: no recall finds it."""

MOST_NOTED = 1_000_000

Approve = Collection[Action] | Callable[[MemoryRequest, Principal], bool]
"""The actions that a human decides on, or a policy: whether one decides on this request of this principal."""

Distil = Callable[[list[MemCube], Principal, str], Mapping[str, Any]]
"""Makes parameter memory of cubes: with whom it is for, and a key by which it does the same once. Gives plain JSON."""


class RequestState(TypedDict):
    """What a parent needs in its state: `memory_request` (a mapping, see `MemoryRequest`), and the receipt it gets."""

    memory_request: NotRequired[dict[str, Any] | None]
    memory_receipt: NotRequired[dict[str, Any]]


class _Asked(TypedDict):
    memory_request: NotRequired[dict[str, Any] | None]


class _Requested(RequestState):
    memory_fixed: NotRequired[dict[str, Any] | None]
    memory_decision: NotRequired[dict[str, Any] | None]


def memory_requests(
    memos: MemOS,
    *,
    principal: Identity | None = None,
    approve: Approve = HUMAN_DECIDES,
    distil: Distil | None = None,
    context: CallContext | None = None,
    retry: RetryPolicy | None = RETRY,
    checkpointer: Checkpointer = None,
) -> MemoryGraph:
    """A compiled graph that does what `memory_request` asks, after a human said yes where *approve* says so.

    It runs alone (with a *checkpointer*) or as a node of a parent that has one and shares `RequestState`. Who asks
    comes from the runtime (see `identify`), never from the request, and may go on only as the same. What they may not
    do is refused before anybody is asked. The human sees an `interrupt`: `action`, `cubes` (ids and versions),
    `readers`, `text` of what is to be remembered (it stands in the checkpoints, like messages), `by`, `request` (a
    digest); no words of memories. They answer with `Command(resume=True)`, `False`, or `{"approved": ..., "reason":
    ...}`; all else is no.

    What was approved is done as it was shown: a cube that was changed in between is left alone. It is done once,
    however often the thread is resumed, also when the process dies after it was done and before that was noted.
    `memory_receipt` says `done`, `action`, `cubes`, `reason`; `memory_request` is cleared. `memos.approval` and
    `memos.write` are told to `stream_mode="custom"`.

    *retry* says when a step is tried again, as in `memory_subgraph`. Without *distil*, requests to distil are refused;
    what it made is noted in the vault, and it is called again, with the same key, only if the process dies in it.

    Raises:
        IdentityError: At run time: nobody is asking, or somebody else goes on.
        ApprovalError: At run time: a human has to be asked, and there is no checkpointer to wait with; nothing is done.
        InvalidMemoryError, AccessDeniedError, CubeNotFoundError, LegalHoldError: At run time, for such a request.
    """
    if checkpointer is False:
        raise InvalidMemoryError("Requests wait in checkpoints: give a checkpointer, or None for that of the parent.")
    if not callable(approve) and (wrong := set(approve) - set(ACTIONS)):
        raise InvalidMemoryError(f"approve= names {', '.join(ACTIONS)}, not {sorted(wrong)}.")
    nodes = _Nodes(memos, principal, approve, distil, context)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(_Requested, input_schema=_Asked, output_schema=RequestState)
    graph.add_node("mem_request", RunnableLambda(nodes.fix, nodes.afix), retry_policy=retry)
    graph.add_node("mem_approval", nodes.decide)
    graph.add_node("mem_operation", RunnableLambda(nodes.do, nodes.ado), retry_policy=retry)
    graph.add_edge(START, "mem_request")
    graph.add_edge("mem_request", "mem_approval")
    graph.add_edge("mem_approval", "mem_operation")
    graph.add_edge("mem_operation", END)
    return graph.compile(checkpointer=checkpointer, name="memory_requests")


class _Nodes:
    """What the nodes do."""

    def __init__(
        self,
        memos: MemOS,
        principal: Identity | None,
        approve: Approve,
        distil: Distil | None,
        context: CallContext | None,
    ) -> None:
        self._memos, self._principal, self._context = memos, principal, context
        self._approve, self._distil = approve, distil

    # --- what is asked, fixed: a later node reads nothing else

    def fix(self, state: _Asked, config: RunnableConfig) -> Update:
        return _announced(self._fixed(state, self._identify(config), config))

    async def afix(self, state: _Asked, config: RunnableConfig) -> Update:
        return _announced(await self._memos.off_loop(self._fixed, state, self._identify(config), config))

    def _fixed(self, state: _Asked, by: Principal, config: RunnableConfig) -> Update:
        given = state.get("memory_request")
        if not given:
            return {"memory_fixed": None, "memory_decision": None}
        request = checked_request(given)
        if request.action == "distil":
            self._distiller()
        verb = _VERBS.get(request.action)
        cubes = [self._allowed(cube_id, verb, by) for cube_id in request.cubes] if verb else []
        # A policy that says nothing does not say no.
        decides = (
            self._approve(request, by) is not False if callable(self._approve) else request.weight in self._approve
        )
        if decides and not _can_wait(config):
            raise ApprovalError(
                f"A human decides whether to {request.weight}, and without a checkpointer nobody can be asked: compile "
                "the outermost graph with one and name a thread_id. Nothing was done."
            )
        fixed = {
            "request": request.model_dump(mode="json"),
            "versions": {cube.id: cube.version for cube in cubes},
            "asker": asker(self._memos, by, self._context),
            "by": by.subject,
            "waits": decides,
            "key": sha256(canonical_json([_thread(config) or new_id(), request.model_dump(mode="json")])),
        }
        return {"memory_fixed": fixed, "memory_decision": None}

    def _allowed(self, cube_id: str, verb: Verb, by: Principal) -> MemCube:
        cube = self._memos.get(cube_id, by=by, context=self._context)
        decision = self._memos.explain_access(cube, by, verb=verb, context=self._context)
        if not decision.allowed:
            raise AccessDeniedError(f"You may not {verb} cube {cube_id!r}: {decision.reason}.")
        if verb is not Verb.TRAIN_ON:
            check_change(cube)
        return cube

    # --- the human

    def decide(self, state: _Requested) -> Update:
        fixed = state.get("memory_fixed")
        if not fixed or not fixed["waits"]:
            return {"memory_decision": None}
        answer = interrupt(_shown(fixed))
        said = answer if isinstance(answer, Mapping) else {"approved": answer}
        approved, reason = said.get("approved") is True, str(said.get("reason") or "")
        return {"memory_decision": {"approved": approved, "reason": reason, "request": fixed["key"]}}

    # --- the deed

    def do(self, state: _Requested, config: RunnableConfig) -> Update:
        return self._told(state, self._done(state, self._identify(config)))

    async def ado(self, state: _Requested, config: RunnableConfig) -> Update:
        by = self._identify(config)
        return self._told(state, await self._memos.off_loop(self._done, state, by))

    def _done(self, state: _Requested, by: Principal) -> Update | None:
        fixed, decision = state.get("memory_fixed"), state.get("memory_decision") or {}
        if not fixed:
            return None
        if asker(self._memos, by, self._context) != fixed["asker"]:
            raise IdentityError("Somebody else goes on with a request: only who made it may. Nothing was done.")
        request = checked_request(fixed["request"])
        receipt: Update = {"action": request.action, "cubes": list(request.cubes), "request": fixed["key"]}
        approved = decision.get("approved") is True and decision.get("request") == fixed["key"]
        if fixed["waits"] and not approved:
            return {**receipt, "done": False, "reason": decision.get("reason") or "a human said no"}
        try:
            return {**receipt, "done": True, "reason": decision.get("reason", ""), **self._deed(request, fixed, by)}
        except VersionConflictError as exc:
            return {**receipt, "done": False, "reason": str(exc)}

    def _deed(self, request: MemoryRequest, fixed: Update, by: Principal) -> Update:
        match request.action:
            case "remember":
                readers = {"readers": request.readers} if request.readers else {}
                told: dict[str, Any] = {**MODEL, **readers}
                cube = self._memos.remember(request.text, by=by, context=self._context, key=fixed["key"], **told)
                return {"cubes": [cube.id]}
            case "share":
                ((cube_id, version),) = fixed["versions"].items()
                self._share(cube_id, version, request.readers, by)
                return {}
            case "forget":
                return {"derived": self._forget(fixed["versions"], by)}
            case "distil":
                cubes = self._unchanged(fixed["versions"], Verb.TRAIN_ON, by)
                return {"made": self._distilled(cubes, by, fixed["key"])}

    def _distilled(self, cubes: Sequence[MemCube], by: Principal, key: str) -> Update:
        """What was made of the cubes: made now, and noted; or what is noted of the time before."""
        place = (by.tenant, by.user, "memos.requests")
        found = self._memos.find(CubeFilter(namespace=place, tags=(key,)), by=by, k=MOST_NOTED, context=JOURNAL)
        noted = [cube for cube in found if cube.governance.owner == by.subject]  # others may write there, too
        if noted:
            return dict(json.loads(noted[0].text))
        made = dict(self._distiller()(list(cubes), by, key))
        self._memos.remember(
            json.dumps(made),
            by=by,
            context=JOURNAL,
            key=f"memos.requests:{key}",
            namespace=place,
            semantic_type="journal",
            tags=[key],
            purposes=[JOURNAL.purpose or ""],
            provenance=Provenance(source="langgraph.requests", derived_from=tuple(cube.ref for cube in cubes)),
            **MODEL,
        )
        return made

    def _distiller(self) -> Distil:
        if self._distil is None:
            raise InvalidMemoryError("Nothing here can distil: build memory_requests with distil=...")
        return self._distil

    def _share(self, cube_id: str, version: int, readers: Collection[str], by: Principal) -> None:
        """Add readers to the version that was approved; that they are there already is what a repeat finds."""
        wanted = [as_subject(name) for name in readers]
        if not (missing := self._missing(cube_id, wanted, by)):
            return
        there = self._memos.get(cube_id, by=by, context=self._context).governance.readers
        try:
            all_of_them = list(dict.fromkeys([*there, *missing]))
            self._memos.update(cube_id, by=by, context=self._context, expected_version=version, readers=all_of_them)
        except VersionConflictError:
            if self._missing(cube_id, wanted, by):  # else the same request, resumed twice at once, was faster
                raise

    def _missing(self, cube_id: str, readers: Collection[str], by: Principal) -> list[str]:
        there = self._memos.get(cube_id, by=by, context=self._context).governance.readers
        return [name for name in readers if name not in there]

    def _forget(self, versions: Mapping[str, int], by: Principal) -> list[str]:
        try:
            (cube,) = self._unchanged(versions, Verb.READ, by)
            return list(self._memos.forget(cube.id, by=by, context=self._context).derived)
        except CubeNotFoundError:
            return []  # it was there when that was asked: it is forgotten, now or the time before

    def _unchanged(self, versions: Mapping[str, int], verb: Verb, by: Principal) -> list[MemCube]:
        """The cubes as they were approved.

        Raises:
            VersionConflictError: One was changed since; nothing was done.
            CubeNotFoundError: One is gone.
        """
        found = {cube.id: cube for cube in self._memos.get_many(versions, by=by, verb=verb, context=self._context)}
        for cube_id, version in versions.items():
            if cube_id not in found:
                raise CubeNotFoundError(cube_id)
            if found[cube_id].version != version:
                raise VersionConflictError(cube_id, version, found[cube_id].version)
        return list(found.values())

    def _told(self, state: _Requested, receipt: Update | None) -> Update:
        if receipt is None:
            return {}
        tell("memos.write", **{name: receipt[name] for name in ("action", "cubes", "done")})
        return {"memory_receipt": receipt, "memory_request": None, "memory_fixed": None, "memory_decision": None}

    def _identify(self, config: RunnableConfig) -> Principal:
        return identify(self._principal, get_runtime(), config)


_VERBS: dict[str, Verb] = {"share": Verb.SHARE, "forget": Verb.DELETE, "distil": Verb.TRAIN_ON}


def _shown(fixed: Update) -> Update:
    """What a human sees of a request: ids and versions, no words of memories."""
    request = fixed["request"]
    return {
        "action": request["action"],
        "cubes": fixed["versions"],
        "readers": request["readers"],
        "text": request["text"],
        "by": fixed["by"],
        "request": fixed["key"],
    }


def _announced(update: Update) -> Update:
    """Told here, since the node that asks runs again when it is answered."""
    fixed = update["memory_fixed"]
    if fixed and fixed["waits"]:
        tell("memos.approval", **{**_shown(fixed), "text": ""})
    return update


def _can_wait(config: RunnableConfig) -> bool:
    """Whether there is a thread that can be gone on with later."""
    given = config.get("configurable", {})
    return _thread(config) is not None and any(isinstance(each, BaseCheckpointSaver) for each in given.values())


def _thread(config: RunnableConfig) -> str | None:
    thread = config.get("configurable", {}).get("thread_id")
    return None if thread is None else str(thread)
