"""What may stand in a store: namespaces, values, and the text of a value that a query searches. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.store.base import InvalidNamespaceError, get_text_at_path, tokenize_path

from memos_integrations.core.errors import InvalidMemoryError

DEEPEST = 31
"""How many parts a namespace may have."""


def check_parts(namespace: Sequence[str]) -> None:
    """Refuse what cannot be a namespace.

    Raises:
        InvalidNamespaceError: A part is no text, empty, or too long.
    """
    if isinstance(namespace, str):
        raise InvalidNamespaceError(f"A namespace is a tuple such as ('users', 'ana'), not {namespace!r}.")
    for part in namespace:
        if not isinstance(part, str):
            raise InvalidNamespaceError(f"Namespace parts are texts; {part!r} in {namespace} is not. Use str(...).")
        if not part.strip() or "\x00" in part or len(part) > 1_000 or not _encodes(part):
            raise InvalidNamespaceError(
                f"Invalid namespace part {part!r:.80}: it is empty, longer than 1,000 characters, or no valid Unicode."
            )
    if len(namespace) > DEEPEST:
        raise InvalidNamespaceError(f"A namespace has at most {DEEPEST} parts, not {len(namespace)}.")


def _encodes(part: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in part)


def some_value(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The value, when there is one."""
    if value is None:
        raise InvalidMemoryError("put needs a value; use delete to take an item away.")
    return value


def checked_value(value: Any) -> dict[str, Any]:
    """A copy of a value that is a JSON object.

    Raises:
        InvalidMemoryError: It is not.
    """
    if not isinstance(value, Mapping):
        raise InvalidMemoryError(f"A value is a JSON object (a dict), not {type(value).__name__}.")
    copied: dict[str, Any] = _json(value, "value")
    return copied


def _json(value: Any, where: str) -> Any:
    """A copy of a JSON value: nobody can change what is stored by changing what they gave."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InvalidMemoryError(f"{where} has the key {key!r}; keys in JSON are texts.")
        return {key: _json(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner, f"{where}[{place}]") for place, inner in enumerate(value)]
    raise InvalidMemoryError(f"{where} is {value!r:.80} ({type(value).__name__}), which JSON cannot hold.")


def searched_text(value: dict[str, Any], paths: Sequence[str]) -> str:
    """What a query searches: the texts at the paths, a line each; `$` is every text and number in it."""
    lines: list[str] = []
    for path in paths:
        lines += _words(value) if path == "$" else get_text_at_path(value, tokenize_path(path))
    return "\n".join(line for line in lines if line.strip()).replace("\x00", " ")


def _words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {line}" for key, inner in value.items() for line in _words(inner)]
    if isinstance(value, list):
        return [line for inner in value for line in _words(inner)]
    return [value if isinstance(value, str) else json.dumps(value)]
