"""The Time Machine (paper §5.4.3): versions of then, brought back; and memories passed on from state to state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from memos_integrations.core.access import Caller, Verb, is_own, may_read
from memos_integrations.core.aftermath import merged_into
from memos_integrations.core.books import is_of_the_books
from memos_integrations.core.conflict.forms import joined
from memos_integrations.core.cube import (
    CubeRef,
    Governance,
    Label,
    MemCube,
    Relation,
    State,
    TrustLabel,
    Value,
    unique,
)
from memos_integrations.core.delivering import EVERYTHING
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    InvalidMemoryError,
    SourceGoneError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change, way
from memos_integrations.core.lifecycle.then import MOVES, held_at, known_at, moves_in, state_then
from memos_integrations.core.operator.admission import admitted
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.freeing import Freeing
from memos_integrations.core.operator.inheriting import inherited
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.write import finished, unique_links
from memos_integrations.core.ports import RECALLABLE, CubeFilter, LogQuery, Outcome
from memos_integrations.core.records import NewVersion, Steps, record_of

MAX_RETRIES = 50
MOST = 1_000_000
LOG_PAGE = 10_000
LATER = datetime.max.replace(tzinfo=UTC)
_OF_THEN = ("priority", "half_life", "sensitivity", "expires_at")
_GONE = frozenset({State.ARCHIVED, State.MERGED})
_DECIDED = frozenset({Relation.SUPERSEDES, Relation.MERGED_FROM, Relation.CONTRADICTS})
Moves = tuple[tuple[MemCube, State], ...]
NOTHING: Mapping[str, MemCube] = {}
CHANGING = frozenset("update append relabel put merge_by_hand restore feedback move remember import refresh".split())
"""Operations, as the log names them, by which somebody changes a memory."""


class RolledBack(Value):
    """What a roll-back did: what stands again as it did, and what had not been there and is archived."""

    restored: tuple[Label, ...] = ()
    archived: tuple[Label, ...] = ()


class TimeMachine:
    """Reads and restores earlier versions through governance; each restoration is one transaction."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        resolver: Resolver,
        dropped: Callable[[Collection[str], Collection[CubeRef]], None],
    ) -> None:
        self._governance, self._embedding, self._resolver, self._dropped = governance, embedding, resolver, dropped
        self._freeing = Freeing(governance, resolver, self._next)

    def at(self, cube_id: str, caller: Caller, *, as_of: datetime | None, valid_at: datetime | None) -> MemCube:
        """The version that was known at *as_of* (default: now), in its state of then, if it held at *valid_at*.

        Raises:
            CubeNotFoundError: There is none that the caller may read.
        """
        found = self.then(self._governance.read(cube_id, caller, as_of=as_of), caller, as_of=as_of, valid_at=valid_at)
        if found is None:
            raise CubeNotFoundError(cube_id)
        return found

    def then(
        self, present: MemCube, caller: Caller, *, as_of: datetime | None, valid_at: datetime | None
    ) -> MemCube | None:
        """`at` of a cube that the caller was given; None: there was none, or it did not hold."""
        known = known_at(self._governance.versions(present.id, caller), as_of)
        held = held_at(known, valid_at) if valid_at is not None else next(reversed(known), None)
        if held is None or as_of is None:
            return held
        return held.model_copy(update={"state": state_then(present.state, self._moves(present.id, caller), as_of)})

    def _moves(self, cube_id: str, caller: Caller) -> Sequence[tuple[datetime, State]]:
        """When a cube passed to which state, by the log, in order."""
        asked = LogQuery(tenant=caller.by.tenant, cube_id=cube_id, limit=LOG_PAGE)
        told = (self._governance.lifecycle_log(asked.model_copy(update={"operation": name})) for name in MOVES)
        return moves_in(sorted((e for each in told for e in each), key=lambda entry: entry.number)).get(cube_id, ())

    def restore(self, cube_id: str, version: int, caller: Caller) -> MemCube:
        """Write an earlier version again, as the newest; see `MemOS.restore`."""
        for _ in range(MAX_RETRIES):
            cube = self._fetched(cube_id, caller)
            check_change(cube)
            versions = {each.version: each for each in self._governance.versions(cube_id, caller)}
            if version not in versions:
                raise InvalidMemoryError(f"Cube {cube_id!r} has the versions 1 to {cube.version}, not {version!r}.")
            wanted = _with_links(versions[version], cube)
            others = Steps()
            if cube.state in _GONE:
                wanted, others = self._resolver.released(cube, wanted, caller, comes=True)
            steps = joined(self._restoring(cube, wanted, caller), others)
            try:
                self._governance.change(steps, caller, operation="restore").result()
            except VersionConflictError:
                continue
            self._dropped([each.cube.id for each in steps.versions], steps.written)
            return self._governance.fetch(cube_id, Verb.READ, caller, operation="restore")
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def _fetched(self, cube_id: str, caller: Caller) -> MemCube:
        try:
            return self._governance.fetch(cube_id, Verb.WRITE, caller, operation="restore")
        except CubeNotFoundError:
            with suppress(AccessDeniedError):  # a rule keeps it from its owner: it is absent, and that is on record
                own = self._governance.own(cube_id, Verb.WRITE, caller, operation="restore")
                if own is not None:  # its owner may know why nobody reads it any more
                    self._check_sources(own, caller)
            raise

    def _check_sources(self, cube: MemCube, caller: Caller, will: Mapping[str, MemCube] = NOTHING) -> None:
        gone = self._missing(cube, caller, will)
        if gone:
            names = ", ".join(sorted(f"{ref.id} (version {ref.version})" for ref in gone))
            raise SourceGoneError(
                f"Version {cube.version} of cube {cube.id!r} was derived from what was forgotten or changed since: "
                f"{names}. It cannot come back; restore that first."
            )

    def _missing(self, cube: MemCube, caller: Caller, will: Mapping[str, MemCube]) -> set[CubeRef]:
        """What a version was made of and says something else now, and will when the versions of *will* are back."""
        sources = cube.provenance.derived_from
        gone = set(sources) - self._governance.current(caller.by.tenant, sources)
        return gone - self._governance.aftermath.still_said(gone, [will[ref.id] for ref in gone if ref.id in will])

    def _restoring(
        self, cube: MemCube, wanted: MemCube, caller: Caller, will: Mapping[str, MemCube] = NOTHING
    ) -> Steps:
        self._check_sources(wanted, caller, will)
        order = list(TrustLabel)
        label = min(cube.trust.label, wanted.trust.label, key=order.index)
        trust = wanted.trust.model_copy(update={"label": label, "quarantined": cube.trust.quarantined})
        recorded = max(caller.now, cube.descriptive.recorded_at)
        again = wanted.model_copy(
            update={
                "version": cube.version + 1,
                "descriptive": wanted.descriptive.model_copy(update={"recorded_at": recorded}),
                "governance": self._rules(cube, wanted, caller),
                "trust": trust,
            }
        )
        draft = admitted(finished(again), caller, self._governance)
        row = self._embedding.written([draft.text]) if draft.text.strip() else None
        row = None if row is None else row[0]
        version = NewVersion(draft.cube, caller, draft.terms, row, verdict=draft.verdict)
        moves = ((cube, State.ACTIVATED),) if cube.state in _GONE else ()
        record = record_of("restore", caller, about=cube.id, detail={"version": wanted.version})
        return Steps((version,), moves, (record,))

    def _rules(self, cube: MemCube, wanted: MemCube, caller: Caller) -> Governance:
        """Who may use it for what as it is now; the rest as then, and for a derived one no laxer than its sources."""
        then, now = wanted.governance, cube.governance
        rules = now.model_copy(update={name: getattr(then, name) for name in _OF_THEN})
        sources = self._governance.present([ref.id for ref in wanted.provenance.derived_from], caller)
        again = wanted.model_copy(update={"governance": rules})
        rules = inherited(finished(again), sources).cube.governance if sources else rules
        if rules.model_copy(update={"priority": now.priority}) != now:
            self._governance.fetch(cube.id, Verb.SHARE, caller, operation="restore")
        return rules

    def changed_by(self, actor: str, since: datetime, caller: Caller) -> frozenset[str]:
        """The ids of what *actor* changed from *since* on, by the log."""
        found: set[str] = set()
        query = LogQuery(tenant=caller.by.tenant, actor=actor, since=since, outcome=Outcome.ALLOWED, limit=LOG_PAGE)
        while page := self._governance.lifecycle_log(query):
            told = (entry.record for entry in page)
            found |= {record.cube_id for record in told if record.cube_id and record.operation in CHANGING}
            query = query.model_copy(update={"after": page[-1].number})
        return frozenset(found)

    def roll_back(
        self, since: datetime, caller: Caller, *, where: CubeFilter, wanted: Callable[[MemCube], bool]
    ) -> RolledBack:
        """Bring the caller's memories that pass back to how they stood before *since*, all in one transaction."""
        for _ in range(MAX_RETRIES):
            cubes = self._changed(since, caller, where)
            chosen = {cube.id: cube for cube in cubes if wanted(cube) and not is_of_the_books(cube)}
            steps, done = self._rolling(list(chosen.values()), since, caller)
            # What they took out of recall since then comes back with them.
            freed, back = self._freeing.freed(chosen, done.restored, since, caller)
            steps, done = joined(steps, back), done.model_copy(update={"restored": (*done.restored, *freed)})
            if not (steps.versions or steps.moves):
                return done
            try:
                self._governance.change(steps, caller, operation="roll_back").result()
            except VersionConflictError:
                continue
            self._dropped([*done.restored, *done.archived], steps.written)
            return done
        raise VersionConflictError("roll_back", 0, 1)

    def _changed(self, since: datetime, caller: Caller, where: CubeFilter) -> list[MemCube]:
        # What died with a source that comes back is given to nobody now, but comes back, or goes, with it.
        scope = replace(EVERYTHING, namespace=where.namespace, recorded=(since, LATER))
        found = [cube for cube in self._governance.owned(caller, scope) if may_read(cube, caller)]
        found += self._retired(since, caller, where.namespace, {cube.id for cube in found})
        return [cube for cube in found if is_own(cube, caller)]

    def _retired(
        self, since: datetime, caller: Caller, namespace: tuple[str, ...], known: Collection[str]
    ) -> list[MemCube]:
        """What only passed to another state since: no version of it is new."""
        ids: list[str] = []
        for operation in ("to_archived", "to_merged", "to_activated", "to_expired"):
            after = 0
            while True:
                query = LogQuery(
                    tenant=caller.by.tenant, owner=caller.by.subject, operation=operation,
                    since=since, after=after, limit=LOG_PAGE,
                )  # fmt: skip
                entries = self._governance.lifecycle_log(query)
                ids += [entry.record.cube_id for entry in entries if entry.record.cube_id]
                if len(entries) < LOG_PAGE:
                    break
                after = entries[-1].number
        moved = [each for each in unique(ids) if each not in known]
        held = self._governance.held(moved, caller).values()
        expired = (cube.state is State.EXPIRED and not cube.governance.is_expired(caller.now) for cube in held)
        there = [cube for cube, over in zip(held, expired, strict=True) if over or may_read(cube, caller)]
        return [cube for cube in there if cube.namespace[: len(namespace)] == namespace]

    def _rolling(self, cubes: Sequence[MemCube], since: datetime, caller: Caller) -> tuple[Steps, RolledBack]:
        steps = Steps()
        restored: list[str] = []
        archived: list[str] = []
        for cube in cubes:
            check_change(cube)
        before = {cube.id: self._before(cube, since, caller) for cube in cubes}
        will = {cube_id: then for cube_id, then in before.items() if then is not None}
        ways = {cube.id: self._back(cube, since, caller) for cube in cubes if cube.id in will}
        ways = {each: way for each, way in ways.items() if not self._is_stranded(way, will, caller)}
        for cube in sorted(cubes, key=lambda each: each.id):
            then, moves = before[cube.id], ways.get(cube.id, ())
            if then is None:
                gone = cube.state is State.ARCHIVED
                steps = steps if gone else joined(steps, Steps(moves=((cube, State.ARCHIVED),)))
                archived += [] if gone else [cube.id]
            elif then.version != cube.version or moves:
                anew = self._restoring(cube, then, caller, will) if then.version != cube.version else Steps()
                steps = joined(steps, anew._replace(moves=moves))
                restored.append(cube.id)
        for cube in (each for each in cubes if each.id in restored and each.state in _GONE):
            undone = self._resolver.released(cube, cube, caller)[1]
            taken_back = tuple(each for each in undone.records if each.operation == "undo")
            steps = joined(steps, undone._replace(records=taken_back))
        return steps, RolledBack(restored=tuple(restored), archived=tuple(archived))

    def _before(self, cube: MemCube, since: datetime, caller: Caller) -> MemCube | None:
        """The version of a cube that stood before *since*."""
        told = self._governance.own_versions if cube.state is State.EXPIRED else self._governance.versions
        return next((v for v in reversed(told(cube.id, caller)) if v.descriptive.recorded_at < since), None)

    def _back(self, cube: MemCube, since: datetime, caller: Caller) -> Moves:
        """The moves that bring a cube from its state to where it stood before *since*."""
        told = self._moves(cube.id, caller)
        before, later = [each for each in told if each[0] < since], [each for each in told if each[0] >= since]
        if not later:
            return ()
        was = before[-1][1] if before else State.ARCHIVED if later[0][1] is State.ACTIVATED else State.ACTIVATED
        stood = was if was in _GONE else State.ACTIVATED
        if cube.state in {was, stood} or (cube.state in RECALLABLE and stood in RECALLABLE):
            return ()
        passing = way(cube.state, stood)
        befores = (cube.model_copy(update={"state": state}) for state in (cube.state, *passing))
        return tuple(zip(befores, passing, strict=False))

    def _is_stranded(self, moves: Moves, will: Mapping[str, MemCube], caller: Caller) -> bool:
        """Whether a cube would be merged away again into what does not stand then: it stays where it is."""
        if not moves or moves[-1][1] is not State.MERGED:
            return False
        into = merged_into(will[moves[0][0].id])
        there = self._governance.held([into], caller).get(into)
        if there is None or there.state is State.EXPIRED or there.trust.quarantined:
            return True
        return bool(self._missing(will.get(into, there), caller, will))

    # --- by hand

    def move(self, cube_id: str, after: State, caller: Caller) -> MemCube:
        """Pass a memory to another state by hand; see `MemOS.move`."""
        for _ in range(MAX_RETRIES):
            cube = self._governance.fetch(cube_id, Verb.DELETE, caller, operation="move")
            form, others = cube, Steps()
            if after is State.ACTIVATED and cube.state in _GONE:
                form, others = self._resolver.released(cube, cube, caller, comes=True)
            # Frozen, it has a version of its own: a change that is under way finds another version, and is refused.
            ours = (self._next(form, caller),) if form is not cube or after is State.FROZEN else ()
            steps = joined(Steps(ours, ((cube, after),)), others)
            try:
                self._governance.change(steps, caller, operation="move").result()
            except VersionConflictError:
                continue
            self._dropped([cube_id, *(each.cube.id for each in steps.versions)], steps.written)
            return (ours[0].cube if ours else cube).model_copy(update={"state": after})
        raise VersionConflictError(cube_id, cube.version, cube.version + 1)

    def _next(self, cube: MemCube, caller: Caller) -> NewVersion:
        dated = cube.descriptive.model_copy(update={"recorded_at": max(caller.now, cube.descriptive.recorded_at)})
        draft = finished(cube.model_copy(update={"version": cube.version + 1, "descriptive": dated}))
        row = self._embedding.written([draft.text]) if draft.text.strip() else None
        return NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0])


def _with_links(wanted: MemCube, cube: MemCube) -> MemCube:
    """An earlier version with what the present one says of others that it retired, took in or contradicts."""
    links = [link for link in cube.provenance.links if link.relation in _DECIDED]
    told = wanted.provenance.model_copy(update={"links": unique_links([*wanted.provenance.links, *links])})
    return wanted.model_copy(update={"provenance": told})
