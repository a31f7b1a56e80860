"""LangGraph's filters: what the vault can test while it searches, and the whole of it for what it cannot. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import ValueTest

Keep = Callable[[Mapping[str, Any]], bool]

ORDERS: dict[str, Literal["gt", "gte", "lt", "lte"]] = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
ORDERING = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
OPERATORS = ("$eq", "$ne", *ORDERS)
INNER = ("value",)
"""Where an item's value stands in its cube's structured payload."""


def compiled(wanted: Mapping[str, Any] | None) -> tuple[tuple[ValueTest, ...], Keep | None, bool]:
    """Tests that every wanted item passes, the whole filter (None: there is none), and whether the tests say it all.

    Raises:
        InvalidMemoryError: An operator that there is not.
    """
    tests: list[ValueTest] = []
    whole = True
    for name, expected in (wanted or {}).items():
        found, exact = _tests((*INNER, name), expected)
        tests += found
        whole = whole and exact
    return tuple(tests), (lambda value: passes(value, wanted)) if wanted else None, whole


def passes(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a value passes every condition of a filter."""
    return all(_holds(value.get(name), expected) for name, expected in wanted.items())


def _tests(path: tuple[str, ...], expected: Any) -> tuple[list[ValueTest], bool]:
    if isinstance(expected, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in expected):
            each = [_operator(path, name, operand) for name, operand in expected.items()]
        else:
            # An empty object asks only that an object is there.
            each = [_tests((*path, str(name)), inner) for name, inner in expected.items()] or [([], False)]
        return [test for tests, _ in each for test in tests], all(exact for _, exact in each)
    if isinstance(expected, list | tuple):
        each = [_tests((*path, str(place)), inner) for place, inner in enumerate(expected)]
        return [test for tests, _ in each for test in tests], False
    if expected is None:
        return [], False  # what is absent counts as null
    return [ValueTest(path, "eq", expected)], True


def _operator(path: tuple[str, ...], name: str, operand: Any) -> tuple[list[ValueTest], bool]:
    if name not in OPERATORS:
        raise InvalidMemoryError(f"Unsupported operator: {name}. A filter knows {', '.join(OPERATORS)}.")
    if name == "$eq":
        return _tests(path, operand) if not isinstance(operand, Mapping | list | tuple) else ([], False)
    if name == "$ne":
        return [], False  # what is absent is not equal
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return [ValueTest(path, ORDERS[name], operand)], True
    if not isinstance(operand, str):
        raise InvalidMemoryError(f"{name} compares numbers with numbers and texts with texts, not {operand!r}.")
    return [ValueTest(path, "exists")], False


def _holds(there: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in expected):
            return all(_compares(there, name, operand) for name, operand in expected.items())
        return isinstance(there, Mapping) and all(_holds(there.get(name), inner) for name, inner in expected.items())
    if isinstance(expected, list | tuple):
        return (
            isinstance(there, list)
            and len(there) == len(expected)
            and all(_holds(*pair) for pair in zip(there, expected, strict=True))
        )
    return _equal(there, expected)


def _compares(there: Any, name: str, operand: Any) -> bool:
    if name in {"$eq", "$ne"}:
        return _equal(there, list(operand) if isinstance(operand, tuple) else operand) == (name == "$eq")
    kind = str if isinstance(operand, str) else (int, float)
    if not isinstance(there, kind) or isinstance(there, bool):
        return False
    return bool(ORDERING[name](there, operand))


def _equal(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 equals 1.0, and neither equals true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
