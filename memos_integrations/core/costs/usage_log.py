"""A log of uses from a file, and what each policy would have cost over it. Pure.

One JSON object a line: `{"at": 12.5, "memory": "any name", "tokens": 300}`, with `at` in seconds or as ISO 8601 with
zone, and `tokens` the length of the memory (once is enough).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from memos_integrations.core.costs.model import FormCosts
from memos_integrations.core.costs.replay import Always, Bill, ByCost, Never, Policy, Recent, Use, replay
from memos_integrations.core.cube import Tier, Value
from memos_integrations.core.errors import ImportFormatError

DISK_RENT = 3.2e-12
"""Seconds of one core for keeping one byte for one second: a gigabyte of cloud disk at 0.08 a month, a core at 25."""
TOKENS = 256


class PerToken(Value):
    """What a token of a memory costs in each form: seconds and bytes. The defaults are SmolLM2-135M's on one thread.

    `answer_s` is what any answer takes besides.
    """

    answer_s: float = Field(default=0.1, ge=0)
    read_s: float = Field(default=0.0036, ge=0)
    load_s: float = Field(default=0.00007, ge=0)
    cached_bytes: int = Field(default=46_080, ge=0)
    learn_s: float = Field(default=0.35, ge=0)
    learnt_bytes: int = Field(default=12_000, ge=0)

    def forms(self, tokens: int) -> dict[Tier, FormCosts]:
        """The costs of a memory of so many tokens as text, as KV cache, and in an adapter."""
        read = self.answer_s + self.read_s * tokens
        return {
            Tier.PLAINTEXT: FormCosts(use_seconds=read),
            Tier.ACTIVATION: FormCosts(
                use_seconds=min(read, self.answer_s + self.load_s * tokens),
                build_seconds=read,
                size=self.cached_bytes * tokens,
            ),
            Tier.PARAMETER: FormCosts(
                use_seconds=self.answer_s, build_seconds=self.learn_s * tokens, size=self.learnt_bytes * tokens
            ),
        }


def read_log(lines: Iterable[str]) -> tuple[list[Use], list[int]]:
    """The uses, in order and from the first one on, and how many tokens each memory has.

    Raises:
        ImportFormatError: A line is no use, or there is none.
    """
    found: list[tuple[float, int]] = []
    numbers: dict[str, int] = {}
    tokens: list[int] = []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            at, length = _moment(said["at"]), int(said.get("tokens", 0))
            number = numbers.setdefault(str(said["memory"]), len(numbers))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
            raise _no_use(place, exc) from exc
        if length < 0 or not math.isfinite(at):
            raise _no_use(place, "a number is out of bounds")
        if number == len(tokens):
            tokens.append(0)
        tokens[number] = length or tokens[number]
        found.append((at, number))
    if not found:
        raise ImportFormatError('The log holds no use. Give one JSON object a line: {"at": 12.5, "memory": "a"}.')
    found.sort(key=lambda each: each[0])
    return [Use(at - found[0][0], number) for at, number in found], [each or TOKENS for each in tokens]


def compared(
    log: Sequence[Use], tokens: Sequence[int], *, costs: PerToken | None = None, rent: float = DISK_RENT
) -> Mapping[str, Bill]:
    """The bill of each policy over a log: deciding by cost, and fixed rules. *rent* is per byte and second."""
    costs = costs or PerToken()
    forms = [costs.forms(each) for each in tokens]
    policies: dict[str, Policy] = {"by cost": ByCost(rent=rent), "never": Never(), "always": Always(Tier.ACTIVATION)}
    policies |= {f"the last {most}": Recent(Tier.ACTIVATION, most) for most in (5, 10, 30, 100, 300)}
    return {name: replay(log, forms, policy, rent=rent) for name, policy in policies.items()}


def _moment(said: Any) -> float:
    if isinstance(said, str):
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            raise ValueError(f"{said!r} names no zone")
        return moment.timestamp()
    return float(said)


def _no_use(place: int, why: object) -> ImportFormatError:
    return ImportFormatError(
        f'Line {place} of the log is no use ({why}): write {{"at": 12.5, "memory": "a", "tokens": 300}}.'
    )
