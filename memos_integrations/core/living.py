"""Memories that change with time: what contradicts and repeats is settled, and what was decided can be undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from time import monotonic
from typing import Any

from memos_integrations.core.access import CallContext, Caller, Principal, as_subject
from memos_integrations.core.asked import aware, known_id, known_ids, of_kind, whole
from memos_integrations.core.conflict import Decided
from memos_integrations.core.conflict.decision import decision_id
from memos_integrations.core.conflict.marks import marks_of
from memos_integrations.core.conflict.rules import claims_in, told_at
from memos_integrations.core.cube import CubeRef, MemCube, State
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.operator import parts
from memos_integrations.core.operator.caretaker import Tick
from memos_integrations.core.operator.editor import Feedback, Lineage
from memos_integrations.core.operator.resolver import Resolver
from memos_integrations.core.operator.tiering import Tiering
from memos_integrations.core.operator.timemachine import RolledBack
from memos_integrations.core.ports import CubeFilter, VaultQuery
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.walk import Walk

PAGE, MOST_RENEWED = 2_000, 1_000
RARE = 6
"""By so many of its rarest words a memory is looked up among those that may repeat it."""


class Living(Walk):
    """`Walk`, with what keeps memories true over time."""

    def history(self, cube_id: str, *, by: Principal, context: CallContext | None = None) -> list[MemCube]:
        """Every version of a cube, oldest first."""
        return self._governance.history(known_id(cube_id), self._caller(by, context))

    def hold(self, cube_id: str, *, by: Principal, held: bool = True, context: CallContext | None = None) -> CubeRef:
        """Put a cube under legal hold, or lift it: the role admin may, and learns nothing of the words.

        Raises:
            CubeNotFoundError, AccessDeniedError: There is no such cube for *by*, or *by* is no admin.
        """
        return self._writer.hold(known_id(cube_id), self._caller(by, context), held=held)

    # --- the Memory API

    def append(
        self,
        cube_id: str,
        text: str,
        *,
        by: Principal,
        expected_version: int | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """Add words to a memory, on a line of their own, as its next version; see `update` for what is raised."""
        caller = self._caller(by, context)
        return self._editor.append(known_id(cube_id), text, caller, expected_version=expected_version)

    def relabel(
        self,
        cube_id: str,
        *,
        by: Principal,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        expected_version: int | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """Add and remove tags, and touch nothing else; see `update` for what is raised."""
        if isinstance(add, str) or isinstance(remove, str):
            raise InvalidMemoryError("Tags are given as a list of names.")
        caller = self._caller(by, context)
        return self._editor.relabel(known_id(cube_id), add, remove, caller, expected_version=expected_version)

    def merge(
        self, cube_ids: Sequence[str], *, by: Principal, text: str | None = None, context: CallContext | None = None
    ) -> MemCube:
        """One memory of several, in one transaction: with *text*, or all their words; they become MERGED.

        One that *text* neither tells nor replaces stays in recall. It is derived from them: readable by whoever may
        read them all, no more trusted than the least, holding no longer than the first. See `core.aftermath`.

        Raises:
            CubeNotFoundError, AccessDeniedError: *by* may not know of one (another tenant's never), or not change it.
            CyclicDerivationError: One is derived from another.
            LegalHoldError, IllegalTransitionError: One is on hold, frozen, or merged already.
        """
        return self._editor.merge(known_ids(cube_ids), self._caller(by, context), text=text)

    def feedback(
        self, cube_id: str, said: Feedback | str, *, by: Principal, context: CallContext | None = None
    ) -> MemCube:
        """What feedback makes of a memory, as its next version, on record.

        `helpful`: more important. `wrong`: less important and a step less trusted; both are counted. `outdated`: valid
        until now, and archived. Then whoever judges conflicts is asked again about it: what it had retired comes back
        where it is now less trusted, what it had withstood retires it, and what repeats it is merged. Summaries of it
        that rules made are made anew. All of it is true and durable on return, in one transaction, or nothing of it is.

        Raises:
            CubeNotFoundError, AccessDeniedError, LegalHoldError, IllegalTransitionError: As `update`.
        """
        if not isinstance(said, str) or said not in set(Feedback):
            raise InvalidMemoryError(f"Feedback is one of {', '.join(Feedback)}, not {said!r}.")
        caller = self._caller(by, context)
        cube = self._editor.feedback(known_id(cube_id), Feedback(said), caller)
        if self._writer.resolver.verify_again(cube.id, caller, settle=self._made_of["conflicts"] is not None):
            cube = self._governance.read(cube.id, caller, operation="feedback", counted=False)
        self._summaries.renew(caller, write=None, limit=MOST_RENEWED, of=cube.id)
        return cube

    def provenance(self, cube_id: str, *, by: Principal, context: CallContext | None = None) -> Lineage:
        """Where a memory comes from, what points at it, what was derived from it, and which recalls used it."""
        return self._editor.lineage(known_id(cube_id), self._caller(by, context))

    # --- the Time Machine

    def restore(self, cube_id: str, version: int, *, by: Principal, context: CallContext | None = None) -> MemCube:
        """Write an earlier version again, as the newest: words, description, provenance and rules as they were then.

        Who may use it, and for what, stays as it is now (readers, writers, sharers, layer, purposes, applications,
        licence), and its trust does not rise. An archived or merged memory is recalled again.
        What was derived from the version in between (keys and values, adapters, summaries) is invalid and dropped. A
        decision that retired it, or merged it as a repeat, is undone with it: the two are then said to contradict.

        Raises:
            CubeNotFoundError, AccessDeniedError: *by* may not know of it, not change it, or not its rules.
            InvalidMemoryError: There is no such version.
            SourceGoneError: That version was derived from what was forgotten or changed since.
            LegalHoldError, IllegalTransitionError: It, what is derived from it or what retired it is held or frozen.
        """
        return self._times.restore(known_id(cube_id), whole("version", version), self._caller(by, context))

    def roll_back(
        self,
        since: datetime,
        *,
        by: Principal,
        namespace: Sequence[str] = (),
        source: str | None = None,
        principal: str | None = None,
        context: CallContext | None = None,
    ) -> RolledBack:
        """Bring memories of *by* back to how they stood before *since*, all in one transaction or not at all.

        Of those in *namespace*, from *source* (`provenance.source`), of which *principal* is the author, or which they
        changed since: what was changed since is restored, what was not there yet is archived, what was merged or
        archived is so again; so does the state of what was archived, activated or let expire by hand. What they retired
        or merged since comes back, wherever it stands, in the words that it has now. Offers and subscriptions stay as
        they are. As by `restore`, trust does not rise, nor does anybody read more.

        Raises:
            InvalidMemoryError: *since* has no time zone, or the namespace is another tenant's.
            LegalHoldError, IllegalTransitionError: One is on hold or frozen; nothing was changed.
            SourceGoneError: One was derived from what is gone; nothing was changed.
        """
        caller, place = self._caller(by, context), parts(namespace)
        if place and place[0] != by.tenant:
            raise InvalidMemoryError(f"The namespace {place} is not within the tenant {by.tenant!r}.")
        of_kind("principal", principal, str)
        of_kind("source", source, str)
        moment, author = aware(since), None if principal is None else as_subject(principal)
        if moment is None:
            raise InvalidMemoryError("roll_back needs the time to go back to.")
        theirs = frozenset() if author is None else self._times.changed_by(author, moment, caller)

        def wanted(cube: MemCube) -> bool:
            told = cube.provenance
            whose = author is None or told.author == author or cube.id in theirs
            return whose and (source is None or told.source == source)

        return self._times.roll_back(moment, caller, where=CubeFilter(namespace=place or (by.tenant,)), wanted=wanted)

    # --- ageing

    def move(self, cube_id: str, to: State | str, *, by: Principal, context: CallContext | None = None) -> MemCube:
        """Pass a memory to another state by hand: archive it, activate it again, freeze it, thaw it, let it expire.

        Its owner and the role admin may. What is frozen changes in nothing until it is activated again. To activate
        what a decision retired undoes that.

        Raises:
            CubeNotFoundError, AccessDeniedError: *by* may not know of it, or not move it.
            IllegalTransitionError: There is no such way (see `core.lifecycle.TRANSITIONS`), or it would let something
                expire with it that is derived from it and frozen.
            LegalHoldError: It is under legal hold, or what would expire with it is.
        """
        if to not in set(State):
            raise InvalidMemoryError(f"There is no state {to!r}: {', '.join(State)}.")
        return self._times.move(known_id(cube_id), State(to), self._caller(by, context))

    def tick(
        self,
        *,
        by: Principal,
        now: datetime | None = None,
        ageing: Ageing | None = None,
        limit: int = 10_000,
        learn_seconds: float = 0.0,
        learn_bytes: int | None = None,
        tiering: Tiering | None = None,
        context: CallContext | None = None,
    ) -> Tick:
        """Let the memories of *by* age until *now* (default: the clock): archive, expire and collect what is due.

        At most *limit* at a time; call it again while `more`. A pass that was interrupted is simply run again. What was
        written or used in the last day stays, unless its own time is over; lists use their first 1,000. So does what is
        dated later than *now*, because a clock was wrong for a while: `Tick.ahead` names it, all else ages as ever.

        Adapters that went with a source are learnt again from what is left, for *learn_seconds* of wall time (then the
        step under way, or the gates, are finished; the next pass goes on) while all take at most *learn_bytes*.

        With *tiering*, memories get the form that costs least; without, keys and values of what says something else by
        now are collected. Copies of what was erased are overwritten (`scrub`).

        Raises:
            ClockError: *now* lies more than a day before all that *by* has, or at the end of time; nothing was changed.
        """
        whole("limit", limit)
        of_kind("ageing", ageing, Ageing)
        of_kind("tiering", tiering, Tiering)
        caller = self._caller(by, context)
        caller = caller._replace(now=aware(now) or caller.now)
        done = self._care.tick(caller, ageing or Ageing(), limit=limit, spent=tiering is None)
        made, edited = self._summaries.renew(caller, write=None, limit=limit)
        told: dict[str, Any] = {"renewed": made, "edited": edited}
        told["unscrubbed"] = self._governance.scrub(caller.now, gently=True)
        if learn_seconds > 0:
            end = monotonic() + learn_seconds
            told["relearnt"] = self._relearning.run(
                caller, is_over=lambda: monotonic() >= end, size=learn_bytes, limit=limit
            )
        waits = bool(told["relearnt"].waiting) if "relearnt" in told else False
        if tiering is not None:
            until = monotonic() + tiering.seconds
            told["tiered"] = tiered = self._tierer.run(caller, tiering, is_over=lambda: monotonic() >= until)
            waits |= tiered.more
        return done.model_copy(update=told | {"more": done.more or len(made) == limit or waits})

    # --- what contradicts and repeats

    def consolidate(
        self,
        *,
        by: Principal,
        namespace: Sequence[str] = (),
        k: int = 100_000,
        context: CallContext | None = None,
    ) -> list[Decided]:
        """Settle what contradicts or repeats among the newest *k* memories of *by*, oldest first; the decisions made.

        The judge is the `conflicts` of this MemOS, else `ConflictRules`. Each decision is one transaction, on record,
        and `undo` takes it back; what was undone is not decided again. Running it twice changes nothing more.

        Raises:
            IdentityError: *by* is not a principal.
        """
        caller, scope = self._caller(by, context), CubeFilter(namespace=parts(namespace) or (by.tenant,))
        cubes = [cube for cube in self._all(scope, caller, whole("k", k)) if cube.governance.owner == by.subject]
        return _Pass(self._writer.resolver, caller).over(sorted(cubes, key=lambda c: (told_at(c), c.id)))

    def decisions(self, cube_id: str, *, by: Principal, context: CallContext | None = None) -> list[Decided]:
        """What was decided about a memory and why, oldest first: superseded, merged, flagged; and what was undone.

        Raises:
            CubeNotFoundError: It does not exist, or *by* may not know that it does.
        """
        return self._writer.resolver.made.told(known_id(cube_id), self._caller(by, context))

    def undo(self, decision: Decided | str, *, by: Principal, context: CallContext | None = None) -> Decided:
        """Take a decision back: both memories stand as they did, as new versions; durable on return.

        Raises:
            CubeNotFoundError: There is no such decision of *by*, or one of the two memories is gone.
            AlreadyUndoneError: It was undone before.
            LegalHoldError, IllegalTransitionError: A memory is on hold, or frozen.
        """
        return self._writer.resolver.undo(decision_id(decision), self._caller(by, context))

    async def aconsolidate(self, *, by: Principal, **how: Any) -> list[Decided]:
        """`consolidate`, off the loop."""
        return await self._off_loop(self.consolidate, by=by, **how)

    async def aundo(self, decision: Decided | str, *, by: Principal, **how: Any) -> Decided:
        """`undo`, off the loop."""
        return await self._off_loop(self.undo, decision, by=by, **how)

    def _all(self, scope: CubeFilter, caller: Caller, most: int) -> Iterator[MemCube]:
        """Everything in scope that the caller may read, newest first, each once, unrecorded."""
        seen, k = set[str](), min(PAGE, most)
        while True:
            found = [match.cube for match in self._governance.search(VaultQuery(k=k, filter=scope), caller).matches]
            fresh = [cube for cube in found if cube.id not in seen]
            seen.update(cube.id for cube in fresh)
            yield from fresh
            if len(found) < k or k >= most:
                return
            k = min(most, k * 4)


class _Pass:
    """One walk over memories, oldest first, each held against those before it that say something of the same."""

    def __init__(self, resolver: Resolver, caller: Caller) -> None:
        self._resolver, self._caller = resolver, caller
        self._present: dict[str, MemCube] = {}
        self._about: dict[str, list[str]] = defaultdict(list)

    def over(self, cubes: Sequence[MemCube]) -> list[Decided]:
        """The decisions made."""
        counts: dict[str, int] = defaultdict(int)
        keys = {cube.id: (_places(cube), set(terms_of(cube.text))) for cube in cubes}
        for _, words in keys.values():
            for word in words:
                counts[word] += 1
        made: list[Decided] = []
        for cube in cubes:
            marks, words = keys[cube.id]
            rare = sorted(words, key=lambda word: (counts[word], word))[:RARE]
            names = [*marks, *(f"word {cube.namespace} {word}" for word in rare)]
            near = dict.fromkeys(each for name in names for each in self._about[name][-32:])
            others = [self._present[each] for each in near if each in self._present]
            decided = self._resolver.settle(cube, self._caller, others) if others else []
            made += decided
            self._present[cube.id] = cube
            for name in names:
                self._about[name].append(cube.id)
            self._refresh({each for decision in decided for each in (decision.newer, decision.older)})
        return made

    def _refresh(self, ids: set[str]) -> None:
        """Take in how the memories stand after a decision; what is out of recall is held against nothing more."""
        for cube in self._resolver.standing(sorted(ids), self._caller):
            self._present[cube.id] = cube
            ids.discard(cube.id)
        for cube_id in ids:
            self._present.pop(cube_id, None)


def _places(cube: MemCube) -> list[str]:
    return [f"{tag} {cube.namespace}" for tag in marks_of(claims_in(cube))]
