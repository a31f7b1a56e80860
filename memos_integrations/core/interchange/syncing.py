"""MemSync: several vaults of one principal stay the same through a folder that all of them reach now and then.

Each vault writes what changed in it as bundles of its own, one after another, and reads those of the others. Nobody
has to be there at the same time, and nothing is written twice over: the folder may be a stick, a share, a synchronised
directory. MIP.md §13.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.conflict import Decided
from memos_integrations.core.cube import State, Tier, Value
from memos_integrations.core.errors import BundleError, InvalidMemoryError
from memos_integrations.core.interchange.addressee import Addressee
from memos_integrations.core.interchange.changes import changed
from memos_integrations.core.interchange.checking import Checking
from memos_integrations.core.interchange.dumper import Dumped, MemDumper, Terms
from memos_integrations.core.interchange.joining import Apart, Joining
from memos_integrations.core.interchange.judging import Judging
from memos_integrations.core.interchange.keys import Seal
from memos_integrations.core.interchange.lives import Lives
from memos_integrations.core.interchange.manifest import Covers, Manifest
from memos_integrations.core.interchange.refusal import Refusal
from memos_integrations.core.interchange.taking import RECEIPT, Bundle, Forget, Place, receipt_of
from memos_integrations.core.interchange.writing import Wanted
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.ports import CubeFilter

PURPOSE = "sync"
AT_MOST = 50_000
"""So many changed memories go into one bundle of a series; what is interrupted goes on after the last whole one."""

EVERYTHING = CubeFilter(states=frozenset(State), tiers=frozenset(Tier))
_NAME = re.compile(r"([0-9a-f]{16}(?:[0-9a-f]{8})?)-([0-9]{15})-([0-9]{15})\.mip")
KEY_DIGITS = 16
_LASTS = timedelta(days=36_500)
"""Longer than any clock is wrong: a part that has ended would hold up all after it."""


class Part(NamedTuple):
    """A bundle of a series, by its name: whose, and which part of that vault's life."""

    replica: str
    after: int
    to: int

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.replica}-{self.after:015d}-{self.to:015d}.mip"


class Synced(Value):
    """What a sync did: bundles read and written, what became of memories, and which bundles were refused, with why.

    `conflicts` are the memories that were changed apart, `decisions` what the judge decided between what arrived and
    what was here; each is on record, and `undo` takes a decision back.
    """

    read: int = 0
    written: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, str] = Field(default_factory=dict)
    conflicts: tuple[Apart, ...] = ()
    decisions: tuple[Decided, ...] = ()


