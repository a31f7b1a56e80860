"""The forms that memories take when something is decided about them, and the record of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from memos_integrations.core.access import Caller
from memos_integrations.core.conflict.decision import Decided, Ruling, Verdict
from memos_integrations.core.conflict.rules import told_at
from memos_integrations.core.cube import Link, MemCube, Relation, State, unique
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.ports import AuditEntry, AuditRecord
from memos_integrations.core.records import Steps, record_of

ABOUT = timedelta(days=31)
"""How far off a beginning may be that is told as a month: "since last month"."""

WELL_BEFORE = timedelta(days=60)
"""A memory that began so long before another was told is the earlier one, even when it is told later."""


def in_order(one: MemCube, other: MemCube) -> tuple[MemCube, MemCube]:
    """The later and the earlier of two memories in the world.

    What was said later is later, unless it says itself that it began well before what the other says. What was brought
    back by hand says against what it contradicts, and is later than that.
    """
    if (against := _against(one, other)) != _against(other, one):
        return (one, other) if against else (other, one)
    later, earlier = (one, other) if _place(one) > _place(other) else (other, one)
    began, since = later.descriptive.valid_from, earlier.descriptive.valid_from
    if (
        began is not None
        and not _THIS.search(later.text)
        and began < (told_at(earlier) - WELL_BEFORE if since is None else since - ABOUT)
    ):
        return earlier, later
    return later, earlier


_THIS = re.compile(r"\bthis (?:year|quarter|season|semester|term|school year)\b", re.IGNORECASE)
"""What is told of the time that it is told in began somewhere within it."""


def _against(one: MemCube, other: MemCube) -> bool:
    return any(link.relation is Relation.CONTRADICTS and link.target == other.id for link in one.provenance.links)


def _place(cube: MemCube) -> tuple[datetime, datetime, str]:
    return told_at(cube), cube.descriptive.created_at, cube.id


def is_known(newer: MemCube, older: MemCube, verdict: Verdict) -> bool:
    """Whether this was decided before, as the newer says itself."""
    links = {(link.relation, link.target) for link in newer.provenance.links}
    flagged = (Relation.CONTRADICTS, older.id) in links and verdict.ruling is Ruling.FLAG
    settled = older.descriptive.valid_to is not None or ends_of(newer) is not None
    flagged = flagged or ((Relation.CONTRADICTS, older.id) in links and _place(newer) < _place(older))
    return flagged or ((Relation.SUPERSEDES, older.id) in links and settled)


def ends_of(cube: MemCube) -> datetime | None:
    """When a memory stops holding, or being kept; None: it says no end."""
    ends = [each for each in (cube.descriptive.valid_to, cube.governance.expires_at) if each is not None]
    return min(ends, default=None)


def is_fixed(cube: MemCube) -> bool:
    """Whether nothing may change it: on hold, or frozen."""
    try:
        check_change(cube)
    except (LegalHoldError, IllegalTransitionError):
        return True
    return False


def may_move(cube: MemCube, ruling: Ruling) -> bool:
    """Whether the ruling may take a memory in this state out of recall."""
    allowed = {State.GENERATED, State.ACTIVATED}
    return cube.state in (allowed if ruling is Ruling.MERGE else allowed | {State.MERGED})


def targets(cube: MemCube) -> tuple[str, ...]:
    """What a memory points at."""
    return tuple(link.target for link in cube.provenance.links)


def linked(cube: MemCube, relation: Relation, target: str) -> MemCube:
    """The memory with a link more, its last."""
    link = Link(relation=relation, target=target)
    links = (*(each for each in cube.provenance.links if each != link), link)
    return cube.model_copy(update={"provenance": cube.provenance.model_copy(update={"links": links})})


def tagged(cube: MemCube, tags: tuple[str, ...]) -> MemCube:
    """The memory with more tags."""
    own = cube.descriptive
    return cube.model_copy(update={"descriptive": own.model_copy(update={"tags": unique([*own.tags, *tags])})})


def unlinked(cube: MemCube, target: str, ways: Collection[Relation]) -> MemCube:
    """The memory without its links of these relations to *target*."""
    links = tuple(link for link in cube.provenance.links if link.target != target or link.relation not in ways)
    return cube.model_copy(update={"provenance": cube.provenance.model_copy(update={"links": links})})


def let_go(other: MemCube, cube: MemCube) -> MemCube:
    """What had retired a memory, or what that was merged into, without saying so.

    Raises:
        LegalHoldError, IllegalTransitionError: It would have to change, and is on hold or frozen.
    """
    form = unlinked(other, cube.id, {Relation.SUPERSEDES, Relation.MERGED_FROM})
    if form != other:
        check_change(other)
        if other.descriptive.valid_from is not None and other.descriptive.valid_from == cube.descriptive.valid_to:
            begins = other.descriptive.model_copy(update={"valid_from": None})
            form = form.model_copy(update={"descriptive": begins})
    return form


def begun(cube: MemCube, at: datetime) -> MemCube:
    """The memory, valid from *at* where nothing else is said: before that the older one held."""
    own = cube.descriptive
    if own.valid_from is not None or (own.valid_to is not None and own.valid_to < at):
        return cube
    return cube.model_copy(update={"descriptive": own.model_copy(update={"valid_from": at})})


def closed(cube: MemCube, at: datetime) -> MemCube:
    """The memory, valid until *at* at the latest."""
    own = cube.descriptive
    ends = at if own.valid_to is None else min(at, own.valid_to)
    return cube.model_copy(update={"descriptive": own.model_copy(update={"valid_to": ends})})


def decided(newer: MemCube, older: MemCube, changed: MemCube, verdict: Verdict, caller: Caller) -> Decided:
    """The decision as a value."""
    return Decided(
        id=f"{newer.id}:{older.id}",
        ruling=verdict.ruling,
        newer=newer.id,
        older=older.id,
        reason=verdict.reason,
        rules=unique(each.rule for each in verdict.evidence),
        evidence=verdict.evidence,
        at=caller.now,
        state=changed.state,
        version=changed.version,
    )


def brought_back(cube: MemCube, against: Sequence[MemCube], caller: Caller) -> tuple[MemCube, tuple[AuditRecord, ...]]:
    """A memory that somebody recalls again, flagged as contradicting those; with the records of these decisions."""
    verdict = Verdict(Ruling.FLAG, "it was brought back by hand, and both are kept")
    made = tuple(recorded(decided(cube, one, one, verdict, caller), caller) for one in against)
    for one in against:
        cube = linked(cube, Relation.CONTRADICTS, one.id)
    return cube, made


def as_told(cube: MemCube, first: MemCube) -> MemCube:
    """The memory as it is now, valid as its *first* version was: a decision may have closed it since."""
    since = {"valid_from": first.descriptive.valid_from, "valid_to": first.descriptive.valid_to}
    return cube.model_copy(update={"descriptive": cube.descriptive.model_copy(update=since)})


def undone(decision: Decided, caller: Caller, more: dict[str, bool]) -> AuditRecord:
    """That a decision was taken back, as the audit log keeps it."""
    detail: dict[str, str | bool] = {"newer": decision.newer, "ruling": decision.ruling.value}
    return record_of("undo", caller, about=decision.older, detail=detail | more)


def recorded(decision: Decided, caller: Caller) -> AuditRecord:
    """The decision as the audit log keeps it: rules and ids, no words."""
    detail = {
        "newer": decision.newer,
        "reason": decision.reason,
        "rules": list(decision.rules),
        "state": decision.state.value,
        "version": decision.version,
    } | ({"until": decision.until.isoformat()} if decision.until else {})
    return record_of(decision.ruling.value, caller, about=decision.older, detail=detail)


def pair(entry: AuditEntry) -> tuple[str, str]:
    """The (newer, older) that an audit entry is about."""
    detail = entry.record.detail
    return (str(detail.get("newer", "")) if isinstance(detail, dict) else "", entry.record.cube_id or "")


def from_entry(entry: AuditEntry) -> Decided | None:
    """The decision that an audit entry records; None for another entry."""
    detail, record = entry.record.detail, entry.record
    if record.operation == "undo" or not isinstance(detail, dict):
        return None
    newer, older = pair(entry)
    return Decided(
        id=f"{newer}:{older}",
        ruling=Ruling(record.operation),
        newer=newer,
        older=older,
        reason=str(detail["reason"]),
        rules=tuple(str(each) for each in detail["rules"]),
        at=record.at,
        state=State(detail["state"]),
        version=int(detail["version"]),
        until=datetime.fromisoformat(str(detail["until"])) if detail.get("until") else None,
    )


def joined(one: Steps, other: Steps) -> Steps:
    """Both; of two new versions of a cube the first stands, which the second would have been built on."""
    known = {version.cube.id for version in one.versions}
    fresh = tuple(version for version in other.versions if version.cube.id not in known)
    return Steps((*one.versions, *fresh), (*one.moves, *other.moves), (*one.records, *other.records))


def begun_before(newer: MemCube, older: MemCube) -> MemCube:
    """The newer without the beginning that it has from the end of the older."""
    if newer.descriptive.valid_from != older.descriptive.valid_to:
        return newer
    return newer.model_copy(update={"descriptive": newer.descriptive.model_copy(update={"valid_from": None})})
