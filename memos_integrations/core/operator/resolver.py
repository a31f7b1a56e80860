"""Carry decisions about memories out, write them down, and take them back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from memos_integrations.core.access import Caller, Verb
from memos_integrations.core.aftermath import is_over
from memos_integrations.core.claims import mark
from memos_integrations.core.conflict import ConflictJudge, Decided, Ruling, Verdict
from memos_integrations.core.conflict.forms import (
    as_told,
    begun,
    begun_before,
    brought_back,
    closed,
    decided,
    ends_of,
    in_order,
    is_fixed,
    is_known,
    joined,
    let_go,
    linked,
    may_move,
    recorded,
    tagged,
    targets,
    undone,
    unlinked,
)
from memos_integrations.core.conflict.marks import marked
from memos_integrations.core.conflict.rules import said_at
from memos_integrations.core.cube import CubeRef, MemCube, Relation, State
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    IllegalTransitionError,
    LegalHoldError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.lifecycle import check_change
from memos_integrations.core.operator.admission import contradicting
from memos_integrations.core.operator.decisions import Decisions
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.nearby import near_to
from memos_integrations.core.operator.write import Draft, finished
from memos_integrations.core.ports import RECALLABLE
from memos_integrations.core.records import NewVersion, Steps

MAX_RETRIES = 20


class Resolver:
    """Decides by a `ConflictJudge` and changes memories through governance, one transaction a decision."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        judge: ConflictJudge,
        dropped: Callable[[Collection[str], Collection[CubeRef]], None],
        *,
        settles: bool = True,
    ) -> None:
        self._governance, self._embedding, self._judge, self._dropped = governance, embedding, judge, dropped
        self._settles = settles
        self.made = Decisions(governance, judge)
        """What was decided."""

    def near(self, cube: MemCube, terms: Sequence[str], caller: Caller) -> list[MemCube]:
        """The caller's own memories of the same place that say something of the same, or say it alike."""
        return near_to(cube, terms, caller, self._governance)

    def verdicts(self, cube: MemCube, others: Sequence[MemCube]) -> list[tuple[MemCube, MemCube, Verdict]]:
        """What is to be decided between a memory and others, as (newer, older, verdict): at most one merge, alone."""
        found: list[tuple[MemCube, MemCube, Verdict]] = []
        for other in others:
            newer, older = in_order(cube, other)
            verdict = self._judge.judge(newer, older)
            if verdict is not None and not is_known(newer, older, verdict):
                found.append((newer, older, verdict))
        retired = [each for each in found if each[2].ruling is not Ruling.MERGE]
        if any(each[1] is cube and each[2].ruling is Ruling.SUPERSEDE for each in retired):
            return [each for each in retired if each[1] is cube and each[2].ruling is Ruling.SUPERSEDE][:1]
        merges = [each for each in found if each[2].ruling is Ruling.MERGE]
        return [*retired, *(merges[:1] if not any(e[2].ruling is Ruling.FLAG for e in retired) else ())]

    def verdict(self, newer: MemCube, older: MemCube) -> Verdict | None:
        """What the judge says of two memories, or of two versions of one; nothing is carried out."""
        return self._judge.judge(newer, older)

    def standing(self, ids: Sequence[str], caller: Caller) -> list[MemCube]:
        """Those of the memories that recall still gives, as they are now."""
        return [cube for cube in self._governance.present(ids, caller) if cube.state in RECALLABLE]

    # --- deciding

    def written(self, draft: Draft, caller: Caller) -> tuple[Draft, Steps, list[Decided]]:
        """What a new memory changes: the draft with its links, the steps besides its own Put, and the decisions."""
        draft = replace(draft, cube=marked(draft.cube))
        steps, made = Steps(), list[Decided]()
        if draft.cube.trust.quarantined:  # what is set apart changes nothing that is there
            return draft, steps, made
        for later, earlier, verdict in self.verdicts(draft.cube, self.near(draft.cube, draft.terms, caller)):
            newer, older = (draft.cube if each.id == draft.cube.id else each for each in (later, earlier))
            done = self._steps(newer, older, verdict, caller, draft.cube.id)
            if done is None:
                continue
            ours, more, decision = done
            draft = replace(draft, cube=ours) if ours is not None else draft
            steps = joined(steps, more)
            made.append(decision)
        return draft, steps, made

    def remember(self, draft: Draft, caller: Caller, key: str | None) -> MemCube | None:
        """Put a memory together with what it changes, durable on return; None where it changes nothing: put it alone.

        Raises:
            AlreadyRememberedError: The key names a memory already.
            RefusedByGateError: Its source contradicts what is there too often.
        """
        judged = False
        for _ in range(MAX_RETRIES):
            told, steps, decisions = self.written(draft, caller)
            if not decisions and not judged:
                return None
            if not judged and any(each.ruling is not Ruling.MERGE for each in decisions):
                judged, draft = True, contradicting(draft, caller, self._governance)
                told, steps, _ = self.written(draft, caller) if draft.cube.trust.quarantined else (told, steps, ())
            vector = self._embedding.written([told.text])
            row = None if vector is None else vector[0]
            ours = NewVersion(told.cube, caller, told.terms, row, key, verdict=draft.verdict)
            whole = steps._replace(versions=(ours, *steps.versions))
            try:
                self._governance.change(whole, caller, operation="remember", durability=draft.durability).result()
            except VersionConflictError:
                continue  # what it is about was changed meanwhile
            self._dropped([each.cube.id for each in steps.versions], steps.written)
            state = next((after for cube, after in steps.moves if cube.id == told.cube.id), told.cube.state)
            return told.cube.model_copy(update={"state": state})
        return None

    def settle(self, cube: MemCube, caller: Caller, others: Sequence[MemCube] | None = None) -> list[Decided]:
        """Decide between a stored memory and those near it (or *others*), each decision durable on return."""
        made, near = list[Decided](), self.near(cube, finished(cube).terms, caller) if others is None else others
        for newer, older, verdict in self.verdicts(cube, near):
            now = {each.id: each for each in self._governance.present([newer.id, older.id], caller)}
            if len(now) < 2 or self.made.was_undone(newer.id, older.id, caller):
                continue
            made += filter(None, [self.decide(now[newer.id], now[older.id], verdict, caller)])
        return made

    def decide(self, newer: MemCube, older: MemCube, verdict: Verdict, caller: Caller) -> Decided | None:
        """Carry a verdict on two stored memories out, durable on return; None when one changed or may not change."""
        done = self._steps(newer, older, verdict, caller, None)
        if done is None:
            return None
        _, steps, decision = done
        try:
            self._governance.change(steps, caller, operation=verdict.ruling.value).result()
        except (VersionConflictError, CubeNotFoundError):
            return None
        self._dropped([version.cube.id for version in steps.versions], steps.written)
        return decision

    def _steps(
        self, newer: MemCube, older: MemCube, verdict: Verdict, caller: Caller, unwritten: str | None
    ) -> tuple[MemCube | None, Steps, Decided] | None:
        """The new form of the unwritten memory, the steps on the others, and the record; None: nothing may be done."""
        ruling = (verdict := self.made.weighed(newer, older, verdict, caller)).ruling
        # Of two that say the same the later is merged into the earlier, which others may point at.
        changed = newer if ruling is Ruling.MERGE else older
        after = closed(changed, caller.now) if ruling is Ruling.SUPERSEDE else changed
        free = may_move(changed, ruling) and self._governance.aftermath.may_change(changed, after, caller)
        if ruling is not Ruling.FLAG and not free:
            ruling, verdict = Ruling.FLAG, verdict._replace(ruling=Ruling.FLAG, reason="the older may not change")
        until = ends_of(newer) if ruling is Ruling.SUPERSEDE else None
        decision = decided(newer, older, changed, verdict, caller).model_copy(update={"until": until})
        forms: dict[str, MemCube] = {}
        moves: list[tuple[MemCube, State]] = []
        if ruling is Ruling.MERGE:
            forms[newer.id] = linked(newer, Relation.MERGED_INTO, older.id)
            if not is_fixed(older):
                forms[older.id] = linked(older, Relation.MERGED_FROM, newer.id)
            moves.append((newer, State.MERGED))
        elif ruling is Ruling.SUPERSEDE:
            since = max(verdict.since or said_at(newer), older.descriptive.valid_from or said_at(older))
            if until is None:
                forms[older.id] = closed(older, since)
            if not is_fixed(newer):
                told = tuple(mark(each.subject, each.attribute) for each in verdict.evidence if each.attribute)
                begins = newer if until else begun(newer, since)
                forms[newer.id] = tagged(linked(begins, Relation.SUPERSEDES, older.id), told)
            if until is None and since <= caller.now:
                moves.append((older, State.ARCHIVED))
        elif not is_fixed(newer):
            forms[newer.id] = linked(newer, Relation.CONTRADICTS, older.id)
        try:
            versions = [self._version(cube, caller) for cube_id, cube in forms.items() if cube_id != unwritten]
        except (AccessDeniedError, CubeNotFoundError):
            return None
        steps = Steps(tuple(versions), tuple(moves), (recorded(decision, caller),))
        return (forms.get(unwritten) if unwritten else None), steps, decision

    def _version(self, cube: MemCube, caller: Caller) -> NewVersion:
        """The next version of a stored cube, with its words and vector."""
        self._governance.fetch(cube.id, Verb.WRITE, caller, operation="consolidate")
        at = max(caller.now, cube.descriptive.recorded_at)
        dated = cube.descriptive.model_copy(update={"recorded_at": at})
        draft = finished(cube.model_copy(update={"version": cube.version + 1, "descriptive": dated}))
        row = self._embedding.written([draft.text])
        return NewVersion(draft.cube, caller, draft.terms, None if row is None else row[0], beside=targets(cube))

    def verify_again(self, cube_id: str, caller: Caller, *, settle: bool) -> list[Decided]:
        """Ask again about a memory that is trusted otherwise than it was; what was changed, each durable on return.

        A decision that would not be made now is taken back; repeats stay merged. *settle* what is to be decided now.
        """
        made: list[Decided] = []
        for decision in self.made.told(cube_id, caller):
            if decision.undone or decision.ruling is Ruling.MERGE:
                continue
            now = {each.id: each for each in self._governance.present([decision.newer, decision.older], caller)}
            if len(now) < 2:
                continue
            both = (now[decision.newer], now[decision.older])
            newer, older = (as_told(each, self._governance.versions(each.id, caller)[0]) for each in both)
            verdict = self._judge.judge(newer, older)
            if verdict is not None and verdict.ruling is decision.ruling:
                continue
            try:
                steps = self.undoing(decision, caller, again=True)
                self._governance.change(steps, caller, operation="undo").result()
            except (VersionConflictError, AccessDeniedError, CubeNotFoundError, LegalHoldError, IllegalTransitionError):
                continue  # changed meanwhile, or nothing may be changed about it: what was decided stands
            self._dropped([decision.newer, decision.older], steps.written)
            made.append(decision.model_copy(update={"undone": True}))
        return [
            *made,
            *(each for here in self.standing([cube_id] * settle, caller) for each in self.settle(here, caller)),
        ]

    # --- taking back

    def undo(self, decision_id: str, caller: Caller) -> Decided:
        """Take a decision back: both memories stand as before it, as new versions, and it is not made again.

        Raises:
            CubeNotFoundError: There is no such decision of the caller, or a memory of it is gone.
            AlreadyUndoneError: It was undone before.
        """
        for _ in range(MAX_RETRIES):
            decision = self.made.known(decision_id, caller)
            steps = self.undoing(decision, caller)
            try:
                self._governance.change(steps, caller, operation="undo").result()
            except VersionConflictError:
                continue
            self._dropped([decision.newer, decision.older], steps.written)
            return decision.model_copy(update={"undone": True})
        raise VersionConflictError(decision.older, decision.version, decision.version + 1)

    def undoing(self, decision: Decided, caller: Caller, *, again: bool = False) -> Steps:
        """The steps that take a decision back; *again*: because it was asked about again, and may be made once more."""
        fetch = self._governance.fetch
        newer = fetch(decision.newer, Verb.WRITE, caller, operation="undo")
        older = fetch(decision.older, Verb.WRITE, caller, operation="undo")
        changed = newer if decision.ruling is Ruling.MERGE else older
        check_change(newer)
        check_change(older)
        ways = {Relation.SUPERSEDES, Relation.CONTRADICTS, Relation.MERGED_INTO, Relation.MERGED_FROM}
        forms = [unlinked(newer, older.id, ways), unlinked(older, newer.id, ways)]
        for_good = decision.until is None
        if decision.ruling is Ruling.SUPERSEDE and for_good:
            forms[1] = self._reopened(forms[1], decision, caller)
            forms[0] = begun_before(forms[0], older)
        versions = [
            self._version(form, caller) for form, cube in zip(forms, (newer, older), strict=True) if form != cube
        ]
        gone = {State.ARCHIVED, State.MERGED}
        comes_back = for_good and changed.state in gone and decision.state not in gone
        over = decision.ruling is Ruling.MERGE and is_over(changed, caller.now)
        moves = ((changed, State.ARCHIVED if over else State.ACTIVATED),) if comes_back else ()
        return Steps(tuple(versions), moves, (undone(decision, caller, {"again": True} if again else {}),))

    def released(self, cube: MemCube, form: MemCube, caller: Caller, *, comes: bool = False) -> tuple[MemCube, Steps]:
        """A memory brought back as *form*, the newest of what contradicts it; and the steps on others that undo that.

        It *comes* back whether or not a decision had retired it.

        Raises:
            LegalHoldError, IllegalTransitionError: What had retired it is on hold, or frozen.
        """
        steps, against = Steps(), dict[str, MemCube]()
        for each in self.made.about(cube.id, caller):
            retired, other = (each.newer, each.older) if each.ruling is Ruling.MERGE else (each.older, each.newer)
            if each.undone or each.until or each.ruling is Ruling.FLAG or retired != cube.id:
                continue
            form = unlinked(form, other, {Relation.MERGED_INTO})
            closed_at = cube.descriptive.valid_to
            if each.ruling is Ruling.SUPERSEDE and form.descriptive.valid_to == closed_at:
                form = self._reopened(form, each, caller)
            theirs = [(let_go(one, cube), one) for one in self._governance.present([other], caller)]
            if each.ruling is Ruling.SUPERSEDE:
                same = form.payload == cube.payload
                standing = (one for _, one in theirs if one.state in RECALLABLE)
                against |= {one.id: one for one in standing if same or self._is_against(form, one)}
            made = tuple(self._version(new, caller) for new, one in theirs if new != one)
            steps = joined(steps, Steps(made, (), (undone(each, caller, {}),)))
        if self._settles and (comes or steps.records):
            near = (one for one in self.near(form, finished(form).terms, caller) if one.id not in against)
            against |= {one.id: one for one in near if self._is_against(form, one)}
        form, records = brought_back(form, list(against.values()), caller)
        return form, joined(steps, Steps(records=records))

    def _is_against(self, form: MemCube, other: MemCube) -> bool:
        return (verdict := self._judge.judge(form, other)) is not None and verdict.ruling is not Ruling.MERGE

    def _reopened(self, older: MemCube, decision: Decided, caller: Caller) -> MemCube:
        """The memory that a decision closed, valid as long as before it."""
        before = [cube for cube in self._governance.versions(older.id, caller) if cube.version <= decision.version]
        ends = before[-1].descriptive.valid_to if before else None
        return older.model_copy(update={"descriptive": older.descriptive.model_copy(update={"valid_to": ends})})

    def review(self, cube: MemCube, caller: Caller) -> None:
        """Ask again about what a changed memory had retired; what is changed by that is durable on return."""
        self.verify_again(cube.id, caller, settle=False)
        steps = Steps() if ends_of(cube) is None else self.for_a_while(cube, caller)
        if steps.versions:
            self._governance.change(steps, caller, operation="undo").result()
            self._dropped([each.cube.id for each in steps.versions], steps.written)

    def for_a_while(self, newer: MemCube, caller: Caller) -> Steps:
        """What changes when a memory that had retired others is given an end: they stand again after it."""
        steps = Steps()
        for each in self.made.about(newer.id, caller):
            if each.undone or each.until or each.ruling is not Ruling.SUPERSEDE or each.newer != newer.id:
                continue
            older = {cube.id: cube for cube in self._governance.present([each.older], caller)}.get(each.older)
            if older is None or older.state is not State.ARCHIVED or is_fixed(older):
                continue
            again = each.model_copy(update={"at": caller.now, "until": ends_of(newer), "version": older.version + 1})
            records = (undone(each, caller, {"again": True}), recorded(again, caller))
            version = self._version(self._reopened(older, each, caller), caller)
            steps = joined(steps, Steps((version,), ((older, State.ACTIVATED),), records))
        return steps
