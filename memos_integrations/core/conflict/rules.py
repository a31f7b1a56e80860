"""ConflictRules: what two memories are to each other, decided by their claims, time, trust and source. Pure.

For precision rather than completeness: a memory is retired only when all that it states is replaced by a later
statement about the same attribute of the same subject, by a source that is no less trusted. What is doubtful is
flagged, and both stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from memos_integrations.core.claims import (
    Claim,
    Strength,
    claims_of,
    kind_of,
    mark,
    refines,
    same_value,
    statements_of,
)
from memos_integrations.core.claims.claim import ALL, ANY, KINDS, bare, period_of, words_of
from memos_integrations.core.claims.frames import SEVERAL
from memos_integrations.core.claims.places import is_within
from memos_integrations.core.conflict.decision import Evidence, Ruling, Verdict
from memos_integrations.core.contrast import contrast, is_in_passing, says_news
from memos_integrations.core.cube import MemCube, TrustLabel
from memos_integrations.core.text import terms as terms_of

JUDGED = frozenset({"fact", "preference", "persona", "profile", "user_preference", "note"})
"""Semantic types that are judged. A message, a document or an event is a record of what was said: it is not retired."""

ONE_SITTING = timedelta(hours=24)
"""Two statements told within it may be of one state."""

NEAR = 0.85
"""Two texts with so many of their terms in common, and the same numbers, names and negations, are one."""

MOST_NEW_WORDS = 4
"""A memory that repeats a claim in a statement with more new words than that says something else as well."""

_ROLES = frozenset("user assistant system tool human ai me you".split())
_AT_TIMES = re.compile(
    r"\b(?:on|every|each) (?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekends?|weekdays?|other day)"
    r"|\bin (?:the )?(?:mornings?|evenings?|afternoons?|spring|summers?|autumn|fall|winters?)\b|\bat (?:night"
    r"|weekends|lunch|work|home)\b"
    r"|\bduring\b|\bpart[- ]time\b|\bfor (?:breakfast|lunch|dinner|work|fun|reading|travel(?:ling)?)\b",
    re.IGNORECASE,
)
_SIDE = re.compile(r"\s(?:in|at|for|on|during|with|when|while|by|as|after|before)\s.+$", re.IGNORECASE)
_OFTEN = re.compile(r"\s+(?:every|each|daily|once|twice|all the time|a lot)\b.*$", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|no|never|none|without|nor|cannot)\b|n't\b", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+(?:[.:,]\d+)*")
_NAMED = re.compile(r"(?<=\w )[A-Z]\w+")
_KEPT_BY_CHANGE = frozenset({"likes", "fears", "allergy", "is a", "where", "visit", "want", "need", "know"})
_MEAT = words_of("meat chicken beef pork steak ham bacon sausages burgers")
_ALONE = frozenset({"single", "divorced", "widowed"})


class _Found(NamedTuple):
    """How a newer claim stands to an older one: `weight` 2 replaces, 1 is doubtful, 0 repeats."""

    weight: int
    rule: str


def said_at(cube: MemCube) -> datetime:
    """When a memory's statement begins to count: its validity, else when it was said, else when it was written."""
    return cube.descriptive.valid_from or cube.provenance.occurred_at or cube.descriptive.created_at


def told_at(cube: MemCube) -> datetime:
    """When it was said, else when it was written."""
    return cube.provenance.occurred_at or cube.descriptive.created_at


def speaker_of(cube: MemCube) -> str:
    """Who says "I" in a memory."""
    speaker = (cube.provenance.speaker or "").casefold()
    if speaker and speaker not in _ROLES:
        return speaker
    return (cube.provenance.author or cube.governance.owner).removeprefix("user:").casefold()


def claims_in(cube: MemCube) -> tuple[Claim, ...]:
    """The claims of a memory."""
    return claims_of(cube.text, told_at(cube), speaker_of(cube))


