"""What was learnt into weights, and is to be learnt again because a source of it went or changed.

The audit log is the journal: every adapter that was learnt stands there with its sources (ids, no words), in the same
transaction as its cube, and so does every decision about one that does not stand any more. A pass that was killed
finds the same work again; whoever learns keeps its own half-finished state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from pydantic import Field

from memos_integrations.core.access import CallContext, Caller, Principal, Verb
from memos_integrations.core.costs import may_train
from memos_integrations.core.cube import Label, MemCube, ModelFingerprint, ParameterPayload, Text, Tier, Value
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    ModelError,
    TrainingCancelledError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import RECALLABLE, AuditEntry, AuditRecord, LogQuery, Outcome
from memos_integrations.core.records import Steps, record_of

LEARNT = "learnt"
LET_GO = "unlearnt"
PAGE = 10_000


class Learner(Protocol):
    """Learns memories into the weights of an adapter, and can go on where it was interrupted."""

    @property
    def base(self) -> ModelFingerprint:
        """The model that its adapters are for."""
        ...

    def learn_again(
        self,
        cube_ids: Sequence[str],
        *,
        replaces: str,
        is_over: Callable[[], bool],
        by: Principal,
        context: CallContext | None,
    ) -> MemCube:
        """The parameter cube of these memories, as they are now, in the place of one that does not stand any more.

        *is_over* is asked before each step but the first: a call that is made again gets on, however short it is.

        Raises:
            TrainingCancelledError: *is_over* said so; the same call goes on where it stopped.
            InvalidMemoryError, AccessDeniedError, ModelError: They cannot be learnt.
        """
        ...


class Relearnt(Value):
    """What a pass did about adapters whose sources went or changed.

    `made` are the parameter cubes that took the place of others (old id, new id); `let_go` those that nothing took the
    place of, and why; `waiting` those that are still to be learnt, because the seconds or the bytes were used up;
    `failed` those whose learning failed, and why: the next pass tries them again.
    """

    made: dict[Label, Label] = Field(default_factory=dict)
    let_go: dict[Label, Text] = Field(default_factory=dict)
    waiting: tuple[Label, ...] = ()
    failed: dict[Label, Text] = Field(default_factory=dict)


class Relearning:
    """Learns again, for one principal at a time, what does not stand any more."""

    def __init__(self, governance: MemGovernance, forget: Callable[[str, Caller], object]) -> None:
        self._governance, self._forget = governance, forget
        self.learners: list[Learner] = []

    def run(self, caller: Caller, *, is_over: Callable[[], bool], size: int | None, limit: int) -> Relearnt:
        """One pass over at most *limit* adapters, until *is_over*, within *size* bytes of adapters of the caller."""
        made, let_go, failed, waiting = dict[str, str](), dict[str, str](), dict[str, str](), list[str]()
        due = self._due(caller) if self.learners else []
        waiting += [cube_id for cube_id, _ in due[limit:]]
        for number, (cube_id, entry) in enumerate(due[:limit]):
            if self._was_forgotten(cube_id, entry, caller):
                let_go[cube_id] = self._settled(cube_id, caller, "it was forgotten itself")
                continue
            if _told(entry, "composed", False):
                let_go[cube_id] = self._settled(cube_id, caller, "it was composed of two, which are learnt again apart")
                self._erase(cube_id, caller)
                continue
            if number and is_over():  # the first is always begun, or short passes would never get anywhere
                waiting.append(cube_id)
                continue
            sources = self._left(entry, caller)
            if not sources:
                let_go[cube_id] = self._settled(cube_id, caller, "none of its sources may be learnt any more")
                continue
            if size is not None and self._held(caller, but=cube_id) + _told(entry, "bytes", 0) > size:
                waiting.append(cube_id)
                continue
            try:
                made[cube_id] = self._learnt_again(cube_id, entry, sources, caller, is_over).id
            except TrainingCancelledError:
                waiting.append(cube_id)
                continue
            except (ModelError, CubeNotFoundError) as exc:  # a full disk, a source that changed meanwhile: not for ever
                failed[cube_id] = str(exc)
                continue
            except (InvalidMemoryError, AccessDeniedError) as exc:
                let_go[cube_id] = self._settled(cube_id, caller, str(exc))
            self._erase(cube_id, caller)
        return Relearnt(made=made, let_go=let_go, waiting=tuple(waiting), failed=failed)

    def _learnt_again(
        self, cube_id: str, entry: AuditEntry, sources: list[MemCube], caller: Caller, is_over: Callable[[], bool]
    ) -> MemCube:
        """The new adapter, by the learner whose model the old one was for, else by the first."""
        base = _told(entry, "base", "")
        learner = next((each for each in self.learners if each.base.weights == base), self.learners[0])
        ids = [cube.id for cube in sources]
        return learner.learn_again(ids, replaces=cube_id, is_over=is_over, by=caller.by, context=caller.context)

    def _was_forgotten(self, cube_id: str, entry: AuditEntry, caller: Caller) -> bool:
        """Whether somebody forgot the adapter, and not one of its sources, with which it would have gone."""
        mine = self._forgotten(cube_id, caller)
        ids = [str(each) for each in _told(entry, "sources", [])]
        return bool(mine) and not any(mine & self._forgotten(each, caller) for each in ids)

    def _forgotten(self, cube_id: str, caller: Caller) -> set[datetime]:
        query = LogQuery(tenant=caller.by.tenant, cube_id=cube_id, operation="forget", outcome=Outcome.ALLOWED)
        return {entry.record.at for entry in self._governance.lifecycle_log(query)}

    def _due(self, caller: Caller) -> list[tuple[str, AuditEntry]]:
        """The caller's adapters that do not stand, about which nothing was decided yet, the oldest first."""
        learnt = {str(entry.record.cube_id): entry for entry in self._entries(LEARNT, caller)}
        settled = {str(_told(entry, "replaces", "")) for entry in learnt.values()}
        settled |= {str(entry.record.cube_id) for entry in self._entries(LET_GO, caller)}
        open_ones = [each for each, entry in learnt.items() if each not in settled and _told(entry, "passed", True)]
        standing = (
            {cube.id for cube in self._governance.readable(open_ones, caller, operation="check")}
            if open_ones
            else set()
        )
        return [(cube_id, learnt[cube_id]) for cube_id in open_ones if cube_id not in standing]

    def _entries(self, operation: str, caller: Caller) -> list[AuditEntry]:
        found: list[AuditEntry] = []
        while True:
            query = LogQuery(
                tenant=caller.by.tenant,
                actor=caller.by.subject,
                operation=operation,
                outcome=Outcome.ALLOWED,
                after=found[-1].number if found else 0,
                limit=PAGE,
            )
            page = self._governance.lifecycle_log(query)
            found += page
            if len(page) < PAGE:
                return found

    def _left(self, entry: AuditEntry, caller: Caller) -> list[MemCube]:
        """What can still be learnt of an adapter's sources, as they are now."""
        ids = [str(each) for each in _told(entry, "sources", [])]
        found = self._governance.readable(ids, caller, verb=Verb.TRAIN_ON, operation="check")
        return [cube for cube in found if may_train(cube) is None and cube.state in RECALLABLE]

    def _held(self, caller: Caller, *, but: str) -> int:
        """Bytes of the caller's adapters."""
        owned = self._governance.owned(caller)
        return sum(blob.size for cube in owned if cube.id != but and cube.tier is Tier.PARAMETER for blob in cube.blobs)

    def _settled(self, cube_id: str, caller: Caller, reason: str) -> str:
        record = record_of(LET_GO, caller, about=cube_id, detail={"reason": reason})
        self._governance.change(Steps(records=(record,)), caller, operation=LET_GO).result()
        return reason

    def _erase(self, cube_id: str, caller: Caller) -> None:
        """Take what was replaced out of the vault, where a change had only made it invalid."""
        try:
            self._forget(cube_id, caller)
        except (CubeNotFoundError, AccessDeniedError, LegalHoldError, IllegalTransitionError):
            return


