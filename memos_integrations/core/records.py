"""What governance writes down of a touch: audit records and events with names and digests, never a word of a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memos_integrations.core.access import Caller, Verb
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.events import AccessDenied, CubeErased, CubeMoved
from memos_integrations.core.ports import AuditRecord, Erase, Expect, Outcome, Transaction


def denied(cube: MemCube, verb: Verb, caller: Caller) -> AccessDenied:
    """Somebody was refused: the event."""
    return AccessDenied(at=caller.now, tenant=caller.by.tenant, cube_id=cube.id, actor=caller.by.subject, verb=verb)


def erasure(doomed: Sequence[MemCube], caller: Caller) -> Transaction:
    """One transaction that erases the cubes in order, if each is as it was when that was decided."""
    actor = caller.by.subject
    return Transaction(
        changes=tuple(change for each in doomed for change in (Expect(each.id, each.version), Erase(each.id))),
        audit=tuple(record("forget", caller, cube=each) for each in doomed),
        events=tuple(CubeErased(at=caller.now, tenant=each.tenant, cube_id=each.id, actor=actor) for each in doomed),
    )


def moved(cube: MemCube, after: State, caller: Caller) -> CubeMoved:
    """A cube passed to another state: the event."""
    actor = caller.by.subject
    return CubeMoved(at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=actor, before=cube.state, after=after)


def record(
    operation: str,
    caller: Caller,
    *,
    cube: MemCube | None = None,
    about: str | None = None,
    denied: str | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditRecord:
    """An audit record in the caller's tenant, with digests and names only."""
    return AuditRecord(
        at=caller.now,
        tenant=caller.by.tenant,
        actor=caller.by.subject,
        operation=operation,
        outcome=Outcome.ALLOWED if denied is None else Outcome.DENIED,
        reason=denied or "",
        cube_id=cube.id if cube else about,
        version=cube.version if cube else None,
        owner=cube.governance.owner if cube else None,
        digest=cube.digest if cube else None,
        purpose=caller.context.purpose,
        application=caller.context.application,
        detail=detail,
    )