class ConflictRules:
    """A `ConflictJudge` by rules, without a model.

    *types* are the semantic types that are judged at all; others are always left alone.
    """

    def __init__(self, types: frozenset[str] = JUDGED) -> None:
        self.types = types

    def judge(self, newer: MemCube, older: MemCube) -> Verdict | None:
        """See `ConflictJudge.judge`."""
        if not {newer.descriptive.semantic_type, older.descriptive.semantic_type} <= self.types:
            return None
        mine, theirs = claims_in(newer), claims_in(older)
        theirs = tuple(learned(o, mine, older.descriptive.tags) for o in theirs)
        found = [(n, o, how) for n in mine for o in theirs if (how := _told(n, o)) is not None]
        evidence = tuple(
            Evidence(rule=how.rule, subject=n.subject, attribute=o.attribute, newer=n.sentence, older=o.sentence)
            for n, o, how in found
            if how.weight
        )
        replaced = {id(o): n for n, o, how in found if how.weight == 2}
        if replaced:
            since = next((n.since for n in replaced.values() if n.since), None)
            doubt = _left_over(older, theirs, replaced, found) or _less_sure(newer, older, found)
            doubt = doubt or _two_views(newer, older, found)
            if doubt:
                return Verdict(Ruling.FLAG, doubt, evidence)
            return Verdict(Ruling.SUPERSEDE, "all that it states was replaced", evidence, since)
        if evidence:
            return Verdict(Ruling.FLAG, "both may be true", evidence)
        same = _repeated(newer, older, mine, theirs, found)
        return same or (None if found else _contrasted(newer, older))


def _contrasted(newer: MemCube, older: MemCube) -> Verdict | None:
    """The verdict where no claims of the same frame meet: by what the two texts share, and a signal of change."""
    if speaker_of(newer) != speaker_of(older):
        return None
    found = contrast(newer.text, older.text)
    if found is None:
        return None
    evidence = (Evidence(rule=found.rule, newer=found.newer, older=found.older),)
    doubt = less_trusted(newer, older)
    if told_at(newer) == told_at(older) and newer.provenance.source != older.provenance.source:
        doubt = doubt or "two sources say different things at the same time"
    if found.weight < 2 or doubt:
        return Verdict(Ruling.FLAG, doubt or "both may be true", evidence)
    return Verdict(Ruling.SUPERSEDE, "what it states was replaced", evidence)


def _left_over(
    older: MemCube,
    theirs: Sequence[Claim],
    replaced: dict[int, Claim],
    found: Sequence[tuple[Claim, Claim, _Found]],
) -> str:
    """Why the older memory cannot go as a whole; empty when it can."""
    gone = {o.attribute for o in theirs if id(o) in replaced}
    repeated = {id(o) for _, o, how in found if how.weight == 0}
    for claim in theirs:
        goes_along = claim.attribute == "role" and "employer" in gone
        accounted = goes_along or claim.attribute == ANY or id(claim) in replaced or id(claim) in repeated
        if claim.stands and not accounted:
            return "only part of what it states was replaced"
    told = {claim.sentence for claim in theirs}
    if any(sentence not in told and len(sentence.split()) > 3 for sentence in statements_of(older.text)):
        return "it states more than what was replaced"
    return ""


def less_trusted(newer: MemCube, older: MemCube) -> str:
    """Why the newer may not retire the older for want of trust; empty when it may."""
    order = list(TrustLabel)
    if order.index(newer.trust.label) < order.index(older.trust.label):
        return f"the newer is {newer.trust.label}, the older {older.trust.label}"
    return ""


def _less_sure(newer: MemCube, older: MemCube, found: Sequence[tuple[Claim, Claim, _Found]]) -> str:
    if doubt := less_trusted(newer, older):
        return doubt
    mine, theirs = speaker_of(newer), speaker_of(older)
    about = {o.subject.split()[0] for _, o, how in found if how.weight == 2}
    if mine != theirs and about <= {theirs}:
        return "the older is of the one it is about, the newer of somebody else"
    if told_at(newer) == told_at(older) and newer.provenance.source != older.provenance.source:
        return "two sources say different things at the same time"
    return ""


def _two_views(newer: MemCube, older: MemCube, found: Sequence[tuple[Claim, Claim, _Found]]) -> str:
    """Why two values may be two views of one state ("London", "Hackney"); empty where they are not.

    A home or an employer seldom changes between two statements of one day, and who tells of a change says so.
    """
    if max(abs(told_at(newer) - told_at(older)), abs(said_at(newer) - said_at(older))) > ONE_SITTING:
        return ""
    silent = [
        not (n.changed or n.was or n.ended or says_news(n.sentence)) and kind_of(n.value) in {"name", "words"}
        for n, _, how in found
        if how.weight == 2 and how.rule == "one at a time"
    ]
    return "both were told on one day, without a word of change" if silent and all(silent) else ""


def learned(o: Claim, mine: Sequence[Claim], tags: Sequence[str]) -> Claim:
    """A claim that only named an earlier value, with the attribute that was learned when that was retired."""
    if o.attribute != ANY or not o.value:
        return o
    for n in mine:
        if n.subject == o.subject and n.attribute != ANY and mark(o.subject, n.attribute) in tags:
            return replace(o, attribute=n.attribute, strength=n.strength)
    return o


