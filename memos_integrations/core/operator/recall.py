"""Recall: from a plan to ranked, governed, trimmed memories with their reasons and their price."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import accumulate
from math import isfinite

import numpy as np

from memos_integrations.core.access import Caller, Verb
from memos_integrations.core.cube import CubeRef, MemCube, new_id, sha256
from memos_integrations.core.errors import RerankError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.graph import spread
from memos_integrations.core.operator.adapter import fitting_adapters
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.evidence import (
    SUPERSEDED_WEIGHT,
    Candidate,
    around_by_tokens,
    as_read,
    as_scored,
    coverage,
    held_share,
    in_shape,
    own_signals,
    places_before,
    sessions_of,
    standing,
    stretched,
)
from memos_integrations.core.operator.excerpt import CHARACTERS_PER_TOKEN, excerpt
from memos_integrations.core.operator.prefix import fitting_prefix
from memos_integrations.core.operator.recalled import Cost, Hit, Recall, marks_of, render
from memos_integrations.core.operator.scopes import Considered, Finding, ScopeSearch
from memos_integrations.core.operator.spelling import as_spelt
from memos_integrations.core.operator.surfacing import TrustGate, told_first
from memos_integrations.core.operator.telling import units_of
from memos_integrations.core.operator.traits import Traits, traits_of
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.ports import Reranker
from memos_integrations.core.ranking import Floats, strangeness
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.scheduler import MemoryPlan
from memos_integrations.core.standings import Standings
from memos_integrations.core.text import terms as terms_of
from memos_integrations.core.unswept import Unswept

LATE_CHARACTERS = 200_000
"""So much text is looked at token by token, the nearest by vector first; of long memories fewer, the rest by vector."""

REPLACED = 100
"""Of so many of the best, or four times k if that is more, it is asked what replaces them."""

RERANKED = 50
"""So many of the best, or k if that is more, are shown to the reranker."""

RERANK_WEIGHT = 4.0
"""More than all other signals together: the order of those shown is the reranker's, near ties go by the rest."""

