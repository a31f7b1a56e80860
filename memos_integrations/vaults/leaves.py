"""The scalars of a structured payload, by path: what a filter on values compares. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from memos_integrations.core.ports import ValueTest

MOST_LEAVES = 1_000
"""How many places of one payload can be filtered on: the first so many, breadth first."""

Path = tuple[str, ...]


def leaves(value: Any) -> Iterator[tuple[Path, Any]]:
    """Every place of a JSON value with what stands there, breadth first: keys, and positions in lists as text.

    Lists and objects are given too (a test may ask whether they exist), before what they hold. A payload without a
    structured value (None) has no place.
    """
    level: list[tuple[Path, Any]] = [] if value is None else [((), value)]
    count = 0
    while level:
        following: list[tuple[Path, Any]] = []
        for path, here in level:
            if count == MOST_LEAVES:
                return
            count += 1
            yield path, here
            inner = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
            following += [((*path, str(key)), held) for key, held in inner]
        level = following[:MOST_LEAVES]


def as_number(value: float) -> float:
    """The value in double precision; what is too large for that is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def spelling(value: object) -> str | None:
    """A text that is equal for equal scalars alone (1 equals 1.0, True equals only True); None for no scalar."""
    match value:
        case None | bool():
            return f"={value}"
        case int() | float():
            return f"n{as_number(value) + 0.0!r}"  # + 0.0: there is one zero
        case str():
            return f"s{value}"
    return None


def passes(places: Mapping[Path, Any], test: ValueTest) -> bool:
    """Whether a payload, as its places, passes a test."""
    if test.path not in places:
        return False
    there = places[test.path]
    match test.op:
        case "exists":
            return True
        case "eq" | "in" | "ne":
            wanted = test.operand if isinstance(test.operand, tuple) else (test.operand,)
            return (spelling(there) in {spelling(each) for each in wanted}) == (test.op != "ne")
    if isinstance(there, bool) or not isinstance(there, int | float):
        return False
    number, bound = as_number(there), as_number(test.number)
    return {"gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound}[test.op]


def numbers_in(body: bytes) -> Iterator[tuple[Path, float]]:
    """The numbers of the structured payload in a stored body, with their paths."""
    payload = json.loads(body).get("payload") or {}
    for path, here in leaves(payload.get("value")):
        if isinstance(here, int | float) and not isinstance(here, bool):
            yield path, as_number(here) + 0.0  # SQLite has one zero
