"""Under which name a vault writes its series: another one from where it was restored or copied.

So no number of a series, and no count of a clock, is used twice for different things. A vault notes each part before
it is written. A part that its key signed and that it does not know of was written by another life of it: before it was
restored from a backup, by a copy of it, or by another vault with the same key. From then on it writes under a new name,
from the beginning, and reads what the other life wrote as that of another vault.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import MemCube
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.changes import LOG_PAGE, READ
from memos_integrations.core.ports import AuditEntry, LogQuery, Outcome
from memos_integrations.core.records import record_of

WROTE, BEGAN = "sync_part", "sync_life"
"""The operations by which a vault notes that it is about to write a part, and that it writes under a new name."""


class _Place(NamedTuple):
    """A place in the vault's log, and the latest time that was written there or before."""

    number: int
    at: datetime


class _Life(NamedTuple):
    """A later life, which has what was written after the last part that was known when it began."""

    after: _Place
    name: str


_BEFORE = _Place(0, datetime.min.replace(tzinfo=UTC))


@dataclass(slots=True)
class Lives:
    """The names of one vault: the first digits of its key, and for later lives eight digits more.

    `wrote` are the bundles that it wrote as each part, by the part's file name.
    """

    governance: MemGovernance
    caller: Caller
    digits: str
    wrote: dict[str, set[str]] = field(default_factory=dict)
    _last: _Place = _BEFORE
    _began: list[_Life] = field(default_factory=list)

    @classmethod
    def of(cls, governance: MemGovernance, caller: Caller, digits: str) -> Lives:
        """What the vault's log says of the caller's series under this key."""
        found, places = cls(governance, caller, digits), [_BEFORE]
        for entry, said in found._noted(WROTE):
            if str(said["part"]).startswith(digits):
                found.wrote.setdefault(said["part"], set()).add(said["bundle"])
                places.append(_Place(entry.number, max(entry.record.at, places[-1].at)))
        for entry, said in found._noted(BEGAN):
            if str(said["name"]).startswith(digits):
                known = [place for place in places if place.number < entry.number]
                found._began.append(_Life(known[-1], said["name"]))
        found._last = places[-1]
        return found

    @property
    def now(self) -> str:
        """The name of the present life."""
        return self._began[-1][1] if self._began else self.digits

    def at(self, moment: datetime) -> str:
        """The name under which the vault wrote at a moment."""
        names = [life.name for life in self._began if life.after.at < moment]
        return names[-1] if names else self.digits

    def writer_of(self, cube: MemCube) -> str:
        """The name under which the vault wrote a version: by the order of its log, as clocks may be set back."""
        number = self._number_of(cube) if self._began else 0
        if number is None:
            return self.at(cube.descriptive.recorded_at)
        names = [life.name for life in self._began if life.after.number < number]
        return names[-1] if names else self.digits

    def _number_of(self, cube: MemCube) -> int | None:
        """The place in the log at which a version was written."""
        query = LogQuery(tenant=self.caller.by.tenant, cube_id=cube.id, outcome=Outcome.ALLOWED, limit=LOG_PAGE)
        while entries := self.governance.lifecycle_log(query):
            for entry in entries:
                if entry.record.version == cube.version and entry.record.operation not in READ:
                    return entry.number
            query = query.model_copy(update={"after": entries[-1].number})
        return None

    def are_own(self, name: str) -> bool:
        """Whether a replica's name is that of a life of this key."""
        return name.startswith(self.digits)

    def begin(self) -> None:
        """Begin another life, which holds what was written since the last part that is known; durable on return."""
        name = self.digits + secrets.token_hex(4)
        detail = {"name": name, "since": self._last.at.isoformat()}
        self.governance.note(record_of(BEGAN, self.caller, detail=detail))
        self._began.append(_Life(self._last, name))

    def note(self, part: str, bundle: str) -> None:
        """Note that a bundle is about to be written as a part; durable on return."""
        self.governance.note(record_of(WROTE, self.caller, detail={"part": part, "bundle": bundle}))
        self.wrote.setdefault(part, set()).add(bundle)

    def _noted(self, operation: str) -> Iterator[tuple[AuditEntry, dict[str, Any]]]:
        by = self.caller.by
        query = LogQuery(tenant=by.tenant, actor=by.subject, operation=operation, limit=LOG_PAGE)
        while entries := self.governance.lifecycle_log(query):
            for entry in entries:
                if isinstance(entry.record.detail, dict):
                    yield entry, entry.record.detail
            query = query.model_copy(update={"after": entries[-1].number})
