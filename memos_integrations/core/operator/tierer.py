"""Every transformation between text, activation and parameter, decided by cost and carried out (paper §5.4.2).

What was recalled together, and when, stands in the audit log; so do the decisions, each with the figures that it was
made of, before anything is done about it. A pass that was killed is simply run again: what was made meanwhile is there,
and what it takes the place of goes only then. Whoever makes a form keeps its own half-finished state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from memos_integrations.core.access import Caller, Verb
from memos_integrations.core.costs import LONGEST, Costing, FormDecision, decide_form
from memos_integrations.core.costs.together import Together, heat_of, shared_out
from memos_integrations.core.cube import MemCube, ModelFingerprint, Tier
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    InvalidMemoryError,
    LegalHoldError,
    ModelError,
    StillDerivedError,
    TrainingCancelledError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.computed import base_of, made_of, passed, training_of, without_name
from memos_integrations.core.operator.tiering import Former, Tiered, Tiering, TierMove
from memos_integrations.core.operator.units import Unit, costing_of, refused_forms
from memos_integrations.core.ports import RECALLABLE, AuditEntry, LogQuery, Outcome
from memos_integrations.core.records import Steps, record_of

DECIDED = "tier"
PAGE = 10_000
OWN_ADAPTER = "memos-"
"""What the names of adapters begin with that were learnt from memories."""
IsOver = Callable[[], bool]
Figures = dict[str, Any]
REFUSED = (
    AccessDeniedError, CubeNotFoundError, InvalidMemoryError, LegalHoldError, ModelError, StillDerivedError,
    VersionConflictError,
)  # fmt: skip


class Tierer:
    """Moves one principal's memories between the forms that somebody can make."""

    def __init__(self, governance: MemGovernance, forget: Callable[[str, Caller], object]) -> None:
        self._governance, self._forget = governance, forget
        self.formers: list[Former] = []

    def run(self, caller: Caller, tiering: Tiering, *, is_over: IsOver) -> Tiered:
        """One pass. What is let go comes first, since it makes room; then what saves most."""
        if not self.formers:
            return Tiered()
        computed = [cube for cube in self._governance.owned(caller) if cube.tier is not Tier.PLAINTEXT]
        standing, stale = self._standing(computed, caller)
        foreign = self._foreign(standing)
        run = _Pass(self, caller, tiering, is_over, sum(blob.size for cube in computed for blob in cube.blobs))
        for cube, why in stale.values():
            if cube.tier is Tier.ACTIVATION:  # adapters are learnt again instead
                run.let_go(cube, why)
        for cube in foreign if tiering.others else ():
            run.let_go(cube, f"it was computed for {base_of(cube).model}, which is not the model here")
        for former_base in dict.fromkeys(without_name(former.base) for former in self.formers):
            formers = {each.form: each for each in self.formers if without_name(each.base) == former_base}
            mine = [cube for cube in standing if cube.tier in formers and without_name(base_of(cube)) == former_base]
            run.over(self._units(formers, mine, caller, tiering), formers, mine)
        kept = () if tiering.others else tuple(cube.id for cube in foreign)
        return Tiered(
            moved=tuple(run.moved),
            waiting=tuple(run.waiting),
            failed=tuple(run.failed),
            considered=run.considered,
            foreign=kept,
            more=run.more,
        )

    def _foreign(self, standing: Sequence[MemCube]) -> list[MemCube]:
        """Cubes of a form that is made here, for models that it is not made for; adapters are no other model."""
        bases: dict[Tier, set[ModelFingerprint]] = {}
        for former in self.formers:
            bases.setdefault(former.form, set()).add(without_name(former.base))
        plain = {cube.id: without_name(base_of(cube)).model_copy(update={"adapters": ()}) for cube in standing}
        return [cube for cube in standing if cube.tier in bases and plain[cube.id] not in bases[cube.tier]]

    def forget(self, cube: MemCube, caller: Caller) -> None:
        """Erase a computed cube; what it was computed from stands."""
        self._forget(cube.id, caller)
        for former in self.formers:
            if former.form is cube.tier:
                former.let_go(cube)

    def may(self, cube_ids: Sequence[str], verb: Verb, caller: Caller) -> set[str]:
        """Those of the memories with which the caller may do *verb* now."""
        return {cube.id for cube in self._governance.readable(cube_ids, caller, verb=verb, operation="check")}

    def record(self, move: TierMove, caller: Caller, known: Figures) -> None:
        """Write a decision down, for the computed cube and for each of its sources, in one transaction."""
        detail = move.model_dump(mode="json", exclude={"why_not"}) | known
        about = [*move.sources, *([move.gone] if move.gone else [])]
        records = tuple(
            record_of(DECIDED, caller, about=cube_id, denied=move.why_not or None, detail=detail) for cube_id in about
        )
        self._governance.change(Steps(records=records), caller, operation=DECIDED).result()

    def _standing(
        self, computed: Sequence[MemCube], caller: Caller
    ) -> tuple[list[MemCube], dict[str, tuple[MemCube, str]]]:
        """The computed cubes that can still serve, and those that cannot, with the reason."""
        refs = {ref for cube in computed for ref in cube.provenance.derived_from}
        current = self._governance.current(caller.by.tenant, refs)
        adapters = {str(training_of(cube).get("adapter")) for cube in computed}
        standing, stale = [], {}
        for cube in computed:
            stack = {name.partition(":")[0] for name in base_of(cube).adapters if name.startswith(OWN_ADAPTER)}
            if not current.issuperset(cube.provenance.derived_from):
                stale[cube.id] = (cube, "a source of it changed, so it serves nobody")
            elif gone := sorted(stack - adapters):
                stale[cube.id] = (cube, f"the adapter {gone[0]} that it was computed with is gone")
            elif cube.state in RECALLABLE:
                standing.append(cube)
        return standing, stale

    def _units(
        self, formers: dict[Tier, Former], mine: Sequence[MemCube], caller: Caller, tiering: Tiering
    ) -> list[Unit]:
        heat = heat_of(self._recalls(caller, tiering), caller.now, half_life_s=tiering.half_life_s)
        ids = {each for used in heat for each in used} | {
            ref.id for cube in mine for ref in cube.provenance.derived_from
        }
        found = (
            self._governance.readable(sorted(ids), caller, verb=Verb.USE_IN_PROMPT, operation="check") if ids else []
        )
        cubes = {cube.id: cube for cube in found if cube.tier is Tier.PLAINTEXT and cube.state in RECALLABLE}
        warm: dict[Together, float] = {}
        for used, warmth in heat.items():
            words = used.intersection(cubes)
            warm[words] = warm.get(words, 0.0) + warmth
        warm.pop(frozenset(), None)
        learnt = {made_of(cube): cube for cube in mine if cube.tier is Tier.PARAMETER and passed(cube)}
        kept = [(made_of(cube), cube) for cube in mine if cube.tier is Tier.ACTIVATION]
        sets = list(dict.fromkeys(words for words, _ in kept))
        first = next(iter(formers.values()))

        def worth(words: Together) -> float:
            return first.costs([cubes[each] for each in sorted(words)]).text_seconds

        heats = shared_out(warm, learnt=list(learnt), kept=sets, worth=worth)
        units = [
            Unit(tuple(cubes[each] for each in sorted(words)), learnt.get(words), warmth)
            for words, warmth in heats.items()
            if words <= cubes.keys() and words not in sets
        ]
        for words, cube in kept:  # one set may be kept under several system messages
            spare = any(words <= more for more in learnt)  # an adapter took its place, and the pass was cut off there
            if words <= cubes.keys():
                units.append(Unit(tuple(cubes[i] for i in sorted(words)), cube, 0.0 if spare else heats[words]))
        return units

    def _recalls(self, caller: Caller, tiering: Tiering) -> Iterable[tuple[Together, datetime]]:
        """Which memories the caller's recalls handed out together, and when, as far back as they still count."""
        since = caller.now - timedelta(seconds=LONGEST * tiering.half_life_s)
        after = 0
        while True:
            query = LogQuery(
                tenant=caller.by.tenant, actor=caller.by.subject, operation="recall", outcome=Outcome.ALLOWED,
                since=since, after=after, limit=PAGE,
            )  # fmt: skip
            page = self._governance.lifecycle_log(query)
            yield from ((_handed_out(entry), entry.record.at) for entry in page)
            if len(page) < PAGE:
                return
            after = page[-1].number


