"""The audit log: what is recorded of every touch, and how it is asked for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from pydantic import Field

from memos_integrations.core.cube import Digest, Json, Label, Moment, Number, Text, Value


class Outcome(StrEnum):
    """What was decided."""

    ALLOWED = "allowed"
    DENIED = "denied"


class AuditRecord(Value):
    """What the audit log says of one touch: digests and names, never payload text."""

    at: Moment
    tenant: Label
    actor: Label
    operation: Label
    outcome: Outcome
    reason: Text = ""
    cube_id: Label | None = None
    version: Number | None = None
    owner: Label | None = None
    digest: Digest | None = None
    purpose: Label | None = None
    application: Label | None = None
    agent: Label | None = None
    detail: Json = None


class AuditEntry(Value):
    """One link of the chain: `hash` is SHA-256 over `previous` and the canonical record with its number."""

    number: Number
    record: AuditRecord
    previous: Digest
    hash: Digest


class LogFilters(TypedDict, total=False):
    """Which audit entries: what is not said means any. `after` is the number of the last entry already seen."""

    since: datetime | None
    until: datetime | None
    actor: str | None
    owner: str | None
    cube_id: str | None
    cube_ids: tuple[str, ...]
    operation: str | None
    outcome: Outcome | str | None
    after: int
    limit: int


class LogQuery(Value):
    """Which audit entries (paper §5.2, LogQuery); the oldest `limit` after `after` come first.

    Every None means any; of `cube_ids` an entry names one, or they are empty.
    """

    tenant: Label
    since: Moment | None = None
    until: Moment | None = None
    actor: Label | None = None
    owner: Label | None = None
    cube_id: Label | None = None
    cube_ids: tuple[str, ...] = ()
    operation: Label | None = None
    outcome: Outcome | None = None
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=10_000)


class AuditReport(Value):
    """Whether the chain holds: `problems` is empty when it does."""

    entries: int
    head: Digest
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.problems
