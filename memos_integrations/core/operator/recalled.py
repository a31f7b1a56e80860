"""What a recall gives: memories with the reasons of each, as text for a prompt, and the price. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import Field

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import Label, MemCube, Provenance, Value
from memos_integrations.core.operator.explain import BEHIND, Explanation, HitReasons
from memos_integrations.core.operator.surfacing import Surfaced, surfaced_as, warning
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.scheduler import MemoryPlan


class Hit(Value):
    """One recalled memory: how it scored, and why.

    `parts` are the weighted shares of the signals; they add up to the score, unless the memory was set back because
    another one supersedes it, because its half-life has passed, or because it does not hold yet; or lifted, as what was
    told stands before what nobody told. `conflicts_with` are the ids of memories that contradict it and were kept
    beside it, as far as the asker sees them: neither is sure.
    `asker` is who asked (`user:ana`): what somebody else told is not trusted as their own words are.
    """

    cube: MemCube
    score: float
    parts: dict[str, float] = Field(default_factory=dict)
    superseded_by: Label | None = None
    conflicts_with: tuple[Label, ...] = ()
    asker: Label | None = None

    @property
    def text(self) -> str:
        """The words remembered."""
        return self.cube.text

    @property
    def surfaced(self) -> Surfaced:
        """How far it is to be relied on: trusted, unverified or untrusted; see `surfaced_as`."""
        return surfaced_as(self.cube, self.asker)

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
        told = f"; superseded by {self.superseded_by}" if self.superseded_by else ""
        against = f"; conflicts with {', '.join(self.conflicts_with)}" if self.conflicts_with else ""
        return (words or "latest") + told + against

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """One line: the score, its parts, the memory."""
        yield from ((None, round(self.score, 2)), ("why", self.why), ("cube", self.cube))


class Cost(Value):
    """What a recall took: milliseconds of wall time per step, cubes considered."""

    read_ms: float = 0.0
    plan_ms: float = 0.0
    search_ms: float = 0.0
    total_ms: float = 0.0
    candidates: int = 0


class Recall(Value):
    """What is remembered about a prompt: best first, with provenance, reasons, token count and cost.

    `text` is ready for a prompt: data, one line per memory, never more than the plan's token budget. `visited` says
    what came of the narrower stops of the plan's path; `passed_over` why candidates that rank before the last hit are
    none, and how many each time. `prefix` and `adapters` are for a local model (`MemoryPlan`):
    the activation cubes of those memories that stand first in its prompt, `lead`; at most one parameter cube for each
    base model, and `why_adapters`. `caller` is who asked; it is in no
    dump, so what was read back from one loads no activation cube.
    """

    id: Label
    call: MemoryCall
    plan: MemoryPlan
    hits: tuple[Hit, ...] = ()
    text: str = ""
    token_count: int = 0
    how: str = ""
    visited: tuple[str, ...] = ()
    passed_over: dict[str, int] = Field(default_factory=dict)
    cost: Cost = Cost()
    prefix: tuple[Label, ...] = ()
    lead: tuple[Label, ...] = ()
    adapters: tuple[Label, ...] = ()
    why_adapters: str = ""
    caller: Caller | None = Field(default=None, exclude=True, repr=False)

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """One line, and one a hit; `explain` tells why."""
        yield from ((None, self.call.prompt), ("hits", list(self.hits)))
        yield from (("candidates", self.cost.candidates), ("token_count", self.token_count))

    def explain(self) -> Explanation:
        """Each hit's shares, the plan, the path, and how many candidates were left out and why; print it to read it."""
        plan = self.plan
        left_out = max(0, self.cost.candidates - len(self.hits))
        beyond = left_out - sum(self.passed_over.values())
        return Explanation(
            question=self.call.prompt,
            query=self.call.query,
            plan=plan.reason,
            path=str(plan.path) if plan.path else "",
            visited=self.visited,
            adapters=self.why_adapters,
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
            left_out=left_out,
            left_out_as={**({BEHIND: beyond} if beyond > 0 else {}), **self.passed_over},
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
    return line + marks_of(hit)


def marks_of(hit: Hit) -> str:
    """What stands behind the words of a memory: that it is not to be relied on, or not yet, or no longer."""
    return warning(hit.cube) + beginning_in_words(hit) + standing_in_words(hit.superseded_by, hit.conflicts_with)


def beginning_in_words(hit: Hit) -> str:
    """From when a memory holds that was told before it did; empty for most.

    It says the same at any time, so that a computed line stays good when the day has come.
    """
    begins = hit.cube.descriptive.valid_from
    return f" (from {begins:%Y-%m-%d})" if begins is not None and begins > hit.said_at else ""


def standing_in_words(superseded_by: str | None, conflicts_with: Sequence[str]) -> str:
    """What stands behind a memory in a prompt that others replace or contradict; empty for most."""
    if superseded_by:
        return " (since replaced)"
    return " (contradicted by another memory)" if conflicts_with else ""
