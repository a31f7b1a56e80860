"""JSON of others, read so that nothing of it is lost unsaid: no name twice, no number that is none. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


class TwiceError(ValueError):
    """A name stands twice in an object; what follows makes it no better."""


def parsed(text: str) -> Any:
    """The value that a text says as JSON.

    Raises:
        ValueError, RecursionError: It is none, is nested too deeply, or says a name twice in an object.
    """
    return json.loads(text, **STRICT)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_constant(digits[:40])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name stands twice: of the two, one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise TwiceError("a name stands twice in an object")
    return found


STRICT: dict[str, Any] = {"parse_constant": _no_constant, "parse_float": _finite, "object_pairs_hook": _once}
"""How a decoder of the standard library reads so."""
