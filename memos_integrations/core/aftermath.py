"""What a change of some memories does to others: what dies with them, what may not, and what comes back to recall.

A memory that is derived from others dies with the first of them that is forgotten or says something else. What had been
merged into it was out of recall only for its sake, and comes back in the same transaction, on record. The rule:

- Merged by hand: when the merged memory is forgotten, dies with a source, is over (it ends with the first of them), or
  is set apart, its sources come back; those that say just what was forgotten are forgotten with it. It stands for those
  that its words tell, or replace (`accounts_for`); the others stay in recall. When somebody gives it other words, those
  come back that the new ones neither tell nor replace. One that is archived by hand, or said to be outdated, takes
  along what it tells: somebody meant what it says, and what it says is that. It is not lost, and `move` brings it back.
  Whatever words it is given, it stays derived from what it was made of, and goes when one of those is forgotten: no
  rule can tell that the new words hold nothing of it. Words that are to outlive a source are remembered by themselves.
- Merged as a repeat: what is forgotten takes along what is told again in the same words (`is_told_again`); what says
  anything else comes back. One that was corrected, retired, archived or said to be outdated is as outdated in all its
  repeats: they stay merged. When it is given words on another matter, when its own time is over, when it is set apart,
  or dies with what it was derived from, they come back.
- What fades (decay, disuse, a budget) takes along only what would fade as soon: what lives longer, or weighs more,
  comes back.
- What was merged away and is given other words speaks for itself again.

What comes back goes where that was which stood for it: into recall, or, if that was archived, into the archive. What
holds no longer itself goes into the archive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from memos_integrations.core.access import Caller, Verb, decide, may_read
from memos_integrations.core.conflict.rules import accounts_for, is_about, is_told_again
from memos_integrations.core.cube import CubeRef, MemCube, Relation, State
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError
from memos_integrations.core.graph import sources_first
from memos_integrations.core.lifecycle import check_change, says_the_same
from memos_integrations.core.ports import RECALLABLE, Edge, Vault
from memos_integrations.core.records import Steps, record_of

MOST_KEPT = 10_000
HOLDING = frozenset({"hold", "release"})
"""Operations by which an admin sets or lifts a hold: of what is frozen or held, too."""

SAYING = frozenset({"update", "restore", "roll_back"})
"""Operations by which somebody says something else; a redaction, say, is none: what it took out does not come back."""

AGEING, BY_HAND = "age", "move"
"""The operations by which time, and somebody, passes memories on."""

DERIVED, MERGED_INTO = "derived_from", Relation.MERGED_INTO.value


class Doomed(NamedTuple):
    """What goes with a memory: everything, what is derived before its sources; and the repeats among it."""

    cubes: list[MemCube]
    repeats: tuple[str, ...]


class Aftermath:
    """Looks at what a vault holds; changes nothing."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: dict[tuple[str, int], bool] = {}

    # --- what stands

    def still_said(self, refs: Iterable[CubeRef], present: Sequence[MemCube]) -> set[CubeRef]:
        """Those of *refs* that are of the *present* cubes, or of versions that said what those say."""
        now = {cube.id: cube for cube in present}
        return {ref for ref in refs if ref.id in now and self._says(now[ref.id], ref.version)}

    def _says(self, now: MemCube, version: int) -> bool:
        if version == now.version:
            return True
        if version > now.version:
            return False
        key = (now.digest, version)
        known = self._known.get(key)
        if known is None:
            then = next((v for v in self._vault.history(now.tenant, now.id) if v.version == version), None)
            known = then is not None and says_the_same(then, now)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = known
        return known

    def stranded(self, cubes: Sequence[MemCube], now: datetime) -> list[MemCube]:
        """Those that were merged into what stands for them no longer, whatever became of it.

        What somebody set aside as merged by hand, into nothing, stays where they put it.
        """
        merged = [c for c in cubes if c.state is State.MERGED and merged_into(c) and not c.trust.quarantined]
        targets = list(dict.fromkeys(map(merged_into, merged)))
        there = {cube.id: cube for cube in self._vault.get(merged[0].tenant, targets)} if merged else {}
        standing = {cube_id for cube_id, cube in there.items() if self._stands(cube, now)}
        return [each for each in merged if merged_into(each) not in standing and not each.governance.is_expired(now)]

    def _stands(self, cube: MemCube, now: datetime) -> bool:
        if cube.trust.quarantined or cube.governance.is_expired(now):
            return False
        refs = cube.provenance.derived_from
        sources = self._vault.get(cube.tenant, [ref.id for ref in refs]) if refs else []
        return self.still_said(refs, sources) == set(refs) and all(self._stands(each, now) for each in sources)

    # --- what goes

    def derived(self, cubes: Sequence[MemCube], *, valid: bool = False) -> list[MemCube]:
        """Whatever was derived from the cubes, however far, each after its sources; *valid*: what still stands."""
        asked = {cube.id for cube in cubes}
        return [each for each in self._all(cubes, valid=valid) if each.id not in asked]

    def _all(self, cubes: Sequence[MemCube], *, valid: bool) -> list[MemCube]:
        """The cubes and what was derived from them, each after its sources."""
        made = [("", cube.id) for cube in cubes]
        found = {cube.id: cube for cube in cubes}
        frontier = list(found)
        while frontier:
            edges, there = self._pointing([found[each] for each in frontier], DERIVED)
            edges = [e for e in edges if not valid or self._rests(there[e.source], found[e.target])]
            made += [(edge.target, edge.source) for edge in edges]
            frontier = list(dict.fromkeys(edge.source for edge in edges if edge.source not in found))
            found |= {each: there[each] for each in frontier}
        return [found[each] for each in sources_first("", made)]

    def _rests(self, cube: MemCube, source: MemCube) -> bool:
        refs = [ref for ref in cube.provenance.derived_from if ref.id == source.id]
        return self.still_said(refs, [source]) == set(refs)

    def repeats(self, cubes: Sequence[MemCube]) -> list[MemCube]:
        """What was merged into the cubes as their repeats, and what was into those."""
        found = {cube.id: cube for cube in cubes}
        frontier = list(cubes)
        while frontier:
            into = self._merged_into(frontier)
            frontier = [each for each, target in into if each.id not in found and not _made_of(found[target], each)]
            found |= {each.id: each for each in frontier}
        return list(found.values())[len(cubes) :]

    def doomed(self, cube: MemCube, caller: Caller) -> Doomed:
        """What is erased with a memory: what was derived from it, what repeats it, and what was derived from that."""
        same = [each for each in self.repeats([cube]) if is_told_again(each, cube)]
        roots = {cube.id: cube} | {each.id: each for each in same if _may_erase(each, caller)}
        while True:
            there = {each.id: each for each in self._all(list(roots.values()), valid=False)}
            into = [each for each, _ in self._merged_into(list(there.values())) if each.id not in there]
            alike = {each.id: each for each in into if is_told_again(each, cube) and _may_erase(each, caller)}
            if not alike:
                return Doomed(list(reversed(there.values())), tuple(each for each in roots if each != cube.id))
            roots |= alike

    def check_changing(self, was: MemCube, will: MemCube, caller: Caller) -> None:
        """Refuse to change a memory where something on hold or frozen would die with what it said.

        Raises:
            LegalHoldError, IllegalTransitionError: It is on hold or frozen itself, or what is derived from it is.
        """
        check_change(was)
        if not says_the_same(was, will):
            check_dying(self.derived([was], valid=True), [was], caller)

    def may_change(self, was: MemCube, will: MemCube, caller: Caller) -> bool:
        """Whether `check_changing` lets it."""
        try:
            self.check_changing(was, will, caller)
        except (LegalHoldError, IllegalTransitionError):
            return False
        return True

    # --- what comes back

    def of(self, steps: Steps, caller: Caller, *, operation: str, erased: Sequence[MemCube] = ()) -> Steps:
        """What is to be done besides *steps*, so that no memory stays out of recall for the sake of what is gone.

        Raises:
            LegalHoldError, IllegalTransitionError: What would be changed, or would die with that, is on hold or frozen;
                the error names it.
        """
        written = {version.cube.id: version.cube for version in steps.versions if version.cube.version > 1}
        was = {cube.id: cube for cube in self._vault.get(caller.by.tenant, list(written))} if written else {}
        for each in was.values() if operation not in HOLDING else ():
            check_change(each)
        changed = [each for each in was.values() if not says_the_same(each, written[each.id])]
        ended = [cube for cube, after in steps.moves if after is State.EXPIRED or _lapses(cube, after, caller)]
        if operation == BY_HAND:
            expired = [cube for cube, after in steps.moves if after is State.EXPIRED]
            check_dying(self.derived(expired, valid=True), expired, caller)
        if not (changed or erased or ended or operation == AGEING):
            return Steps()
        dying = [each for each in self.derived(changed, valid=True) if each.id not in written]
        check_dying(dying, changed, caller)
        apart = {each.id for each in changed if written[each.id].trust.quarantined}
        gone = {each.id: each for each in (*dying, *erased, *ended, *(was[each] for each in apart))}
        by_hand = {each.id for each in ended if not each.governance.is_expired(caller.now)}
        faded = {cube.id: cube for cube, after in steps.moves if operation == AGEING and after is State.ARCHIVED}
        moving = apart.union(gone, (cube.id for cube, _ in steps.moves))
        back = [(each, each) for each in changed if self._is_freed(each, written[each.id], caller)]
        back += self._freed_by(gone, by_hand, caller)
        if operation in SAYING:
            back += [(each, of) for of in changed for each in self._said_no_longer(of, written[of.id])]
        back += [
            (each, faded[into])
            for each, into in self._merged_into(list(faded.values()))
            if _outlives(each, faded[into])
        ]
        moves = {each.id: (each, self._place(each, of, caller)) for each, of in reversed(back) if each.id not in moving}
        records = tuple(
            record_of("unmerge", caller, about=each.id, detail={"of": of.id}) for each, of in back if each.id in moves
        )
        dead = [each for each in dying if each.state is not State.ARCHIVED and was_merged_by_hand(each)]
        return Steps(moves=(*moves.values(), *((each, State.ARCHIVED) for each in dead)), records=records)

    def _freed_by(self, gone: dict[str, MemCube], by_hand: set[str], caller: Caller) -> list[tuple[MemCube, MemCube]]:
        """What comes back with what is gone, and of what; a merge that is over itself gives back its own sources."""
        back, frontier, gone, by_hand = list[tuple[MemCube, MemCube]](), list(gone.values()), dict(gone), set(by_hand)
        while frontier:
            into = [
                (each, gone[target])
                for each, target in self._merged_into(frontier)
                if target not in by_hand or _made_of(gone[target], each)
            ]
            back += into
            frontier = [each for each, _ in into if each.id not in gone and _lapses(each, State.ARCHIVED, caller)]
            gone |= {each.id: each for each in frontier}
            by_hand |= {each.id for each in frontier if not each.governance.is_expired(caller.now)}
        return back

    def _said_no_longer(self, was: MemCube, now: MemCube) -> list[MemCube]:
        """What was merged into a memory that stood for it, and in other words does so no longer."""
        if was.payload == now.payload:
            return []
        into = [each for each, _ in self._merged_into([was]) if not each.trust.quarantined and not tells(now, each)]
        by_hand = was_merged_by_hand(was)
        return [each for each in into if (by_hand if _made_of(was, each) else not is_about(now, each))]

    def _is_freed(self, was: MemCube, now: MemCube, caller: Caller) -> bool:
        """Whether what was merged away has other words now, or comes out of quarantine where nothing stands for it."""
        if was.state is not State.MERGED:
            return False
        released = was.trust.quarantined and not now.trust.quarantined
        return was.payload != now.payload or (released and bool(self.stranded([now], caller.now)))

    def _place(self, cube: MemCube, of: MemCube, caller: Caller) -> State:
        """Where a memory comes back to: where that is, or was, which stood for it; what is over, into the archive."""
        if is_over(cube, caller.now):
            return State.ARCHIVED
        seen = {cube.id} if of is cube else set[str]()
        while of.id not in seen and of.state is State.MERGED:
            seen.add(of.id)
            of = next(iter(self._vault.get(of.tenant, [merged_into(of)])), of)
        return State.ACTIVATED if of.state in RECALLABLE or of.state is State.MERGED else State.ARCHIVED

    def _merged_into(self, cubes: Sequence[MemCube]) -> list[tuple[MemCube, str]]:
        """What is merged away into the cubes, with the id of that."""
        edges, there = self._pointing(cubes, MERGED_INTO)
        found = [(there[edge.source], edge.target) for edge in edges]
        return [(each, target) for each, target in found if each.state is State.MERGED and merged_into(each) == target]

    def _pointing(self, cubes: Sequence[MemCube], relation: str) -> tuple[list[Edge], dict[str, MemCube]]:
        """The edges of a relation that end at the cubes, and what they come from."""
        if not cubes:
            return [], {}
        tenant = cubes[0].tenant
        edges = [e for e in self._vault.pointing_at(tenant, [cube.id for cube in cubes]) if e.relation == relation]
        ids = list(dict.fromkeys(edge.source for edge in edges))
        there = {cube.id: cube for cube in self._vault.get(tenant, ids)} if ids else {}
        return [edge for edge in edges if edge.source in there], there


