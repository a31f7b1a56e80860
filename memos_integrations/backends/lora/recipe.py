"""How an adapter is trained, in figures."""

from __future__ import annotations

import math

from pydantic import Field

from memos_integrations.core.cube import Labels, Value

WARM_UP = 4
MENDING = 0.8
"""How large the first step that mends is: with a quarter of it, what is asked backwards was not learnt in 24."""


class Recipe(Value):
    """How an adapter is trained. The defaults are for SmolLM2-135M in bfloat16, and were measured there.

    `rank` and `alpha` are LoRA's; `targets` and `layers` say where (None: the feed-forward layers, the blocks in the
    middle; empty: every linear layer, every block). `apart` keeps it out of the directions of their inputs that general
    text uses: one that it uses `apart` times as much as the mean is halved; 0 leaves all as they are (see `Apart`).
    A step learns `lessons` lessons, in which the tokens that the answer turns on count `value` times; in the last third
    of the steps, up to a third of them are lessons that were missed when they were last asked. A step holds the answers
    to `questions` general questions, and every `pause` steps `retained` sentences, to what the model says without the
    adapter, weighed `retain`. `teacher` weighs the teacher, who looks at `watched` lessons of each memory.

    The planned steps end after `steps`, or when every lesson was answered right the last time, and the last `patience`
    steps lost less than `enough` nats on average. The adapter is then weakened as far as that leaves the share
    `probes_kept` of what is recalled in phrasings that were not taught. At the strength that it has then, and is served
    at, up to `mending` steps more learn the lessons that are not known for sure, and hold the general questions that
    are not answered as before; late, all lessons are looked at, as what was clear may be forgotten. At last the adapter
    is made quieter, unless more lessons are unsure after it: what it changes of general text weighs `quiet` beside what
    it would lose of the lessons (see `quieten`; 0 leaves it).
    """

    rank: int = Field(default=8, ge=1, le=256)
    alpha: int = Field(default=16, ge=1)
    targets: Labels | None = None
    layers: tuple[int, ...] | None = None
    steps: int = Field(default=34, ge=1)
    mending: int = Field(default=30, ge=0)
    lessons: int = Field(default=14, ge=1)
    rate: float = Field(default=5e-3, gt=0)
    value: float = Field(default=4.0, ge=1)
    teacher: float = Field(default=0.1, ge=0)
    watched: int = Field(default=1, ge=0)
    likeliest: int = Field(default=64, ge=1)
    questions: int = Field(default=2, ge=0)
    retained: int = Field(default=1, ge=0)
    pause: int = Field(default=3, ge=1)
    retain: float = Field(default=3.0, ge=0)
    apart: float = Field(default=0.2, ge=0)
    quiet: float = Field(default=1.0, ge=0)
    enough: float = Field(default=0.02, ge=0)
    patience: int = Field(default=6, ge=1)
    probes_kept: float = Field(default=0.85, ge=0, le=1)
    save_every: int = Field(default=10, ge=1)
    seed: int = 0

    def pace(self, step: int, *, mends: bool) -> float:
        """How large a step is, beside the largest: it falls in the planned ones, and in the last third of mending."""
        if mends:
            left = 3.0 * (self.steps + self.mending - step) / self.mending
            return 0.1 + (MENDING - 0.1) * min(1.0, left)
        warm = min(1.0, (step + 1) / WARM_UP)
        return warm * (0.2 + 0.8 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / self.steps))))
