"""Why a recall found what it found, as a value that can be read and compared."""

from __future__ import annotations

from pydantic import Field

from memos_integrations.core.cube import Label, Value

BEHIND = "rank behind the last hit"
"""Why most candidates are left out."""


class HitReasons(Value):
    """One hit: its score, the shares that make it up, and what was done to it since."""

    id: Label
    text: str
    score: float
    parts: dict[str, float] = Field(default_factory=dict)
    why: str
    superseded_by: Label | None = None


class Explanation(Value):
    """A recall explained: how the question was read, where it led, which steps were taken and why, what was found.

    `visited` tells of each narrower stop of the path, in its order: what it added, or why it was passed by.

    `adapters` tells which adapter a local model is to load, and why.

    `considered` counts the candidates that the asker may see, `left_out` those of them that are no hits, and
    `left_out_as` how many of these for which reason. What the asker may not see is in no count.
    """

    question: str
    query: str
    plan: str
    path: str
    visited: tuple[str, ...] = ()
    adapters: str = ""
    steps: tuple[str, ...]
    weights: dict[str, float]
    hits: tuple[HitReasons, ...]
    considered: int
    left_out: int
    left_out_as: dict[str, int] = Field(default_factory=dict)
    tokens: int
    token_budget: int
    search: str

    def __str__(self) -> str:
        lines = [f"Question  {self.question}", f"Query     {self.query}", f"Plan      {self.plan}"]
        lines += [f"  step {number}: {step}" for number, step in enumerate(self.steps, 1)]
        lines += ["Path      " + self.path.replace("\n", "\n  ")] if self.path else []
        lines += [f"  then {told}" for told in self.visited]
        lines += [f"Found     {len(self.hits)} of {self.considered} considered ({self.search})"]
        lines += [
            f"  {number}. {hit.score:.2f} = {hit.why}  {' '.join(hit.text.split())[:80]}"
            for number, hit in enumerate(self.hits, 1)
        ]
        lines += [f"Adapter   {self.adapters}"] if self.adapters else []
        why = ", ".join(f"{count} {reason}" for reason, count in self.left_out_as.items())
        told = f"Left out  {self.left_out}" + (f" ({why})" if self.left_out_as.keys() - {BEHIND} else "")
        return "\n".join([*lines, f"{told}; {self.tokens} of {self.token_budget} tokens"])
