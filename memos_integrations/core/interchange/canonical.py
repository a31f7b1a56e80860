"""JSON that has one spelling (RFC 8785), and a reader that believes nothing. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.refusal import Refusal

MAX_DEPTH = 64
_SPACED = re.compile(rb'"[ \t\r\n]+:')
SAFE = 2**53 - 1
"""Whole numbers up to here are the same in every language that reads JSON (RFC 8785 §3.2.2.3)."""


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value of texts, whole numbers, true, false, null, lists and objects (RFC 8785).

    Raises:
        TypeError, ValueError: It holds something else; fractions too, whose spelling is where implementations differ.
    """
    return _spelled(value).encode("utf-8")


def _spelled(value: Any) -> str:
    if value is None or isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > SAFE:
            raise ValueError(f"{value} is too large for a number that every reader understands")
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelled, value))}]"
    if isinstance(value, dict):
        # RFC 8785 §3.2.3 sorts by UTF-16 code units, which is not the order of code points.
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_spelled(name)}:{_spelled(value[name])}" for name in names) + "}"
    raise TypeError(f"{type(value).__name__} has no canonical spelling")


def strict_json(content: bytes, what: str) -> Any:
    """The JSON value in *content*: UTF-8, no name twice, no NaN, not nested deeper than `MAX_DEPTH`.

    Raises:
        BundleError: It is not; the message begins with *what*.
    """
    try:
        text = content.decode("utf-8")
        if _depth(text) > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise BundleError(Refusal.MALFORMED, f"{what} is not strict JSON: {exc}") from exc


def plain_json(content: bytes) -> Any:
    """What `strict_json` gives, at a third of its time, where it is plain at a glance; None where it is not.

    Whole numbers that do not fit into 64 bits come as fractions.
    Every name of an object stands before a colon. Where no space is between them, there are at most as many names as
    quotes with a colon behind them (texts may hold such, too); if the parsed value has as many, none was lost to
    another of its name.
    """
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH or _SPACED.search(content) is not None:
        return None
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if _names_in(value) == content.count(b'":') else None


def _names_in(value: Any) -> int:
    if isinstance(value, dict):
        inner = [each for each in value.values() if isinstance(each, dict | list)]
        return len(value) + (sum(map(_names_in, inner)) if inner else 0)
    if isinstance(value, list):
        return sum(map(_names_in, value))
    return 0


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _depth(text: str) -> int:
    """How deep brackets nest, those in texts too: an upper bound that is cheap to find."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # nearly always
        return 0
    deepest = depth = 0
    for sign in text:
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest
