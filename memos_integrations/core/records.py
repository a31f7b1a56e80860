"""What governance writes down of a touch: audit records and events, with digests and names only. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from memos_integrations.core.access import Caller, Verb, subjects_for
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import CubeRef, MemCube, State, Tier
from memos_integrations.core.cube.frozen import frozen
from memos_integrations.core.events import AccessDenied, AlarmRaised, CubeErased, CubeMoved, CubeWritten, MemEvent
from memos_integrations.core.ports import (
    AuditEntry,
    AuditRecord,
    Change,
    Erase,
    Expect,
    Move,
    Outcome,
    Put,
    Transaction,
    Use,
    Vectors,
)

NAMED_IN_RECORD = 100
"""How many ids one audit record of a whole run names."""


MOST_USED = 1_000
"""How many ids one audit record of a look-up names as used: of a longer list the rest was only looked over."""

LOOKS = ("read", "history", "read_blob", "summarise", "find", "give")
"""Operations, as the log names them, that hand out memories and are no recall."""


LAPSE = "lapse"
"""The operation under which the end of a licence stands in the log."""


class NewVersion(NamedTuple):
    """A version to store, by whom, with its words for full text; `key` and `again` as in `Put`.

    `beside` are the ids that the caller is writing in the same batch, and may therefore replace. `verdict` is what the
    gate decided on it, for the audit log. `sources` are the
    cubes that it is derived from as far as they are written before it in the same transaction. `records` go into the
    log with it.
    """

    cube: MemCube
    caller: Caller
    terms: tuple[str, ...] = ()
    vector: Vectors | None = None
    key: str | None = None
    beside: Container[str] = ()
    again: bool = True
    verdict: dict[str, Any] | None = None
    sources: Mapping[str, MemCube] = MappingProxyType({})
    tokens: bytes | None = None
    records: tuple[AuditRecord, ...] = ()


class Instead(NamedTuple):
    """A version to be stored in the place of a cube that is erased, made of its version `of`."""

    version: NewVersion
    of: int


class Steps(NamedTuple):
    """What a lifecycle changes in one transaction: versions, moves `(cube as read, state after)`, and its own records.

    `expected` are versions that it read and did not change, which must still be the present ones; `uses` are counted.
    """

    versions: tuple[NewVersion, ...] = ()
    moves: tuple[tuple[MemCube, State], ...] = ()
    records: tuple[AuditRecord, ...] = ()
    expected: tuple[CubeRef, ...] = ()
    uses: tuple[Use, ...] = ()

    @property
    def written(self) -> tuple[CubeRef, ...]:
        """The versions that it writes."""
        return tuple(version.cube.ref for version in self.versions)

    def without(self, first: Transaction) -> Steps:
        """What is left of it where *first* erases or moves some of the same memories."""
        done = {change.cube_id for change in first.changes if isinstance(change, Erase | Move)}
        moves = tuple(each for each in self.moves if each[0].id not in done)
        return self._replace(moves=moves, records=tuple(each for each in self.records if each.cube_id not in done))

    def passing(self, caller: Caller) -> Iterator[Change]:
        """The Moves and uses; to bring a memory back is to use it, so that it is not archived again the same night."""
        yield from self.uses
        for cube, after in self.moves:
            yield Move(cube.id, cube.state, after)
            if after is State.ACTIVATED and cube.state in {State.ARCHIVED, State.MERGED}:
                yield Use(cube.id, caller.now, "")


def record_of(
    operation: str,
    caller: Caller,
    *,
    cube: MemCube | None = None,
    about: str | None = None,
    denied: str | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditRecord:
    """An audit record in the caller's tenant: of a *cube*, or of what was asked *about*."""
    # What comes from a caller and a cube was checked when they were made; the rest is checked here.
    make = AuditRecord.of_checked if about is None and detail is None else AuditRecord
    return make(
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
        agent=caller.context.agent,
        detail=detail,
    )


def handed_out(caller: Caller, detail: dict[str, Any]) -> AuditRecord:
    """The record of a recall; *detail* is made by the engine, of what was checked before."""
    plain = record_of("recall", caller)
    return plain.with_checked(detail=frozen(detail))


