"""Claims of two attributes that cannot both hold: no work, and an employer; a home elsewhere, and with us. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.claims import Claim, kind_of, same_value
from memos_integrations.core.claims.changes import SWITCHED
from memos_integrations.core.claims.claim import ALL, ANY, KINDS, Strength, bare, refines, words_of
from memos_integrations.core.claims.sorts import sort_of

_WITHOUT_WORK = re.compile(
    r"\b(?:unemployed|jobless|out of (?:work|a job)|between jobs|not? (?:currently )?(?:have )?(?:an? "
    r"|any )?job|n.t (?:currently )?have (?:a|any) (?:job|work)|(?:am|'m|is) retired)\b",
    re.I,
)
_DOING = frozenset({"hobby", "use", "drink", "eat", "play", "smoke", "take", "diet", "do", "practise", "practice"})
_USING = frozenset(
    {"use", "write", "code in", "program in", "work with", "work in", "drive", "drink", "eat", "play", "take", "have"}
)
_ON_ONES_OWN = re.compile(r"\b(?:self-employed|freelanc\w+|work for myself)\b", re.I)
_HELD = re.compile(
    r"\b(?:owns?|leads?|manages?|runs?|heads?|chairs?|maintains?|coaches|is (?:responsible for|in charge of))\b"
)
_OWNED = re.compile(r"^(?:my|our|his|her|their|the) [a-z]")
_ONE_NOW = frozenset(
    {
        "use",
        "meet at",
        "meet in",
        "root for",
        "shop at",
        "park in",
        "park on",
        "sleep on",
        "sleep in",
        "sit in",
        "sit at",
    }
    | {"train at", "work out at", "deploy to", "run on", "support", "eat at", "order from", "buy from"}
)
"""What one does in one way as a rule, where it is said that it is done in another way now."""
_NOW = re.compile(r"\b(?:now|these days|nowadays|from now on|instead)\b", re.I)
_PURPOSE = re.compile(r"\b(?:for|on|at|when|with|to|as|in)\b", re.I)
_INDOORS = re.compile(r"\b(?:\w*room|floor|upstairs|downstairs|attic|basement|cellar|bed)\b", re.I)
_CHIEF = re.compile(r"\b(?:main|primary|default|usual|preferred|favourite|go-to|daily|everyday)\b")


def turned_about(n: Claim, o: Claim) -> tuple[int, str]:
    """How sure it is that the two cannot both hold now, and why; 0 where they can."""
    if not n.stands:
        return _BOTH
    none = o.attribute == n.attribute == "allergy" and o.value == "anything" and not o.holds
    if none and n.subject == o.subject and n.sign == o.sign:
        return 2, "there were none"
    if o.ended and n.subject == o.subject:
        return _again(n, o)
    if not o.stands:
        return _BOTH
    if n.key == o.key and n.changed and not same_value(n.value, o.value) and _one_of_few(n, o):
        return 1, "said to have changed"
    return next(((1, why) for test, why in _TURNED if test(n, o)), _BOTH)


_BOTH = 0, ""


def _again(n: Claim, o: Claim) -> tuple[int, str]:
    """What was over, or wanting, is so again."""
    works = n.attribute == o.attribute and n.attribute in {"employer", "role"} and o.was == ALL
    if works and n.value and _WITHOUT_WORK.search(o.sentence):
        return 2, "who had no work has some"
    taken_up = o.attribute == ANY and o.was not in {"", ALL} and n.attribute in _DOING
    same = taken_up and words_of(o.was) == words_of(n.value) != frozenset()
    return (1, "it was over, and is so again") if same else _BOTH


def _one_of_few(n: Claim, o: Claim) -> bool:
    """Whether what can have several values has one as a rule: an appointment's hour, a department, what a hint is."""
    if n.attribute == "when":
        return o.strength is Strength.MANY and kind_of(n.value) == kind_of(o.value) == "time"
    if n.attribute == "is" and n.strength is Strength.MANY:
        return bool(_OWNED.match(o.value) and _OWNED.match(n.value))
    if _NOW.search(n.sentence) and _OWNED.match(n.value) and n.value.split()[:2] == o.value.split()[:2]:
        return not refines(n.value, o.value)  # "I take my coffee with sugar", "I take my coffee black now"
    if n.attribute in _ONE_NOW and _NOW.search(n.sentence):
        return not (_PURPOSE.search(n.value) or _PURPOSE.search(o.value)) and not refines(n.value, o.value)
    return n.attribute == "work in" and not refines(n.value, o.value)


def _hired(n: Claim, o: Claim) -> bool:
    """Whether somebody found an employer who worked for none: "I'm self-employed"."""
    return (
        n.attribute == "employer"
        and n.changed
        and n.subject == o.subject
        and _ON_ONES_OWN.search(o.sentence) is not None
    )


def _handed_on(n: Claim, o: Claim) -> bool:
    """Whether another one has now what one alone has: "Nina owns the document", "Omar owns the document now"."""
    alone = n.attribute == o.attribute and _HELD.search(n.sentence) and _HELD.search(o.sentence)
    one = n.value.lower().startswith("the ") and same_value(n.value, o.value)
    return bool(alone and one and n.changed and n.subject != o.subject)


def _moved_out(n: Claim, o: Claim) -> bool:
    """Whether somebody who lives with the speaker moved: "my mother lives with us", "my mother moved to Bonn"."""
    with_us = o.attribute == "lives with" and bare(o.value) in {"me", "us"}
    elsewhere = n.attribute == "home" and n.changed and _INDOORS.search(n.value) is None
    return elsewhere and with_us and n.subject == o.subject


def _swapped(n: Claim, o: Claim) -> bool:
    """Whether what was given for another is called by its sort: "a Ford", "sold the truck and bought a Tesla"."""
    sorts = {sort_of(each) for each in (n.was, n.value, o.value)}
    return n.attribute == ANY and n.changed and n.subject == o.subject and len(sorts) == 1 and sorts != {""}


def _another_chief(n: Claim, o: Claim) -> bool:
    """Whether one mostly uses another thing of the sort of what is told to be the main one."""
    if n.attribute == "prefers" and n.changed and n.was and o.attribute == "is" and "favourite" in o.subject:
        return same_value(n.was, o.value)
    switched = n.attribute == SWITCHED and sort_of(o.value) != ""
    chief = n.attribute in _USING and _CHIEF.search(o.subject)
    if not (n.changed and o.attribute in {"is", "phone", "vehicle"} and (switched or chief)):
        return False
    owner = o.subject.split()[0] == n.subject.split()[0]
    sort, kind = sort_of(o.value), kind_of(o.value)
    one = (sort and sort == sort_of(n.value)) or (kind in KINDS and kind == kind_of(n.value))
    return bool(owner and one and not same_value(n.value, o.value))


_TURNED = (
    (_hired, "who was without an employer has one"),
    (_handed_on, "somebody else has it now"),
    (_moved_out, "who lived there moved elsewhere"),
    (_swapped, "another of its sort took its place"),
    (_another_chief, "another of its sort, and a change"),
)
