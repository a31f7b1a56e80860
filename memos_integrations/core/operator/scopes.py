"""The search of a plan, scope by scope: each is one query of the vault, and may be asked apart from the others.

A `Finding` names cubes and says how they scored; it holds no words, so that it may be kept and passed along. Whoever
puts findings together reads the cubes again, as whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import CubeRef, Label, Value
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.evidence import Candidate
from memos_integrations.core.operator.queries import begun_by, narrowed_to, queries_of, scopes_of
from memos_integrations.core.ports import Found, Match, VaultQuery
from memos_integrations.core.ranking import idf
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.router import is_narrow, why_passed
from memos_integrations.core.scheduler import Action, MemoryPlan
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.text import with_forms

WORDS_EACH = 150
"""So many of the best by words, and by words around, are looked at at least.

Measured on ten conversations of 370 to 690 messages, without a model: R@10 is 1.3 points higher than with 60, and 0.7
lower than that of a look at all of them.
"""

LATE_EACH = 200
"""So many of the best by words, by words around and by vector are looked at token by token.

Measured on ten conversations of 370 to 690 messages: R@10 is 1.5 points less than that of a look at all of them with
100, 0.6 less with 200.
"""


@dataclass(frozen=True, slots=True)
class Considered:
    """What comes into consideration, by id, how it was searched, what came of each stop of the path.

    `rarity` says how much each of the question's terms tells, by the number of the visible memories that hold it.
    """

    by_id: dict[str, Candidate]
    how: str
    visited: tuple[str, ...]
    rarity: Mapping[str, float]


class Seen(Value):
    """A cube that a scope found: which version, and its score by each signal."""

    id: Label
    version: int
    signals: dict[str, float] = Field(default_factory=dict)


class Finding(Value):
    """What scope number `scope` of a plan found, in the vault's order, how, and whether it is most of what is there.

    `rarity` is that of the question's terms there (see `Considered`).
    """

    scope: int
    how: str
    seen: tuple[Seen, ...] = ()
    is_most: bool = False
    rarity: dict[str, float] = Field(default_factory=dict)


class ScopeSearch:
    """Searches the scopes of plans over governed storage."""

    def __init__(self, governance: MemGovernance, embedding: Embedding) -> None:
        self._governance, self._embedding = governance, embedding

    def search(self, plan: MemoryPlan, call: MemoryCall, caller: Caller) -> Considered:
        """Every scope in turn; a candidate keeps its score of each signal from the first scope that gave it."""
        candidates: dict[str, Candidate] = {}
        rarity: dict[str, float] = {}
        told, seen_most = [], False
        by = begun_by(plan, call, caller.now)
        for number, query in enumerate(queries := self._queries(plan, call)):
            found = self._answered(query, caller, by)
            told.append(found.how)
            seen_most = seen_most or (number == 0 and _is_most(found))
            rarity = rarity or _rarity(found)
            _add(candidates, found)
        visited = self._visited(plan, lambda: queries[0], caller, candidates, by, seen_most=seen_most)
        return Considered(_without(candidates, plan), "; ".join(dict.fromkeys(told)), visited, rarity)

    def look(self, plan: MemoryPlan, call: MemoryCall, caller: Caller, scope: int) -> Finding:
        """What one scope of the plan (see `scopes_of`) finds for the caller: ids and signals, no words.

        Nothing is handed out by it, and so nothing recorded: that is for whoever reads the words.

        Raises:
            InvalidMemoryError: The plan has no such scope.
        """
        queries = self._queries(plan, call)
        if not 0 <= scope < len(queries):
            raise InvalidMemoryError(f"The plan has {len(queries)} scopes; there is no number {scope}.")
        found = self._answered(queries[scope], caller, begun_by(plan, call, caller.now))
        seen = (Seen(id=m.cube.id, version=m.cube.version, signals=_signals(m)) for m in found.matches)
        return Finding(scope=scope, how=found.how, seen=tuple(seen), is_most=_is_most(found), rarity=_rarity(found))

    def gathered(
        self, plan: MemoryPlan, call: MemoryCall, findings: Sequence[Finding], caller: Caller
    ) -> Considered | None:
        """What `search` gives, out of findings: the cubes are read again, as the caller.

        None when a scope is missing, or something found is no longer what it was: then it is to be searched anew.
        """
        by_scope = {finding.scope: finding for finding in findings}
        if sorted(by_scope) != list(range(len(scopes_of(plan)))):
            return None
        ordered = [by_scope[number] for number in sorted(by_scope)]
        refs = {each.id: CubeRef(id=each.id, version=each.version) for finding in ordered for each in finding.seen}
        cubes = {cube.id: cube for cube in self._governance.candidates(list(refs.values()), caller)}
        if cubes.keys() != refs.keys():
            return None
        candidates: dict[str, Candidate] = {}
        for finding in ordered:
            for each in finding.seen:
                _join(candidates.setdefault(each.id, Candidate(cubes[each.id])), each.signals)
        seen_most = ordered[0].is_most
        by, queries = begun_by(plan, call, caller.now), partial(self._queries, plan, call)
        visited = self._visited(plan, lambda: queries()[0], caller, candidates, by, seen_most=seen_most)
        how = "; ".join(dict.fromkeys(finding.how for finding in ordered))
        rarity = next((finding.rarity for finding in ordered if finding.rarity), {})
        return Considered(_without(candidates, plan), how, visited, rarity)

    def _visited(
        self,
        plan: MemoryPlan,
        wide: Callable[[], VaultQuery],
        caller: Caller,
        found: dict[str, Candidate],
        by: datetime | None,
        *,
        seen_most: bool,
    ) -> tuple[str, ...]:
        """Go on along the plan's path after its steps: add to *found* what narrower stops give; what came of each."""
        told = []
        for stop in plan.path.stops if plan.path is not None and not plan.newest_first else ():
            if not is_narrow(stop):
                continue
            passed = why_passed(stop, [each.cube for each in found.values()], k=plan.k, seen_most=seen_most)
            if passed is None:
                before = len(found)
                _add(found, self._governance.search(narrowed_to(stop, wide(), plan), caller, begun_by=by))
                passed = f"searched, {len(found) - before} more"
            told.append(f"{stop.layer.value} {stop.where}: {passed}")
        return tuple(told)

    def _queries(self, plan: MemoryPlan, call: MemoryCall) -> list[VaultQuery]:
        actions = {step.action for step in plan.steps}
        vector = self._embedding.asked(call.query) if Action.DENSE in actions else None
        least = LATE_EACH if plan.weights.get("late") else WORDS_EACH if plan.weights.get("context") else 1
        return queries_of(plan, with_forms(terms_of(call.query)), vector, least=least)

    def _answered(self, query: VaultQuery, caller: Caller, by: datetime | None) -> Found:
        found = self._governance.search(query, caller, begun_by=by)
        if not found.matches and query.filter.occurred is not None:
            # The question names a time and other words than were used then: what was said then, latest first.
            latest = replace(query, terms=(), vector=None, around=False)
            return self._governance.search(latest, caller, begun_by=by)
        return found


def _is_most(found: Found) -> bool:
    """Whether what was found is at least half of what may be seen there."""
    return 2 * len(found.matches) >= found.visible


def _rarity(found: Found) -> dict[str, float]:
    return {term: idf(found.visible, min(count, found.visible)) for term, count in found.matching.items()}


def _add(candidates: dict[str, Candidate], found: Found) -> None:
    for match in found.matches:
        known = candidates.get(match.cube.id)
        if known is None:
            candidates[match.cube.id] = Candidate(match.cube, _signals(match))
        else:
            _join(known, _signals(match))


def _signals(match: Match) -> dict[str, float]:
    """The scores of a match, by signal; only those that were asked for."""
    signals = dict(match.around)
    if match.bm25 is not None:
        signals["bm25"] = match.bm25
    if match.cosine is not None:
        signals["dense"] = match.cosine
    return signals


def _join(candidate: Candidate, signals: dict[str, float]) -> None:
    """Of a narrower scope's statistics only what the wider one did not find."""
    for name, score in signals.items():
        candidate.signals.setdefault(name, score)


def _without(candidates: dict[str, Candidate], plan: MemoryPlan) -> dict[str, Candidate]:
    for cube_id in plan.shown:
        candidates.pop(cube_id, None)
    return candidates
