"""Questions of a long conversation with what was found for them, and their figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from tests.benchmarks.crossfit import Shares, shares_of

CATEGORIES = {1: "multi_hop", 2: "temporal", 3: "open_domain", 4: "single_hop", 5: "adversarial"}


@dataclass(frozen=True)
class Question:
    conversation: int
    text: str
    category: str
    gold: tuple[str, ...]
    answer: str = ""


@dataclass(frozen=True)
class Asked:
    """A question with the ids of the turns that were found, best first, the tokens of each, and the time taken."""

    question: Question
    found: tuple[str, ...]
    scores: tuple[float, ...]
    parts: tuple[dict[str, float], ...]
    tokens: tuple[int, ...]
    ms: float
    cpu_ms: float

    def recall(self, k: int) -> float:
        return len(set(self.found[:k]) & set(self.question.gold)) / len(self.question.gold)

    def within(self, budget: int) -> float:
        return self.recall(int((np.cumsum(self.tokens) <= budget).sum()))

    @property
    def ndcg(self) -> float:
        gains = sum(1 / log2(n + 2) for n, turn in enumerate(self.found[:10]) if turn in self.question.gold)
        return gains / sum(1 / log2(n + 2) for n in range(min(10, len(self.question.gold))))

    @property
    def reciprocal(self) -> float:
        return next((1 / (n + 1) for n, turn in enumerate(self.found) if turn in self.question.gold), 0.0)

    @property
    def sessions(self) -> float:
        """How many of the evidence's sessions are among the first ten by the mean of their best three turns."""
        best: dict[str, list[float]] = defaultdict(list)
        for turn, score in zip(self.found, self.scores, strict=True):
            best[turn.split(":")[0]].append(score)
        # A turn that was not found counts nothing.
        ranked = sorted(best, key=lambda session: -sum(sorted(best[session], reverse=True)[:3]))[:10]
        gold = {turn.split(":")[0] for turn in self.question.gold}
        return len(gold & set(ranked)) / len(gold)

    @property
    def is_plain(self) -> bool:
        """Whether what it asks was said; adversarial questions are counted apart."""
        return self.question.category != "adversarial"


def shares(one: Asked, signals: Sequence[str]) -> Shares:
    """What weights are fitted on."""
    asked = one.question
    return shares_of(asked.conversation, one.is_plain, one.parts, one.scores, one.found, asked.gold, signals)


def ranked_by(found: Sequence[tuple[str, ...]], asked: Sequence[Question]) -> list[Asked]:
    """What a peer found, of which only the order is known."""
    return [
        Asked(one, turns, tuple(1 / (n + 1) for n in range(len(turns))), (), (0,) * len(turns), 0.0, 0.0)
        for one, turns in zip(asked, found, strict=True)
    ]


def mean(values: Sequence[float]) -> float:
    """In percent."""
    return round(100 * float(np.mean(values)), 2) if values else 0.0


def peer_figures(asked: Sequence[Asked]) -> dict[str, float]:
    """Beside ours: R@5, R@10, MRR, and R@10 of the adversarial questions."""
    plain = [one for one in asked if one.is_plain]
    odd = [one.recall(10) for one in asked if not one.is_plain]
    found = {f"recall_at_{k}": mean([one.recall(k) for one in plain]) for k in (5, 10)}
    mrr = round(mean([one.reciprocal for one in plain]) / 100, 4)
    return {**found, "mrr": mrr, "adversarial_recall_at_10": mean(odd)}
