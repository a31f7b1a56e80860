"""Parsed Cedar policies with their words folded, as the words of memories and contexts are that they are asked about.

So `resource.tags.contains("salary")` is about `Salary` and `SALARY ` too (`text.folded_label`). Names of people and
memories are no such words, nor is what stands in a function (`datetime("...")`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from memos_integrations.core.text import folded_label

_WILD = "Wildcard"
_OF_MEMORY = json.dumps({"Var": "resource"})


def folded_policies(policies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The policies by their names, the words in their conditions folded."""
    return {
        name: {**policy, "conditions": [*map(_condition, policy["conditions"])]} for name, policy in policies.items()
    }


def words_in(policies: Iterable[Mapping[str, Any]]) -> list[str]:
    """The words with which parsed policies compare what a memory has, each once, in their order."""
    found: dict[str, None] = {}
    for policy in policies:
        for condition in policy["conditions"]:
            for said in _comparisons(condition["body"]):
                found |= dict.fromkeys(_words(said))
    return [*found]


def _comparisons(node: Any) -> Iterator[dict[str, Any]]:
    """The parts of an expression that put something of the memory beside something else."""
    if not isinstance(node, dict):
        return
    for name, inside in node.items():
        if name in {"==", "!=", "contains", "containsAny", "containsAll", "in"} and _OF_MEMORY in json.dumps(inside):
            yield inside
        elif isinstance(inside, dict):
            yield from _comparisons(inside)


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("Value"), str):
            yield node["Value"]
        node = [inside for name, inside in node.items() if not _is_function(name, inside)]
    for each in node if isinstance(node, list) else ():
        yield from _words(each)


def _condition(said: Mapping[str, Any]) -> dict[str, Any]:
    return {**said, "body": _folded(said["body"])}


def _is_function(name: str, inside: Any) -> bool:
    return isinstance(inside, list) and name not in {"Set", "pattern"}


def _folded(node: Any) -> Any:
    if isinstance(node, list):
        return [_folded(each) for each in node]
    if not isinstance(node, dict):
        return node
    told: dict[str, Any] = {}
    for name, inside in node.items():
        if name == "Value":
            told[name] = folded_label(inside) if isinstance(inside, str) else inside
        elif name == "pattern":
            told[name] = _pattern(inside)
        else:
            told[name] = inside if _is_function(name, inside) else _folded(inside)
    return told


def _pattern(parts: list[Any]) -> list[Any]:
    """The parts of a `like`; a space beside a wildcard is one there, too."""
    runs = [(wild, [*each]) for wild, each in groupby(parts, key=lambda part: part == _WILD)]
    told: list[Any] = []
    for place, (wild, run) in enumerate(runs):
        if wild:
            told += run
            continue
        words = "".join(part["Literal"] for part in run)
        before = " " if place and words[:1].isspace() else ""
        after = " " if place < len(runs) - 1 and words[-1:].isspace() and words.strip() else ""
        told += [{"Literal": letter} for letter in before + folded_label(words) + after]
    return told
