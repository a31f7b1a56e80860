"""Predicates that give something another value: "moved from A to B", "replaced A with B", "was put off to B". Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims.claim import ANY, Claim, Strength, kind_of
from memos_integrations.core.claims.frames import CHANGED, ONE_AT_A_TIME, SEVERAL, verb_of
from memos_integrations.core.claims.subjects import Subject, subject_of

_CHANGES = "|".join(
    "changed? changes change moved? moves switched switch switches rescheduled postponed shifted pushed brought"
    " renamed updated raised"
    " rose risen fell fallen dropped increased decreased lowered cut reduced gone went grown grew delayed reset"
    " extended"
    " shortened relocated bumped adjusted revised converted migrated transferred set put turned".split()
)
_FROM_TO = re.compile(
    r"^(?:(?:has|have|had|was|were|been|is|got|are)\s+)*(?P<verb>"
    + _CHANGES
    + r")\b\s*(?:over|back|forward|up|down|out|away)?"
    r"\s*(?:from\s+(?P<was>.+?)\s+)?(?:to|until|till|into)\s+(?P<value>.+)$",
    re.IGNORECASE,
)
_TO_FROM = re.compile(
    r"^(?:(?:has|have|had|was|were|been|is|got|are)\s+)*(?P<verb>"
    + _CHANGES
    + r")\b\s*(?:over|back|forward|up|down|out|away)?"
    r"\s*(?:to|until|till|into)\s+(?P<value>.+?)\s+from\s+(?P<was>.+)$",
    re.IGNORECASE,
)
_OF_THING = re.compile(
    r"^(?:(?:has|have|had)\s+)?(?P<verb>"
    + _CHANGES
    + r")\s+(?P<thing>(?:my|our|his|her|their|the|[A-Z][\w-]*'s)\s.{1,50}?)\s+"
    r"(?:back |forward |up |down |over )?(?:from\s+(?P<was>.+?)\s+)?(?:to|until|till)\s+(?P<value>.+)$",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"^(?:(?:has|have|had)\s+)?(?:replaced?s?|swapped|traded(?: in)?|exchanged|ditched|dropped|abandoned|gave up"
    r"|given up)\s+"
    r"(?P<was>.+?)\s+(?:with|for|in favou?r of|by)\s+(?P<value>.+)$",
    re.IGNORECASE,
)
_LEFT_FOR = re.compile(
    r"^(?:(?:has|have|had)\s+)?left\s+(?P<was>.+?)\s+(?:for|to join|and joined)\s+(?P<value>.+)$", re.IGNORECASE
)


def replacing(subject: Subject, tail: str, me: str, said_of: str) -> list[Claim]:
    """The claims of a predicate that gives something another value, and may name the earlier one."""
    found = _LEFT_FOR.match(tail) or _INSTEAD.match(tail)
    if found is not None and subject.personal:
        return [Claim(subject.key, ANY, found["value"], changed=True, was=found["was"])]
    found = _OF_THING.match(tail)
    if found is not None:
        thing = subject_of(_named(found["thing"], subject), me, said_of)
        if thing is not None and not found["thing"].lower().endswith((" from", " over", " back")):
            return [valued(thing, found["value"], was=found["was"] or "")]
    found = _TO_FROM.match(tail) or _FROM_TO.match(tail)
    if found is None:
        return []
    verb, was, value = verb_of(found["verb"]), found["was"] or "", found["value"]
    if not subject.personal:
        return [valued(subject, value, was=was)] if verb in CHANGED else []
    moved = verb in {"move", "relocate"}
    claims = [Claim(subject.key, ANY, value, changed=True, was=was)] if was else []
    if moved:
        sure = Strength.LIKELY if was and not value[:1].isupper() else Strength.ONE
        if kind_of(value) in {"name", "words"} and not value.lower().startswith(("a ", "the ", "be ")):
            claims.append(Claim(subject.key, "home", value, sure, changed=True, was=was))
    return claims


def _named(thing: str, subject: Subject) -> str:
    """The thing with its owner: in "Ana changed her number" it is the number of Ana."""
    head, _, rest = thing.partition(" ")
    if head.lower() in {"his", "her", "their"} and subject.personal:
        return f"{subject.key}'s {rest}"
    return thing


def valued(subject: Subject, value: str, *, was: str = "", changed: bool = True) -> Claim:
    """The claim that a thing has a value: when it is, where it is, or what it is."""
    attribute, strength = _thing(subject, value)
    return Claim(subject.key, attribute, value, strength, changed=changed, was=was)


def _thing(subject: Subject, value: str) -> tuple[str, Strength]:
    kind = kind_of(value)
    head = subject.plain
    sole = head in ONE_AT_A_TIME or head.removesuffix("s") in ONE_AT_A_TIME or "favourite" in subject.key
    if kind == "time":
        return "when", Strength.ONE if len(subject.key.split()) > 1 or sole else Strength.LIKELY
    if sole:
        return "is", Strength.ONE
    if head in SEVERAL:
        return "is", Strength.MANY
    if kind == "words":
        return "is", Strength.MANY
    return "is", Strength.LIKELY
