"""What changed in a vault since a place in its audit log: for dumps that go on where the last one ended, and sync."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from memos_integrations.core.access import Caller
from memos_integrations.core.asked import whole
from memos_integrations.core.cube import MemCube
from memos_integrations.core.delivering import DELIVER
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.archive import MOST_ERASED
from memos_integrations.core.interchange.clocks import TICK
from memos_integrations.core.ports import CubeFilter, LogQuery, Outcome, VaultQuery
from memos_integrations.core.records import LAPSE, record_of

APART = "changed_apart"
"""The operation by which a vault notes that a memory was changed in two vaults, apart."""

APART_JUDGED = "judged_apart"
"""The operation by which it notes what its judge says of that."""

READ = frozenset(
    {"read", "read_blob", "history", "use", "export", "find", "review", DELIVER, LAPSE, APART, APART_JUDGED}
)
"""Operations on one memory that leave it as it is."""

MOVED_ELSEWHERE = "moved_elsewhere"
"""The operation by which a vault notes that a state came from another one, with the stamp of the move there."""

MOVE = "to_"
"""With this begins the operation of every other move."""

SERIES = "dump_series"
"""The operation by which a vault notes how far a series of dumps has come."""

LOG_PAGE = 10_000
_SERIES = re.compile(r"\w[\w.-]{0,99}")
EXPORTS_PAGE = 200
"""So many records of what was sent are looked at a time: each names hundreds of memories."""


class Stamp(NamedTuple):
    """When something was done, and in which vault (empty: in this one)."""

    at: datetime
    by: str


@dataclass(slots=True)
class Changes:
    """The ids of memories that were written or moved after the audit entry *after*, up to *to*; and of those erased.

    `moved` are those among them that passed to another state by hand or by age.
    """

    after: int
    to: int
    written: dict[str, None] = field(default_factory=dict)
    erased: dict[str, datetime] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def pages(
        self, governance: MemGovernance, caller: Caller, where: CubeFilter | None, *, page: int
    ) -> Iterator[Sequence[MemCube]]:
        """What is there of them and passes *where*, with all that it is derived from, page by page.

        None: the caller's own, in whatever context they may be used.
        """
        given: set[str] = set()
        waiting = iter(self.written)
        while asked_for := list(islice(waiting, page)):
            ids = [each for each in asked_for if each not in given]
            cubes: Sequence[MemCube]
            if where is None:
                cubes = governance.whole(ids, caller, own=True)
            else:
                asked = VaultQuery(k=len(ids), filter=replace(where, ids=tuple(ids)))
                found = [match.cube.id for match in governance.search(asked, caller).matches]
                cubes = governance.whole(found, caller, own=False)
            while cubes:
                given.update(cube.id for cube in cubes)
                yield cubes
                below = sorted({ref.id for cube in cubes for ref in cube.provenance.derived_from} - given)
                cubes = [] if not below else _below(below, governance, caller, own=where is None)


def _below(ids: Sequence[str], governance: MemGovernance, caller: Caller, *, own: bool) -> Sequence[MemCube]:
    return governance.whole(ids, caller, own=own)


def changed(governance: MemGovernance, caller: Caller, after: int, *, owner: str | None, most: int) -> Changes:
    """What changed after an entry of the audit log, of at most *most* memories: `to` says how far that reaches.

    *owner* keeps the memories of one subject. No word of a memory is read.
    """
    found = Changes(whole("since", after, least=0), after)
    whole("most", most)
    while True:
        query = LogQuery(tenant=caller.by.tenant, owner=owner, after=found.to, limit=LOG_PAGE, outcome=Outcome.ALLOWED)
        entries = governance.lifecycle_log(query)
        for entry in entries:
            record = entry.record
            if record.cube_id is not None and record.operation not in READ:
                among = len(found.written) + len(found.erased)
                full = record.cube_id not in found.written and among >= most
                if full or (record.operation == "forget" and len(found.erased) >= MOST_ERASED):
                    return found
                if record.operation == "forget":
                    found.written.pop(record.cube_id, None)
                    found.erased[record.cube_id] = record.at
                elif record.cube_id not in found.erased or record.operation != MOVED_ELSEWHERE:
                    # To hear of a move of what was erased here brings nothing back.
                    found.erased.pop(record.cube_id, None)
                    found.written[record.cube_id] = None
                    if record.operation.startswith(MOVE) or record.operation == MOVED_ELSEWHERE:
                        found.moved.add(record.cube_id)
            found.to = entry.number
        if len(entries) < LOG_PAGE:
            return found


def last_move(governance: MemGovernance, caller: Caller, cube_id: str) -> Stamp | None:
    """The stamp of the last move of a memory by hand, or by age; None: there was none.

    It is later than those before it that this vault knew of, whatever the clock says.
    """
    query = LogQuery(tenant=caller.by.tenant, cube_id=cube_id, outcome=Outcome.ALLOWED, limit=LOG_PAGE)
    found = None
    while entries := governance.lifecycle_log(query):
        for entry in entries:
            record = entry.record
            if record.operation == MOVED_ELSEWHERE and isinstance(record.detail, dict):
                found = Stamp(datetime.fromisoformat(record.detail["at"]), record.detail["by"])
            elif record.operation.startswith(MOVE):
                found = Stamp(record.at if found is None else max(record.at, found.at + TICK), "")
        query = query.model_copy(update={"after": entries[-1].number})
    return found


def told_before(governance: MemGovernance, caller: Caller, ids: Collection[str], recipient: str) -> set[str]:
    """Those of the ids that the caller sent to a recipient before: nobody else has to hear that they went.

    A record of an earlier release does not say to whom.
    """
    query = LogQuery(tenant=caller.by.tenant, actor=caller.by.subject, operation="export", limit=EXPORTS_PAGE)
    found: set[str] = set()
    while len(found) < len(ids) and (entries := governance.lifecycle_log(query)):
        for entry in entries:
            detail = entry.record.detail
            if not isinstance(detail, Mapping) or detail.get("recipient", recipient) != recipient:
                continue
            cubes = detail.get("cubes", ())
            found.update(each for each in cubes if each in ids)
        query = query.model_copy(update={"after": entries[-1].number})
    return found


def check_series(series: str) -> None:
    """Refuse a name that could not begin the name of a file.

    Raises:
        InvalidMemoryError: It is empty, longer than 100 characters, or has more than letters, digits, `.`, `_`, `-`.
    """
    if not isinstance(series, str) or not _SERIES.fullmatch(series):
        raise InvalidMemoryError(
            "A series is named by 1 to 100 letters, digits, '_', '-' or '.', the first of them no dot."
        )


def last_of_series(governance: MemGovernance, caller: Caller, series: str) -> tuple[int, datetime | None]:
    """How far a series of dumps of the caller's has come in the audit log, and when; 0 and None: it has not begun."""
    query = LogQuery(tenant=caller.by.tenant, actor=caller.by.subject, operation=SERIES, limit=LOG_PAGE)
    found: tuple[int, datetime | None] = (0, None)
    while entries := governance.lifecycle_log(query):
        for entry in entries:
            detail = entry.record.detail
            if isinstance(detail, dict) and detail.get("series") == series:
                found = int(detail["position"]), entry.record.at
        query = query.model_copy(update={"after": entries[-1].number})
    return found


def note_series(governance: MemGovernance, caller: Caller, series: str, position: int) -> None:
    """Note how far a series has come; durable on return."""
    governance.note(record_of(SERIES, caller, detail={"series": series, "position": position}))
