"""The audit chain: each entry's hash covers the one before, so a change anywhere breaks every hash after it.

The chain shows edits, removals and reordering inside the log. Somebody who owns the file can still rewrite all of it,
or cut its tail and set the head back: only a copy of the head kept elsewhere shows that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from memos_integrations.core.cube import sha256
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import AuditEntry, AuditRecord, AuditReport, LogQuery, Outcome
from memos_integrations.vaults.rules import micros

GENESIS = "0" * 64
"""What the first entry names as its previous hash."""

WRITING = frozenset({"remember", "update", "hold", "release"})
"""Operations whose records carry the digest of the version that they stored."""

ERASING = frozenset({"forget", "erase"})
"""Operations after which a cube's versions are rightly gone."""

_MOST_PROBLEMS = 100


Outline = tuple[str, int, str, str | None, str | None, str, str]
"""What one asks the audit log by: tenant, microseconds, actor, owner, cube id, operation, outcome."""


def outline(record: AuditRecord) -> Outline:
    """What a record is asked for by."""
    at, operation = _micros(record.at), record.operation
    return (record.tenant, at, record.actor, record.owner, record.cube_id, operation, record.outcome._value_)


_micros = lru_cache(256)(micros)
"""What is written at one moment names it several times."""


def record_json(record: AuditRecord) -> bytes:
    """The canonical bytes of a record."""
    return record._canonical


def entry_hash(number: int, previous: str, record: bytes) -> str:
    """SHA-256 of `canonical_json([number, previous, record])`, from a record that is canonical already."""
    return sha256(b'[%d,"%b",%b]' % (number, previous.encode(), record))


def link(number: int, previous: str, record: AuditRecord) -> AuditEntry:
    """The next entry of the chain."""
    return AuditEntry(
        number=number, record=record, previous=previous, hash=entry_hash(number, previous, record_json(record))
    )


def matches(query: LogQuery, entry: AuditEntry) -> bool:
    """Whether a log query asks for this entry; `until` is exclusive."""
    record = entry.record
    wanted = ("actor", "owner", "cube_id", "operation", "outcome")
    return (
        entry.number > query.after
        and record.tenant == query.tenant
        and (query.since is None or record.at >= query.since)
        and (query.until is None or record.at < query.until)
        and (not query.cube_ids or record.cube_id in query.cube_ids)
        and all(getattr(query, name) in (None, getattr(record, name)) for name in wanted)
    )


def check_entry(entry: AuditEntry) -> None:
    """Refuse an entry that does not match its hash.

    Raises:
        IntegrityError: It does not.
    """
    if entry_hash(entry.number, entry.previous, record_json(entry.record)) != entry.hash:
        raise IntegrityError(f"Audit entry {entry.number} does not match its hash", entry.record.cube_id)


@dataclass
class ChainWalk:
    """One walk over a chain from its start; `report` says what was found wrong."""

    entries: int = 0
    head: str = GENESIS
    computed: str = GENESIS
    problems: list[str] = field(default_factory=list)
    written: dict[tuple[str, int], str | None] = field(default_factory=dict)

    def step(self, number: int, previous: str, stored_hash: str, raw: bytes, record: AuditRecord | None) -> None:
        """Take the next stored row; *record* is None when its text is not a record."""
        if number != self.entries + 1:
            self._report(f"audit entry {self.entries + 1} is missing (next is {number})")
        if previous != self.head:
            self._report(f"audit entry {number} does not follow the one before it")
        self.computed = entry_hash(number, previous, raw)
        if self.computed != stored_hash:
            self._report(f"audit entry {number} does not match its hash")
        if record is None:
            self._report(f"audit entry {number} is not a record")
        else:
            self._note(record)
        self.entries, self.head = number, stored_hash

    def _note(self, record: AuditRecord) -> None:
        if record.outcome is not Outcome.ALLOWED or record.cube_id is None:
            return
        if record.operation in ERASING:
            for key in [key for key in self.written if key[0] == record.cube_id]:
                del self.written[key]
        elif record.version is not None:
            key = (record.cube_id, record.version)
            if record.operation in WRITING:
                self.written[key] = record.digest
            else:
                self.written.setdefault(key, None)

    def finish(self, entries: int, head: str) -> None:
        """Hold the chain against the head that the vault remembers."""
        if (entries, head) != (self.entries, self.head):
            self._report(
                f"the chain ends at entry {self.entries}, but the vault counted {entries}: the tail was changed"
            )

    def hold(self, versions: Iterable[tuple[str, int, str, str | None]]) -> None:
        """Hold stored versions `(cube id, version, digest, problem)` against what the chain says was written."""
        missing = {key for key, digest in self.written.items() if digest is not None}
        for cube_id, version, digest, problem in versions:
            key = (cube_id, version)
            missing.discard(key)
            if problem is not None:
                self._report(problem)
            if key not in self.written:
                self._report(f"version {version} of cube {cube_id!r} has no audit record")
            elif self.written[key] not in (None, digest):
                self._report(
                    f"version {version} of cube {cube_id!r} is not the one that the audit log says was written"
                )
        for cube_id, version in sorted(missing):
            self._report(f"version {version} of cube {cube_id!r} was written and never forgotten, but it is gone")

    def _report(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)

    def report(self) -> AuditReport:
        """What the walk found; at most the first 100 problems."""
        return AuditReport(entries=self.entries, head=self.computed, problems=tuple(self.problems))