@dataclass(frozen=True, slots=True)
class MemSync:
    """Brings one vault up to date with a folder. `secret`, `seal`: only its readers can read what is in the folder.

    `digits` are the first of its key, under which it writes (see `lives.py`); `own` trusts this key alone. `resolver`
    decides between what arrived and what is here, where both say something of the same.
    """

    place: Place
    checking: Checking
    dumper: MemDumper
    digits: str
    group: str
    forget: Forget
    own: Checking
    seal: Seal | None = None
    secret: str | None = None
    resolver: Resolver | None = None

    def run(self, folder: Path) -> Synced:
        """Read what others wrote and is not here yet, then write what changed here.

        A bundle that is refused is named in the report, and those of its vault that follow it wait; nothing of it is
        taken. What its vault wrote again in its place is read. A part of one's own that is damaged or gone is written
        again, with what changed since.

        Raises:
            InvalidMemoryError: *folder* is no folder.
            VaultError: The disk failed.
        """
        if not folder.is_dir():
            raise InvalidMemoryError(f"{folder.name} is no folder.")
        counts: Counter[str] = Counter()
        refused: dict[str, str] = {}
        read = 0
        lives = self._lives(folder)
        judging = Judging(self.place, self.resolver)
        judged = [judging.judged()]  # what a crash left of another run
        for part in self._unread(folder, lives):
            if self._waits(part, refused, lives):
                continue
            try:
                self._read(folder / part.name, part, counts, lives)
                read += 1
            except BundleError as exc:
                refused[part.name] = exc.code
                continue
            judged.append(judging.judged())
        written = sum(1 for _ in self._write(folder, lives))
        told: dict[str, Any] = {"read": read, "written": written, "counts": dict(counts), "refused": refused}
        conflicts = tuple(apart for each in judged for apart in each.conflicts)
        return Synced(**told, conflicts=conflicts, decisions=tuple(made for each in judged for made in each.decisions))

    # --- reading

    def _parts(self, folder: Path) -> list[Part]:
        names = (_NAME.fullmatch(each.name) for each in folder.iterdir())
        return sorted(Part(found[1], int(found[2]), int(found[3])) for found in names if found)

    def _lives(self, folder: Path) -> Lives:
        """The names of this vault; a new one begins where a part of its own key stands that it did not write."""
        lives = Lives.of(self.place.governance, self.place.caller, self.digits)
        for part in self._parts(folder):
            if part.replica == lives.now:
                bundle = self._bundle_of_own(folder, part)
                if bundle is not None and bundle not in lives.wrote.get(part.name, ()):
                    lives.begin()
                    break
        return lives

    def _bundle_of_own(self, folder: Path, part: Part) -> str | None:
        """The id of the bundle that stands there as a part of this vault; None where its key did not sign it."""
        manifest = self._own_manifest(folder, part)
        return None if manifest is None else manifest.bundle

    def _own_manifest(self, folder: Path, part: Part) -> Manifest | None:
        try:
            with self.own.opened(folder / part.name) as reader:
                manifest = self.own.signed(reader)
                _check_part(manifest, part)
                return manifest
        except BundleError as exc:
            if exc.code == Refusal.SEALED and self.secret is None:
                raise InvalidMemoryError(
                    "What this vault wrote to the folder is sealed: pass the same secret, or it goes on in clear."
                ) from exc
            return None

    def _unread(self, folder: Path, lives: Lives) -> Iterator[Part]:
        """What others wrote and is not here; nothing that ends before a part does that was read, as that holds it."""
        others = [part for part in self._parts(folder) if part.replica != lives.now]
        reached: Counter[str] = Counter()
        for part in others:
            if part.to > reached[part.replica] and self._was_read(part.replica, part.to, lives):
                reached[part.replica] = part.to
        for part in others:
            if part.to > reached[part.replica]:
                yield part
                if self._was_read(part.replica, part.to, lives):
                    reached[part.replica] = part.to

    def _waits(self, part: Part, refused: Collection[str], lives: Lives) -> bool:
        """Whether a part follows one that was refused, and nothing else that was read ends where it begins."""
        if not any(name.startswith(f"{part.replica}-") for name in refused):
            return False
        return part.after > 0 and not self._was_read(part.replica, part.after, lives)

    def _was_read(self, replica: str, to: int, lives: Lives) -> bool:
        if any(name.startswith(f"{replica}-") and name.endswith(f"-{to:015d}.mip") for name in lives.wrote):
            return True
        return self.place.governance.known(self._key(replica, to), self.place.caller) is not None

    def _key(self, replica: str, to: int) -> str:
        return f"mip1 {PURPOSE} {self.group} {self.place.caller.by.subject} {replica} {to}"

    def _read(self, path: Path, part: Part, counts: Counter[str], lives: Lives) -> None:
        checking = self.own if lives.are_own(part.replica) else self.checking
        with checking.opened(path) as reader:
            manifest = checking.believed(reader, self.place.caller)
            _check_part(manifest, part)
            if part.after and not self._was_read(part.replica, part.after, lives):
                raise BundleError(Refusal.GAP, f"What {part.replica} wrote before {path.name} is not here")
            survey = checking.surveyed(reader, manifest, lambda cube_id: cube_id)
            joining = Joining(self.place, Bundle(reader, manifest, survey), lives=lives, forget=self.forget)
            joining.check()
            counts += joining.erase() + joining.move()
            joining.make_room()
            told = f"Read what {manifest.issuer} wrote from {part.after} to {part.to}."
            value = {"replica": part.replica, "to": part.to}
            key = self._key(part.replica, part.to)
            done = joining.go(write=True, receipt=receipt_of(manifest, self.place.caller, key, told, value))
        counts += Counter(done.counts)

    # --- writing

    def _write(self, folder: Path, lives: Lives) -> Iterator[Dumped]:
        caller, governance = self.place.caller, self.place.governance
        after = reached = self._written_until(folder, lives)
        to = None if self.secret is None else Addressee(recipient=self.group, seal=self.secret)
        while True:
            changes = changed(governance, caller, reached, owner=caller.by.subject, most=AT_MOST)
            if changes.to == reached:
                return
            reached = changes.to
            there = governance.held(list(changes.written), caller)
            here = {
                each
                for each, cube in there.items()
                if cube.descriptive.semantic_type == RECEIPT or is_of_the_books(cube)
            }
            changes.written = {each: None for each in changes.written if each in there and each not in here}
            if not changes.written and not changes.erased:
                continue  # nothing that concerns others; the next part says that it begins where the last one ended
            part, bundle = Part(lives.now, after, reached), secrets.token_hex(16)
            wanted = Wanted(EVERYTHING, to=to, changes=changes, lives=lives, recipient=self.group)
            covers = Covers(replica=part.replica, after=after, to=reached)
            terms = Terms(self.group, PURPOSE, _LASTS, None if to is None else self.seal, covers, bundle)
            lives.note(part.name, bundle)
            self._clear(folder, part)
            yield self.dumper.dump(folder / part.name, caller, wanted, terms)
            after = reached

    def _written_until(self, folder: Path, lives: Lives) -> int:
        """Where this vault's own series ends, before the first gap: names are believed as far as its signature goes.

        What it dated ahead, by a clock that was set since, nobody would read before that time: it is written anew.
        """
        ends = {0}
        for part in self._parts(folder):
            manifest = self._own_manifest(folder, part) if lives.are_own(part.replica) else None
            if manifest is None:
                continue
            if manifest.bundle in lives.wrote.get(part.name, ()) and self.own.is_ahead(manifest, self.place.caller):
                _remove(folder / part.name)
            elif part.replica == lives.now and part.after in ends:
                ends.add(part.to)
        return max(ends)

    def _clear(self, folder: Path, part: Part) -> None:
        """Take away what stands under the name of a part that is to be written, and that this key did not sign.

        Nobody would read it: it was cut off on its way, or put there by somebody else.
        """
        path = folder / part.name
        if path.exists() and self._bundle_of_own(folder, part) is None:
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # that it is still there is said when it is written
        path.unlink()


def _check_part(manifest: Manifest, part: Part) -> None:
    covers = manifest.covers
    if covers is None or (covers.replica, covers.after, covers.to) != tuple(part) or manifest.purpose != PURPOSE:
        raise BundleError(Refusal.MALFORMED, f"{part.name} is not the part of a series that it is named as")
    if manifest.key[:KEY_DIGITS] != part.replica[:KEY_DIGITS]:
        raise BundleError(Refusal.UNKNOWN_KEY, f"{part.name} is signed by another vault than it is named after")
