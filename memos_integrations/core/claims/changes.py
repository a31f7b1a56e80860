"""Predicates that give something another value: "moved from A to B", "replaced A with B", "was put off to B". Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from memos_integrations.core.claims.claim import ANY, KINDS, Claim, Strength, kind_of
from memos_integrations.core.claims.frames import CHANGED, NOUNS, ONE_AT_A_TIME, SEVERAL, verb_of
from memos_integrations.core.claims.sorts import sort_of
from memos_integrations.core.claims.subjects import Subject, subject_of

_CHANGES = "|".join(
    "changed? changes change moved? moves switched switch switches rescheduled postponed shifted pushed brought"
    " renamed updated raised"
    " rose risen fell fallen dropped increased decreased lowered cut reduced gone went grown grew delayed reset"
    " extended"
    " shortened relocated bumped adjusted revised converted migrated upgraded downgraded transferred set put"
    " turned doubled tripled halved slipped slid climbed jumped".split()
)
_FROM_TO = re.compile(
    r"^(?:(?:has|have|had|was|were|been|is|got|are)\s+)*(?P<verb>"
    + _CHANGES
    + r")\b\s*(?:over|back|forward|up|down|out|away|house|home|flats?|jobs?|teams?)?,?"
    r"\s*(?:from\s+(?P<was>.+?)\s+)?(?:to|until|till|into)\s+(?P<value>.+)$",
    re.IGNORECASE,
)
_TO_FROM = re.compile(
    r"^(?:(?:has|have|had|was|were|been|is|got|are)\s+)*(?P<verb>"
    + _CHANGES
    + r")\b\s*(?:over|back|forward|up|down|out|away|house|home|flats?|jobs?|teams?)?,?"
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
    r"(?P<was>.+?)\s+(?:with|for|in favou?r of|by)\s+(?P<value>.+)$"
    r"|^(?:bought|got|ordered|hired|chose|picked|have|has)\s+(?P<new>.+?)\s+(?:to replace"
    r"|as a replacement for)\s+(?P<old>.+)$"
    r"|^sold\s+(?P<sold>.+?)\s+and\s+(?:bought|got)\s+(?P<bought>.+)$",
    re.IGNORECASE,
)
_LEFT_FOR = re.compile(
    r"^(?:(?:has|have|had)\s+)?left\s+(?P<was>.+?)\s+(?:for|to join|and joined)\s+(?P<value>.+)$", re.IGNORECASE
)

_IN_OFFICE = re.compile(
    r"^(?:(?:has|have|had|was|is)\s+)*(?:"
    r"(?:took|taken|takes) over\s+as\s+(?P<office>.+?)\s+from\s+(?P<was>.+)"
    r"|(?:replaced|replaces|succeeded|succeeds)\s+(?P<before>.+?)\s+as\s+(?P<post>.+)"
    r"|(?P<left>stepped down|resigned|retired|quit)\s+as\s+(?P<given_up>.+))$",
    re.IGNORECASE,
)

RATHER = re.compile(
    r"^(?P<value>.+?),?\s+(?:instead of|rather than|in place of|and not|not)\s+(?P<was>.+)$", re.IGNORECASE
)
_OWNED = re.compile(r"^(?:my|our)\s|^[A-Z]\w*(?: [A-Z]\w*)?'s\s|^the (?:new )?[a-z]+ of (?!the year|a\b|an\b)")


_BARE_HOUR = re.compile(r"^\d{1,2}$")
_PUT_OFF = frozenset("move reschedule postpone shift push bring".split())
SWITCHING = frozenset("switch change convert migrate move upgrade".split())
SWITCHED = "switched"
"""The attribute of what somebody switched to, when it is not told from what."""


def replacing(subject: Subject, tail: str, me: str, said_of: str) -> list[Claim]:  # noqa: C901, PLR0911 - a table of forms
    """The claims of a predicate that gives something another value, and may name the earlier one."""
    found = _LEFT_FOR.match(tail) or _INSTEAD.match(tail)
    if found is not None and subject.personal:
        was, value = (next(each for each in pair if each) for pair in _named_in(found))
        return [Claim(subject.key, ANY, value, changed=True, was=was)]
    found = _OF_THING.match(tail)
    if found is not None:
        thing = subject_of(_named(found["thing"], subject), me, said_of or subject.key)
        if thing is not None and not found["thing"].lower().endswith((" from", " over", " back")):
            also = [Claim(subject.key, ANY, found["value"], changed=True, was=found["was"])] if found["was"] else []
            return [valued(thing, found["value"], was=found["was"] or ""), *also]
    found = _TO_FROM.match(tail) or _FROM_TO.match(tail)
    if found is None:
        return []
    verb, was, value = verb_of(found["verb"]), found["was"] or "", found["value"]
    if _BARE_HOUR.match(value) and verb in _PUT_OFF and subject.key != me:
        return [valued(subject, f"at {value}", was=was)]  # "standup moved to 10": no name of somebody
    if verb == "rename" and subject.personal:  # "Kaiserallee was renamed to Friedensallee"
        return [Claim(subject.key, "name", value, Strength.ONE, changed=True, was=was)]
    if not subject.personal or (subject.attribute and verb == "change"):  # "my manager changed from A to B"
        return [valued(subject, value, was=was)] if verb in CHANGED else []
    if not was and verb in SWITCHING and (kind_of(value) in KINDS or sort_of(value)):
        return [Claim(subject.key, SWITCHED, value, changed=True)]
    moved = verb in {"move", "relocate"}
    claims = [Claim(subject.key, ANY, value, changed=True, was=was)] if was else []
    if moved:
        sure = Strength.LIKELY if was and not value[:1].isupper() else Strength.ONE
        if kind_of(value) in {"name", "words"} and not value.lower().startswith(("a ", "the ", "be ")):
            claims.append(Claim(subject.key, "home", value, sure, changed=True, was=was))
    return claims


def succeeding(subject: Subject, tail: str, me: str) -> list[Claim]:
    """The claims of a change of office: whose it is now, and that the one before holds it no longer."""
    found = _IN_OFFICE.match(tail)
    if found is None or not subject.personal:
        return []
    if found["left"]:
        return [Claim(subject.key, "is", found["given_up"], changed=True, ended=True)]
    office, before = found["office"] or found["post"], found["was"] or found["before"]
    of_whom, post = subject_of(before, me, ""), subject_of(office, me, "")
    claims = [Claim(subject.key, "is", office, Strength.MANY, changed=True)]
    if of_whom is not None:
        claims.append(Claim(of_whom.key, "is", office, changed=True, ended=True))
    if post is not None:
        claims.append(valued(post, subject.key.title(), was=before))
    return claims


def _named_in(found: re.Match[str]) -> tuple[tuple[str | None, ...], tuple[str | None, ...]]:
    told = found.groupdict()
    return tuple(map(told.get, ("was", "sold", "old"))), tuple(map(told.get, ("value", "bought", "new")))


_SETTING = frozenset(
    "landlord landlady boss manager company employer doctor dentist teacher school bank insurer gym".split()
)
"""Who sets what is somebody else's: "my landlord raised the rent" is my rent."""


