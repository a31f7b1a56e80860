"""What each signal of recall is worth, and what each means of gathering several pieces of evidence.

A signal adds its share to a memory's score (`Hit.parts`), so most of the questions need not be asked again without it:
what is left of the shares gives the order. Asked again is without what decides which memories are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from memos_integrations import MemOS, Principal, Recall
from memos_integrations.core.cube import Labels
from memos_integrations.core.operator.scopes import LATE_EACH, WORDS_EACH
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.router import MemoryPath, MemoryPathResolver
from memos_integrations.core.scheduler import MORE_CANDIDATES, MemoryPlan, MemScheduler
from memos_integrations.core.text import terms
from tests.benchmarks.crossfit import Shares
from tests.benchmarks.recall_asked import Asked, Question, mean, peer_figures, ranked_by, shares

DECIDES = ("late", "context")
"""Without these other memories are looked at, or others weigh otherwise: asked again."""

LOOKED_AT = {"lexical": WORDS_EACH - MORE_CANDIDATES, "minilm": LATE_EACH - MORE_CANDIDATES}
"""So many hits a recall may be asked for without more being looked at than for ten."""

AROUND = ("late_before", "late_next", "late_session", "earlier", "session")
"""Signals by which a message is found by what stands around it: what is indexed is more than what is handed out."""

COVERED = 0.1
"""What a word of the question counts that no memory chosen so far has."""

BEST, OF_THE_SECOND = 2, 0.3
"""So many of the best are added to the question that is asked again, and what its scores count."""


class Without(MemScheduler):
    """The scheduler with some signals' weights at nothing."""

    def __init__(self, *signals: str) -> None:
        self._signals = frozenset(signals)

    def plan(self, call: MemoryCall, **how: Any) -> MemoryPlan:
        plan = super().plan(call, **how)
        return plan.model_copy(update={"weights": {k: w for k, w in plan.weights.items() if k not in self._signals}})


class Everywhere(MemoryPathResolver):
    """Searches everything, and nothing narrower."""

    def resolve(self, call: MemoryCall, *, namespace: Labels = ()) -> MemoryPath:
        path = super().resolve(call, namespace=namespace)
        return path.model_copy(update={"stops": path.stops[:1]})


def left_out(asked: Sequence[Shares], signals: Sequence[str]) -> dict[str, float]:
    """R@10 in percent of the questions without each of the signals, by the shares of the others; `""` is with all."""
    plain = [one for one in asked if one.plain]
    factors = {"": np.ones(len(signals))} | {
        name: np.array([float(other != name) for other in signals]) for name in signals if name not in DECIDES
    }
    return {name: round(100 * float(np.mean([one.recall(each) for one in plain])), 2) for name, each in factors.items()}


def covering(question: str, found: Recall, k: int = 10) -> list[str]:
    """Ids of the hits: the first *k* chosen one by one, by score and by what words of the question each adds."""
    asked, chosen = set(terms(question)), list[str]()
    left = {hit.cube.id: (hit.score, asked & set(terms(hit.text))) for hit in found.hits}
    covered: set[str] = set()
    while left and len(chosen) < k:
        best = max(left, key=lambda name: left[name][0] + COVERED * len(left[name][1] - covered))
        covered |= left.pop(best)[1]
        chosen.append(best)
    return [*chosen, *left]


def asked_again(memos: MemOS, by: Principal, question: str, found: Recall) -> list[str]:
    """Ids of the hits when the words of the best are asked for as well."""
    more = " ".join([question, *(hit.text for hit in found.hits[:BEST])])
    scores = {hit.cube.id: hit.score for hit in found.hits}
    for hit in recalled(memos, by, more).hits:
        scores[hit.cube.id] = scores.get(hit.cube.id, 0.0) + OF_THE_SECOND * hit.score
    return sorted(scores, key=scores.__getitem__, reverse=True)


def recalled(memos: MemOS, by: Principal, question: str, k: int = 50) -> Recall:
    """What `memos.recall` finds, whatever its length."""
    return memos.recall(question, by=by, k=k, token_budget=1_000_000, needed=True)