def _told(n: Claim, o: Claim) -> _Found | None:
    """How a newer claim stands to an older one, where it is not told in passing."""
    how = relation(n, o)
    silent = how is not None and how.weight and not n.ended and not n.was and is_in_passing(n.sentence)
    return None if silent else how


def relation(n: Claim, o: Claim) -> _Found | None:  # noqa: PLR0911 - a table of cases
    """How a newer claim stands to an older one; None when both can be true, or they are about different things."""
    if n.subject != o.subject:
        return None
    if n.was == ALL and o.stands and o.value:
        return _Found(2, "it is over")
    named = n.was and o.stands and o.value and _names(n.was, o.value)
    if named and (n.attribute != "prefers" or n.changed) and _of_one_matter(n, o):
        return _of_named(n, o)
    if ANY in {o.attribute, n.attribute} or not n.value or not o.value:
        return None
    if {n.attribute, o.attribute} == {"marital", "partner"} and o.stands and n.stands:
        alone = n.value in _ALONE if n.attribute == "marital" else o.value in _ALONE
        return _Found(2, "alone, or not") if alone else None
    if n.attribute != o.attribute:
        return _of_one_kind(n, o)
    if o.until and n.since and o.until <= n.since:
        return None
    return _alike(n, o) if n.stands and o.stands else _turned(n, o)


def _of_one_kind(n: Claim, o: Claim) -> _Found | None:
    """Where one prefers, and drinks, something of one kind, and the later says that it is new."""
    if o.attribute == "diet" and n.attribute == "eat" and n.stands and words_of(n.value) & _MEAT:
        return _Found(2, "what the diet excludes is eaten") if n.changed else _Found(1, "the diet excludes it")
    if n.attribute == "when" and n.changed and o.attribute in {"leaves", "arrives", "ends", "opens"} and o.stands:
        return _Found(2, "it is at another time") if {kind_of(n.value), kind_of(o.value)} == {"time"} else None
    sort = kind_of(n.value)
    if {n.attribute, o.attribute} != {"prefers", "drink"} or not (n.changed and n.stands and o.stands):
        return None
    other = sort in KINDS and sort == kind_of(o.value) and not same_value(n.value, o.value)
    return _Found(1, "one of a kind, and a change") if other and not _AT_TIMES.search(n.value) else None


def _of_named(n: Claim, o: Claim) -> _Found | None:
    if n.attribute == ANY and (o.attribute in _KEPT_BY_CHANGE or o.attribute.endswith((" in", " with", " to"))):
        return _Found(1, "what it names may go on in another way")
    return _Found(2, "it names the earlier value")


def _of_one_matter(n: Claim, o: Claim) -> bool:
    """Whether the value that a claim names as the earlier one can be that of the other claim."""
    if n.attribute in {ANY, o.attribute}:
        return True
    if n.strength is Strength.ONE:
        return o.strength is Strength.ONE
    habits = {"prefers", "drink", "eat", "use", "take", "wear", "play"}
    return {n.attribute, o.attribute} <= habits


def _names(was: str, value: str) -> bool:
    mine, theirs = words_of(was), words_of(value)
    return bool(mine) and (same_value(was, value) or mine <= theirs)


def _turned(n: Claim, o: Claim) -> _Found | None:
    """Where one of the two denies, or says that something is over."""
    same = same_value(n.value, o.value) or (o.stands and words_of(n.value) <= words_of(o.value))
    often = words_of(_OFTEN.sub("", n.value))
    never = n.stands and not o.stands and not o.ended and often == words_of(o.value)
    if not (same or never) or n.sign != o.sign:
        return None
    if not never and _qualified(n.value) != _qualified(o.value) and not n.ended:
        return None
    if o.stands:
        return _Found(2, "it is over") if n.ended else _Found(2, "it is denied")
    if n.stands:
        if o.ended:
            return _Found(2, "it is so again") if n.changed else None
        return _Found(2, "it was denied, and is so now")
    return _Found(0, "the same")


