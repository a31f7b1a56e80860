"""Governed delivery: what happened in a tenant, and the memories that a subscriber may have of it.

An event is looked at as whoever it goes to, at the moment it goes: what they may not read then is absent. Of a memory
that they were given before and may no longer have, they are told that it went, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from memos_integrations.core.access import ADMIN_ROLE, AUDITOR_ROLE, Caller, Verb
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import MemCube, State, Tier
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    LicenceSpentError,
    RateSpentError,
    VersionConflictError,
)
from memos_integrations.core.events import AccessDenied, AlarmRaised, CubeErased, CubeMoved, CubeWritten, LicenceEnded
from memos_integrations.core.licensing import is_counted, rooms
from memos_integrations.core.news import News
from memos_integrations.core.ports import (
    AuditEntry,
    AuditReport,
    CubeFilter,
    Expect,
    LogQuery,
    Outcome,
    Room,
    Transaction,
    Use,
    VaultQuery,
)
from memos_integrations.core.ports import Change as VaultChange
from memos_integrations.core.reading import GovernedReading
from memos_integrations.core.records import LAPSE, record_of

Change = CubeWritten | CubeErased | CubeMoved | LicenceEnded

MOST_ENTRIES = 10_000
MOST_ASKED = 1_000
MOST_LAPSING = 100_000
MOST_OWNED = 1_000_000
EVERYTHING = CubeFilter(states=frozenset(State), tiers=frozenset(Tier))

LITTLE = 100
"""Among more events than these there is news for certain, and what is among it beside is not looked at."""

DELIVER = "deliver"
"""The operation under which a delivery stands in the audit log."""


class Sending(NamedTuple):
    """A memory on its way to a subscriber, at most so often within each of `rates`.

    `again`: this version was given before; to be given it again is no other use of its licence.
    """

    cube: MemCube
    rates: tuple[tuple[int, timedelta], ...] = ()
    again: bool = False


class GovernedDelivery(GovernedReading):
    """What `MemStore` asks of governance."""

    @property
    def news(self) -> News:
        """Rings when something was written through this doorway; see `MemStore.follow`."""
        return self._news

    def happened(self, after: int, limit: int, caller: Caller) -> tuple[list[tuple[int, Change]], int]:
        """Of the next *limit* events after number *after* those in the caller's tenant, and the last number looked at.

        Refusals and alarms are no news: they are in the audit log, for whoever may read that.
        """
        self._reads.wait_for_uses()
        found = self._vault.events(after, limit)
        mine = [
            (number, event)
            for number, event in found
            if event.tenant == caller.by.tenant and not isinstance(event, AccessDenied | AlarmRaised)
        ]
        return mine, found[-1][0] if found else after

    def last_event(self) -> int:
        """The number of the newest event of all; what reads so far brought about is among them."""
        self._reads.wait_for_uses()
        return self._vault.last_event()

    def noticed(self, after: int, limit: int, caller: Caller) -> tuple[list[int], int]:
        """`happened`, as bare numbers; where it is little, without the store's own books.

        How far a subscriber got is no news, and whoever was woken by it would write that down, and wake the others.
        """
        events, seen = self.happened(after, limit, caller)
        ids = list(dict.fromkeys(event.cube_id for _, event in events))
        told = {*(self.outside_the_books(ids, caller) if len(ids) <= LITTLE else ids)}
        return [number for number, event in events if event.cube_id in told], seen

    def outside_the_books(self, ids: Sequence[str], caller: Caller) -> list[str]:
        """Those of *ids* that do not stand for the store's own books, which nobody is ever given."""
        kept = {cube.id for cube in self._vault.get(caller.by.tenant, list(ids)) if is_of_the_books(cube)}
        return [cube_id for cube_id in ids if cube_id not in kept]

    def deliverable(self, ids: Sequence[str], caller: Caller) -> dict[str, MemCube]:
        """Those of *ids* that the caller may read now, by id. Nothing is recorded yet: see `deliver`."""
        self._reads.wait_for_uses()
        found = self._released(self._vault.get(caller.by.tenant, list(ids)), caller)
        return {cube.id: cube for cube in self._sight.shown(found, caller)}

    def deliver(self, sendings: Sequence[Sending], caller: Caller) -> list[bool]:
        """Record, durably, that the caller is given memories, one record for each; which of them, in their order.

        Licences and rates are counted in the transaction that records it. What a licence refuses, or what changed
        meanwhile, is not given. Where a rate has no room the answer ends: nothing from there on was given.
        """
        if not sendings:
            return []
        self._reads.send()
        rated = [each.cube.id for each in sendings if each.rates or rooms(each.cube, caller)]
        if len({*rated}) < len(rated):  # two versions of one memory: the first must be in the log before the second
            return self._sent_apart(sendings, caller)
        try:
            self._send(sendings, caller)
        except (LicenceSpentError, RateSpentError, VersionConflictError, CubeNotFoundError):
            return self._sent_apart(sendings, caller)
        return [True] * len(sendings)

    def _send(self, sendings: Sequence[Sending], caller: Caller) -> None:
        changes = tuple(change for each in sendings for change in _metered(each, caller))
        entries = [record_of(DELIVER, caller, cube=each.cube) for each in sendings]
        entries += [record_of("use", caller, cube=each.cube) for each in sendings if _is_use(each, caller)]
        self._vault.submit(Transaction(changes, tuple(entries))).result()

    def _sent_apart(self, sendings: Sequence[Sending], caller: Caller) -> list[bool]:
        """Each on its own where something counts it, so that one that is refused stops no other."""
        sent: list[bool] = []
        for counted, some in groupby(sendings, key=lambda each: any(True for _ in _metered(each, caller))):
            for part in ([each] for each in some) if counted else [list(some)]:
                try:
                    self._send(part, caller)
                    sent += [True] * len(part)
                except RateSpentError:
                    return sent
                except LicenceSpentError:
                    self._deny(part[0].cube, Verb.READ, DELIVER, "its licence has no uses left", caller)
                    sent.append(False)
                except (VersionConflictError, CubeNotFoundError):
                    sent.append(False)  # the event of the change is yet to come
        return sent

    def delivered(self, ids: Sequence[str], caller: Caller, *, within: timedelta | None = None) -> dict[str, set[int]]:
        """Of each of *ids* the versions that the caller was given by deliveries, ever or *within* the last so long."""
        given: dict[str, set[int]] = {cube_id: set() for cube_id in ids}
        asked = list(given)
        for start in range(0, len(asked), MOST_ASKED):
            query = LogQuery(
                tenant=caller.by.tenant,
                actor=caller.by.subject,
                cube_ids=tuple(asked[start : start + MOST_ASKED]),
                operation=DELIVER,
                outcome=Outcome.ALLOWED,
                since=None if within is None else caller.now - within,
                limit=MOST_ENTRIES,
            )
            while entries := self._vault.log(query):
                for entry in entries:
                    given[entry.record.cube_id or ""].add(entry.record.version or 0)
                if len(entries) < MOST_ENTRIES:
                    break
                query = query.model_copy(update={"after": entries[-1].number})
        return given

    # --- what ends by itself

    def owned(self, caller: Caller, where: CubeFilter = EVERYTHING) -> list[MemCube]:
        """The caller's own memories that pass, past their time too, whatever their sources say; unrecorded.

        For their ageing and roll-backs only.
        """
        early = datetime.min.replace(tzinfo=caller.now.tzinfo)  # when nothing had expired yet
        visible = replace(self._sight.bare(caller), subjects=frozenset({caller.by.subject}), now=early)
        self._reads.flush()
        found = self._vault.search(VaultQuery(k=MOST_OWNED, filter=where), visible)
        return [match.cube for match in found.matches if match.cube.governance.owner == caller.by.subject]

    def lapse(self, where: CubeFilter, caller: Caller) -> int:
        """`lapsed`, of what the caller was given to read and may not any more. No word of it leaves the vault."""
        found = self._vault.search(VaultQuery(k=MOST_LAPSING, filter=where), self._sight.of(caller, where))
        return self.lapsed([match.cube for match in found.matches], caller)

    def lapsed(self, cubes: Sequence[MemCube], caller: Caller) -> int:
        """Say in the outbox, once for each version, that the licences of those of *cubes* whose time is over ended."""
        over = [cube for cube in cubes if _ended(cube, caller)]
        told = 0
        for start in range(0, len(over), MOST_ASKED):
            page = {cube.id: cube for cube in over[start : start + MOST_ASKED]}
            query = LogQuery(tenant=caller.by.tenant, cube_ids=tuple(page), operation=LAPSE, limit=MOST_ENTRIES)
            known = Counter((entry.record.cube_id, entry.record.version) for entry in self._vault.log(query))
            fresh = [cube for cube in page.values() if known[cube.id, cube.version] < _ended(cube, caller)]
            at, tenant, actor = caller.now, caller.by.tenant, caller.by.subject
            events = tuple(LicenceEnded(at=at, tenant=tenant, cube_id=cube.id, actor=actor) for cube in fresh)
            if fresh:
                entries = tuple(record_of(LAPSE, caller, cube=cube) for cube in fresh)
                self._vault.submit(Transaction((), entries, events)).result()
            told += len(fresh)
        return told

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


def _ended(cube: MemCube, caller: Caller) -> int:
    """How many of its licences are over."""
    licence = cube.governance.licence
    return 0 if licence is None else sum(each.is_over(caller.now) for each in (licence, *licence.apart))


def _is_use(sending: Sending, caller: Caller) -> bool:
    return is_counted(sending.cube, caller) and not sending.again


def _metered(sending: Sending, caller: Caller) -> Iterator[VaultChange]:
    """What counts a sending in its transaction."""
    cube = sending.cube
    if _is_use(sending, caller):
        yield Expect(cube.id, cube.version)
        yield from rooms(cube, caller)
        yield Use(cube.id, caller.now, "", cube.governance.licence_for(caller.by.subjects))
    for count, per in sending.rates:
        yield Room(cube.id, cube.version, caller.by.tenant, caller.by.subject, DELIVER, caller.now - per, count)
