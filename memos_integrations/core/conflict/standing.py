"""How a newer claim stands to an older one: a table of cases. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from memos_integrations.core.claims import Claim, Strength, kind_of, mark, refines, same_value
from memos_integrations.core.claims.changes import SWITCHED
from memos_integrations.core.claims.claim import ALL, ANY, KINDS, NO_ONE, bare, measured, period_of, words_of
from memos_integrations.core.claims.frames import JUDGING, PERSONAL, SEVERAL
from memos_integrations.core.claims.places import REGIONS, is_within
from memos_integrations.core.claims.sorts import one_is_generic, sort_of
from memos_integrations.core.conflict.called import renames, told_short
from memos_integrations.core.conflict.limits import AT_TIMES, core, is_limited, is_narrowed, of_two_scopes, qualified
from memos_integrations.core.conflict.turning import turned_about
from memos_integrations.core.contrast import is_in_passing

_OFTEN = re.compile(r"\s+(?:every|each|daily|once|twice|all the time|a lot)\b.*$", re.IGNORECASE)
_KEPT_BY_CHANGE = frozenset({"likes", "fears", "allergy", "is a", "where", "visit", "want", "need", "know"})
_NO_MEAT = frozenset({"vegan", "vegetarian", "pescatarian"})
_MEAT = words_of("meat chicken beef pork steak ham bacon sausages burgers")
SWITCHABLE = ("use", "drink", "prefers", "eat", "have", "commute", "diet", "take")
"""What somebody may have done with the earlier of two things of a kind, who switched to the later."""
_ALONE = frozenset({"single", "divorced", "widowed"})


class Found(NamedTuple):
    """How a newer claim stands to an older one: `weight` 2 replaces, 1 is doubtful, 0 repeats."""

    weight: int
    rule: str


def learned(o: Claim, mine: Sequence[Claim], tags: Sequence[str]) -> Claim:
    """A claim that only named an earlier value, with the attribute that was learned when that was retired."""
    if o.attribute != ANY or not o.value:
        return o
    for n in mine:
        if n.subject == o.subject and n.attribute != ANY and mark(o.subject, n.attribute) in tags:
            return replace(o, attribute=n.attribute, strength=n.strength)
    return o


def told(n: Claim, o: Claim) -> Found | None:
    """How a newer claim stands to an older one, where it is not told in passing."""
    how = relation(n, o)
    if how is None or not how.weight:
        return how
    told_of = n.sentence.replace(n.value, "") if n.changed and n.attribute in _DATES else n.sentence
    passing = is_in_passing(told_of) and not (n.changed and n.attribute in _LASTING)
    silent = not n.ended and not n.was and (passing or _is_for_a_season(n))
    if silent or is_of_somebody(n.sentence):
        return None
    one_of_many = n.subject.split()[-1] in _USUALLY_MANY and not (n.changed or n.was or n.ended)
    return Found(1, "of one of several, perhaps") if one_of_many and how.weight == 2 else how


_DATES = frozenset({"when", "ends", "leaves", "arrives", "opens", "closes"})
_LASTING = frozenset({"home", "employer", "marital", "partner", "diet", "name", "school", "role"})
"""What changed of these yesterday, or last weekend, is so from then on."""


def is_of_somebody(sentence: str) -> bool:
    """Whether a sentence begins with one that it does not tell apart from others: "a friend", "one of my sons"."""
    return _SOMEBODY.match(sentence) is not None


_USUALLY_MANY = frozenset("friend colleague cousin neighbour neighbor uncle aunt child kid nephew niece".split())
_SOMEBODY = re.compile(
    r"^(?:(?:another|other|others|one of|some|several|many|most|a few) |an? (?!new )(?:\w+ )?(?:{})\b)".format(
        "|".join(sorted(PERSONAL | _USUALLY_MANY | {"cat", "dog", "pet"}))
    ),
    re.IGNORECASE,
)


def _is_for_a_season(n: Claim) -> bool:
    return not n.changed and _SEASON.search(n.sentence) is not None


_SEASON = re.compile(
    r"\b(?:this|for (?:the|a|one|this)|during (?:the|this)) (?:month|term|semester|season|summer|winter|spring|autumn"
    r"|holidays?)\b"
    r"|\bfor (?:now|the (?:moment|time being))\b",
    re.IGNORECASE,
)


def relation(n: Claim, o: Claim) -> Found | None:  # noqa: PLR0911 - a table of cases
    """How a newer claim stands to an older one; None when both can be true, or they are about different things."""
    if o.attribute == "name" and o.stands and n.changed and renames(n, o.value):
        return Found(2, "it is called otherwise")
    if n.was == ALL or (n.subject != o.subject and not told_short(n, o)):
        about = turned_about(n, o)
        return Found(*about) if about[0] else _of_its_end(n, o)
    named = n.was and o.stands and o.value and _names(n.was, o.value)
    if named and (n.attribute != "prefers" or n.changed) and _of_one_matter(n, o):
        return _of_named(n, o)
    if (about := turned_about(n, o))[0]:
        return Found(*about)
    if ANY in {o.attribute, n.attribute} or not n.value or not o.value:
        return None
    if {n.attribute, o.attribute} == {"marital", "partner"} and o.stands and n.stands:
        alone = n.value in _ALONE if n.attribute == "marital" else o.value in _ALONE
        return Found(2, "alone, or not") if alone else None
    if {n.attribute, o.attribute} == {"home", "lives with"}:
        left = n.attribute == "home" and n.ended and o.stands and words_of(o.value) <= words_of(n.value)
        return Found(2, "it is over") if left else None
    if n.attribute != o.attribute:
        return _of_one_kind(n, o)
    if o.until and n.since and o.until <= n.since:
        return None
    return _alike(n, o) if n.stands and o.stands else _turned(n, o)


_FOR_EVER = frozenset({"name", "is a", "age"})
_PARTS = frozenset({"is", "supervisor", "lead", "role"})


def _of_its_end(n: Claim, o: Claim) -> Found | None:
    """Where the later says that all is over: of the one that the earlier is about, or that it says somebody has."""
    if not (o.stands and o.value and n.ended):
        return None
    if n.subject == o.subject and n.attribute in {ANY, o.attribute}:
        return None if o.attribute in _FOR_EVER and n.changed else Found(2, "it is over")
    mine = words_of(n.subject)
    if n.was == ALL and n.attribute == ANY and o.attribute == "name" and mine and mine == words_of(o.value):
        return Found(1, "who is called so is no more")
    called = n.subject.title()
    if n.was == ALL and n.attribute == ANY and o.subject.endswith(f" {n.subject}") and f" {called}" in o.sentence:
        return Found(2, "it is over")  # "my dog Bella", "Bella"
    if n.was == ALL and n.attribute == ANY and o.attribute == "have" and n.changed:
        its = n.subject == f"{o.subject} {bare(o.value)}" or (mine and mine <= words_of(o.value))
        return Found(1, "what somebody had is gone") if its else None
    left = n.attribute == "employer" and o.attribute in _PARTS and mine == words_of(o.value)
    return Found(1, "who has the part works there no longer") if left else None


def _of_one_kind(n: Claim, o: Claim) -> Found | None:  # noqa: PLR0911 - a table of cases
    """Where one prefers, and drinks, something of one kind, and the later says that it is new."""
    if o.attribute == "diet" and n.attribute == "eat" and n.stands and words_of(n.value) & _MEAT:
        return Found(2, "what the diet excludes is eaten") if n.changed else Found(1, "the diet excludes it")
    if {n.attribute, o.attribute} == {"eat", "diet"} and n.changed and n.stands and o.stands:
        return Found(2, "the diet excludes it") if words_of(o.value) & _MEAT and n.value in _NO_MEAT else None
    if {n.attribute, o.attribute} in ({"is a", "role"}, {"is", "role"}) and n.changed and n.stands and o.stands:
        mine, theirs = core(n.value), core(o.value)
        one = mine[-1:] == theirs[-1:] and mine != theirs
        return Found(2, "a post of another rank") if one else None
    if n.attribute == "when" and n.changed and o.attribute in {"leaves", "arrives", "ends", "opens"} and o.stands:
        return Found(2, "it is at another time") if {kind_of(n.value), kind_of(o.value)} == {"time"} else None
    sort = kind_of(n.value)
    if n.attribute == SWITCHED and o.attribute in SWITCHABLE and o.stands:
        one = sort == kind_of(o.value) in KINDS or sort_of(n.value) == sort_of(o.value) != ""
        other = one and not same_value(n.value, o.value)
        return Found(1, "one of a kind, and a change") if other else None
    if {n.attribute, o.attribute} != {"prefers", "drink"} or not (n.changed and n.stands and o.stands):
        return None
    other = sort in KINDS and sort == kind_of(o.value) and not same_value(n.value, o.value)
    return Found(1, "one of a kind, and a change") if other and not AT_TIMES.search(n.value) else None


def _of_named(n: Claim, o: Claim) -> Found | None:
    if n.attribute == ANY and (o.attribute in _KEPT_BY_CHANGE or o.attribute.endswith((" in", " with", " to"))):
        return Found(1, "what it names may go on in another way")
    return Found(2, "it names the earlier value")


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


def _turned(n: Claim, o: Claim) -> Found | None:  # noqa: PLR0911 - a table of cases
    """Where one of the two denies, or says that something is over."""
    same = same_value(n.value, o.value) or (o.stands and words_of(n.value) <= words_of(o.value))
    mine, theirs = core(n.value), core(o.value)
    if not n.ended and (is_limited(n) != is_limited(o) or (len(mine) != len(theirs) and mine[-1:] != theirs[-1:])):
        return None  # "not after 4 pm"; "fish", "fish fingers"
    often = words_of(_OFTEN.sub("", n.value))
    never = n.stands and not o.stands and not o.ended and often == words_of(o.value)
    if not (same or never) or n.sign != o.sign:
        return None
    if not never and qualified(n.value) != qualified(o.value) and not n.ended:
        return None
    if o.stands:
        narrower = set(mine) < set(theirs)  # "dogs", "hot dogs"
        return Found(2, "it is over") if n.ended else Found(1 if narrower else 2, "it is denied")
    if n.stands:
        if o.ended:
            return Found(2, "it is so again") if n.changed else None
        return Found(2, "it was denied, and is so now")
    return Found(0, "the same")


def _alike(n: Claim, o: Claim) -> Found | None:  # noqa: C901, PLR0911, PLR0912 - a table of cases
    """Where both say that something is so."""
    same = same_value(n.value, o.value)
    if n.sign != o.sign:
        return Found(2, "liked and disliked") if same else None
    if same:
        return Found(0, "the same")
    if n.attribute == "name" and n.subject.split()[-1] in SEVERAL and not n.changed and not n.was:
        return None
    if not n.changed and one_is_generic(n.value, o.value):
        return None
    if n.attribute in {"home", "where"} and not n.was and is_within(n.value, o.value):
        if not n.changed:
            return None
        if not {bare(n.value), bare(o.value)} & REGIONS:
            return Found(1, "it may be a place within the other")
    if refines(n.value, o.value) and not (n.attribute == "role" and n.changed):
        return None
    if _of_two_sorts(n, o):
        return Found(1, "it may be told in another way") if n.changed and n.attribute in _NAMED_PLACES else None
    if n.attribute != "when" and is_narrowed(n.value) != is_narrowed(o.value) and not n.was:
        return Found(1, "it may be so at times only") if n.changed else None
    if n.attribute in {"is", "price"} and not n.changed and not n.was and of_two_scopes(n.value, o.value):
        return None
    periods = {period_of(n.value), period_of(o.value)} - {""}
    if len(periods) > 1 and not n.changed:
        return None
    often = AT_TIMES.search(n.value), AT_TIMES.search(o.value)
    if often[0] and often[1] and often[0][0].lower() != often[1][0].lower() and n.attribute != "when":
        return None
    kinds = kind_of(n.value), kind_of(o.value)
    at_times = bool(AT_TIMES.search(n.value) or AT_TIMES.search(o.value))
    match min(n.strength, o.strength):
        case Strength.ONE:
            if n.attribute == "is" and kinds[0] != kinds[1] and not _one_sort(n, kinds):
                return None
            doubtful = (n.was and not _names(n.was, o.value)) or (at_times and "time" not in kinds)
            return Found(1 if doubtful else 2, "one at a time")
        case Strength.LIKELY:
            return _likely(n, o, kinds, at_times)
        case _:
            mine, theirs = core(n.value), core(o.value)
            apart = (
                kinds[0] != "standing" and min(len(mine), len(theirs)) > 1 and mine[-1] != theirs[-1]
            )  # "brown eyes", "grey hair"
            sort = kinds[0] == kinds[1] and kinds[0] in KINDS and n.attribute != "likes" and not apart
            return Found(1, "one of a kind, and a change") if sort and n.changed and not at_times else None


_NAMED_PLACES = frozenset({"home", "employer", "school", "partner"})
_ARTICLE = re.compile(r"^(?:the|my|our|his|her|their|an?)\s", re.IGNORECASE)


def _of_two_sorts(n: Claim, o: Claim) -> bool:
    """Whether values tell of different things by one verb: where one works, and when; new, and broken.

    A place, an employer or a school is told by its name; "in a flat", "at night" tell how one lives or works.
    """
    if n.attribute in _NAMED_PLACES and not n.was:
        kinds = [_sort(each.value) for each in (n, o)]
        return kinds[0] != kinds[1] or kinds[0] == "a manner"
    return n.attribute == "is" and any(bare(each.value) in JUDGING for each in (n, o))


def _sort(value: str) -> str:
    if any(word[:1].isupper() for word in value.split()) or kind_of(value) not in {"words", "size", "channel"}:
        return "a name"
    article = _ARTICLE.match(value)
    return "a manner" if article is None or article[0].strip().lower() in {"a", "an"} else "a place"


def _one_sort(n: Claim, kinds: tuple[str, str]) -> bool:
    """Whether values of two kinds can answer the same question."""
    return set(kinds) <= ({"name", "words", *KINDS} if "favourite" in n.subject else {"words", *KINDS})


def _likely(  # noqa: PLR0911 - a table of cases
    n: Claim, o: Claim, kinds: tuple[str, str], at_times: bool
) -> Found | None:
    if NO_ONE in {n.value, o.value}:
        return Found(2 if n.changed else 1, "alone, or not")
    mine, theirs = core(n.value), core(o.value)
    head = bool(mine and theirs) and mine[-1] == theirs[-1]
    if n.attribute == "prefers":
        if at_times or qualified(n.value) != qualified(o.value):
            return None
        return Found(2, "one preference of a kind") if head or (kinds[0] == kinds[1] and kinds[0] in KINDS) else None
    counts = kinds[0] == "number" and len(mine) > 1 and not head and kind_of(bare(n.value).split()[0]) == "number"
    told = [{word for word in words_of(each) if word.isalpha()} for each in (n.value, o.value)]
    other = all(told) and (not told[0] & told[1] or not (head or {mine[-1], theirs[-1]} - told[0] - told[1]))
    sizes = measured(n.value), measured(o.value)
    one_size = sizes[0] is not None and sizes[1] is not None and sizes[0][0] == sizes[1][0]  # "an hour", "35 minutes"
    other = other and not one_size
    if kinds == ("number", "number") and other and not n.changed:
        return None  # "8 GB", "Debian 12"; "size 42 shoes", "size 38 trousers"
    if kinds[0] != kinds[1] or (at_times and "time" not in kinds) or counts:
        return None
    if kinds[0] == "words" and not head:
        return Found(1, "said to have changed") if n.changed else None
    return Found(2, "said to have changed") if n.changed else Found(1, "one as a rule")