_RECORD = (
    b'{"actor":%b,"agent":%b,"application":%b,"at":%b,"cube_id":%b,"detail":null,"digest":%b,"operation":%b,'
    b'"outcome":"allowed","owner":%b,"purpose":%b,"reason":"","tenant":%b,"version":%d}'
)
_WRITTEN = b'{"actor":%b,"at":%b,"cube_id":%b,"kind":"cube_written","tenant":%b,"version":%d}'


def stored(operation: str, caller: Caller, cube: MemCube) -> tuple[AuditRecord, CubeWritten]:
    """The record and the event of a version that is stored, as `record_of` and `written` make them.

    Written out, with their canonical forms beside them: nothing is made more often.
    """
    by, context, now, spelled = caller.by, caller.context, caller.now, orjson.dumps
    tenant, actor, cube_id, version = by.tenant, by.subject, cube.id, cube.version
    owner, digest = cube.governance.owner, cube.digest
    record = AuditRecord.of_every(
        {
            "at": now,
            "tenant": tenant,
            "actor": actor,
            "operation": operation,
            "outcome": Outcome.ALLOWED,
            "reason": "",
            "cube_id": cube_id,
            "version": version,
            "owner": owner,
            "digest": digest,
            "purpose": context.purpose,
            "application": context.application,
            "agent": context.agent,
            "detail": None,
        }
    )
    event = CubeWritten.of_every(
        {
            "at": now,
            "tenant": cube.tenant,
            "cube_id": cube_id,
            "actor": actor,
            "kind": "cube_written",
            "version": version,
        }
    )
    who, at, which, where = spelled(actor), spelled(now, option=orjson.OPT_UTC_Z), spelled(cube_id), spelled(tenant)
    record.__dict__["_canonical"] = _RECORD % (
        who,
        spelled(context.agent),
        spelled(context.application),
        at,
        which,
        spelled(digest),
        spelled(operation),
        who if owner == actor else spelled(owner),
        spelled(context.purpose),
        where,
        version,
    )
    event.__dict__["_canonical"] = _WRITTEN % (who, at, which, where, version)
    return record, event


def written(cube: MemCube, caller: Caller) -> CubeWritten:
    """The event of a stored version."""
    return CubeWritten.of_checked(
        at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=caller.by.subject, version=cube.version
    )


def gated(version: NewVersion) -> tuple[AuditRecord, ...]:
    """What the gate decided on a version, for the log: rules and counts, no words. Nothing where it let it through."""
    told = version.verdict
    if told is None:
        return ()
    operation = {"quarantine": "quarantine", "allow": "alarm"}.get(told["ruling"], "gate")
    operations = [operation, *(["alarm"] if told.get("alarm") and operation != "alarm" else [])]
    return tuple(record_of(each, version.caller, cube=version.cube, detail=told) for each in operations)


def alarms(cube: MemCube, caller: Caller, verdict: dict[str, Any] | None) -> tuple[AlarmRaised, ...]:
    """The events of the alarms that a verdict raises."""
    if verdict is None or not verdict.get("alarm"):
        return ()
    at, by = caller.now, caller.by.subject
    return tuple(
        AlarmRaised(at=at, tenant=cube.tenant, cube_id=cube.id, actor=by, alarm=each)
        for each in ("burst", "contradictions")
        if each in verdict["found"]
    )


def events_of(version: NewVersion) -> tuple[MemEvent, ...]:
    """The events of a stored version: that it was written, and the alarms that it raises."""
    return written(version.cube, version.caller), *alarms(version.cube, version.caller, version.verdict)


def told_of(versions: Iterable[NewVersion], operation: str) -> tuple[tuple[AuditRecord, ...], tuple[MemEvent, ...]]:
    """All that the log and the outbox say of versions that are stored.

    Of each: by what, what the gate decided, and what came with it; that it was written, and the alarms that it raises.
    """
    records: list[AuditRecord] = []
    events: list[MemEvent] = []
    for version in versions:
        record, event = stored(operation, version.caller, version.cube)
        records.append(record)
        events.append(event)
        if version.verdict is not None:
            records += gated(version)
            events += alarms(version.cube, version.caller, version.verdict)
        records += version.records
    return tuple(records), tuple(events)