def check_dying(dying: Sequence[MemCube], sources: Sequence[MemCube], caller: Caller) -> None:
    """Refuse what takes a memory away that is on hold, or that the owner of its source has frozen.

    What somebody else froze dies with its source: nobody keeps another's memory from being forgotten by freezing.

    Raises:
        LegalHoldError, IllegalTransitionError: One is; those are named that the caller may read.
    """
    owners = {cube.governance.owner for cube in sources}
    held = [each for each in dying if each.governance.legal_hold]
    if held:
        raise LegalHoldError(
            f"This would take away what is derived from it and under legal hold{_named(held, caller)}. "
            "Nothing was changed or forgotten; lift the hold first."
        )
    frozen = [each for each in dying if each.state is State.FROZEN and each.governance.owner in owners]
    if frozen:
        raise IllegalTransitionError(
            f"This would take away what is derived from it and frozen{_named(frozen, caller)}. "
            "Nothing was changed or forgotten; thaw it first."
        )


def _named(cubes: Sequence[MemCube], caller: Caller) -> str:
    names = ", ".join(sorted(cube.id for cube in cubes if may_read(cube, caller)))
    return f": {names}" if names else ""


def merged_into(cube: MemCube) -> str:
    """What a memory was merged into last."""
    into = (link.target for link in reversed(cube.provenance.links) if link.relation is Relation.MERGED_INTO)
    return next(into, "")


