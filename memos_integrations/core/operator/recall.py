"""Recall: from a plan to ranked, governed, trimmed memories with their reasons and their price."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from math import isfinite

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import Label, MemCube, Provenance, Value, new_id, sha256
from memos_integrations.core.errors import RerankError
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.evidence import (
    SUPERSEDED_WEIGHT,
    Candidate,
    held_share,
    in_shape,
    named_speakers,
    own_signals,
    promising,
    said_at,
    standing,
    stretch,
)
from memos_integrations.core.operator.explain import Explanation, HitReasons
from memos_integrations.core.operator.queries import queries_of
from memos_integrations.core.operator.write import search_text
from memos_integrations.core.ports import Found, Reranker, VaultQuery
from memos_integrations.core.ranking import fuse
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.scheduler import Action, MemoryPlan
from memos_integrations.core.text import terms as terms_of

CHARACTERS_PER_TOKEN = 3
"""How many characters a token has at least, in most texts: a memory longer than half the budget is shown in part."""

LATE_ROWS = 2_000
"""Of so many visible memories all are looked at token by token; of more, the best by words and by vector."""

LATE_CHARACTERS = 200_000
"""So much text is looked at token by token, the nearest by vector first; of long memories fewer, the rest by vector."""

MOST_PLACES = 10_000

RERANKED = 50
"""So many of the best, or k if that is more, are shown to the reranker."""

RERANK_WEIGHT = 4.0
"""More than all other signals together: the order of those shown is the reranker's, near ties go by the rest."""

PROMISING = 200
"""So many at least are judged by their header and words too."""


class Hit(Value):
    """One recalled memory: how it scored, and why.

    `parts` are the weighted shares of the signals; they add up to the score, unless the memory was set back because
    another one supersedes it, or because its half-life has passed.
    """

    cube: MemCube
    score: float
    parts: dict[str, float] = Field(default_factory=dict)
    superseded_by: Label | None = None

    @property
    def text(self) -> str:
        """The words remembered."""
        return self.cube.text

    @property
    def provenance(self) -> Provenance:
        """Where they came from."""
        return self.cube.provenance

    @property
    def said_at(self) -> datetime:
        """When it was said or happened, else when it was written down."""
        return self.cube.provenance.occurred_at or self.cube.descriptive.created_at

    @property
    def why(self) -> str:
        """The score as a sum in words."""
        shares = sorted(self.parts.items(), key=lambda part: -part[1])
        words = " + ".join(f"{name} {share:.2f}" for name, share in shares if share >= 0.005)
        return (words or "latest") + (f"; superseded by {self.superseded_by}" if self.superseded_by else "")


class Cost(Value):
    """What a recall took: milliseconds of wall time per step, cubes considered."""

    read_ms: float = 0.0
    plan_ms: float = 0.0
    search_ms: float = 0.0
    total_ms: float = 0.0
    candidates: int = 0


class Recall(Value):
    """What is remembered about a prompt: best first, with provenance, reasons, token count and cost.

    `text` is ready for a prompt: data, one line per memory, never more than the plan's token budget. `prefix` and
    `adapters` are for a local model (see `MemoryPlan`).
    """

    id: Label
    call: MemoryCall
    plan: MemoryPlan
    hits: tuple[Hit, ...] = ()
    text: str = ""
    token_count: int = 0
    how: str = ""
    cost: Cost = Cost()
    prefix: tuple[Label, ...] = ()
    adapters: tuple[Label, ...] = ()

    def explain(self) -> Explanation:
        """Each hit's shares, the plan, the path, and how many candidates were left out; print it to read it."""
        plan = self.plan
        return Explanation(
            question=self.call.prompt,
            query=self.call.query,
            plan=plan.reason,
            path=str(plan.path) if plan.path else "",
            steps=tuple(f"{step.action.value}: {step.reason}" for step in plan.steps),
            weights=plan.weights,
            hits=tuple(
                HitReasons(
                    id=hit.cube.id,
                    text=hit.text,
                    score=hit.score,
                    parts=hit.parts,
                    why=hit.why,
                    superseded_by=hit.superseded_by,
                )
                for hit in self.hits
            ),
            considered=self.cost.candidates,
            left_out=max(0, self.cost.candidates - len(self.hits)),
            tokens=self.token_count,
            token_budget=plan.token_budget,
            search=self.how,
        )


