"""The lists and blobs of one bundle, on their way out of the vault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import orjson

from memos_integrations.core.access import Caller, Verb, decide
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.cube import MemCube, Tier
from memos_integrations.core.errors import InvalidMemoryError, VaultError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.interchange.addressee import Addressee
from memos_integrations.core.interchange.archive import BundleWriter
from memos_integrations.core.interchange.changes import Changes, last_move, told_before
from memos_integrations.core.interchange.clocks import clock_of
from memos_integrations.core.interchange.ids import Met
from memos_integrations.core.interchange.lives import Lives
from memos_integrations.core.interchange.manifest import (
    ACCESS_LOG,
    CLOCKS,
    CUBES,
    DECLINED,
    DELETIONS,
    REDACTIONS,
    Capability,
)
from memos_integrations.core.interchange.records import entry_line, is_record, record_line
from memos_integrations.core.interchange.redacting import Cut, hidden_in, redacted
from memos_integrations.core.interchange.refusal import Declined
from memos_integrations.core.interchange.taking import RECEIPT
from memos_integrations.core.ports import AuditRecord, CubeFilter, LogQuery

PAGE = 250
LOG_PAGE = 10_000
Progress = Callable[[int], object]

Passes = Callable[[Sequence[MemCube]], Sequence[bool]]
"""Says of several memories at once which of them are wanted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into a bundle. `changes`: only what they name; `lives`: with the clocks of this vault, for `sync`.

    `passes`: of what `where` names, only what it says; what that is derived from goes along where it changed too.
    """

    where: CubeFilter
    history: bool = True
    access_log: bool = False
    redact: Cut | None = None
    to: Addressee | None = None
    changes: Changes | None = None
    lives: Lives | None = None
    progress: Progress | None = None
    passes: Passes | None = None
    recipient: str = ""


class Writing:
    """One dump under way."""

    def __init__(
        self, governance: MemGovernance, caller: Caller, out: BundleWriter, folder: Path | None, wanted: Wanted
    ) -> None:
        self._governance, self._caller, self.out, self._folder = governance, caller, out, folder
        self._wanted = wanted
        understood = frozenset(Capability) if wanted.to is None else wanted.to.capabilities
        self._history = wanted.history and Capability.HISTORY in understood
        self._access_log = wanted.access_log and Capability.ACCESS_LOG in understood
        self._understood = understood
        self._own = wanted.lives is not None
        self.requires: set[str] = {Capability.TEXT}
        self.cubes = self.versions = self.blobs = self.erased = 0
        self.declined: dict[str, int] = {}
        self._met = Met()
        self._taken: list[dict[str, Any]] = []
        self._blobs: dict[str, tuple[str, int]] = {}
        self._told: set[str | None] = set()

    def write(self) -> None:
        """All lists and blobs."""
        with ExitStack() as files:
            self._held, self._left, self._cut, self._clocks = (
                files.enter_context(TemporaryFile(dir=self._folder)) for _ in range(4)
            )
            self.out.add_lines(CUBES, self._lines())
            for name, spool, needs in (
                (CLOCKS, self._clocks, Capability.CLOCKS),
                (REDACTIONS, self._cut, Capability.REDACTIONS),
                (DECLINED, self._left, None),
            ):
                if spool.tell():
                    spool.seek(0)
                    self.out.add_lines(name, (line.rstrip(b"\n") for line in spool))
                    self.requires |= {needs} if needs else set()
        if gone := self._gone():
            self.requires.add(Capability.DELETIONS)
            told = ({"id": cube_id, "at": at.isoformat()} for cube_id, at in gone.items())
            self.erased = self.out.add_lines(DELETIONS, map(orjson.dumps, told)).records
        if self._access_log:
            self.requires.add(Capability.ACCESS_LOG)
            self.out.add_lines(ACCESS_LOG, self._entries())
        self._add_blobs()

    def _gone(self) -> dict[str, datetime]:
        """What was erased since the last bundle, as far as its reader may have it."""
        changes = self._wanted.changes
        if changes is None or not changes.erased or Capability.DELETIONS not in self._understood:
            return {}
        if self._own:
            return changes.erased
        told = told_before(self._governance, self._caller, changes.erased, self._wanted.recipient)
        return {cube_id: at for cube_id, at in changes.erased.items() if cube_id in told}

    def _add_blobs(self) -> None:
        for digest, (cube_id, number) in self._blobs.items():
            self.requires.add(Capability.BLOBS)
            opened = self._governance.open_own_blob if self._own else self._governance.open_blob
            with opened(cube_id, number, self._caller) as source:
                member = self.out.add_blob(digest, source)
            self.blobs += 1
            if member.sha256 != digest:
                raise VaultError(f"A blob of cube {cube_id!r} changed while it was read; dump again.")

    def _pages(self) -> Iterable[Sequence[MemCube]]:
        wanted = self._wanted
        if wanted.changes is None:
            return self._governance.walk(wanted.where, self._caller, page=PAGE, left=self._leave)
        where = None if self._own else wanted.where
        return wanted.changes.pages(self._governance, self._caller, where, page=PAGE)

    def _lines(self) -> Iterator[bytes]:
        waiting: list[int] = []
        for page in self._pages():
            given: list[MemCube] = []
            for cube in self._passing(page):
                if (why := self._refused(cube)) is not None:
                    self._decline(cube.id, why)
                elif cube.provenance.derived_from:
                    waiting.append(self._held.tell())
                    self._held.write(cube.to_json().encode() + b"\n")
                else:
                    given.append(cube)
            yield from self._all_versions(given)
        yield from self._derived(waiting)
        if self._wanted.changes is not None and not self._own:
            for cube in self._governance.elsewhere(self._wanted.changes.written, self._wanted.where, self._caller):
                self._leave(cube)

    def _leave(self, cube: MemCube) -> None:
        """It is for other purposes than the caller's, and not theirs to give away here."""
        if self._passing([cube]):
            self._decline(cube.id, Declined.NOT_SHARED)

    def _passing(self, page: Sequence[MemCube]) -> list[MemCube]:
        """Those of a page that are wanted; of what changed, a source of something wanted is."""
        cubes = [cube for cube in page if not self._is_of_this_vault(cube)]
        passes, changes = self._wanted.passes, self._wanted.changes
        if passes is None:
            return cubes
        beside = set() if changes is None else {cube.id for cube in cubes} - set(changes.written)
        return [cube for cube, wanted in zip(cubes, passes(cubes), strict=True) if wanted or cube.id in beside]

    def _is_of_this_vault(self, cube: MemCube) -> bool:
        """Whether it concerns nobody else: what the vault notes of its arrivals, and `MemStore`'s books."""
        return cube.descriptive.semantic_type == RECEIPT or is_of_the_books(cube)

    def _derived(self, waiting: list[int]) -> Iterator[bytes]:
        """What is derived, after its sources: what waits for something that waits takes another round."""
        while waiting:
            left: list[int] = []
            for at in waiting:
                self._held.seek(at)
                cube = MemCube.from_json(self._held.readline())
                if all(self._met.version(ref.id) == ref.version for ref in cube.provenance.derived_from):
                    yield from self._all_versions([cube])
                else:
                    left.append(at)
            if len(left) == len(waiting):
                break
            waiting = left
        for at in waiting:
            self._held.seek(at)
            self._decline(MemCube.from_json(self._held.readline()).id, Declined.SOURCE_MISSING)

    def _refused(self, cube: MemCube) -> Declined | None:
        """Why a memory stays: the caller may not share it, or the reader said that it could not use it."""
        if self._own and cube.governance.owner != self._caller.by.subject:
            return Declined.NOT_YOURS
        if not self._own and not decide(cube, Verb.SHARE, self._caller).allowed:
            return Declined.NOT_SHARED
        needs = {cube.tier.value} if cube.tier is not Tier.PLAINTEXT else set()
        if cube.blobs:
            needs.add(Capability.BLOBS.value)
        if not needs <= self._understood:
            return Declined.NOT_UNDERSTOOD
        if self._wanted.to is not None and not self._wanted.to.fits(cube):
            return Declined.FINGERPRINT
        if not self._own and not self._governance.use_up(cube, self._caller, operation="export"):
            return Declined.NOT_SHARED
        return None

    def _all_versions(self, cubes: Sequence[MemCube]) -> Iterator[bytes]:
        """The lines of cubes: of each its versions from the first on, the present one last."""
        given = []
        for cube in cubes:
            versions, lines = self._carried(cube)
            if not versions:
                continue
            yield from lines
            given.append(versions[-1])
            self._met.add(cube.id, cube.version)
            self.cubes, self.versions = self.cubes + 1, self.versions + len(versions)
            for each in versions:
                for number, blob in enumerate(each.blobs):
                    self._blobs[blob.digest] = each.id, number
            if cube.tier is not Tier.PLAINTEXT:
                self.requires.add(Capability(cube.tier.value))
        if given:
            self._governance.carried(given, self._caller, self._wanted.recipient)
        if self._wanted.progress is not None:
            self._wanted.progress(self.cubes)

    def _carried(self, cube: MemCube) -> tuple[list[MemCube], list[bytes]]:
        """The versions of a cube that go, with their lines, and what else is said of them; none, if it stays."""
        every = self._every(cube)
        versions = self._chosen(cube, every)
        lines = [record_line(each) for each in versions]
        if not versions or not all(map(is_record, lines)):
            self._decline(cube.id, Declined.BEYOND_LIMITS if versions else Declined.REDACTED_AWAY)
            return [], []
        if self._wanted.lives is not None:
            self._write_clock(cube, every, self._wanted.lives)
        if len(versions) > 1:
            self.requires.add(Capability.HISTORY)
        told = {each.version for each in versions}
        for taken in (each for each in self._taken if each["version"] in told):
            self._cut.write(orjson.dumps(taken) + b"\n")
        return versions, lines

    def _every(self, cube: MemCube) -> Sequence[MemCube]:
        """The versions of a cube, as far as they matter here."""
        past = cube.version > 1 and (self._history or self._own)
        find = self._governance.own_versions if self._own else self._governance.versions
        return find(cube.id, self._caller) if past else [cube]

    def _chosen(self, cube: MemCube, every: Sequence[MemCube]) -> list[MemCube]:
        """The versions of a cube that go: all, or the present one, or none."""
        versions = self._redacted(every if self._history else [cube])
        if not versions or not every or every[-1].version != cube.version:
            return []
        whole = [each.version for each in versions] == [*range(1, cube.version + 1)]
        whole &= all(ref.id in self._met for each in versions[:-1] for ref in each.provenance.derived_from)
        if not whole or any(set(each.blobs) - set(cube.blobs) for each in versions[:-1]):
            return versions[-1:]  # a part of the past is none that one could go back to
        return versions

    def _write_clock(self, cube: MemCube, versions: Sequence[MemCube], lives: Lives) -> None:
        line = {"id": cube.id} | clock_of(versions, lives.writer_of).told()
        changes = self._wanted.changes
        if changes is not None and cube.id in changes.moved:
            moved = last_move(self._governance, self._caller, cube.id)
            assert moved is not None
            line["moved"] = {"at": moved.at.isoformat(), "by": moved.by or lives.at(moved.at)}
        self._clocks.write(orjson.dumps(line) + b"\n")

    def _redacted(self, versions: Sequence[MemCube]) -> list[MemCube]:
        redact, self._taken = self._wanted.redact, []
        if redact is None:
            return [*versions]
        if Capability.REDACTIONS not in self._understood:
            raise InvalidMemoryError("This reader does not understand redactions: it would take the rest for all.")
        below = [ref.id for ref in versions[-1].provenance.derived_from]
        hidden = hidden_in(self._governance.whole(below, self._caller, own=self._own), redact) if below else ()
        found = []
        for cube in versions:
            made = redacted(cube, redact, hidden)
            if made is None:
                return []
            found.append(made.cube)
            if made.removed:
                self._taken.append({"id": cube.id, "version": cube.version, "removed": list(made.removed)})
        return found

    def _entries(self) -> Iterator[bytes]:
        """The audit entries of what was written, as far as the caller may read them."""
        after = 0
        while True:
            query = LogQuery(tenant=self._caller.by.tenant, after=after, limit=LOG_PAGE)
            entries = self._governance.log(query, self._caller)
            for entry in entries:
                if entry.record.cube_id in self._met:
                    self._check_names(entry.record)
                    yield entry_line(entry)
            if len(entries) < LOG_PAGE:
                return
            after = entries[-1].number

    def _check_names(self, record: AuditRecord) -> None:
        """Refuse to tell who touched a memory where that is named by what is taken out: no byte of an entry changes."""
        finds = None if self._wanted.redact is None else self._wanted.redact.finds
        for name in {record.tenant, record.actor, record.owner, record.agent} - self._told if finds is not None else ():
            if name is not None and finds is not None and finds(name) is not None:
                raise InvalidMemoryError("The access log names somebody by what is to be taken out: leave it out.")
            self._told.add(name)

    def _decline(self, cube_id: str, why: Declined) -> None:
        self.declined[why] = self.declined.get(why, 0) + 1
        self._left.write(orjson.dumps({"id": cube_id, "why": why.value}) + b"\n")