def learnt_record(cube: MemCube, caller: Caller, *, replaces: str | None) -> AuditRecord:
    """The audit record that says what an adapter was learnt from, in whose place, and whether it passed its gates.

    One that did not never served, and is not learnt again.
    """
    payload = cube.payload
    detail: dict[str, Any] = {
        "base": payload.base.weights if isinstance(payload, ParameterPayload) else "",
        "sources": [ref.id for ref in cube.provenance.derived_from],
        "bytes": sum(blob.size for blob in cube.blobs),
        "passed": not _failed(payload.training if isinstance(payload, ParameterPayload) else None),
    }
    training = (
        payload.training.get("training")
        if isinstance(payload, ParameterPayload) and isinstance(payload.training, dict)
        else None
    )
    if isinstance(training, dict):
        detail["cpu_s"] = training.get("cpu_s", 0.0)
        detail["composed"] = "composed" in training
    detail["stored_bytes"] = detail["bytes"]
    return record_of(LEARNT, caller, about=cube.id, detail=detail | ({"replaces": replaces} if replaces else {}))


def _failed(training: Any) -> bool:
    gates = training.get("gates") if isinstance(training, Mapping) else None
    return bool(gates.get("failed")) if isinstance(gates, Mapping) else False


def _told(entry: AuditEntry, name: str, default: Any) -> Any:
    detail = entry.record.detail
    return detail.get(name, default) if isinstance(detail, dict) else default
