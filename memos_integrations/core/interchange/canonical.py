"""JSON that has one spelling (RFC 8785), and a reader that believes nothing. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import orjson

from memos_integrations.core.cube import SAFE
from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.refusal import Refusal

MAX_DEPTH = 64
WHOLE = 1 << 63
"""A whole number is at least `-WHOLE`, and less than `WHOLE`: it fits into 64 bits."""

_DIGITS, _LONG = bytes.maketrans(b"123456789", b"000000000"), b"0" * 19
_TEXTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_PLAIN = re.compile(r"[^][{}]+")
_PAIR = re.compile(r"\[\]|\{\}")
_SPACED = re.compile(rb'"[ \t\r\n]+:')
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""What may be half a character, spelled so; no other spelling of one is UTF-8."""


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
    """The JSON value in *content*: UTF-8, no name twice, not nested deeper than `MAX_DEPTH`, numbers that fit.

    Whole numbers fit into 64 bits, fractions are finite, characters are whole.

    Raises:
        BundleError: It is not; the message begins with *what*.
    """
    try:
        text = content.decode("utf-8")
        if _is_deep(text):
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole, parse_float=_finite
        )
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as exc:
        raise BundleError(Refusal.MALFORMED, f"{what} is not strict JSON: {exc}") from exc


def plain_json(content: bytes) -> Any:
    """What `strict_json` gives, at a third of its time, where it is plain at a glance; None where it is not.

    Every name of an object stands before a colon. Where no space is between them, there are at most as many names as
    quotes with a colon behind them (texts may hold such, too); if the parsed value has as many, none was lost to
    another of its name.
    """
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH or _SPACED.search(content) or has_long(content):
        return None
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if _names_in(value) == content.count(b'":') else None


def has_long(content: bytes) -> bool:
    """Whether there are digits that may say a number that does not fit into 64 bits."""
    return _LONG in content.translate(_DIGITS)  # a pattern would take ten times as long


def is_strict(content: bytes) -> bool:
    """Whether `strict_json` takes what was written as JSON, found at a glance where it nearly always is."""
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH and not has_long(content):
        return True
    try:
        strict_json(content, "")
    except BundleError:
        return False
    return True


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


def _whole(digits: str) -> int:
    number = int(digits)
    if not -WHOLE <= number < WHOLE:
        raise ValueError(f"{digits[:40]} does not fit into 64 bits")
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return number


def _is_deep(text: str) -> bool:
    """Whether brackets nest deeper than `MAX_DEPTH`; those in texts are none."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:  # nearly always
        return False
    left = _PLAIN.sub("", _TEXTS.sub("", text))
    for _ in range(MAX_DEPTH):  # each time the innermost go
        left = _PAIR.sub("", left)
    return bool(left)
