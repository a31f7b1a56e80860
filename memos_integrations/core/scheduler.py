"""MemScheduler: decide which memories to look for, where, in which order and within which budget.

Called after the reader and before the operator (paper §5.4.2). Pure: it sees a `MemoryCall` and what the store can
do, and returns a `MemoryPlan` whose every step carries its reason. It touches no vault, no model and no clock, so each
decision can be tested as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import isfinite

from pydantic import Field

from memos_integrations.core.cube import ActivationPayload, Label, Labels, MemCube, Moment, ParameterPayload, Value
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports.query import CubeFilter
from memos_integrations.core.reader import Intent, MemoryCall, QuestionType
from memos_integrations.core.router import MemoryPath, MemoryPathResolver
from memos_integrations.core.when import TimeWindow

MORE_CANDIDATES = 50
"""How many more are looked at, by each signal, than are asked for."""
DEFAULT_TOKEN_BUDGET = 2_000

OF_THE_HEADER = 0.2
"""What recency, importance, trust or heat counts where the question asks for it: it decides between memories that fit
about as well, and does not bring in those that do not fit."""


class Action(StrEnum):
    """What a step of a plan does."""

    FULLTEXT = "fulltext"
    DENSE = "dense"
    WINDOW = "window"
    LATEST = "latest"


class PlanStep(Value):
    """One step, with its reason. Steps with the same scope are answered by one query of the vault."""

    action: Action
    reason: str
    k: int = Field(ge=1)
    namespace: Labels = ()
    semantic_types: Labels = ()
    window: TimeWindow | None = None


class MemoryPlan(Value):
    """What to do, in order. `weights` says how much each signal counts in the final order.

    `prefix` (ids of activation cubes, see `prefix_order`) and `adapters` (ids of parameter cubes, see
    `adapter_order`) name what a local model may load; they are empty while there are only plaintext memories.
    `where` limits every step to the cubes that pass it. `as_of` searches what was known then, `valid_at` what held
    then; `archived` also looks among what is archived. `path` shows the layers that the question was taken apart into.
    `shown` are cubes that whoever asks has before them already: they are neither counted nor handed out.
    """

    needed: bool
    reason: str
    steps: tuple[PlanStep, ...] = ()
    k: int = Field(ge=1)
    token_budget: int = Field(ge=1)
    weights: dict[str, float] = Field(default_factory=dict)
    newest_first: bool = False
    prefix: tuple[Label, ...] = ()
    adapters: tuple[Label, ...] = ()
    where: CubeFilter | None = None
    as_of: Moment | None = None
    valid_at: Moment | None = None
    archived: bool = False
    path: MemoryPath | None = None
    shown: tuple[Label, ...] = ()


class MemScheduler:
    """Plans by rules that can be read (and replaced: anything with this `plan` will do).

    *resolver* says where the question leads; its path stands in the plan. *graph* is what nearness to the first
    findings counts, over the words and names that memories share (`core.graph`): 0.2 is a good start where questions
    need several memories; nothing by default, as what it gave long conversations is within the error.

    Raises:
        InvalidMemoryError: *graph* is not a finite number of at least 0.
    """

    _resolver = MemoryPathResolver()
    _graph = 0.0

    def __init__(self, *, resolver: MemoryPathResolver | None = None, graph: float = 0.0) -> None:
        if not (isfinite(graph) and graph >= 0.0):
            raise InvalidMemoryError(f"graph is a weight, a finite number of at least 0, not {graph!r}.")
        if resolver is not None:
            self._resolver = resolver
        self._graph = graph

    def plan(
        self,
        call: MemoryCall,
        *,
        k: int,
        namespace: Labels = (),
        token_budget: int | None = None,
        has_vectors: bool = False,
        has_tokens: bool = False,
        needed: bool | None = None,
    ) -> MemoryPlan:
        """The plan for *call*: at most *k* memories of at most *token_budget* tokens (default 2,000) in all.

        `namespace` is the prefix to search under; `has_vectors` says whether the store can search by meaning,
        `has_tokens` whether the embedder tells single tokens apart (`TokenEmbedder`);
        `needed` overrides what the reader thought of whether memory is needed at all.
        """
        budget = token_budget or DEFAULT_TOKEN_BUDGET
        if not (call.is_memory_needed if needed is None else needed):
            return MemoryPlan(needed=False, reason=call.why_not or "no memory is needed", k=k, token_budget=budget)
        steps = _steps(call, k + MORE_CANDIDATES, tuple(namespace), has_vectors)
        whole_window = call.intent is Intent.SUMMARISE and call.window is not None
        return MemoryPlan(
            needed=True,
            reason=" -> ".join(step.action.value for step in steps),
            steps=steps,
            k=k,
            token_budget=budget,
            weights=_weights(call, has_vectors, has_vectors and has_tokens)
            | ({"graph": self._graph} if self._graph else {}),
            newest_first=whole_window,
            path=self._resolver.resolve(call, namespace=tuple(namespace)),
        )


def prefix_order(activations: Sequence[MemCube]) -> tuple[Label, ...]:
    """The ids of activation cubes in the order in which they come into consideration: what saves the most first.

    The order is canonical, so that the same memories begin every prompt alike. What is found decides which is used.
    """
    kept = [cube for cube in activations if isinstance(cube.payload, ActivationPayload)]
    sized = sorted(kept, key=lambda cube: (-cube.payload.token_count, cube.id))  # type: ignore[union-attr]
    return tuple(cube.id for cube in sized)


def adapter_order(parameters: Sequence[MemCube]) -> tuple[Label, ...]:
    """The ids of the parameter cubes that passed their gates, in an order of their own: the newest first.

    One without a report, or with a gate that failed, serves nobody. What is found decides which is used.
    """
    passed = [cube for cube in parameters if isinstance(cube.payload, ParameterPayload) and _passed(cube.payload)]
    newest = sorted(passed, key=lambda cube: (cube.descriptive.created_at, cube.id), reverse=True)
    return tuple(cube.id for cube in newest)


def _passed(payload: ParameterPayload) -> bool:
    gates = payload.training.get("gates") if isinstance(payload.training, dict) else None
    return isinstance(gates, dict) and gates.get("failed") == []


def _steps(call: MemoryCall, candidates: int, namespace: Labels, has_vectors: bool) -> tuple[PlanStep, ...]:
    """The steps, most telling first."""
    steps: list[PlanStep] = []
    window = call.window
    if call.intent is Intent.SUMMARISE and window is not None:
        reason = f"a summary of {window.text!r} needs what was said then, whatever its words"
        steps.append(PlanStep(action=Action.WINDOW, reason=reason, k=candidates, namespace=namespace, window=window))
        return tuple(steps)
    if call.terms:
        reason = f"the words {', '.join(call.terms[:6])} are the surest sign"
        steps.append(PlanStep(action=Action.FULLTEXT, reason=reason, k=candidates, namespace=namespace))
    if has_vectors:
        reason = "the same thing may have been said in other words"
        steps.append(PlanStep(action=Action.DENSE, reason=reason, k=candidates, namespace=namespace))
    if window is not None:
        reason = f"the question names a time ({window.text!r}); what was said then comes into consideration first"
        steps.append(PlanStep(action=Action.WINDOW, reason=reason, k=candidates, namespace=namespace, window=window))
    if not steps or call.intent is Intent.SUMMARISE:
        reason = "a summary wants the latest too" if steps else "no words to look for: the latest memories"
        steps.append(PlanStep(action=Action.LATEST, reason=reason, k=candidates, namespace=namespace))
    return tuple(steps)


def _weights(call: MemoryCall, has_vectors: bool, has_tokens: bool) -> dict[str, float]:
    """How much each signal counts, of 0..1 each.

    What was said carries the order: the words of a message and its neighbours, and with an embedder of tokens, late
    interaction by a message alone and with the one before it, which finds other words for the same. One vector for a
    whole message (dense) tells less of short messages than their words, and more of long ones (see `in_shape`), or
    where it plainly singles one out (see `as_scored`). What is first by its own tokens stays among the first, whatever
    stands around it (late_first): where neighbours tell nothing, all signals together find no less than that one.

    The rest moves what is near in rank: the session that is about it, a date that the question names, words of time,
    which tell that something happened (they count half where no time is asked for), and a speaker whom it names. That
    one counts little, because a question may be mistaken about who said a thing; more where a list is asked for, which
    is gathered from what one said over time.

    Where memories are not in English, whose endings and compounds the stemmer does not know, pieces of words count as
    well (see `as_spelt`).

    Tried on long conversations and left out, because what they gave questions of several pieces of evidence (at most
    one point of R@10) they took from others: feedback from what was found first, evidence spread over sessions (MMR),
    and greedy cover of the question's tokens. A graph of what memories share is a switch of the scheduler (*graph*): on
    the first four of ten long conversations, 0.2 of it took R@10 from 83.7 to 83.9, of questions of several pieces of
    evidence from 57.1 to 57.7, with words as nodes; with other weights, or over the best 60 or 120 only, R@10 was 0.4
    lower to 0.3 higher than without, and with names alone it was the same.
    `tests/benchmarks/recall.py --switches` measures them anew.
    """
    weights = {
        "context": 0.5,
        "bm25": 0.05,
        "earlier": 0.15,
        "session": 0.2,
        "statement": 0.075,
        "recency": 0.02,
        "speaker": 0.15,
        "tells": 0.1,
        "pieces": 0.3,
    }
    if has_vectors:
        weights["dense"] = 0.25
    if has_tokens:
        weights |= {"late": 0.4, "late_before": 0.4, "late_next": 0.15, "late_session": 0.2, "context": 0.05}
        weights |= {"session": 0.15, "dense": 0.05, "late_first": 0.05, "when": 0.05}
        del weights["statement"]
        if call.question_type in {QuestionType.LIST, QuestionType.HOW_MANY}:
            weights["speaker"] += 0.2
    if call.window is not None:
        weights["time"] = 0.6
    if call.asks_when:
        weights["when"] = 0.1 if has_tokens else 0.16
    if call.asks_name:
        weights["names"] = 0.1
    if call.semantic_types:
        weights["type"] = 0.05
    weights |= dict.fromkeys(call.asks_for, OF_THE_HEADER)
    return weights