TOO_LONG = "too long for what is left of the token budget"
USED_UP = "used up by others meanwhile"


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates with their scores, best first (or newest first); hits are made as they are asked for."""

    cubes: Sequence[MemCube]
    said: Sequence[datetime]
    scores: Floats
    shares: Mapping[str, Floats]
    beside: Standings
    newest_first: bool
    asker: str

    def __iter__(self) -> Iterator[Hit]:
        """The hits in order; equal scores go to the newer."""
        scores, cubes = self.scores.tolist(), self.cubes
        first = [0.0] * len(cubes) if self.newest_first else scores
        keys = list(zip(first, self.said, [cube.id for cube in cubes], strict=True))
        for place in sorted(range(len(cubes)), key=keys.__getitem__, reverse=True):
            parts = {name: float(share[place]) for name, share in self.shares.items()}
            newer, against = self.beside.of(cubes[place].id)
            yield Hit(
                cube=cubes[place],
                score=scores[place],
                parts=parts,
                superseded_by=newer,
                conflicts_with=against,
                asker=self.asker,
            )


class MemOperator:
    """Carries out plans over governed storage."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        *,
        count_tokens: Callable[[str], int],
        reranker: Reranker | None = None,
        trust: TrustGate = TrustGate(),  # noqa: B008 (it cannot be changed)
    ) -> None:
        self._trust = trust
        self._governance = governance
        self._embedding = embedding
        self._count_tokens = count_tokens
        self._reranker = reranker
        self._scopes = ScopeSearch(governance, embedding)

    def execute(self, plan: MemoryPlan, call: MemoryCall, caller: Caller, findings: Sequence[Finding] = ()) -> Recall:
        """The memories that the plan finds for the caller, best first; what was handed out is on record.

        *findings* are those of `look`, one for each scope of the plan. What they name is read again as the caller; when
        one of them is missing, or something they name changed, everything is looked for anew.

        Raises:
            EmbeddingError: The embedder failed on the question.
            RerankError: The reranker failed, or did not give one finite number per text.
            VaultError: The store failed, or the record of the recall could not be made durable.
        """
        with Unswept() as sweeping:  # hundreds of memories are made for a moment, and none is in a cycle
            found = self._executed(plan, call, caller, findings)
            sweeping.made(found.cost.candidates)
            return found

    def _executed(self, plan: MemoryPlan, call: MemoryCall, caller: Caller, findings: Sequence[Finding]) -> Recall:
        started = time.perf_counter()
        recall_id = new_id()
        if not plan.needed:
            return Recall(id=recall_id, call=call, plan=plan, how=plan.reason)
        found = self._scopes.gathered(plan, call, findings, caller) if findings else None
        considered = found or self._scopes.search(plan, call, caller)
        candidates = considered.by_id
        ranked = self._rank(considered, plan, call, caller)
        best: Iterable[Hit] = ranked
        if self._reranker is not None and candidates and not plan.newest_first:
            best = _reranked(ranked, self._reranker, call.query, max(RERANKED, plan.k))
            best = _told_first(best, _asked(considered, call), frozenset(ranked.beside.superseded))
        hits, lines, tokens, passed = self._trim(best, plan, call.terms, partial(self._use_up, caller, recall_id))
        text = "\n".join(lines)
        detail = {"prompt": sha256(call.prompt.encode()), "candidates": len(candidates), "k": plan.k}
        detail |= {"tokens": tokens, "bytes": len(text.encode())}
        detail["wall_s"] = round(time.perf_counter() - started, 6)
        scores = {hit.cube.ref: hit.score for hit in hits}
        prefix, lead = fitting_prefix(self._loadable(plan.prefix, scores, caller), scores)
        # What adapters know is the present.
        named = () if plan.as_of or plan.valid_at else plan.adapters
        adapters, why = fitting_adapters(self._loadable(named, scores, caller), scores)
        used = [*(h.cube for h in hits), *prefix, *adapters]
        self._governance.hand_out(used, caller, recall_id=recall_id, detail=detail)
        search_ms = (time.perf_counter() - started) * 1e3
        cost = Cost(search_ms=search_ms, total_ms=search_ms, candidates=len(candidates))
        return Recall(
            id=recall_id,
            call=call,
            plan=plan,
            hits=tuple(hits),
            text=text,
            token_count=tokens,
            how=considered.how,
            visited=considered.visited,
            passed_over=dict(passed),
            cost=cost,
            prefix=tuple(cube.id for cube in prefix),
            lead=tuple(lead),
            adapters=tuple(cube.id for cube in adapters),
            why_adapters=why,
            caller=caller,
        )

    def look(self, plan: MemoryPlan, call: MemoryCall, caller: Caller, scope: int) -> Finding:
        """What one scope of the plan finds for the caller; see `ScopeSearch.look`."""
        return self._scopes.look(plan, call, caller, scope)

    def _loadable(self, ids: Sequence[str], found: Mapping[CubeRef, float], caller: Caller) -> list[MemCube]:
        named = self._governance.readable(ids, caller, verb=Verb.USE_IN_PROMPT) if ids and found else []
        # What is computed is read as often as it likes: not what may be used so many times.
        return [cube for cube in named if cube.governance.licence is None]

    def _rank(self, considered: Considered, plan: MemoryPlan, call: MemoryCall, caller: Caller) -> Ranked:
        """All candidates, best first; equal scores go to the newer."""
        found = considered.by_id.values()
        candidates = sorted(found, key=lambda c: (-c.signals.get("dense", -1.0), c.cube.id))
        cubes = [candidate.cube for candidate in candidates]
        traits = traits_of(cubes)
        newest = max((each.said_at for each in traits), default=caller.now)
        asked = _asked(considered, call)
        held = held_share(candidates, traits, asked) if plan.weights.get("late") else 1.0
        before = places_before(cubes, traits) if plan.weights.get("late") or plan.weights.get("late_before") else []
        looked = self._look_at_tokens(candidates, traits, before, call.query, caller) if before else ({}, 0.0, 0.0)
        late, strange, unread = looked
        weights = in_shape(plan.weights, traits, held, strange)
        signals = stretched(candidates, late)
        if before:
            sessions = sessions_of(traits)
            signals |= around_by_tokens(before, sessions, signals)
            weights = as_read(as_scored(weights, signals, sessions, strange), unread)
        weights, spelt = as_spelt(weights, traits, call.query)
        signals |= own_signals(cubes, traits, call, newest, weights)
        signals |= spelt
        nothing = np.zeros(len(cubes))
        shares = {name: weight * signals.get(name, nothing) for name, weight in weights.items()}
        if cubes and weights.get("graph"):
            told = [
                {*each.terms, *map(str.casefold, cube.descriptive.entities)}
                for each, cube in zip(traits, cubes, strict=True)
            ]
            shares["graph"] = weights["graph"] * spread(told, sum(shares.values(), nothing))
        past = call.about_past or plan.as_of is not None or plan.valid_at is not None
        at = plan.valid_at or plan.as_of
        standings = np.array([standing(cube, caller.now, past=past, at=at) for cube in cubes])
        # What is far behind before some of the first are held back is not among the first after it.
        first = np.argsort(-sum(shares.values(), nothing) * standings, kind="stable")[: max(REPLACED, 4 * plan.k)]
        looked_at = cubes if plan.newest_first else [cubes[place] for place in first.tolist()]
        beside = self._governance.standings(looked_at, caller)
        replaced = beside.superseded
        if replaced and not past:
            standings *= np.array([SUPERSEDED_WEIGHT if cube.id in replaced else 1.0 for cube in cubes])
        scores = sum(shares.values(), nothing) * standings
        if not plan.newest_first:
            scores = told_first(cubes, scores, partial(coverage, traits, asked), replaced)
        said = [each.said_at for each in traits]
        return Ranked(cubes, said, scores, shares, beside, plan.newest_first, caller.by.subject)

    def _look_at_tokens(
        self,
        candidates: Sequence[Candidate],
        traits: Sequence[Traits],
        before: Sequence[int],
        query: str,
        caller: Caller,
    ) -> tuple[dict[str, Floats], float, float]:
        """The candidates' scores by late interaction, the nearest by vector first; NaN where none was worked out.

        Told is also how strange the language is to the embedder, 0..1, and how far it does not read it at all.
        """

        def stored(places: Sequence[int]) -> dict[int, bytes]:
            at = {candidates[place].cube.id: place for place in places}
            kept = self._governance.tokens([candidates[place].cube for place in places], caller)
            return {at[cube_id]: raw for cube_id, raw in kept.items()}

        texts = [each.text for each in traits]
        within = max(1, sum(total <= LATE_CHARACTERS for total in accumulate(map(len, texts))))
        known = [place if place < within else -1 for place in before[:within]]
        keys = [each.key for each in traits[:within]]
        late = self._embedding.late(query, texts[:within], known, stored, keys)
        unseen = np.full(len(candidates) - within, np.nan) if within < len(candidates) else np.zeros(0)
        scores = {"late": np.append(late.own, unseen), "late_before": np.append(late.with_before, unseen)}
        told = [
            (tokens, each.units)
            for tokens, each, missing in zip(late.tokens.tolist(), traits, np.isnan(late.own).tolist(), strict=False)
            if not missing
        ]
        strange = strangeness((self._embedding.tokens_asked(query), units_of(query)), told)
        return scores, max(strange, late.unread), late.unread

    def _use_up(self, caller: Caller, recall_id: str, hit: Hit) -> bool:
        return self._governance.use_up(hit.cube, caller, operation="recall", recall_id=recall_id)

    def _trim(
        self, ranked: Iterable[Hit], plan: MemoryPlan, terms: Sequence[str], use_up: Callable[[Hit], bool]
    ) -> tuple[list[Hit], list[str], int, Counter[str]]:
        """The best hits that fit into k and the token budget, and whose licence lets itself be used up.

        Told beside them is why others that stand before the last of them were passed over, and how many each time.
        A long memory is shown in part, around the first word asked for; one too long for what is left is passed over.
        """
        kept: list[Hit] = []
        lines: list[str] = []
        spent, passed = 0, Counter[str]()
        for hit in self._trust.let_through(ranked, plan.k, passed):
            marks = marks_of(hit)
            line = excerpt(render(hit), terms, plan.token_budget * CHARACTERS_PER_TOKEN // 2, marks)
            tokens = self._count_tokens(f"\n{line}" if lines else line)
            if not kept and tokens > plan.token_budget:
                line = excerpt(line, terms, max(1, len(line) * plan.token_budget // (2 * tokens)), marks)
                tokens = self._count_tokens(line)
            if spent + tokens > plan.token_budget:
                passed[TOO_LONG] += 1
            elif not use_up(hit):
                passed[USED_UP] += 1
            else:
                kept.append(hit)
                lines.append(line)
                spent += tokens
            if len(kept) == plan.k:
                break
        return kept, lines, spent, +passed


def _asked(considered: Considered, call: MemoryCall) -> dict[str, float]:
    """How much each of the question's terms tells."""
    return {term: considered.rarity.get(term, 1.0) for term in terms_of(call.query)}


def _told_first(hits: Sequence[Hit], asked: Mapping[str, float], replaced: frozenset[str]) -> list[Hit]:
    """The hits, best first, with what was told before what nobody told and speaks of the same."""
    cubes = [hit.cube for hit in hits]
    scores = np.array([hit.score for hit in hits])
    lifted = told_first(cubes, scores, partial(coverage, traits_of(cubes), asked), replaced)
    if lifted is scores:
        return list(hits)
    anew = zip(hits, lifted.tolist(), strict=True)
    return _in_order([hit if hit.score == score else hit.model_copy(update={"score": score}) for hit, score in anew])


def _in_order(hits: Sequence[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (hit.score, hit.said_at, hit.cube.id), reverse=True)


def _reranked(ranked: Ranked, reranker: Reranker, query: str, most: int) -> list[Hit]:
    """The best *most* in the reranker's order, the others after them; the shares still add up to the score."""
    hits = list(ranked)
    best, rest = hits[:most], hits[most:]
    scores = [float(score) for score in reranker.rerank(query, [search_text(hit.cube) for hit in best])]
    if len(scores) != len(best) or not all(isfinite(score) for score in scores):
        raise RerankError(f"The reranker gave {len(scores)} scores for {len(best)} texts; one finite number each.")
    low, span = min(scores), max(scores) - min(scores)
    ordered = []
    for hit, score in zip(best, scores, strict=True):
        share = RERANK_WEIGHT * ((score - low) / span if span > 0.0 else 1.0)
        told = sum(hit.parts.values())
        standing = hit.score / told if told > 0.0 else 1.0
        update = {"score": (told + share) * standing, "parts": {**hit.parts, "rerank": share}}
        ordered.append(hit.model_copy(update=update))
    return _in_order(ordered) + rest
