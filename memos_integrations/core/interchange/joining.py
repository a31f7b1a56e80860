"""One's own memories from another of one's vaults: they arrive as they are, and what was written apart is decided.

Of a memory that two vaults changed apart the later writing holds; the other stays in its history. What was erased
anywhere stays erased. See `clocks.py` for what is later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from datetime import datetime

from memos_integrations.core.access import VERIFIER_ROLE, Verb, ruled_out
from memos_integrations.core.books import ITEM
from memos_integrations.core.cube import Label, MemCube, TrustLabel, Value
from memos_integrations.core.errors import (
    AccessDeniedError,
    BundleError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
)
from memos_integrations.core.interchange.adopting import address_key
from memos_integrations.core.interchange.changes import APART, MOVED_ELSEWHERE, Stamp, last_move
from memos_integrations.core.interchange.clocks import Clock, clock_of
from memos_integrations.core.interchange.lives import Lives
from memos_integrations.core.interchange.manifest import CLOCKS, DELETIONS
from memos_integrations.core.interchange.records import ClockRecord, DeletionRecord, cubes_in
from memos_integrations.core.interchange.refusal import Declined, Refusal
from memos_integrations.core.interchange.taking import Arriving, Bundle, Forget, Place, Taking
from memos_integrations.core.lifecycle import way
from memos_integrations.core.records import Steps, record_of


class Apart(Value):
    """A memory that two vaults changed apart: of which the version `kept` holds, and the one before it does not.

    `ruling`, `reason`: what the judge of this MemOS says of the two; empty where it says nothing, or there is none.
    """

    id: Label
    kept: int
    ruling: str = ""
    reason: str = ""


class Joining(Taking):
    """Takes in what another vault of the caller's wrote; *lives* are the names of this one. `forget` erases, whole."""

    operation = "sync"

    def __init__(self, place: Place, bundle: Bundle, *, lives: Lives, forget: Forget) -> None:
        super().__init__(place, bundle)
        self._lives, self._forget = lives, forget
        self._clocks: Iterator[ClockRecord] = iter(())
        self._moves: list[tuple[MemCube, Stamp]] = []
        self._addresses: set[str] = set()

    def check(self) -> None:
        """Look through the whole bundle before anything of it happens.

        Raises:
            BundleError: A memory is none, or has no clock.
        """
        clocks = self._list(CLOCKS, ClockRecord)
        for versions in cubes_in(self._bundle.reader, self._bundle.manifest):
            cube, said = versions[-1], next(clocks, None)
            _clock(said, cube.id)
            if said is not None and said.moved is not None and self._mine(cube) is not None:
                self._moves.append((cube, Stamp(said.moved.at, said.moved.by)))

    def erase(self) -> Counter[str]:
        """Erase what was erased there, and remember that it was; each on record, done again at no cost."""
        counts: Counter[str] = Counter()
        for said in self._list(DELETIONS, DeletionRecord):
            held = self._governance.held([said.id], self._caller).get(said.id)
            if held is None:
                if not self._governance.was_forgotten(said.id, self._caller):
                    self._governance.note_forgotten(said.id, self._caller)
                continue
            if self._mine(held) is None:
                counts[Declined.NOT_YOURS.value] += 1
                continue
            try:
                self._forget(said.id, self._caller)
                counts["erased"] += 1
            except (LegalHoldError, IllegalTransitionError):
                counts[Declined.ON_HOLD.value] += 1
            except AccessDeniedError:
                counts[Declined.NOT_YOURS.value] += 1
            except CubeNotFoundError:
                continue  # it went with what it was derived from
        return counts

    def move(self) -> Counter[str]:
        """Pass memories to the states that they were moved to there, where that was later than here; on record."""
        said = (self._moved(cube, stamp) for cube, stamp in self._moves)
        return Counter(what for what in said if what is not None)

    def _moved(self, cube: MemCube, stamp: Stamp) -> str | None:
        """Move a memory, where it was moved later there; the stamp is kept even where it is in that state already."""
        mine = last_move(self._governance, self._caller, cube.id)
        try:
            there = self._governance.own(cube.id, Verb.WRITE, self._caller, operation=self.operation)
        except AccessDeniedError:
            return Declined.NOT_YOURS.value
        if mine is not None and (mine.at, mine.by or self._lives.at(mine.at)) >= stamp:
            return None
        detail = {"at": stamp.at.isoformat(), "by": stamp.by}
        record = record_of(MOVED_ELSEWHERE, self._caller, about=cube.id, detail=detail)
        record = record.model_copy(update={"owner": self._caller.by.subject})
        if there is None or there.state is cube.state:
            self._governance.note(record)
            return None
        try:
            passing = way(there.state, cube.state)
            befores = (there.model_copy(update={"state": state}) for state in (there.state, *passing))
            steps = Steps(moves=tuple(zip(befores, passing, strict=False)), records=(record,))
            self._governance.change(steps, self._caller, operation=self.operation).result()
        except (LegalHoldError, IllegalTransitionError):
            return Declined.ON_HOLD.value
        return "moved"

    def _beside(self) -> Container[str]:
        return _Everything()

    def _alike(self, cube: MemCube) -> MemCube:
        return cube

    def _settled(self, page: Sequence[list[MemCube]]) -> list[Arriving]:
        if self._done == 0:
            self._clocks = self._list(CLOCKS, ClockRecord)
        held = self._governance.held([versions[-1].id for versions in page], self._caller)
        made: list[Arriving] = []
        for versions in page:
            cube = versions[-1]
            clock = _clock(next(self._clocks, None), cube.id)
            made += self._of_one(versions, clock, held.get(cube.id))
        return made

    def _of_one(self, versions: list[MemCube], clock: Clock, there: MemCube | None) -> list[Arriving]:
        cube = versions[-1]
        declined = self._declined(cube)
        if self._mine(cube) is None or (there is not None and not self._is_changed_by_me(there)):
            declined = Declined.NOT_YOURS
        if declined is not None:
            return self._said(cube, None, declined.value)
        versions = self._with_sources(versions)
        versions = versions if all(self._mine(each) is not None for each in versions) else versions[-1:]
        if there is None:
            return self._of_new(versions, clock)
        mine = clock_of(self._history(there), self._lives.writer_of)
        if mine.covers(clock):
            if clock.covers(mine):
                self._note(cube, there)
            return self._said(cube, cube.id, "same" if clock.covers(mine) else "older")
        try:
            self._governance.aftermath.check_changing(there, cube, self._caller)
        except (LegalHoldError, IllegalTransitionError):
            return self._said(cube, cube.id, Declined.ON_HOLD.value)
        if clock.covers(mine):
            return self._written([*self._unseen(versions, there), cube], there.version, clock, "newer")
        return self._apart(versions, there, clock, mine)

    def _is_changed_by_me(self, there: MemCube) -> bool:
        return self._mine(there) is not None and ruled_out(there, Verb.WRITE, self._caller) is None

    def _unseen(self, versions: Sequence[MemCube], there: MemCube) -> list[MemCube]:
        """The earlier ones of what arrived that say what no version here does: in the history nothing is missing."""
        earlier = versions[:-1]
        known = {content(each) for each in (*self._history(there), versions[-1])} if earlier else set()
        return [each for each in earlier if content(each) not in known]

    def _apart(self, versions: Sequence[MemCube], there: MemCube, clock: Clock, mine: Clock) -> list[Arriving]:
        """Of two that were written apart the later is the present version from now on; the other is in the history."""
        cube, both = versions[-1], mine.merged(clock)
        if content(there) == content(cube):
            return self._written([*self._unseen(versions, there), cube], there.version, both, "same")
        if both.stamp == clock.stamp:
            written = self._written([*self._unseen(versions, there), cube], there.version, both, "conflict")
            return self._flagged(written)
        earlier = [*self._unseen(versions, there), cube]
        if cube.governance.legal_hold:  # a hold holds everywhere, whoever wrote later without having heard of it
            there = there.with_checked(governance=there.governance.with_checked(legal_hold=True))
        return self._flagged(self._written([*earlier, there], there.version, both, "conflict", alike=False))

    def _flagged(self, made: list[Arriving]) -> list[Arriving]:
        """On record in the commit that brings it: no crash comes between. What the judge says of it comes later."""
        *before, last = made
        detail = Apart(id=last.cube.id, kept=last.cube.version).model_dump(mode="json")
        record = record_of(APART, self._caller, about=last.cube.id, detail=detail)
        return [*before, last._replace(records=(record.model_copy(update={"owner": self._caller.by.subject}),))]

    def _of_new(self, versions: list[MemCube], clock: Clock) -> list[Arriving]:
        cube, key = versions[-1], None
        if self._governance.was_forgotten(cube.id, self._caller):
            return self._said(cube, None, Declined.FORGOTTEN.value)
        if cube.descriptive.semantic_type == ITEM:
            key = address_key(cube, self._caller.by.subject)
        if key is not None:
            if key in self._addresses or self._governance.known(key, self._caller) is not None:
                return self._said(cube, None, Declined.ADDRESS_TAKEN.value)
            self._addresses.add(key)
        made = self._written(versions, 0, clock, "new")
        return [Arriving(each.cube, key if each.cube.version == 1 else None) for each in made]

    def make_room(self) -> None:
        """Of two items that were made apart at one address, let the one made later have it everywhere; the other goes.

        When an item was made never changes, so that every vault decides the same, whatever it has heard of.
        """
        if not self._survey.items:
            return
        for versions in cubes_in(self._bundle.reader, self._bundle.manifest):
            cube = versions[-1]
            if cube.descriptive.semantic_type != ITEM or self._mine(cube) is None:
                continue
            there = self._at_address(cube)
            if there is None or self._governance.was_forgotten(cube.id, self._caller):
                continue
            if _made(cube) > _made(there):
                with suppress(LegalHoldError, IllegalTransitionError, CubeNotFoundError, AccessDeniedError):
                    self._forget(there.id, self._caller)
            elif cube.id not in self._governance.held([cube.id], self._caller):  # a rule may keep it from its owner
                self._governance.note_forgotten(cube.id, self._caller)

    def _at_address(self, cube: MemCube) -> MemCube | None:
        """Another item of the caller's that stands where an item would."""
        key = address_key(cube, self._caller.by.subject)
        known = None if key is None else self._governance.known(key, self._caller)
        if known is None or known == cube.id:
            return None
        there = self._governance.held([known], self._caller).get(known)  # no word of it leaves
        return None if there is None else self._mine(there)

    def _mine(self, cube: MemCube) -> MemCube | None:
        caller = self._caller.by
        return cube if cube.governance.owner == caller.subject and cube.tenant == caller.tenant else None

    def _history(self, there: MemCube) -> Sequence[MemCube]:
        return [there] if there.version == 1 else self._governance.own_versions(there.id, self._caller)

    def _written(
        self, versions: Sequence[MemCube], before: int, clock: Clock, what: str, *, alike: bool = True
    ) -> list[Arriving]:
        made = [self._own(each, number) for number, each in enumerate(versions, before + 1)]
        last = made[-1]
        said = last.provenance.with_checked(signature=clock.mark(last.version))
        made[-1] = last = last.with_checked(provenance=said)
        if alike:
            self._note(last, last)
        if before:
            self._changed.append(last.ref)
        self._said(last, last.id, what)
        return [Arriving(each) for each in made]

    def _own(self, cube: MemCube, version: int) -> MemCube:
        """A version as it is written here: what it is derived from at the versions that stand here."""
        told = cube.provenance
        if told.derived_from:
            sources = [ref.with_checked(version=self._versions.get(ref.id, ref.version)) for ref in told.derived_from]
            told = told.with_checked(derived_from=tuple(sources))
        trust = cube.trust
        if trust.label is TrustLabel.VERIFIED and VERIFIER_ROLE not in self._caller.by.subjects:
            trust = trust.with_checked(label=TrustLabel.STATED)
        return cube.with_checked(version=version, provenance=told, trust=trust)


def content(cube: MemCube) -> bytes:
    """What two vaults have to agree on of a version, whatever number it has there."""
    told = cube.provenance.with_checked(
        signature=None, derived_from=tuple(ref.with_checked(version=1) for ref in cube.provenance.derived_from)
    )
    return cube.with_checked(version=1, provenance=told).canonical()


def _made(cube: MemCube) -> tuple[datetime, str]:
    return cube.descriptive.created_at, cube.id


def _clock(said: ClockRecord | None, cube_id: str) -> Clock:
    if said is None or said.id != cube_id:
        raise BundleError(Refusal.RECORD, f"The records of {CLOCKS} are not in the order of the memories")
    clock = Clock(vector=said.vector, at=said.at, by=said.by)
    if not clock.can_be_kept:
        raise BundleError(Refusal.RECORD, f"The clock of {cube_id!r} has names or numbers that no vault could keep")
    return clock


class _Everything(Container[str]):
    """One's own memories may say what they supersede; who reads it asks whose they are."""

    def __contains__(self, cube_id: object) -> bool:
        return True
