"""When, where and for whom a value holds: on some days, for some people, in one place of several. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims import Claim
from memos_integrations.core.claims.claim import bare, words_of
from memos_integrations.core.text import terms as terms_of

AT_TIMES = re.compile(
    r"\b(?:on|every|each) (?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weekends?|weekdays?|other day)"
    r"|\bin (?:the )?(?:mornings?|evenings?|afternoons?|spring|summers?|autumn|fall|winters?)\b|\bat (?:night"
    r"|weekends|lunch|work|home)\b"
    r"|\bduring\b|\bpart[- ]time\b|\bfor (?:breakfast|lunch|dinner|work|fun|travel|\w+ing)\b",
    re.IGNORECASE,
)
_SIDE = re.compile(r"\s(?:in|at|for|on|during|with|when|while|by|as|after|before)\s.+$", re.IGNORECASE)


def is_fewer(newer: str, older: str) -> bool:
    """Whether one tells of some of those that the other counts: "we have three cats", "one of our cats died"."""
    some = _SOME_OF.match(newer)
    return some is not None and re.search(_COUNTED.format(some[1]), older, re.IGNORECASE) is not None


_SOME_OF = re.compile(r"^(?:one|two|three) of (?:my|our) (?:\w+ )?(\w+s)\b", re.IGNORECASE)
_COUNTED = r"\b(?:\d+|two|three|four|five|six|seven|eight|nine|ten) (?:\w+ )?{}\b"


def is_limited(claim: Claim) -> bool:
    """Whether a sentence says when, or where, it is so: "not after 4 pm"."""
    return _LIMIT.search(claim.sentence) is not None


_LIMIT = re.compile(
    r"\b(?:after(?! all)|before|during|when|while|unless|except|outside|in (?:the )?(?:mornings?|evenings?|public))\b"
    r"|\bat night\b",
    re.IGNORECASE,
)


def is_narrowed(value: str) -> bool:
    """Whether a value holds on some days, at some hours or for some people only, besides saying what it is."""
    limit = AT_TIMES.search(value) or _FOR_SOME.search(value)
    return limit is not None and bool(core(f"{value[: limit.start()]} {value[limit.end() :]}"))


_FOR_SOME = re.compile(
    r"\s(?:for|to) (?:(?:all|non|new|the|our)[ -])?(?:children|kids|adults|members|staff|guests|students|visitors"
    r"|residents|employees|men|women|seniors|\w+ers)\b",
    re.IGNORECASE,
)


def of_two_scopes(one: str, other: str) -> bool:
    """Whether each holds in another place or for another one: "off in staging", "on in production"."""
    mine, theirs = _SCOPE.search(one), _SCOPE.search(other)
    return bool(mine and theirs and mine[1].lower() == theirs[1].lower() and words_of(mine[2]) != words_of(theirs[2]))


_SCOPE = re.compile(r"\s(in|on|for|at|with)\s(.+)$", re.IGNORECASE)


def core(value: str) -> list[str]:
    """The terms of a value without when, where and for whom it holds."""
    return terms_of(_SIDE.sub("", bare(value)) or value)


def qualified(value: str) -> str:
    """When, where and for whom a value holds, as words in order; empty where it does not say."""
    side = _SIDE.search(bare(value))
    return " ".join(sorted(words_of(side[0]))) if side else ""
