"""Cedar policies as what a query is told: for one asker, what they forbid and permit by type, tag and id of a memory.

For a known asker, context and time a policy is a condition on the memory alone. Where that speaks of nothing but its
type, its tags and its id, it is put into the query; the rest is decided memory by memory, by Cedar itself. Nothing
that is said here can fail in Cedar: whatever might (a missing attribute, arithmetic) is left to it. Words are folded.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from memos_integrations.core.policy import Compiled
from memos_integrations.core.ports import CubeFilter, Limit

MOST_CLAUSES = 64
"""A condition of more alternatives is decided memory by memory."""


class Atom(NamedTuple):
    """One thing that a memory has, or has not: the `type`, one of the `tags`, the `id`."""

    attribute: str
    value: str
    there: bool = True


Clause = frozenset[Atom]
"""All of these hold; an empty one always does."""

Condition = list[Clause]
"""One of these holds; none never does."""

ALWAYS: Condition = [frozenset()]
NEVER: Condition = []
_ATTRIBUTES = ("type", "tags")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class _Unsaid(Exception):
    """A query cannot be told this."""


class _OfMemory(NamedTuple):
    """An attribute of the memory in question."""

    attribute: str


class Asked(NamedTuple):
    """Who asks, for what, and from where: all that Cedar knows but the memory."""

    subjects: frozenset[str]
    act: str
    context: Mapping[str, Any]


def compiled(policies: Iterable[Mapping[str, Any]], asked: Asked) -> Compiled:
    """What of parsed policies a query can be told, and whether that is all of them."""
    limits: list[Limit] = []
    permits: list[Condition] = []
    is_whole = True
    for policy in policies:
        try:
            condition = _condition(policy, asked)
        except _Unsaid:
            is_whole, condition = False, ALWAYS if policy["effect"] == "permit" else NEVER
        if policy["effect"] == "permit":
            permits.append(condition)
        else:
            limits += (_limit(clause) for clause in condition)
    permitted = [clause for condition in permits for clause in condition]
    if frozenset() in permitted:
        return Compiled((), is_whole, tuple(limits))
    filters = [_filter(clause) for clause in permitted]
    if None in filters:
        return Compiled((), False, tuple(limits))
    limits.append(Limit((), tuple(each for each in filters if each is not None)))
    return Compiled((), is_whole, tuple(limits))


def _limit(clause: Clause) -> Limit:
    """Nothing of which all of this holds is seen."""
    of = tuple(_one(atom) for atom in sorted(clause) if atom.there)
    return Limit(of, tuple(_one(atom) for atom in sorted(clause) if not atom.there))


def _filter(clause: Clause) -> CubeFilter | None:
    """All of which this holds; None where one filter cannot say it."""
    told = [atom.attribute for atom in clause]
    if len({*told}) < len(told) or not all(atom.there for atom in clause):
        return None
    said = {atom.attribute: (atom.value,) for atom in clause}
    return _named(said.get("id", ()), said.get("type", ()), said.get("tags", ()))


def _one(atom: Atom) -> CubeFilter:
    said = {atom.attribute: (atom.value,)}
    return _named(said.get("id", ()), said.get("type", ()), said.get("tags", ()))


def _named(ids: tuple[str, ...], types: tuple[str, ...], tags: tuple[str, ...]) -> CubeFilter:
    return CubeFilter(ids=ids, semantic_types=types, tags=tags, states=frozenset(), tiers=frozenset(), folded=True)


# --- what a policy says for whoever asks


def _condition(policy: Mapping[str, Any], asked: Asked) -> Condition:
    """What a memory must be for the policy to apply to it."""
    if not _is_asker(policy["principal"], asked) or not _is_act(policy["action"], asked):
        return NEVER
    found = _is_memory(policy["resource"])
    for each in policy["conditions"]:
        if not found:
            return NEVER
        said = _formula(each["body"], asked)
        found = _both(found, said if each["kind"] == "when" else _negated(said))
    return found


def _is_asker(scope: Mapping[str, Any], asked: Asked) -> bool:
    op = scope["op"]
    if op == "All":
        return True
    if op in {"==", "in"} and "entity" in scope:
        return _within(scope["entity"], asked, at_all=op == "in")
    if op == "is" and scope["entity_type"] == "Person":
        return "in" not in scope or _within(scope["in"]["entity"], asked, at_all=True)
    raise _Unsaid


def _within(entity: Mapping[str, Any], asked: Asked, *, at_all: bool) -> bool:
    """Whether the asker is this one, or (*at_all*) is in it."""
    if entity["type"] == "Person":
        return bool(entity["id"] == "asker")
    return at_all and entity["type"] == "Subject" and entity["id"] in asked.subjects


def _is_act(scope: Mapping[str, Any], asked: Asked) -> bool:
    named = [scope["entity"]] if "entity" in scope else scope.get("entities")
    if scope["op"] == "All":
        return True
    if scope["op"] not in {"==", "in"} or named is None:
        raise _Unsaid
    return any(each["type"] == "Action" and each["id"] == asked.act for each in named)


def _is_memory(scope: Mapping[str, Any]) -> Condition:
    op = scope["op"]
    if op == "All" or (op == "is" and scope["entity_type"] == "Memory" and "in" not in scope):
        return ALWAYS
    if op == "==" and "entity" in scope and scope["entity"]["type"] == "Memory":
        return [frozenset({Atom("id", scope["entity"]["id"])})]
    raise _Unsaid


# --- expressions


def _formula(node: Mapping[str, Any], asked: Asked) -> Condition:
    """What an expression that is true or false says of the memory."""
    (op, inside), *more = node.items()
    if more:
        raise _Unsaid
    if op in {"&&", "||"}:
        left = _formula(inside["left"], asked)
        if left == (NEVER if op == "&&" else ALWAYS):
            return left  # Cedar does not look at the other side, either
        right = _formula(inside["right"], asked)
        return _both(left, right) if op == "&&" else _few([*left, *right])
    if op == "!":
        return _negated(_formula(inside["arg"], asked))
    if op in {"==", "!="}:
        same = _same(_value(inside["left"], asked), _value(inside["right"], asked))
        return same if op == "==" else _negated(same)
    if op in {"contains", "containsAny", "containsAll"}:
        return _contained(op, _value(inside["left"], asked), _value(inside["right"], asked))
    return ALWAYS if _truth(op, inside, asked) else NEVER


def _truth(op: str, inside: Any, asked: Asked) -> bool:
    """What is true whatever the memory is, or false."""
    if op == "Value" and isinstance(inside, bool):
        return inside
    if op == "has" and inside["left"] == {"Var": "context"} and isinstance(inside["attr"], str):
        return inside["attr"] in asked.context
    if op == "in" and inside["left"] == {"Var": "principal"}:
        named = _value(inside["right"], asked)
        entities = named if isinstance(named, list) else [named]
        if all(isinstance(each, dict) for each in entities):
            return any(_within(each, asked, at_all=True) for each in entities)
    if op in _ORDER:
        left, right = _value(inside["left"], asked), _value(inside["right"], asked)
        if type(left) is type(right) is int:
            return _ORDER[op](left, right)
    raise _Unsaid


def _value(node: Mapping[str, Any], asked: Asked) -> Any:
    """A text, a number, true or false, an entity (`type` and `id`), a list of such, or what the memory has."""
    (op, inside), *more = node.items()
    if op == "Value" and not more:
        return inside["__entity"] if isinstance(inside, dict) and "__entity" in inside else _scalar(inside)
    if op == "Set" and not more:
        return [_value(each, asked) for each in inside]
    if op == "." and not more:
        if inside["left"] == {"Var": "context"} and inside["attr"] in asked.context:
            return asked.context[inside["attr"]]
        if inside["left"] == {"Var": "resource"} and inside["attr"] in _ATTRIBUTES:
            return _OfMemory(inside["attr"])
    raise _Unsaid


def _scalar(said: Any) -> str | int | bool:
    if not isinstance(said, str | int):
        raise _Unsaid
    return said


def _same(left: Any, right: Any) -> Condition:
    if isinstance(right, _OfMemory):
        left, right = right, left
    if left == _OfMemory("type") and isinstance(right, str):
        return [frozenset({Atom("type", right)})]
    if type(left) is type(right) and isinstance(left, str | int):
        return ALWAYS if left == right else NEVER
    raise _Unsaid


def _contained(op: str, left: Any, right: Any) -> Condition:
    if op == "contains" and isinstance(left, list) and all(isinstance(each, str) for each in left):
        if right == _OfMemory("type"):
            return _few([frozenset({Atom("type", each)}) for each in left])
        if isinstance(right, str):
            return ALWAYS if right in left else NEVER
    wanted = [right] if op == "contains" else right
    if left != _OfMemory("tags") or not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        raise _Unsaid
    atoms = [Atom("tags", each) for each in wanted]
    return _few([frozenset({atom}) for atom in atoms]) if op == "containsAny" else [frozenset(atoms)]


# --- and, or, not


def _both(left: Condition, right: Condition) -> Condition:
    return _few([one | other for one, other in product(left, right) if not _contradict(one | other)])


def _negated(condition: Condition) -> Condition:
    found = ALWAYS
    for clause in condition:
        found = _both(found, [frozenset({atom._replace(there=not atom.there)}) for atom in clause])
    return found


def _contradict(clause: Clause) -> bool:
    """Whether this cannot hold: a memory has one type and one id, and nothing both is there and is not."""
    types = [atom.value for atom in clause if atom.there and atom.attribute == "type"]
    ids = [atom.value for atom in clause if atom.there and atom.attribute == "id"]
    return len(types) > 1 or len(ids) > 1 or any(atom._replace(there=not atom.there) in clause for atom in clause)


def _few(clauses: Sequence[Clause]) -> Condition:
    found = list(dict.fromkeys(clauses))
    if len(found) > MOST_CLAUSES:
        raise _Unsaid
    return ALWAYS if frozenset() in found else found
