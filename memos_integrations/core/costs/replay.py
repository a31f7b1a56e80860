"""What each policy would have cost: a log of uses replayed, request by request. Pure.

A policy sees only the past. It pays for each use in the form that the memory has then, for what it makes, and for every
byte as long as it is kept; bytes are paid by the second, seconds by the second.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from memos_integrations.core.costs.model import HALF_LIFE_S, Costing, FormCosts, decide_form
from memos_integrations.core.cube import Tier


@dataclass(frozen=True, slots=True)
class Use:
    """One request: when (seconds from the beginning of the log), and which memory."""

    at: float
    memory: int


Forms = Mapping[Tier, FormCosts]


class Policy(Protocol):
    """Decides, at each use and at each look-round, which form memories have."""

    def used(self, use: Use, forms: Forms) -> Tier:
        """The form that the memory gets before it is used."""
        ...

    def tend(self, now: float) -> Mapping[int, Tier]:
        """Memories that get another form now."""
        ...


@dataclass(slots=True)
class Bill:
    """What a policy cost, in seconds: using, making, keeping; and how often it made something."""

    using: float = 0.0
    making: float = 0.0
    keeping: float = 0.0
    made: int = 0
    forms: dict[int, Tier] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All of it."""
        return self.using + self.making + self.keeping


def replay(log: Sequence[Use], costs: Sequence[Forms], policy: Policy, *, rent: float, every: float = 21_600.0) -> Bill:
    """The bill of a policy over a log; it looks round *every* so many seconds. *rent* is per byte and second."""
    bill = Bill()
    kept, last, next_look = 0, log[0].at if log else 0.0, every

    def move(memory: int, form: Tier) -> None:
        nonlocal kept
        before = bill.forms.get(memory, Tier.PLAINTEXT)
        if form is before:
            return
        kept += costs[memory][form].size - costs[memory][before].size
        if costs[memory][form].build_seconds:
            bill.making += costs[memory][form].build_seconds
            bill.made += 1
        bill.forms[memory] = form

    for use in log:
        while next_look <= use.at:
            bill.keeping += kept * rent * (next_look - last)
            last = next_look
            for memory, form in policy.tend(next_look).items():
                move(memory, form)
            next_look += every
        bill.keeping += kept * rent * (use.at - last)
        last = use.at
        move(use.memory, policy.used(use, costs[use.memory]))
        bill.using += costs[use.memory][bill.forms.get(use.memory, Tier.PLAINTEXT)].use_seconds
        for memory, form in policy.tend(use.at).items() if isinstance(policy, Recent) else ():
            move(memory, form)
    return bill


class Never:
    """Everything stays text."""

    def used(self, use: Use, forms: Forms) -> Tier:
        """Text."""
        return Tier.PLAINTEXT

    def tend(self, now: float) -> Mapping[int, Tier]:
        """Nothing."""
        return {}


class Always:
    """Everything that is used once gets one form, and keeps it."""

    def __init__(self, form: Tier) -> None:
        self._form = form

    def used(self, use: Use, forms: Forms) -> Tier:
        """That form, where the memory can have it."""
        return self._form if self._form in forms else Tier.PLAINTEXT

    def tend(self, now: float) -> Mapping[int, Tier]:
        """Nothing."""
        return {}


class Recent:
    """LRU: the memories that were used last have one form, as many as *most*."""

    def __init__(self, form: Tier, most: int) -> None:
        self._form, self._most = form, most
        self._held: OrderedDict[int, None] = OrderedDict()

    def used(self, use: Use, forms: Forms) -> Tier:
        """That form; the one that was not used for longest loses it."""
        if self._form not in forms:
            return Tier.PLAINTEXT
        self._held[use.memory] = None
        self._held.move_to_end(use.memory)
        return self._form

    def tend(self, now: float) -> Mapping[int, Tier]:
        """What fell out."""
        gone = {}
        while len(self._held) > self._most:
            gone[self._held.popitem(last=False)[0]] = Tier.PLAINTEXT
        return gone


class ByCost:
    """The cost model: what pays for itself is made, what does not any more is let go; *rent* as the replay has it."""

    def __init__(
        self, *, rent: float, half_life_s: float = HALF_LIFE_S, refused: Mapping[Tier, str] | None = None
    ) -> None:
        self._rent, self._half_life_s, self._refused = rent, half_life_s, refused
        self._heat: dict[int, tuple[float, float]] = {}
        self._made: dict[int, tuple[Tier, Forms]] = {}

    def used(self, use: Use, forms: Forms) -> Tier:
        """The cheapest form, for this use and those that are expected."""
        form = self._decide(use.memory, forms, use.at, uses_now=1)
        self._heat[use.memory] = (self._warmth(use.memory, use.at) + 1.0, use.at)
        return form

    def tend(self, now: float) -> Mapping[int, Tier]:
        """The memories whose form no longer pays."""
        moved = {}
        for memory, (form, forms) in list(self._made.items()):
            better = self._decide(memory, forms, now)
            if better is not form:
                moved[memory] = better
        return moved

    def _warmth(self, memory: int, now: float) -> float:
        heat, at = self._heat.get(memory, (0.0, now))
        cold: float = 0.5 ** ((now - at) / self._half_life_s)
        return heat * cold

    def _decide(self, memory: int, forms: Forms, now: float, *, uses_now: int = 0) -> Tier:
        known = Costing(
            now=self._made[memory][0] if memory in self._made else Tier.PLAINTEXT,
            forms=forms,
            # The use at hand is a sign of interest, too: as much as any before it.
            heat=self._warmth(memory, now) + uses_now,
            uses_now=uses_now,
            half_life_s=self._half_life_s,
        )
        form = decide_form(known, rent=self._rent, refused=self._refused).after
        if form is Tier.PLAINTEXT:
            self._made.pop(memory, None)
        else:
            self._made[memory] = (form, forms)
        return form


def zipf_log(
    requests: int, memories: int, *, exponent: float = 1.1, days: float = 28.0, shifts: int = 4, seed: int = 0
) -> list[Use]:
    """Requests over a time in which interest moves on: Zipf's law at each moment, another order after each shift."""
    chance = random.Random(seed)
    weights = list(accumulate(1.0 / rank**exponent for rank in range(1, memories + 1)))
    moments = sorted(chance.uniform(0.0, days * 86_400.0) for _ in range(requests))
    order = list(range(memories))
    chance.shuffle(order)
    return list(_drawn(moments, order, weights, days * 86_400.0 / (shifts + 1), chance))


def _drawn(
    moments: Sequence[float], order: list[int], weights: Sequence[float], span: float, chance: random.Random
) -> Iterator[Use]:
    turn = 0
    for at in moments:
        while at >= (turn + 1) * span:
            turn += 1
            for _ in range(len(order) // 4):  # a quarter of what people care about is something else now
                one, two = chance.randrange(len(order)), chance.randrange(len(order))
                order[one], order[two] = order[two], order[one]
        yield Use(at, order[bisect_left(weights, chance.random() * weights[-1])])