def _made_of(cube: MemCube, source: MemCube) -> bool:
    return any(ref.id == source.id for ref in cube.provenance.derived_from)


def was_merged_by_hand(cube: MemCube) -> bool:
    """Whether somebody made a memory of others, for which it stands until they are back."""
    made_of = {ref.id for ref in cube.provenance.derived_from}
    links = cube.provenance.links
    merged = any(link.relation is Relation.MERGED_FROM and link.target in made_of for link in links)
    return merged and cube.state is not State.FROZEN and cube.state is not State.EXPIRED


def _lapses(cube: MemCube, after: State, caller: Caller) -> bool:
    """Whether a memory merged by hand leaves recall because the first of its sources holds no longer."""
    return after is State.ARCHIVED and is_over(cube, caller.now) and was_merged_by_hand(cube)


def _outlives(cube: MemCube, faded: MemCube) -> bool:
    """Whether a memory would not have faded with the one that stood for it."""
    mine, theirs = cube.governance, faded.governance
    lives = theirs.half_life is not None and (mine.half_life is None or mine.half_life > theirs.half_life)
    return lives or mine.priority > theirs.priority


def is_over(cube: MemCube, now: datetime) -> bool:
    """Whether a memory says itself that it holds no longer."""
    ends = cube.descriptive.valid_to
    return ends is not None and ends <= now


def lapsed(cube: MemCube, now: datetime) -> bool:
    """Whether recall leaves a memory out because it holds no longer; one merged by hand stands until its sources do."""
    return is_over(cube, now) and not was_merged_by_hand(cube)


def tells(merged: MemCube, source: MemCube) -> bool:
    """Whether a merged memory stands for a source: says it word for word, or accounts for it."""
    return _words(source) in _words(merged) or accounts_for(merged, source)


def _may_erase(cube: MemCube, caller: Caller) -> bool:
    return decide(cube, Verb.DELETE, caller).allowed


def _words(cube: MemCube) -> str:
    return " ".join(cube.text.split()).casefold()