def render(hit: Hit) -> str:
    """A memory as one line of data: date, speaker, words.

    Line breaks are folded, so that a memory cannot pretend to be several.
    """
    said = f"{hit.said_at:%Y-%m-%d}"
    words = " ".join(hit.text.split())
    speaker = " ".join((hit.provenance.speaker or "").split())
    line = f"- [{said}] {speaker}: {words}" if speaker else f"- [{said}] {words}"
    return line + (" (since replaced)" if hit.superseded_by else "")


def excerpt(line: str, terms: Sequence[str], length: int) -> str:
    """At most about *length* characters of a rendered memory: its head (date, speaker) and what is around a term."""
    if len(line) <= length:
        return line
    folded = line.casefold()
    places = [place for term in terms if (place := folded.find(term, min(40, len(line)))) >= 0]
    start = max(0, min(places, default=0) - length // 4)
    return f"{line[:40]} […] {line[start : start + length]} […]" if start > 40 else f"{line[:length]} […]"


class MemOperator:
    """Carries out plans over governed storage."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        *,
        count_tokens: Callable[[str], int],
        reranker: Reranker | None = None,
    ) -> None:
        self._governance = governance
        self._embedding = embedding
        self._count_tokens = count_tokens
        self._reranker = reranker
        # How many were visible at the last look, by tenant and namespace: a guess, so that one search is enough.
        self._visible: dict[tuple[str, tuple[str, ...]], int] = {}

    def execute(self, plan: MemoryPlan, call: MemoryCall, caller: Caller) -> Recall:
        """The memories that the plan finds for the caller, best first; what was handed out is on record.

        Raises:
            EmbeddingError: The embedder failed on the question.
            RerankError: The reranker failed, or did not give one finite number per text.
            VaultError: The store failed, or the record of the recall could not be made durable.
        """
        started = time.perf_counter()
        recall_id = new_id()
        if not plan.needed:
            return Recall(id=recall_id, call=call, plan=plan, how=plan.reason)
        candidates, how = self._search(plan, call, caller)
        ranked = self._rank(list(candidates.values()), plan, call, caller)
        if self._reranker is not None and ranked and not plan.newest_first:
            ranked = _reranked(ranked, self._reranker, call.query, max(RERANKED, plan.k))
        hits, text, tokens = self._trim(ranked, plan, call.terms)
        detail = {"prompt": sha256(call.prompt.encode()), "candidates": len(candidates), "k": plan.k}
        self._governance.hand_out([hit.cube for hit in hits], caller, recall_id=recall_id, detail=detail)
        search_ms = (time.perf_counter() - started) * 1e3
        cost = Cost(search_ms=search_ms, total_ms=search_ms, candidates=len(candidates))
        return Recall(
            id=recall_id,
            call=call,
            plan=plan,
            hits=tuple(hits),
            text=text,
            token_count=tokens,
            how=how,
            cost=cost,
            prefix=plan.prefix,
            adapters=plan.adapters,
        )

    def _search(self, plan: MemoryPlan, call: MemoryCall, caller: Caller) -> tuple[dict[str, Candidate], str]:
        """One query per scope; a candidate keeps its best score of each signal over the queries that found it."""
        words = tuple(terms_of(call.query))
        actions = {step.action for step in plan.steps}
        vector = self._embedding.asked(call.query) if Action.DENSE in actions else None
        candidates: dict[str, Candidate] = {}
        told = []
        for query in queries_of(plan, words, vector):
            found = self._looked_at(
                query, caller, whole=bool(plan.weights.get("late")) and query.filter.occurred is None
            )
            if not found.matches and query.filter.occurred is not None:
                # The question names a time and other words than were used then: what was said then, latest first.
                found = self._governance.search(replace(query, terms=(), vector=None, around=False), caller)
            told.append(found.how)
            for match in found.matches:
                candidate = candidates.setdefault(match.cube.id, Candidate(match.cube))
                for name, score in {**match.around, "bm25": match.bm25, "dense": match.cosine}.items():
                    # Of a narrower scope's statistics only what the wider one did not find.
                    if score is not None:
                        candidate.signals.setdefault(name, score)
        for cube_id in plan.shown:
            candidates.pop(cube_id, None)
        return candidates, "; ".join(dict.fromkeys(told))

    def _looked_at(self, query: VaultQuery, caller: Caller, *, whole: bool) -> Found:
        """The best by each signal; all that is visible, where *whole* and it is at most `LATE_ROWS`."""
        if not whole or not (query.terms or query.vector is not None):
            return self._governance.search(query, caller)
        where = (caller.by.tenant, query.filter.namespace)
        expected = self._visible.get(where, LATE_ROWS + 1)
        wide = replace(query, k=expected + query.k) if expected <= LATE_ROWS else query
        found = self._governance.search(wide, caller)
        if len(found.matches) < found.visible <= LATE_ROWS:
            found = self._governance.search(replace(query, k=found.visible), caller)
        if len(self._visible) >= MOST_PLACES:
            self._visible.clear()
        self._visible[where] = found.visible
        return found

    def _rank(self, candidates: list[Candidate], plan: MemoryPlan, call: MemoryCall, caller: Caller) -> list[Hit]:
        """All candidates as hits, best first; equal scores go to the newer."""
        newest = max((said_at(c.cube) for c in candidates), default=caller.now)
        held = held_share(candidates, terms_of(call.query)) if plan.weights.get("late") else 1.0
        weights = in_shape(plan.weights, [c.cube for c in candidates], held)
        if weights.get("late") and candidates:
            candidates.sort(key=lambda c: (-c.signals.get("dense", -1.0), c.cube.id))
            texts = [search_text(c.cube) for c in candidates]
            within = [total <= LATE_CHARACTERS for total in accumulate(map(len, texts))]
            late = self._embedding.late(call.query, texts[: max(1, sum(within))])
            for candidate, score in zip(candidates, late, strict=False):
                if score is not None:
                    candidate.signals["late"] = score
        stretch(candidates)
        candidates = promising(candidates, weights, max(PROMISING, 2 * plan.k), timed=call.window is not None)
        named = named_speakers([c.cube for c in candidates], call)
        for candidate in candidates:
            candidate.signals.update(own_signals(candidate.cube, call, newest, named))
        signals = {name: [c.signals.get(name, 0.0) for c in candidates] for name in weights}
        scores = fuse(signals, weights)
        replaced = self._governance.superseded([c.cube for c in candidates], caller)
        hits = []
        past = call.about_past or plan.as_of is not None or plan.valid_at is not None
        for candidate, score in zip(candidates, scores, strict=True):
            parts = {name: weight * candidate.signals.get(name, 0.0) for name, weight in weights.items()}
            newer = replaced.get(candidate.cube.id)
            factor = standing(candidate.cube, caller.now, past=past)
            if newer and not past:
                factor *= SUPERSEDED_WEIGHT
            hits.append(Hit(cube=candidate.cube, score=score * factor, parts=parts, superseded_by=newer))
        if plan.newest_first:
            return sorted(hits, key=lambda hit: (hit.said_at, hit.cube.id), reverse=True)
        return sorted(hits, key=lambda hit: (hit.score, hit.said_at, hit.cube.id), reverse=True)

    def _trim(self, ranked: Sequence[Hit], plan: MemoryPlan, terms: Sequence[str]) -> tuple[list[Hit], str, int]:
        """The best hits that fit into k and the token budget.

        A long memory is shown in part, around the first word asked for; one too long for what is left is passed over.
        """
        kept: list[Hit] = []
        lines: list[str] = []
        spent = 0
        for hit in ranked:
            if len(kept) == plan.k:
                break
            line = excerpt(render(hit), terms, plan.token_budget * CHARACTERS_PER_TOKEN // 2)
            tokens = self._count_tokens(f"\n{line}" if lines else line)
            if not kept and tokens > plan.token_budget:
                line = excerpt(line, terms, max(1, len(line) * plan.token_budget // (2 * tokens)))
                tokens = self._count_tokens(line)
            if spent + tokens <= plan.token_budget:
                kept.append(hit)
                lines.append(line)
                spent += tokens
        return kept, "\n".join(lines), spent


def _reranked(ranked: list[Hit], reranker: Reranker, query: str, most: int) -> list[Hit]:
    """The best *most* in the reranker's order, the others after them; the shares still add up to the score."""
    best = ranked[:most]
    scores = [float(score) for score in reranker.rerank(query, [search_text(hit.cube) for hit in best])]
    if len(scores) != len(best) or not all(isfinite(score) for score in scores):
        raise RerankError(f"The reranker gave {len(scores)} scores for {len(best)} texts; one finite number each.")
    low, span = min(scores), max(scores) - min(scores)
    hits = []
    for hit, score in zip(best, scores, strict=True):
        share = RERANK_WEIGHT * ((score - low) / span if span > 0.0 else 1.0)
        told = sum(hit.parts.values())
        standing = hit.score / told if told > 0.0 else 1.0
        update = {"score": (told + share) * standing, "parts": {**hit.parts, "rerank": share}}
        hits.append(hit.model_copy(update=update))
    return sorted(hits, key=lambda hit: (hit.score, hit.said_at, hit.cube.id), reverse=True) + ranked[most:]
