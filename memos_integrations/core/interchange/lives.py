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
from typing import Any

from memos_integrations.core.access import Caller
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.changes import LOG_PAGE
from memos_integrations.core.ports import LogQuery
from memos_integrations.core.records import record_of

WROTE, BEGAN = "sync_part", "sync_life"
"""The operations by which a vault notes that it is about to write a part, and that it writes under a new name."""

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Lives:
    """The names of one vault: the first digits of its key, and for later lives eight digits more.

    `wrote` are the bundles that it wrote as each part, by the part's file name.
    """

    digits: str
    wrote: dict[str, set[str]] = field(default_factory=dict)
    _last: datetime = _ALWAYS
    _began: list[tuple[datetime, str]] = field(default_factory=list)

    @classmethod
    def of(cls, governance: MemGovernance, caller: Caller, digits: str) -> Lives:
        """What the vault's log says of the caller's series under this key."""
        found = cls(digits)
        for said, _ in _noted(governance, caller, BEGAN):
            if str(said["name"]).startswith(digits):
                found._began.append((datetime.fromisoformat(said["since"]), said["name"]))
        for said, at in _noted(governance, caller, WROTE):
            if str(said["part"]).startswith(digits):
                found.wrote.setdefault(said["part"], set()).add(said["bundle"])
                found._last = max(found._last, at)
        return found

    @property
    def now(self) -> str:
        """The name of the present life."""
        return self._began[-1][1] if self._began else self.digits

    def at(self, moment: datetime) -> str:
        """The name under which the vault wrote at a moment."""
        names = [name for since, name in self._began if since < moment]
        return names[-1] if names else self.digits

    def are_own(self, name: str) -> bool:
        """Whether a replica's name is that of a life of this key."""
        return name.startswith(self.digits)

    def begin(self, governance: MemGovernance, caller: Caller) -> None:
        """Begin another life, which holds what was written since the last part that is known; durable on return."""
        name = self.digits + secrets.token_hex(4)
        governance.note(record_of(BEGAN, caller, detail={"name": name, "since": self._last.isoformat()}))
        self._began.append((self._last, name))

    def note(self, governance: MemGovernance, caller: Caller, part: str, bundle: str) -> None:
        """Note that a bundle is about to be written as a part; durable on return."""
        governance.note(record_of(WROTE, caller, detail={"part": part, "bundle": bundle}))
        self.wrote.setdefault(part, set()).add(bundle)


def _noted(governance: MemGovernance, caller: Caller, operation: str) -> Iterator[tuple[dict[str, Any], datetime]]:
    query = LogQuery(tenant=caller.by.tenant, actor=caller.by.subject, operation=operation, limit=LOG_PAGE)
    while entries := governance.lifecycle_log(query):
        for entry in entries:
            if isinstance(entry.record.detail, dict):
                yield entry.record.detail, entry.record.at
        query = query.model_copy(update={"after": entries[-1].number})
