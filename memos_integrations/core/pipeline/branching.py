"""What-if branches, and moments with names to go back to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import uuid4

from memos_integrations.core.access import CallContext, Caller, Principal
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.errors import ClockError, InvalidMemoryError
from memos_integrations.core.lifecycle.then import MOVES
from memos_integrations.core.operator.timemachine import CHANGING, RolledBack
from memos_integrations.core.pipeline.branch import MemBranch, Snapshot
from memos_integrations.core.pipeline.running import Running
from memos_integrations.core.ports import LogQuery
from memos_integrations.core.records import record_of

LOG_PAGE = 10_000
SNAPSHOT = "snapshot"
CLOCKS_DIFFER = timedelta(days=1)


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

        def dropped() -> None:
            self._governance.abandon(stage, record_of("branch_dropped", caller, about=number, detail={}))

        def current(refs: list[CubeRef]) -> set[CubeRef]:
            return {cube.ref for cube in self._governance.held([ref.id for ref in refs], caller).values()}

        return MemBranch(memory, stage, caller, room, merge=merge, dropped=dropped, current=current)

    def snapshot(self, name: str, *, by: Principal, context: CallContext | None = None) -> Snapshot:
        """Give this moment a name, to `recall(as_of=...)` and `roll_back` to; it is an entry of the audit log.

        Where the clock went back a little, the moment is that of the last thing on record.

        Raises:
            InvalidMemoryError: *by* has a snapshot of this name, also where somebody gave it this very moment.
            ClockError: The present lies more than a day before a change of a memory of *by*.
        """
        if not isinstance(name, str) or not name.strip() or len(name) > 200:
            raise InvalidMemoryError("A snapshot has a name of 1 to 200 characters.")
        caller = self._caller(by, context)
        if any(each.name == name for each in self.snapshots(by=by)):
            raise InvalidMemoryError(f"There is a snapshot {name!r} already; names are given once.")
        at, mine = self._not_before_the_record(caller), str(uuid4())
        self._governance.note(record_of(SNAPSHOT, caller, detail={"name": name, "at": at.isoformat(), "mine": mine}))
        first = next(told for told in self._named(caller) if told["name"] == name)
        if first.get("mine") != mine:  # of two that gave it at once the first has it
            raise InvalidMemoryError(f"There is a snapshot {name!r} already; names are given once.")
        return Snapshot(name=name, at=at, by=by.subject)

    def snapshots(self, *, by: Principal) -> list[Snapshot]:
        """The snapshots that *by* made, oldest first."""
        found: dict[str, Snapshot] = {}
        for told in self._named(self._caller(by, None)):
            moment = datetime.fromisoformat(str(told["at"]))
            found.setdefault(str(told["name"]), Snapshot(name=str(told["name"]), at=moment, by=by.subject))
        return list(found.values())

    def _named(self, caller: Caller) -> Iterator[dict[str, Any]]:
        """What the log says of the caller's snapshots, oldest first."""
        query = LogQuery(tenant=caller.by.tenant, actor=caller.by.subject, operation=SNAPSHOT, limit=LOG_PAGE)
        while entries := self._governance.lifecycle_log(query):
            for entry in entries:
                if isinstance(entry.record.detail, Mapping):
                    yield {"at": entry.record.at.isoformat(), **entry.record.detail}
            query = query.model_copy(update={"after": entries[-1].number})

    def _not_before_the_record(self, caller: Caller) -> datetime:
        """The present, or the last moment on record where the clock went back.

        What others did, or only looked at, when a clock was wrong by more than a day is of no account.
        """
        query = LogQuery(tenant=caller.by.tenant, since=caller.now, limit=LOG_PAGE)
        latest, me = caller.now, caller.by.subject
        while entries := self._governance.lifecycle_log(query):
            told = [entry.record for entry in entries]
            wrong = [each for each in told if each.at > caller.now + CLOCKS_DIFFER]
            mine = [each for each in wrong if me in (each.actor, each.owner) and each.operation in {*CHANGING, *MOVES}]
            if mine:
                raise ClockError(
                    f"It is said to be {caller.now.isoformat()}, but your memories were changed until "
                    f"{max(each.at for each in mine).isoformat()}. Nothing was changed; set the clock right."
                )
            latest = max([latest, *(each.at for each in told if each not in wrong)])
            query = query.model_copy(update={"after": entries[-1].number})
        return latest

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
