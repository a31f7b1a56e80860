"""Several changes as one: `atomic` for a block of code, `run` for a pipeline. Staged first, then one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Self
from uuid import uuid4

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.asked import known_id
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    InvalidMemoryError,
    PipelineError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.living import Living
from memos_integrations.core.operator.editor import Feedback
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.pipeline.later import LaterDrops
from memos_integrations.core.pipeline.opened import OpenRun
from memos_integrations.core.pipeline.pipeline import MOST_WITHIN, MemPipeline, PipelineRun
from memos_integrations.core.pipeline.report import CubeChange, PipelineReport, changes_in, touched
from memos_integrations.core.ports import LogQuery, Stage, Vault
from memos_integrations.core.reads import ReadAudit
from memos_integrations.core.records import NAMED_IN_RECORD, record_of
from memos_integrations.core.ruling import rules_id

MOST_ATTEMPTS, MOST_LETTERS = 5, 1_000
OVERTAKEN = (VersionConflictError, CubeNotFoundError, AlreadyRememberedError, StillDerivedError)
"""What a commit is refused with when somebody else changed the same memories meanwhile."""


class Running(Living):
    """`Living`, with changes that are made together."""

    _depth = 0

    def _stage(self, vault: Vault, tenant: str) -> Stage:
        raise NotImplementedError

    @contextmanager
    def atomic(self, *, by: Principal, context: CallContext | None = None) -> Iterator[Self]:
        """A `MemOS` whose changes become true together at the end of the block, in one transaction, or not at all.

            with memos.atomic(by=ana) as memory:
                note = memory.remember("The offer was signed.", by=ana)
                memory.move(draft_id, "archived", by=ana)

        Within the block its reads see its writes; nobody else does. An exception undoes everything. Only the tenant of
        *by* is in reach. What was given within it (by `get` or `recall`) or is to be changed must still be so at the
        end; a memory that somebody else wrote meanwhile, and that a recall within would have found, is not noticed
        (snapshot isolation, Berenson et al. 1995). What it raises when it ends:

        Raises:
            VersionConflictError, CubeNotFoundError, AlreadyRememberedError, StillDerivedError: Somebody else changed
                the same memories meanwhile; nothing was changed. Do it again.
            PipelineError: It is within too many others.
        """
        caller = self._caller(by, context)
        with self._staging(caller) as (memory, stage, later):
            whole = False
            try:
                yield memory
                whole = True
            finally:
                if not whole:  # what was read or refused within stays on record, whatever the block raised
                    self._governance.abandon(stage, record_of("atomic_undone", caller, detail={}))
            if stage.pending().changes:
                self._commit(stage, later, caller, operation="atomic", number=str(uuid4()), detail={})
            else:
                self._governance.abandon(stage, record_of("atomic", caller, detail={"cubes": []}))

    def feedback(
        self, cube_id: str, said: Feedback | str, *, by: Principal, context: CallContext | None = None
    ) -> MemCube:
        """See `Living.feedback`; what follows from it is true together with it, in one transaction, or nothing is."""
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                return self._told(cube_id, said, by, context)
            except VersionConflictError:
                continue  # what it would change was changed meanwhile
        return self._told(cube_id, said, by, context)

    def _told(self, cube_id: str, said: Feedback | str, by: Principal, context: CallContext | None) -> MemCube:
        with self.atomic(by=by, context=context) as memory:
            return super(Running, memory).feedback(cube_id, said, by=by, context=context)

    def restore(self, cube_id: str, version: int, *, by: Principal, context: CallContext | None = None) -> MemCube:
        """See `Living.restore`; what it had retired is asked about again, true together with it."""
        how: dict[str, Any] = {"by": by, "context": context}
        return self._reviewed(known_id(cube_id), lambda memory: Living.restore(memory, cube_id, version, **how), **how)

    def _reviewed(
        self, cube_id: str, change: Callable[[Self], MemCube], by: Principal, context: CallContext | None
    ) -> MemCube:
        """What *change* makes of a memory; where that retired others, it is asked again whether it does, all in one."""
        if not self._writer.resolver.made.has_retired(cube_id, self._caller(by, context)):
            return change(self)
        for attempt in range(MOST_ATTEMPTS):
            try:
                with self.atomic(by=by, context=context) as memory:
                    cube, caller = change(memory), memory._caller(by, context)
                    memory._writer.resolver.review(cube, caller)
                    return next(iter(memory._governance.present([cube.id], caller)), cube)
            except VersionConflictError:
                if attempt == MOST_ATTEMPTS - 1:
                    raise
        raise VersionConflictError(cube_id, 0, 1)

    def run(
        self,
        pipeline: MemPipeline,
        *,
        by: Principal,
        given: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        run_id: str | None = None,
        context: CallContext | None = None,
    ) -> PipelineReport:
        """Run a pipeline for *by* in one transaction: all of it is true and durable on return, or it raises.

        Each step sees what those before it wrote; nobody else does before the end. Where somebody else changed the same
        memories meanwhile it runs anew, at most five times. *given* are its parameters. With *dry_run* the report says
        what would change, and nothing is written but the record of it. The same *run_id* is carried out once: run again
        (one at a time) it is told as `known`.

        Raises:
            PipelineError: It is not given what it takes, it loops, or an `expect` of it is not met.
            MemOSError: What a step raised; a note says which one. Nothing was changed.
        """
        if not isinstance(pipeline, MemPipeline):
            raise InvalidMemoryError(f"run takes a MemPipeline, not {type(pipeline).__name__}.")
        caller, number = self._caller(by, context), _numbered(run_id)
        known = self._done_before(pipeline, caller, number) if run_id and not dry_run else None
        if known is not None:
            return known
        for attempt in range(1, MOST_ATTEMPTS + 1):
            with self._staging(caller) as (memory, stage, later):
                told = self._taken(PipelineRun(memory, by, caller.now, pipeline, given or {}, context), stage, number)
                report = told.model_copy(update={"attempts": attempt, "dry_run": dry_run})
                detail = _detail(report)
                if dry_run or not stage.pending().changes:
                    name = "pipeline_dry_run" if dry_run else "pipeline"
                    self._governance.abandon(stage, record_of(name, caller, about=number, detail=detail))
                    return report
                try:
                    commit = self._commit(stage, later, caller, operation="pipeline", number=number, detail=detail)
                except OVERTAKEN as exc:
                    why = detail | {"error": type(exc).__name__}
                    undone, last = (
                        record_of("pipeline_undone", caller, about=number, detail=why),
                        attempt == MOST_ATTEMPTS,
                    )
                    self._governance.abandon(stage, undone, uses=last)  # what is run anew is read anew
                    if last:
                        raise
                    continue
                return report.model_copy(update={"commit": commit})
        raise PipelineError(f"Pipeline {pipeline.name!r} was overtaken {MOST_ATTEMPTS} times. Nothing was changed.")

    async def arun(self, pipeline: MemPipeline, *, by: Principal, **how: Any) -> PipelineReport:
        """`run`, off the loop."""
        return await self._off_loop(self.run, pipeline, by=by, **how)

    # --- step by step

    def begin(
        self,
        pipeline: MemPipeline,
        *,
        by: Principal,
        given: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        context: CallContext | None = None,
    ) -> OpenRun:
        """A run of a pipeline that is taken step by step: `advance` it, then `finish` it, or close it.

        Raises:
            PipelineError: It is not given what it takes.
        """
        caller, room, number = self._caller(by, context), ExitStack(), _numbered(run_id)
        PipelineRun.check_given(pipeline, given or {})
        memory, stage, later = room.enter_context(self._staging(caller))
        run = PipelineRun(memory, by, caller.now, pipeline, given or {}, context)
        names = {"pipeline": pipeline.name, "version": pipeline.version, "digest": pipeline.digest}

        def dropped() -> None:
            self._governance.abandon(stage, record_of("pipeline_dropped", caller, about=number, detail=names))

        return OpenRun(run, stage, later, caller, number, room, dropped)

    def advance(self, opened: OpenRun, steps: int) -> None:
        """Take the steps of an open run up to number *steps* (from 1); those that were taken are not taken again.

        Raises:
            MemOSError: What a step raised; the run is closed, and nothing was changed.
        """
        todo = opened.run.pipeline.steps[opened.taken : steps]
        try:
            with self._undone_on_error(opened.run, opened.stage, opened.number):
                opened.run.within(opened.run.pipeline, todo)
        except BaseException:
            opened.ended = True
            opened.close()
            raise
        opened.taken += len(todo)

    def finish(self, opened: OpenRun, *, looked_at: Iterable[CubeChange] | None = None) -> PipelineReport:
        """Take what is left of an open run, and make all of it true; see `run`. It is closed in any case.

        With *looked_at*, the changes that somebody agreed to, only where it changes those memories in that way, and
        what it writes says what was agreed.

        Raises:
            PipelineError: It would change others by now; nothing was changed.
            VersionConflictError, CubeNotFoundError, AlreadyRememberedError, StillDerivedError: Somebody else changed
                the same memories meanwhile; nothing was changed. Run it again.
        """
        try:
            known = self._done_before(opened.run.pipeline, opened.caller, opened.number)
            if known is not None:
                return known
            self.advance(opened, len(opened.run.pipeline.steps))
            opened.ended = True  # what ends it from here on is on record, but for a commit that is refused
            report = self._reported(opened.run, opened.stage, opened.number)
            with self._undone_on_error(opened.run, opened.stage, opened.number):
                if looked_at is not None and touched(looked_at) != touched(report.changes):
                    raise PipelineError("It would change something else than was looked at. Nothing was changed.")
            if not opened.stage.pending().changes:
                record = record_of("pipeline", opened.caller, about=opened.number, detail=_detail(report))
                self._governance.abandon(opened.stage, record)
                return report
            names: dict[str, Any] = {"operation": "pipeline", "number": opened.number, "detail": _detail(report)}
            opened.ended = False
            commit = self._commit(opened.stage, opened.later, opened.caller, **names)
            opened.ended = True
            return report.model_copy(update={"commit": commit})
        finally:
            opened.close()

    # --- parts

    @contextmanager
    def _staging(self, caller: Caller) -> Iterator[tuple[Self, Stage, LaterDrops]]:
        if self._depth >= MOST_WITHIN:
            raise PipelineError(f"More than {MOST_WITHIN} transactions within each other. Nothing was changed.")
        stage = self._governance.staged(self._stage, caller)
        memory = type(self)(stage, **(self._made_of | {"read_audit": ReadAudit.STRICT}))
        memory._depth, memory._rules = self._depth + 1, self._rules.beside(memory._governance.rules)
        later = LaterDrops(tuple(self._writer.derivatives))
        if later.stores:
            memory._writer.derivatives.append(later)
        try:
            yield memory, stage, later
        finally:
            memory.close()

    @contextmanager
    def _undone_on_error(self, run: PipelineRun, stage: Stage, number: str) -> Iterator[None]:
        """Around steps: what they raise, or were cancelled by, is on record: the names of step and error."""
        try:
            yield
        except BaseException as exc:
            pipeline, caller = run.pipeline, self._caller(run.by, run.context)
            detail = {"pipeline": pipeline.name, "version": pipeline.version, "digest": pipeline.digest}
            detail |= {"error": type(exc).__name__, "step": run.taken[-1] if run.taken else ""}
            self._governance.abandon(stage, record_of("pipeline_undone", caller, about=number, detail=detail))
            raise

    def _taken(self, run: PipelineRun, stage: Stage, number: str) -> PipelineReport:
        with self._undone_on_error(run, stage, number):
            run.go()
        return self._reported(run, stage, number)

    def _reported(self, run: PipelineRun, stage: Stage, number: str) -> PipelineReport:
        """What a run did to the stage, if it did not do too much."""
        pipeline, pairs = run.pipeline, stage.changed()
        with self._undone_on_error(run, stage, number):
            if len(pairs) > pipeline.most_changes:
                raise PipelineError(
                    f"Pipeline {pipeline.name!r} would change {len(pairs)} memories, more than "
                    f"{pipeline.most_changes}. Nothing was changed. Narrow it, or raise most_changes."
                )
        seen, unseen = changes_in(stage, pairs, self._caller(run.by, run.context))
        return PipelineReport(
            run=number,
            pipeline=pipeline.name,
            version=pipeline.version,
            digest=pipeline.digest,
            steps=tuple(run.taken),
            changes=seen,
            unseen=unseen,
        )

    def _commit(
        self, stage: Stage, later: LaterDrops, caller: Caller, *, operation: str, number: str, detail: dict[str, Any]
    ) -> int:
        pairs = stage.changed()
        ids = [(now or was).id for was, now in pairs if now or was]  # type: ignore[union-attr]
        told = detail | {"changed": len(ids), "cubes": ids[:NAMED_IN_RECORD]}
        receipt = self._governance.commit(stage, record_of(operation, caller, about=number, detail=told))
        if rules_id(caller.by.tenant) in ids:
            self._rules.ask_again(caller.by.tenant)
        self._embedding.drop([search_text(was) for was, now in pairs if was is not None and _reworded(was, now)])
        for cube_ids, now in later.noted:
            self._writer.dropped(cube_ids, now)
        return receipt.commit

    def _done_before(self, pipeline: MemPipeline, caller: Caller, number: str) -> PipelineReport | None:
        query = LogQuery(tenant=caller.by.tenant, actor=caller.by.subject, cube_id=number, operation="pipeline")
        for entry in self._governance.lifecycle_log(query):
            told = entry.record.detail
            if isinstance(told, Mapping) and told.get("pipeline") == pipeline.name:
                return PipelineReport(
                    run=number,
                    pipeline=pipeline.name,
                    version=str(told["version"]),
                    digest=str(told["digest"]),
                    known=True,
                )
        return None


def _numbered(run_id: str | None) -> str:
    """The id of a run: the one that is said, else a new one."""
    if run_id is not None and (not isinstance(run_id, str) or len(run_id) > MOST_LETTERS):
        raise InvalidMemoryError(f"The id of a run is a text of at most {MOST_LETTERS} characters, not {run_id!r:.80}.")
    return run_id or str(uuid4())


def _detail(report: PipelineReport) -> dict[str, Any]:
    names = {"pipeline": report.pipeline, "version": report.version, "digest": report.digest}
    return names | {"steps": list(report.steps[:NAMED_IN_RECORD]), "taken": len(report.steps)}


def _reworded(was: MemCube, now: MemCube | None) -> bool:
    return now is None or search_text(now) != search_text(was)