class _Pass:
    """One pass, as far as it has come."""

    def __init__(self, tierer: Tierer, caller: Caller, tiering: Tiering, is_over: IsOver, held: int) -> None:
        self._tierer, self._caller, self._tiering, self._is_over, self._held = tierer, caller, tiering, is_over, held
        self.moved: list[TierMove] = []
        self.waiting: list[TierMove] = []
        self.failed: list[TierMove] = []
        self.considered = self._begun = self._done = 0
        self.more = False

    def over(self, units: Sequence[Unit], formers: dict[Tier, Former], mine: Sequence[MemCube]) -> None:
        """Decide about all of them, and carry out what moves."""
        decided = []
        ids = sorted({cube.id for unit in units for cube in unit.sources})
        taught = self._tierer.may(ids, Verb.TRAIN_ON, self._caller) if ids and Tier.PARAMETER in formers else set()
        for unit in units:
            known = costing_of(unit, formers, self._caller, self._tiering)
            refused = refused_forms(unit, formers, mine, taught)
            decided.append((unit, known, decide_form(known, rent=self._tiering.rent, refused=refused)))
        self.considered += len(decided)
        moving = [each for each in decided if each[2].moves and not self._is_young(each[0], each[2])]
        moving.sort(key=lambda each: (each[2].after is not Tier.PLAINTEXT, -each[2].saved_seconds))
        for unit, known, decision in moving:
            held = unit.held.id if unit.held is not None else None
            sources = tuple(cube.id for cube in unit.sources)
            move = TierMove(
                sources=sources, before=decision.before, after=decision.after, reason=decision.reason, gone=held
            )
            figures: Figures = {"costing": known.model_dump(mode="json"), "rent": self._tiering.rent}
            figures["refused"] = {str(form): why for form, why in decision.refused.items()}
            self._carry_out(move, unit, known, formers, figures)

    def let_go(self, cube: MemCube, reason: str) -> None:
        """Forget a computed cube; its memories are text again."""
        sources = tuple(ref.id for ref in cube.provenance.derived_from)
        move = TierMove(sources=sources, before=cube.tier, after=Tier.PLAINTEXT, reason=reason, gone=cube.id)
        self._tierer.record(move, self._caller, {})
        self._forgotten(move, cube)

    def _is_young(self, unit: Unit, decision: FormDecision) -> bool:
        """Whether what would be let go was made only now, and no rule forbids it."""
        if unit.held is None or unit.now in decision.refused:
            return False
        return self._caller.now - unit.held.descriptive.created_at < self._tiering.grace

    def _carry_out(
        self, move: TierMove, unit: Unit, known: Costing, formers: dict[Tier, Former], figures: Figures
    ) -> None:
        if self._done >= self._tiering.limit:
            why_not = f"{self._tiering.limit} moves were made in this pass"
            self.waiting.append(move.model_copy(update={"why_not": why_not}))
            self.more = True
            return
        self._done += 1
        if why_not := self._too_much(move, unit, known):
            self.waiting.append(move.model_copy(update={"why_not": why_not}))
            self._tierer.record(self.waiting[-1], self._caller, figures)
            return
        self._tierer.record(move, self._caller, figures)
        if move.after is Tier.PLAINTEXT:
            assert unit.held is not None
            self._forgotten(move, unit.held)
            return
        self._begun += 1
        # The first gets on by a step at least, or short passes would never get anywhere.
        is_over = self._is_over if self._begun > 1 else _after_one(self._is_over)
        by, context = self._caller.by, self._caller.context
        try:
            made = formers[move.after].make(
                move.sources, reason=move.reason[:1_000], is_over=is_over, by=by, context=context
            )
        except TrainingCancelledError as exc:
            self._put_off(self.waiting, move, str(exc), figures)
            self.more = True
            return
        except REFUSED as exc:
            self._put_off(self.failed, move, str(exc), figures)
            return
        move = move.model_copy(update={"made": made.id})
        self._held += sum(blob.size for blob in made.blobs)
        if not passed(made):
            self._put_off(self.failed, move, "what was learnt did not pass its gates; it is kept as evidence", figures)
        elif unit.held is None or made.id == unit.held.id:
            self.moved.append(move)
        else:
            self._forgotten(move, unit.held)

    def _too_much(self, move: TierMove, unit: Unit, known: Costing) -> str:
        """Why a move has to wait; nothing when it need not."""
        if move.after is Tier.PLAINTEXT:
            return ""
        if self._begun and self._is_over():
            self.more = True
            return f"the {self._tiering.seconds:g} s of this pass are used up"
        going = sum(blob.size for blob in unit.held.blobs) if unit.held is not None else 0
        wanted = self._held - going + known.forms[move.after].size
        if self._tiering.size is not None and wanted > self._tiering.size:
            return f"it would make {wanted} bytes of computed memory, of {self._tiering.size} that are allowed"
        return ""

    def _put_off(self, where: list[TierMove], move: TierMove, why_not: str, figures: Figures) -> None:
        where.append(move.model_copy(update={"why_not": why_not}))
        self._tierer.record(where[-1], self._caller, figures)

    def _forgotten(self, move: TierMove, held: MemCube) -> None:
        """Let go of what a move leaves behind."""
        try:
            self._tierer.forget(held, self._caller)
        except CubeNotFoundError:
            pass  # it went with one of its sources meanwhile
        except REFUSED as exc:
            self._put_off(self.failed, move, str(exc), {})
            return
        self._held -= sum(blob.size for blob in held.blobs)
        self.moved.append(move)


def _after_one(is_over: IsOver) -> IsOver:
    asked: list[None] = []

    def over() -> bool:
        asked.append(None)
        return len(asked) > 1 and is_over()

    return over


def _handed_out(entry: AuditEntry) -> Together:
    detail = entry.record.detail
    found = detail.get("cubes") if isinstance(detail, dict) else None
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()
