"""What in rules is about nothing that memories have: names that no memory knows, and others that look alike. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from itertools import accumulate
from typing import NamedTuple, Protocol

from memos_integrations.core.cube import MemCube
from memos_integrations.core.gate.disguised import legible
from memos_integrations.core.policy.conditions import Memories
from memos_integrations.core.policy.engine import Slip
from memos_integrations.core.text import folded_label, folded_labels

ALIKE = 0.8
"""Words are near when so much of them is the same (`difflib.SequenceMatcher`)."""

_KINDS = {
    "tags": "the tag",
    "types": "the type",
    "entities": "the entity",
    "speakers": "the speaker",
    "sensitivity": "the sensitivity",
    "owner": "the owner",
}


class _Rule(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def who(self) -> tuple[str, ...]: ...

    @property
    def memories(self) -> Memories: ...


class Present(NamedTuple):
    """What memories are filed under, by the fields of `Memories`: each name folded, and once as it is written.

    `places` are the namespaces and every prefix of them, folded; `subjects` who owns, reads, writes or shares.
    """

    labels: Mapping[str, Mapping[str, str]]
    places: frozenset[tuple[str, ...]]
    subjects: frozenset[str]
    others: frozenset[str] = frozenset()
    """Folded: channels, degrees of trust, and sources."""


def present_in(cubes: Iterable[MemCube]) -> Present:
    """What these memories are filed under."""
    labels: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
    places: set[tuple[str, ...]] = set()
    subjects: set[str] = set()
    others: set[str] = set()
    for cube in cubes:
        said, rules, told = cube.descriptive, cube.governance, cube.provenance
        found: dict[str, Sequence[str]] = {
            "tags": said.tags,
            "types": (said.semantic_type,),
            "entities": said.entities,
            "speakers": (told.speaker,) if told.speaker else (),
            "sensitivity": rules.sensitivity,
        }
        for kind, names in found.items():
            for name in names:
                labels[kind].setdefault(folded_label(name), name)
        labels["owner"][rules.owner] = rules.owner
        places.update(accumulate(((part,) for part in folded_labels(cube.namespace)), lambda one, more: one + more))
        subjects.update((rules.owner, *rules.readers, *rules.writers, *rules.sharers))
        others.update(map(folded_label, (cube.trust.channel, cube.trust.label, told.source or "")))
    return Present(labels, frozenset(places), frozenset(subjects), frozenset(others))


def unmatched(rules: Iterable[_Rule], cubes: Sequence[MemCube], tenant: str, now: datetime) -> list[Slip]:
    """Rules about what no memory of *tenant* has, or about one of two names that look the same."""
    present = present_in(cubes)
    found: list[Slip] = []
    for rule in rules:
        slips = [*_labels(rule, present), *_place(rule, present, tenant)]
        ageless = rule.memories.ageless
        told = slips or ageless == Memories() or not all(map(_is_user, ageless.owner))
        if not told and not any(ageless.select(cube, now) for cube in cubes):
            slips.append(Slip(rule.name, "selects no memory that there is"))
        found += [*slips, *_principals(rule, present)]
    return found


def unknown_words(words: Iterable[str], cubes: Iterable[MemCube]) -> list[Slip]:
    """Those of the words of another engine that no memory has."""
    present = present_in(cubes)
    known = {name: name for names in present.labels.values() for name in names}
    known |= {part: part for place in present.places for part in place} | {each: each for each in present.others}
    absent = [word for word in words if folded_label(word) not in known]
    return [Slip("", f"no memory says {word!r}{_nearest(word, known)}", word) for word in absent]


def _labels(rule: _Rule, present: Present) -> Iterable[Slip]:
    for kind, told in _KINDS.items():
        known = present.labels[kind]
        for word in getattr(rule.memories, kind):
            if kind == "owner" and not _is_user(word):
                continue  # of such a one `lint` tells
            named = word if kind == "owner" else folded_label(word)
            if named not in known:
                yield Slip(rule.name, f"is about {told} {word!r}, which no memory has{_nearest(word, known)}", word)
            elif twins := [each for plain, each in known.items() if plain != named and _bare(plain) == _bare(named)]:
                others = ", ".join(map(repr, sorted(twins)))
                yield Slip(
                    rule.name, f"is about {told} {word!r}, and not about {others}, which memories have, too", word
                )


def _place(rule: _Rule, present: Present, tenant: str) -> Iterable[Slip]:
    place = folded_labels(rule.memories.namespace)
    if not place:
        return
    said = "/".join(rule.memories.namespace)
    if place[0] != folded_label(tenant):
        yield Slip(rule.name, f"is about the namespace {said}, but each begins with its tenant, {tenant!r}", said)
    elif place not in present.places:
        near = _nearest(said, {"/".join(each): "/".join(each) for each in present.places})
        yield Slip(rule.name, f"is about the namespace {said}, in which no memory stands{near}", said)


def _principals(rule: _Rule, present: Present) -> Iterable[Slip]:
    """Who reads by a group or role alone is named nowhere: of those only what was probably mistyped is told."""
    known = {each: each for each in present.subjects}
    for word in sorted({*rule.who} - present.subjects - {"*", "owner"}):
        near = _nearest(word, known)
        if near or _is_user(word):
            yield Slip(rule.name, f"is about {word}, whom no memory names{near}", word)


def _is_user(name: str) -> bool:
    return name.startswith("user:")


def _nearest(word: str, known: Mapping[str, str]) -> str:
    bare: dict[str, str] = {}
    for plain, name in known.items():
        bare.setdefault(_bare(plain), name)
    close = get_close_matches(_bare(word), bare, n=1, cutoff=ALIKE)
    return f"; do you mean {bare[close[0]]!r}?" if close else ""


def _bare(word: str) -> str:
    """A word without marks over letters, punctuation and spaces, look-alike letters as Latin ones."""
    opened = unicodedata.normalize("NFKD", legible(folded_label(word)))
    return "".join(each for each in opened if each.isalnum()) or word