def _named(thing: str, subject: Subject) -> str:
    """The thing with its owner: in "Ana changed her number" it is the number of Ana."""
    head, _, rest = thing.partition(" ")
    own = head.lower() == "the" and rest in NOUNS
    if head.lower() == "the" and subject.plain in _SETTING and subject.key == subject.plain:
        return f"my {rest}" if rest in NOUNS else thing
    if head.lower() == "the" and subject.plain in _SETTING:
        return f"{subject.key.rsplit(' ', 1)[0]}'s {rest}"
    if subject.personal and (own or head.lower() in {"his", "her", "their"}):
        return f"{subject.key}'s {rest}"
    return thing


def valued(subject: Subject, value: str, *, was: str = "", changed: bool = True) -> Claim:
    """The claim that a thing has a value: when it is, where it is, or what it is."""
    attribute, strength = _thing(subject, value)
    return Claim(
        subject.owner if attribute == subject.attribute else subject.key,
        attribute,
        value,
        strength,
        changed=changed,
        was=was,
    )


_EXACT = frozenset({"supervisor", "partner", "phone", "rent", "age", "name"})
"""What is told by a name or a number: "my manager is nice" tells something else of them."""


_SINCE = re.compile(r"\s(?:since|from|as of|starting)\s.+$")
_BOOKED = frozenset("room seat table slot line place space bed desk flat evening day weekend".split())
"""What is "free" when nobody has taken it."""


