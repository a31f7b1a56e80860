"""What-if branches, and moments with names to go back to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import uuid4

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.operator.timemachine import RolledBack
from memos_integrations.core.pipeline.branch import MemBranch, Snapshot
from memos_integrations.core.pipeline.running import Running
from memos_integrations.core.ports import LogQuery
from memos_integrations.core.records import record_of

LOG_PAGE = 10_000
SNAPSHOT = "snapshot"


class Branching(Running):
    """`Running`, with branches and snapshots."""

    def branch(self, *, by: Principal, context: CallContext | None = None) -> MemBranch[Self]:
        """Memory as it would be, for *by*: write and recall through `branch.memos`, look at `branch.changes`.

            with memos.branch(by=ana) as branch:
                branch.memos.remember("The offer was signed.", by=ana)
                print(branch.memos.recall("Was the offer signed?", by=ana).text)
                branch.merge()

        Until `merge` the vault is as it was, for everybody. Only the tenant of *by* is in reach.
        """
        caller, room = self._caller(by, context), ExitStack()
        memory, stage, later = room.enter_context(self._staging(caller))
        number = str(uuid4())

        def merge() -> int | None:
            if not stage.pending().changes:
                self._governance.abandon(stage, record_of("branch", caller, about=number, detail={"cubes": []}))
                return None
            return self._commit(stage, later, caller, operation="branch", number=number, detail={})

        def current(refs: list[CubeRef]) -> set[CubeRef]:
            return self._governance.current(by.tenant, refs)

        return MemBranch(memory, stage, caller, room, merge=merge, current=current)

    def snapshot(self, name: str, *, by: Principal, context: CallContext | None = None) -> Snapshot:
        """Give this moment a name, to `recall(as_of=...)` and `roll_back` to; it is an entry of the audit log.

        Raises:
            InvalidMemoryError: *by* has a snapshot of this name.
        """
        if not isinstance(name, str) or not name.strip() or len(name) > 200:
            raise InvalidMemoryError("A snapshot has a name of 1 to 200 characters.")
        caller = self._caller(by, context)
        if any(each.name == name for each in self.snapshots(by=by)):
            raise InvalidMemoryError(f"There is a snapshot {name!r} already; names are given once.")
        self._governance.note(record_of(SNAPSHOT, caller, detail={"name": name}))
        return Snapshot(name=name, at=caller.now, by=by.subject)

    def snapshots(self, *, by: Principal) -> list[Snapshot]:
        """The snapshots that *by* made, oldest first."""
        caller, found, after = self._caller(by, None), list[Snapshot](), 0
        while True:
            query = LogQuery(
                tenant=by.tenant, actor=by.subject, operation=SNAPSHOT, after=after, limit=LOG_PAGE
            )  # fmt: skip
            entries = self._governance.lifecycle_log(query)
            for entry in entries:
                told = entry.record.detail
                if isinstance(told, Mapping) and entry.record.tenant == caller.by.tenant:
                    found.append(Snapshot(name=str(told["name"]), at=entry.record.at, by=by.subject))
            if len(entries) < LOG_PAGE:
                return found
            after = entries[-1].number

    def roll_back(self, since: datetime | Snapshot | str, *, by: Principal, **scope: Any) -> RolledBack:
        """Bring memories of *by* back to how they stood before *since*, or at a snapshot (or the one of that name).

        See `Living.roll_back` for the scope and for what is raised.
        """
        if isinstance(since, str):
            named = {each.name: each for each in self.snapshots(by=by)}
            if since not in named:
                raise InvalidMemoryError(f"There is no snapshot {since!r}; there are: {', '.join(named) or 'none'}.")
            since = named[since]
        # What was written in the very moment of the snapshot is in it, as it is for `as_of`.
        moment = since.at + timedelta(microseconds=1) if isinstance(since, Snapshot) else since
        return super().roll_back(moment, by=by, **scope)