def _ids(found: Recall) -> list[str]:
    return [hit.cube.id for hit in found.hits]


SCHEDULERS: Mapping[str, Callable[[], MemScheduler]] = {
    "graph=0.2": lambda: MemScheduler(graph=0.2),
    "no narrower stops": lambda: MemScheduler(resolver=Everywhere()),
    "nothing around": lambda: Without(*AROUND),
}
"""Switches of the scheduler, each set otherwise than by default."""


def switched(memos: MemOS, by: Principal, questions: Sequence[str]) -> dict[str, list[list[str]]]:
    """Ids of what is found for each question, best first, with each switch: as it is, and set otherwise.

    `cover` and `asked again` are no part of the package: they stand here to show what they would give.
    """
    given = memos._scheduler
    plain = [recalled(memos, by, one) for one in questions]
    found = {"as it is": [_ids(one) for one in plain]}
    found["cover"] = [covering(one, said) for one, said in zip(questions, plain, strict=True)]
    found["asked again"] = [asked_again(memos, by, one, said) for one, said in zip(questions, plain, strict=True)]
    for name, made in SCHEDULERS.items():
        memos._scheduler = made()
        found[name] = [_ids(recalled(memos, by, one)) for one in questions]
    memos._scheduler = given
    return found


def difference(with_it: Sequence[float], as_it_is: Sequence[float], groups: Sequence[int]) -> list[float]:
    """The mean difference in points, and its 95 % interval, drawn over groups (conversations), paired."""
    more, of = np.array(with_it) - np.array(as_it_is), np.array(groups)
    pools = [more[of == each] for each in np.unique(of)]
    rng = np.random.default_rng(0)
    drawn = [np.mean(np.concatenate([pools[n] for n in rng.integers(0, len(pools), len(pools))])) for _ in range(2_000)]
    return [round(100 * float(each), 2) for each in (more.mean(), *np.percentile(drawn, [2.5, 97.5]))]


class Trials:
    """What was found without each signal and with each switch, question by question, where that is asked for."""

    def __init__(self, track: str, *, ablation: bool, switches: bool) -> None:
        self._k, self._ablation, self._switches = LOOKED_AT[track], ablation, switches
        self._with_all: list[Asked] = []
        self._without: dict[str, list[Asked]] = defaultdict(list)
        self._switched: dict[str, list[Asked]] = defaultdict(list)

    def add(
        self, memos: MemOS, by: Principal, asked: Sequence[Question], ask: Callable[..., Asked], of: Mapping[str, str]
    ) -> None:
        """Ask the questions of one conversation, whose turns are those *of* the ids of memories."""
        given = memos._scheduler
        if self._ablation:
            self._with_all += [ask(one, k=self._k) for one in asked]
            for signal in DECIDES:
                memos._scheduler = Without(signal)
                self._without[signal] += [ask(one, k=10) for one in asked if one.category != "adversarial"]
            memos._scheduler = given
        if self._switches:
            for name, found in switched(memos, by, [one.text for one in asked]).items():
                self._switched[name] += ranked_by([tuple(of[each] for each in one) for one in found], asked)

    def ablated(self, signals: Sequence[str]) -> dict[str, float]:
        """R@10 without each signal, and with all of them (`""`); nothing where it was not asked for."""
        found = left_out([shares(one, signals) for one in self._with_all], signals) if self._with_all else {}
        return found | {name: mean([one.recall(10) for one in those]) for name, those in self._without.items()}

    def switched(self) -> dict[str, dict[str, object]]:
        """What is found with each switch set otherwise; `more_at_10` is how much more of R@10 than as it is."""
        told: dict[str, dict[str, object]] = {}
        usual = [one.recall(10) for one in self._switched.get("as it is", []) if one.is_plain]
        for name, those in self._switched.items():
            plain = [one for one in those if one.is_plain]
            of = {
                kind: mean([one.recall(10) for one in plain if one.question.category == kind])
                for kind in ("multi_hop", "open_domain")
            }
            groups = [one.question.conversation for one in plain]
            more = difference([one.recall(10) for one in plain], usual, groups)
            told[name] = {**peer_figures(those), **of, "more_at_10": more}
        return told
