"""Claims of two attributes that cannot both hold: no work, and an employer; a home elsewhere, and with us. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims import Claim, kind_of, same_value
from memos_integrations.core.claims.claim import ALL, ANY, KINDS, bare, words_of
from memos_integrations.core.claims.sorts import sort_of

_WITHOUT_WORK = re.compile(r"\b(?:unemployed|jobless|out of (?:work|a job)|between jobs|(?:am|'m|is) retired)\b", re.I)
_DOING = frozenset({"hobby", "use", "drink", "eat", "play", "smoke", "take", "diet", "do", "practise", "practice"})
_USING = frozenset(
    {"use", "write", "code in", "program in", "work with", "work in", "drive", "drink", "eat", "play", "take", "have"}
)
_CHIEF = re.compile(r"\b(?:main|primary|default|usual|preferred|favourite|go-to|daily|everyday)\b")


def turned_about(n: Claim, o: Claim) -> str:
    """Why the two cannot both hold now, although their attributes differ; empty where they can."""
    if not n.stands:
        return ""
    if o.ended and n.subject == o.subject:
        return _again(n, o)
    if not o.stands:
        return ""
    if _moved_out(n, o):
        return "who lived there moved elsewhere"
    return "another of its sort, and a change" if _another_chief(n, o) else ""


def _again(n: Claim, o: Claim) -> str:
    """What was over, or wanting, is so again."""
    works = n.attribute == o.attribute and n.attribute in {"employer", "role"} and o.was == ALL
    if works and n.value and _WITHOUT_WORK.search(o.sentence):
        return "who had no work has some"
    taken_up = o.attribute == ANY and o.was not in {"", ALL} and n.attribute in _DOING
    return "it was over, and is so again" if taken_up and words_of(o.was) == words_of(n.value) != frozenset() else ""


def _moved_out(n: Claim, o: Claim) -> bool:
    """Whether somebody who lives with the speaker moved: "my mother lives with us", "my mother moved to Bonn"."""
    with_us = o.attribute == "lives with" and bare(o.value) in {"me", "us"}
    return n.attribute == "home" and n.changed and with_us and n.subject == o.subject


def _another_chief(n: Claim, o: Claim) -> bool:
    """Whether one mostly uses another thing of the sort of what is told to be the main one."""
    if not (n.changed and n.attribute in _USING and o.attribute == "is" and _CHIEF.search(o.subject)):
        return False
    owner = o.subject.split()[0] == n.subject.split()[0]
    sort, kind = sort_of(o.value), kind_of(o.value)
    one = (sort and sort == sort_of(n.value)) or (kind in KINDS and kind == kind_of(n.value))
    return bool(owner and one and not same_value(n.value, o.value))