def _alike(n: Claim, o: Claim) -> _Found | None:  # noqa: PLR0911 - a table of cases
    """Where both say that something is so."""
    same = same_value(n.value, o.value)
    if n.sign != o.sign:
        return _Found(2, "liked and disliked") if same else None
    if same:
        return _Found(0, "the same")
    if n.attribute == "name" and n.subject.split()[-1] in SEVERAL and not n.changed and not n.was:
        return None
    if n.attribute in {"home", "where"} and not n.was and is_within(n.value, o.value):
        return None if not n.changed else _Found(1, "it may be a place within the other")
    if refines(n.value, o.value) and not (n.attribute == "role" and n.changed):
        return None
    periods = {period_of(n.value), period_of(o.value)} - {""}
    if len(periods) > 1 and not n.changed:
        return None
    often = _AT_TIMES.search(n.value), _AT_TIMES.search(o.value)
    if often[0] and often[1] and often[0][0].lower() != often[1][0].lower() and n.attribute != "when":
        return None
    kinds = kind_of(n.value), kind_of(o.value)
    at_times = bool(_AT_TIMES.search(n.value) or _AT_TIMES.search(o.value))
    match min(n.strength, o.strength):
        case Strength.ONE:
            if n.attribute == "is" and kinds[0] != kinds[1] and not _one_sort(n, kinds):
                return None
            doubtful = (n.was and not _names(n.was, o.value)) or (at_times and "time" not in kinds)
            return _Found(1 if doubtful else 2, "one at a time")
        case Strength.LIKELY:
            return _likely(n, o, kinds, at_times)
        case _:
            sort = kinds[0] == kinds[1] and kinds[0] in KINDS and n.attribute != "likes"
            return _Found(1, "one of a kind, and a change") if sort and n.changed and not at_times else None


def _one_sort(n: Claim, kinds: tuple[str, str]) -> bool:
    """Whether values of two kinds can answer the same question."""
    return set(kinds) <= ({"name", "words", *KINDS} if "favourite" in n.subject else {"words", *KINDS})


def _likely(n: Claim, o: Claim, kinds: tuple[str, str], at_times: bool) -> _Found | None:
    mine, theirs = _core(n.value), _core(o.value)
    head = bool(mine and theirs) and mine[-1] == theirs[-1]
    if n.attribute == "prefers":
        if at_times or _qualified(n.value) != _qualified(o.value):
            return None
        return _Found(2, "one preference of a kind") if head or (kinds[0] == kinds[1] and kinds[0] in KINDS) else None
    counts = kinds[0] == "number" and len(mine) > 1 and not head and kind_of(bare(n.value).split()[0]) == "number"
    if kinds[0] != kinds[1] or (at_times and "time" not in kinds) or counts:
        return None
    if kinds[0] == "words" and not head:
        return _Found(1, "said to have changed") if n.changed else None
    return _Found(2, "said to have changed") if n.changed else _Found(1, "one as a rule")


def _core(value: str) -> list[str]:
    return terms_of(_SIDE.sub("", bare(value)) or value)


def _qualified(value: str) -> str:
    side = _SIDE.search(bare(value))
    return " ".join(sorted(words_of(side[0]))) if side else ""


def _repeated(
    newer: MemCube,
    older: MemCube,
    mine: Sequence[Claim],
    theirs: Sequence[Claim],
    found: Sequence[tuple[Claim, Claim, _Found]],
) -> Verdict | None:
    if newer.descriptive.semantic_type != older.descriptive.semantic_type or speaker_of(newer) != speaker_of(older):
        return None
    if newer.governance.model_dump() != older.governance.model_dump():
        return None
    a, b = set(terms_of(newer.text)), set(terms_of(older.text))
    alike = len(a & b) / max(len(a | b), 1)
    exact = all(
        sorted(found_in.findall(newer.text.casefold() if found_in is _NOT else newer.text))
        == sorted(found_in.findall(older.text.casefold() if found_in is _NOT else older.text))
        for found_in in (_NUMBERS, _NOT, _NAMED)
    )
    same = [how for _, _, how in found if how.weight == 0]
    plain = len(statements_of(newer.text)) == 1 and len(statements_of(older.text)) == 1
    one = len(same) == len(mine) == len(theirs) == 1 and plain and mine[0].until == theirs[0].until
    if one and len(a - b) <= MOST_NEW_WORDS:
        return Verdict(Ruling.MERGE, "it says the same", _same(newer, older, "the same claim"))
    if len(same) < max(len(mine), len(theirs)):
        return None  # what they claim is not the same, however alike the words
    if exact and alike >= NEAR and len(a) >= 3 and not (set(_quoted(newer)) ^ set(_quoted(older))):
        return Verdict(Ruling.MERGE, "it says the same in almost the same words", _same(newer, older, "near duplicate"))
    return None


def _quoted(cube: MemCube) -> list[str]:
    return re.findall(r"\"([^\"]+)\"", cube.text)


def _same(newer: MemCube, older: MemCube, rule: str) -> tuple[Evidence, ...]:
    return (Evidence(rule=rule, newer=newer.text[:400], older=older.text[:400]),)
