"""Governed delivery: what happened in a tenant, and the memories that a subscriber may have of it.

An event is looked at as whoever it goes to, at the moment it goes: what they may not read then is absent. Of a memory
that they were given before and may no longer have, they are told that it went, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from memos_integrations.core.access import ADMIN_ROLE, AUDITOR_ROLE, Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import AccessDeniedError
from memos_integrations.core.events import AccessDenied, CubeErased, CubeMoved, CubeWritten
from memos_integrations.core.ports import AuditEntry, AuditReport, LogQuery, Transaction
from memos_integrations.core.reading import GovernedReading
from memos_integrations.core.records import record_of

Change = CubeWritten | CubeErased | CubeMoved

MOST_VERSIONS = 10_000

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

    def deliverable(self, ids: Sequence[str], caller: Caller) -> dict[str, MemCube]:
        """Those of *ids* that the caller may read now, by id. Nothing is recorded yet: see `deliver`."""
        self._reads.wait_for_uses()
        found = self._released(self._vault.get(caller.by.tenant, list(ids)), caller)
        return {cube.id: cube for cube in self._sight.shown(found, caller)}

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

    # --- accounting ---------------------------------------------------------------------------------------------

    def log(self, query: LogQuery, caller: Caller) -> list[AuditEntry]:
        """Audit entries of the caller's tenant: all for the roles admin and auditor, else the caller's own deeds.

        Raises:
            AccessDeniedError: The query names another tenant.
        """
        if query.tenant != caller.by.tenant:
            self._submit(record_of("audit", caller, denied="another tenant's log"))
            raise AccessDeniedError("One reads only the audit log of one's own tenant.")
        every = bool(caller.by.subjects & {ADMIN_ROLE, AUDITOR_ROLE})
        theirs = not every and query.actor not in {None, caller.by.subject}
        if not every:
            query = query.model_copy(update={"actor": caller.by.subject})
        self._reads.flush()
        entries = [] if theirs else self._vault.log(query)
        self._reads.record(Transaction((), (record_of("audit", caller, detail={"entries": len(entries)}),)))
        return entries

    def verify_audit(self) -> AuditReport:
        """Walk the whole audit chain; see `Vault.verify_audit`."""
        self._reads.flush()
        return self._vault.verify_audit()