def _thing(subject: Subject, value: str) -> tuple[str, Strength]:
    kind = kind_of(_SINCE.sub("", value))
    head = subject.plain
    if subject.attribute and not (subject.attribute in _EXACT and kind == "words"):
        many = subject.attribute == "hobby"
        return (
            subject.attribute,
            Strength.MANY if many else Strength.LIKELY if subject.attribute == "vehicle" else Strength.ONE,
        )
    if kind == "money" and head not in ONE_AT_A_TIME | _BOOKED and not subject.attribute:
        return "price", Strength.ONE
    sole = head in ONE_AT_A_TIME or head.removesuffix("s") in ONE_AT_A_TIME or "favourite" in subject.key
    if kind == "time":
        return "when", Strength.ONE if len(subject.key.split()) > 1 or sole else Strength.LIKELY
    if sole:
        return "is", Strength.ONE
    return "is", Strength.MANY if head in SEVERAL or kind == "words" else Strength.LIKELY


def turned(subject: Subject, tail: str, me: str) -> Claim | None:
    """The claim turned round: that Carla is my manager says who my manager is."""
    rather = RATHER.match(tail)
    was, tail = (rather["was"], rather["value"]) if rather else ("", tail)
    thing = subject_of(tail.rstrip(" ,"), me, "") if subject.personal and _OWNED.match(tail) else None
    if thing is None or not (thing.attribute or thing.plain in ONE_AT_A_TIME or "favourite" in thing.key):
        return None
    claim = valued(thing, subject.key.title(), was=was, changed=thing.fresh or bool(was))
    return replace(claim, strength=Strength.ONE)


_STUDIES = re.compile(
    r"^in (?:an? |my )?(?:[\w-]+ ){0,2}(?:college|university|uni|school|phd program|master's program)$", re.IGNORECASE
)
_PLACES = frozenset({"home", "employer"})
"""Attributes whose value is told by where it is: "my home is in Bonn"; "my car is in the workshop" tells no car."""


def being(subject: Subject, rest: list[str]) -> Claim:  # noqa: PLR0911 - a table of forms
    """The claim that something is something: when, where, or what it is."""
    tail = " ".join(rest)
    rather = RATHER.match(tail)
    was, tail = (rather["was"], rather["value"]) if rather else ("", tail)
    first = rest[0].lower()
    when = {"time", "day", "hour", "hours"} & set(subject.key.split()[:3]) and not subject.personal
    if when and first in {"at", "on", "in", "after", "before"} and kind_of(tail) == "words":
        return Claim(subject.key, "when", tail, Strength.ONE, was=was, changed=bool(was))
    if first in {"at", "on", "in"} and kind_of(tail) == "time":
        return valued(subject, tail, was=was, changed=bool(was))
    if subject.personal and first in {"a", "an"}:
        return Claim(subject.key, "is a", tail, Strength.MANY, was=was)
    if first in {"at", "on", "in", "near"} and subject.attribute in _PLACES:
        return valued(subject, " ".join(rest[1:]), was=was, changed=bool(was))
    if subject.personal and first == "in" and _STUDIES.match(tail):
        return Claim(subject.key, "school", " ".join(rest[1:]), Strength.MANY, was=was)
    if first in {"at", "on", "in"} and kind_of(tail) != "time":
        return Claim(subject.key, "where", tail, Strength.MANY if subject.personal else Strength.LIKELY, was=was)
    if subject.personal and not (subject.plain in ONE_AT_A_TIME and kind_of(tail) == "name"):
        return Claim(subject.key, "is", tail, Strength.MANY, was=was)
    return valued(subject, tail, was=was, changed=bool(was))
