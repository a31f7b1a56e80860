"""Governed delivery: what happened in a tenant, and the memories that a subscriber may have of it.

An event is looked at as whoever it goes to, at the moment it goes: what they may not read then is absent. Of a memory
that they were given before and may no longer have, they are told that it went, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from memos_integrations.core.access import Caller, may_read
from memos_integrations.core.cube import MemCube
from memos_integrations.core.events import AccessDenied, CubeErased, CubeMoved, CubeWritten
from memos_integrations.core.item import ITEM
from memos_integrations.core.ports import LogQuery, Transaction
from memos_integrations.core.reading import GovernedReading
from memos_integrations.core.records import record_of

Change = CubeWritten | CubeErased | CubeMoved

MOST_VERSIONS = 10_000

LITTLE = 100
"""Among more events than these there is news for certain, and what is among it beside is not looked at."""

BOOKS = ("memstore",)
"""Below this place in a tenant stand the items in which `MemStore` keeps its books."""

DELIVER = "deliver"
"""The operation under which a delivery stands in the audit log."""


class GovernedDelivery(GovernedReading):
    """What `MemStore` asks of governance."""

    def happened(self, after: int, limit: int, caller: Caller) -> tuple[list[tuple[int, Change]], int]:
        """Of the next *limit* events after number *after* those in the caller's tenant, and the last number looked at.

        Refusals are no news: they are in the audit log, for whoever may read that.
        """
        self._reads.flush()
        found = self._vault.events(after, limit)
        mine = [
            (number, event)
            for number, event in found
            if event.tenant == caller.by.tenant and not isinstance(event, AccessDenied)
        ]
        return mine, found[-1][0] if found else after

    def noticed(self, after: int, limit: int, caller: Caller) -> tuple[list[int], int]:
        """`happened`, as bare numbers; where it is little, without the store's own books.

        How far a subscriber got is no news, and whoever was woken by it would write that down, and wake the others.
        """
        events, seen = self.happened(after, limit, caller)
        ids = list(dict.fromkeys(event.cube_id for _, event in events))
        there = self._vault.get(caller.by.tenant, ids) if len(ids) <= LITTLE else []
        kept = {cube.id for cube in there if cube.descriptive.semantic_type == ITEM and cube.namespace[1:2] == BOOKS}
        return [number for number, event in events if event.cube_id not in kept], seen

    def deliverable(self, ids: Sequence[str], caller: Caller) -> dict[str, MemCube]:
        """Those of *ids* that the caller may read now, by id. Nothing is recorded yet: see `deliver`."""
        self._reads.wait_for_uses()
        found = self._released(self._vault.get(caller.by.tenant, list(ids)), caller)
        return {cube.id: cube for cube in found if may_read(cube, caller)}

    def deliver(self, cubes: Sequence[MemCube], caller: Caller) -> None:
        """Record, durably, that the caller is given *cubes*, one record for each."""
        if cubes:
            self._reads.send()
            entries = tuple(record_of(DELIVER, caller, cube=cube) for cube in cubes)
            self._vault.submit(Transaction((), entries)).result()

    def delivered(self, cube_id: str, caller: Caller, *, within: timedelta | None = None) -> set[int]:
        """The versions of a memory that the caller was given by deliveries, ever or *within* the last so long."""
        asked = LogQuery(
            tenant=caller.by.tenant,
            actor=caller.by.subject,
            cube_id=cube_id,
            operation=DELIVER,
            since=None if within is None else caller.now - within,
            limit=MOST_VERSIONS,
        )
        return {entry.record.version or 0 for entry in self._vault.log(asked)}