def moved(cube: MemCube, after: State, caller: Caller) -> CubeMoved:
    """The event of a cube that passes from its state to another."""
    return CubeMoved.of_checked(
        at=caller.now, tenant=cube.tenant, cube_id=cube.id, actor=caller.by.subject, before=cube.state, after=after
    )


def entries_of(steps: Steps, caller: Caller, operation: str) -> tuple[AuditRecord, ...]:
    """The entries of what *operation* stores: of what was there before it says `update` where it remembers."""
    later = "update" if operation == "remember" else operation
    stored = [
        record_of(operation if each.cube.version == 1 else later, caller, cube=each.cube) for each in steps.versions
    ]
    return (*stored, *(record for each in steps.versions for record in gated(each)))


def passed(steps: Steps, caller: Caller) -> Transaction:
    """The moves of *steps*, each with its record and event, and the records of its own."""
    used = {cube.id for cube, after in steps.moves if (cube.state, after) == (State.GENERATED, State.ACTIVATED)}
    records = [
        record_of(f"to_{after}", caller, cube=cube, detail={"before": State.GENERATED} if cube.id in used else None)
        for cube, after in steps.moves
    ]
    return Transaction(
        tuple(steps.passing(caller)),
        (*records, *steps.records),
        tuple(moved(cube, after, caller) for cube, after in steps.moves),
    )


def denied(cube: MemCube, verb: Verb, caller: Caller) -> AccessDenied:
    """Somebody was refused: the event."""
    return AccessDenied(at=caller.now, tenant=caller.by.tenant, cube_id=cube.id, actor=caller.by.subject, verb=verb)


def used_in(ids: Sequence[str]) -> dict[str, Any]:
    """For the record of a look-up that gave several memories: which it used, by ids; of a long list its beginning."""
    return {"used_ids": list(ids[:MOST_USED])}


def looks_in(entries: Iterable[AuditEntry]) -> dict[str, datetime]:
    """When memories were last looked up, by id, as the log tells."""
    found: dict[str, datetime] = {}
    for entry in entries:
        record = entry.record
        if record.outcome is not Outcome.ALLOWED or record.operation not in LOOKS:
            continue
        for cube_id in [record.cube_id] if record.cube_id else (record.detail or {}).get("used_ids", ()):
            found[cube_id] = max(record.at, found.get(cube_id, record.at))
    return found


def _erased(cube: MemCube) -> tuple[Expect, Erase]:
    told = cube.tier is Tier.PLAINTEXT and cube.descriptive.semantic_type != ITEM
    return Expect(cube.id, cube.version), Erase(cube.id, lasting=told)


def erasure(doomed: Sequence[MemCube], caller: Caller) -> Transaction:
    """One transaction that erases the cubes in order, if each is as it was when that was decided.

    What was told stays forgotten, see `Erase.lasting`; the address of an item and the key of a cache are free again.
    """
    actor = caller.by.subject
    return Transaction(
        changes=tuple(change for each in doomed for change in _erased(each)),
        audit=tuple(record_of("forget", caller, cube=each) for each in doomed),
        events=tuple(CubeErased(at=caller.now, tenant=each.tenant, cube_id=each.id, actor=actor) for each in doomed),
    )


def joined(one: Transaction, other: Transaction) -> Transaction:
    """Both, in this order, true together."""
    return Transaction(one.changes + other.changes, one.audit + other.audit, one.events + other.events)


def changes_of(version: NewVersion) -> tuple[Change, ...]:
    """The Put of a version, if its sources are still as they were when that was decided."""
    cube = version.cube
    readers = subjects_for(Verb.READ, cube.governance)
    put = Put(cube, readers, version.terms, version.vector, version.key, version.again, version.tokens)
    sources = cube.provenance.derived_from if cube.version == 1 else ()
    return (*[Expect(ref.id, ref.version) for ref in sources], put) if sources else (put,)
