"""Predicates that say by a turn what one attribute is: the way to work, what is liked best, a diet. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims.claim import KINDS, Claim, Strength, bare, kind_of
from memos_integrations.core.claims.subjects import Subject, subject_of

MARITAL = frozenset("single married divorced engaged widowed separated together".split())
DIETS = frozenset("vegan vegetarian pescatarian omnivore".split())


def habit(subject: Subject, verb: str, rest: list[str], *, past: bool) -> Claim | None:
    """What a predicate says of how somebody lives: diet, what is liked best, the way to work, what is paid."""
    told = " ".join(rest)
    state = [word for each in (rest[:1], rest[-1:]) for word in map(bare, each) if word in MARITAL | DIETS]
    if verb in {"become", "turn", "go", "get"} and state:
        attribute = "diet" if state[0] in DIETS else "marital"
        return Claim(subject.key, attribute, state[0], Strength.ONE, changed=True)
    if past:
        return None
    if (lived := _had(subject, verb, told) or _worked(subject, verb, told)) is not None:
        return lived
    best = _BEST.match(told) if verb == "like" else None
    if best is not None and (kind := kind_of(best[1])) in KINDS:
        return Claim(f"{subject.key} favourite {kind}", "is", best[1], Strength.ONE)
    if way := _way_to_work(verb, told):
        return Claim(subject.key, "commute", way, Strength.LIKELY)
    return _price(subject, verb, told) if verb in {"charge", "pay"} else None


def _had(subject: Subject, verb: str, told: str) -> Claim | None:
    """An allergy that somebody has, or what is booked for them."""
    if verb != "have":
        return None
    if (allergy := _ALLERGY.match(told)) is not None:
        none = "no " if told.lower().startswith("no ") else ""
        return Claim(subject.key, "allergy", none + (allergy["to"] or "anything"))
    booked = _BOOKED.match(told)
    if booked is None or kind_of(booked["when"]) != "time":
        return None
    return Claim(f"{subject.key} {booked['what'].lower()}", "when", booked["when"])


def _worked(subject: Subject, verb: str, told: str) -> Claim | None:
    """What somebody earns, in which part of a firm they work, and whether at home."""
    if verb in {"make", "earn"} and kind_of(told) == "money" and _PER.search(told):
        return Claim(subject.key, "income", told, Strength.ONE)
    if verb in {"transfer", "move", "switch", "work"} and (part := _DEPARTMENT.match(told)) is not None:
        return Claim(subject.key, "work in", part["what"], changed=verb != "work")
    place = _where_one_works(verb, told)
    return Claim(subject.key, "workplace", place, Strength.LIKELY) if place else None


def _price(subject: Subject, verb: str, told: str) -> Claim | None:
    priced = _FOR_WHAT.match(told)
    thing = subject_of(priced["thing"], subject.key, "") if priced else None
    if priced is None or thing is None or kind_of(priced["price"]) != "money":
        return None
    return Claim(thing.key, "price", priced["price"], Strength.ONE if verb == "charge" else Strength.LIKELY)


_FOR_WHAT = re.compile(r"^(?P<price>\D{0,2}\d[\d.,]*(?: [a-z]+)?) for (?P<thing>(?:(?:my|our|the) )?[A-Za-z][\w' -]*)$")
_BEST = re.compile(r"^(\w+) (?:best|most|the (?:best|most))$", re.IGNORECASE)


def _where_one_works(verb: str, told: str) -> str:
    """Whether somebody works at home or where the firm is; empty where it is so on some days only."""
    found = _WORKS.match(f"{verb} {told}")
    return "" if found is None else "home" if found["home"] else "office"


_ALLERGY = re.compile(
    r"^(?:(?:an?|any|no|known|severe|mild|the|serious) )*(?:(?P<to>[\w-]+(?: [\w-]+)?) )?allerg(?:y|ies)$",
    re.IGNORECASE,
)
_BOOKED = re.compile(
    r"^an? (?P<what>(?:[a-z'-]+ )?(?:appointment|meeting|interview"
    r"|reservation|flight|exam|class|lesson|checkup|call|date)"
    r"(?: with [\w.]+(?: [A-Z]\w+)?)?) (?P<when>(?:on|at|in|for) .+)$"
)
_DEPARTMENT = re.compile(
    r"^(?:in|to|into) the (?P<what>[\w-]+(?: [\w-]+)?) (?:department|team|division|unit)$", re.IGNORECASE
)
_PER = re.compile(r"\b(?:an?|per|each|every) (?:hour|day|week|month|year)\b|\bannually\b", re.IGNORECASE)
_WORKS = re.compile(
    r"^(?:work|come|go) (?:fully |entirely |completely )?(?:(?P<home>remotely"
    r"|remote|from home)|(?:back )?(?:in|into|from|at|to)"
    r" the office|on[- ]site|in[- ]person)(?: (?:full[- ]time"
    r"|every day|daily|all the time|all week|five days a week))?$",
    re.IGNORECASE,
)


def _way_to_work(verb: str, told: str) -> str:
    """By what somebody gets to where they go every day; empty where it does not say so."""
    found = _TO_WORK.match(f"{verb} {told}")
    return "" if found is None else _BY[found["by"].lower()] if found["by"] else found["line"].lower()


_BY = {"drive": "car", "cycle": "bike", "bike": "bike", "walk": "foot"}
_TO_WORK = re.compile(
    r"^(?:(?P<by>drive|cycle|bike|walk)|(?:take|catch|ride|go by|come by|get) (?:the |a |my )?(?P<line>bus|train"
    r"|tram|bike"
    r"|car|metro|subway|ferry|scooter|underground|taxi)) (?:in )?to (?:the |my )?(?:work|office|school|university|uni"
    r"|campus|hospital|shop|factory|lab)$",
    re.IGNORECASE,
)


def where_a_home_is(value: str) -> str:
    """The town of "a small flat in Leipzig"; the value itself where it names none."""
    place = _IN_A_HOME.match(value)
    return value if place is None else place[1]


_IN_A_HOME = re.compile(
    r"^(?:an?|the|my|our|his|her|their) [a-z][^,]*? (?:in|near|outside|outside of) ([A-Z][\w'-]+(?: [A-Z][\w'-]+)*)$"
)


def last_thing(words: list[str], me: str) -> Subject | None:
    """The thing that a clause ends with, which "it" means in the next one: "they moved my shift, it starts at four"."""
    found = _LAST_THING.search(" ".join(words))
    thing = subject_of(found[1], me.casefold() or "\x00", "") if found else None
    return None if thing is None or thing.personal else thing


_LAST_THING = re.compile(r"^[a-z]+ (?:back |up |down )?((?:my|our|the) [a-z-]+(?: [a-z-]+)?)$")
