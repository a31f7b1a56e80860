"""What stands in the place of what where two statements are told in nearly the same words. Pure.

"The dog sleeps in the hall", "the dog sleeps in the yard": the same beginning and the same end, and one value for
another, in the manner of inference by aligned edits (MacCartney and Manning 2008).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from memos_integrations.core.claims import kind_of
from memos_integrations.core.claims.frames import PERSONAL
from memos_integrations.core.claims.sorts import sort_of
from memos_integrations.core.claims.subjects import split_subject
from memos_integrations.core.contrast import said
from memos_integrations.core.contrast.lexicon import DETERMINERS, IRREGULAR, KIN, ME, NEGATIONS, NUMERALS, root

LONGEST = 5
"""Words that one value has at most."""

_WORD = re.compile(r"[^\W_]+(?:[.:,'’/@_-]+[^\W_]+)*")  # noqa: RUF001
_CUE = re.compile(
    r"\b(?:now|currently|nowadays|these days|from now on|as of (?:now|today|this \w+)|instead|any ?more|already|still"
    r"|again|just|starting (?:today|this \w+)|in future)\b,?",
    re.IGNORECASE,
)
"""Words that say that it is so now; they are no part of what is so."""
_REASON = re.compile(r"^(?:since|after|because|as of)\b[^,]*, |,? (?:since|because|after)\b.*$", re.IGNORECASE)
_ARTICLES = frozenset("a an the".split())
_LEADS = frozenset(
    "in at on with by from to for under over of behind near beside next inside outside into onto via as about within"
    " until".split()
)
BE = frozenset("is are am be was were been".split())
_MODALS = frozenset("may might can could must should shall will would have has had do does did".split())
_NO_DOING = {root(each) for each in _MODALS | _LEADS} | {"be"}
_PAST = (frozenset(IRREGULAR) - {"has", "does", "had"}) | {"was", "were", "did"}


def roots_of(words: str) -> frozenset[str]:
    """The roots of words, with spaces between."""
    return frozenset(map(root, words.split()))


_SLOTS = roots_of(
    "sleep sit live reside stand keep store start end begin close open leave arrive meet hold host cost last weigh"
    " measure take need require lend allow pay earn charge belong face lie park lead teach maintain own handle manage"
    " write build run wake finish expire serve contain limit support ship deliver send return receive listen prefer"
    " get report retire rent drink wear use go have"
)
"""Verbs of what is so in one way at a time, as a rule, where all else is told in the same words."""
_OPEN = roots_of(
    "work operate sell stop available used known about depend depends consist consists apply applies talk appear travel"
    " fly export offer offers connect integrate stops come comes visit for exist exists useful good grow grows compete"
    " speak play important famous related interested employed born involved qualified trained invited"
)
"""Words of what is so in several places or ways at once."""
"""What one does alone as a rule, or one group: with "the", of one thing."""
GROUPS = frozenset("team department group office choir band club company".split())
"""What several people are together, each of which is one."""
UNITS = roots_of(
    "second minute hour day week month year time once twice every each per other euro dollar pound franc percent degree"
    " kilo kilogram kg gram g km kilometre kilometer metre meter mile cm gb mb tb kb kilobyte megabyte gigabyte half"
    " dozen hundred thousand million daily weekly monthly yearly am pm o'clock k about only under over around up to"
)
"""What is counted, and words beside a count."""


class Swap(NamedTuple):
    """What both begin and end with, and what only the later and only the earlier has between them, as words.

    `verb` is the place of the first verb of both among the words; -1 where none is sure. `past`: one of them tells it
    in the past.
    """

    before: tuple[str, ...]
    newer: tuple[str, ...]
    older: tuple[str, ...]
    after: tuple[str, ...]
    verb: int
    past: bool

    @property
    def of_subject(self) -> bool:
        """Whether it is another one that it is told of."""
        return len(self.before) < self.verb

    @property
    def of_value(self) -> bool:
        """Whether one thing is told to be otherwise: the same one, the same verb, and one value for another."""
        both = 0 < len(self.newer) <= LONGEST and 0 < len(self.older) <= LONGEST
        return both and 0 < self.verb < len(self.before)

    @property
    def predicate(self) -> tuple[str, ...]:
        """The words from the verb on that both say before the value, by their roots."""
        return tuple("be" if each.lower() in BE else root(each) for each in self.before[self.verb :])

    @property
    def doing(self) -> tuple[str, ...]:
        """The predicate without "is", "may" and prepositions."""
        return tuple(each for each in self.predicate if each not in _NO_DOING)

    @property
    def subject(self) -> str:
        """What sort of subject both have: `i`, `it`, `mine`, `name`, `many` or `thing`."""
        first, last = self.before[0], self.before[self.verb - 1]
        if first.lower() in {"i", "we", "user"}:
            return "i"
        if first.lower() in {"there", "it", "this", "that"}:
            return "it"
        if first.lower() in DETERMINERS & ME:
            return "mine"
        if last[:1].isupper() and self.verb == 1:
            return "name"
        return "many" if last.lower().endswith("s") and not last.endswith(("ss", "'s")) else "thing"

    @property
    def of_somebody(self) -> bool:
        """Whether the subject is somebody, who can do the same in several places and ways."""
        last = self.before[self.verb - 1].lower()
        kin = {last, last.removesuffix("s")} & (PERSONAL | KIN) - GROUPS
        return self.subject in {"i", "it", "name"} or bool(kin)


@lru_cache(maxsize=1 << 10)
def swap_of(newer: str, older: str) -> Swap | None:
    """How one text is made of the other; None where they are not one statement each, or share no beginning and end."""
    mine, theirs = _words(newer), _words(older)
    if not (mine and theirs):
        return None
    turned = _by_whom(mine), _by_whom(theirs)
    mine, theirs = (turned[0] or mine, turned[1] or theirs) if (not turned[0]) != (not turned[1]) else (mine, theirs)
    n, o = ([_form(each) for each in words] for words in (mine, theirs))
    least = min(len(n), len(o))
    start = next((place for place in range(least) if n[place] != o[place]), least)
    left = least - start
    end = next((place for place in range(left) if n[-1 - place] != o[-1 - place]), left)
    if not start and not end:
        return None
    if end and start + end == least and _figures((*mine[start : len(n) - end], *theirs[start : len(o) - end])):
        end -= 1  # "every week", "every two weeks"
    middle = mine[start : len(n) - end], theirs[start : len(o) - end]
    verb = _verb_at(theirs)
    past = 0 < verb < start and (_is_past(mine[verb]) or _is_past(theirs[verb]))
    return Swap(theirs[:start], *middle, theirs[len(o) - end :], verb, past)


@lru_cache(maxsize=1 << 12)
def _words(text: str) -> tuple[str, ...]:
    """The words of a text of one statement, without articles and without what says that it is so now."""
    told = said(text)
    if len(told) != 1:
        return ()
    plain = _REASON.sub("", _CUE.sub(" ", told[0].text.rstrip(" .!")).strip(" ,"))
    plain = _HAS_ITS.sub(r"\1's \2 is \3 ", plain)
    return tuple(each for each in _WORD.findall(plain) if each.lower() not in _ARTICLES)


_HAS_ITS = re.compile(r"^(\w+(?: \w+){0,3}) (?:has|have) (?:its|their|his|her) (\w+(?: \w+)?) (in|at|on|with) ")
"""What something has somewhere: "the firm has its office in Bonn", as "the firm's office is in Bonn"."""


def _by_whom(words: tuple[str, ...]) -> tuple[str, ...]:
    """A statement in the passive told of the doer: "the list is kept by Ana", as Ana kept the list; else nothing."""
    lows = [each.lower() for each in words]
    place = lows.index("by") if "by" in lows[3:] else 0
    if place < 3 or lows[place - 2] not in BE or not (lows[place - 1].endswith("ed") or lows[place - 1] in IRREGULAR):
        return ()
    return (*words[place + 1 :], words[place - 1], *words[: place - 2])


def _form(word: str) -> str:
    low = word.lower()
    if low in DETERMINERS & ME:
        return "my"
    if low.endswith(("s", "ed")) and root(low) in _LEADING:
        return "@lead"
    return f"#{low}" if low[0].isdigit() else root(low)


_LEADING = roots_of("lead manage run head handle direct oversee supervise coordinate")
"""Verbs of who has it in hand."""


@lru_cache(maxsize=1 << 12)
def _verb_at(words: tuple[str, ...]) -> int:
    told = next((place for place, each in enumerate(words) if place and each.lower() in BE | _MODALS), -1)
    found = split_subject(" ".join(words))
    place = len(found[0]) if found and found[1] else _told_in_third_person(words)
    return min(place, told) if place > 0 and told > 0 else max(place, told)


def _told_in_third_person(words: tuple[str, ...]) -> int:
    """The place of what may be a verb that no list has: "lends", "retries"."""
    ends = (place for place, each in enumerate(words[:-1]) if place and each[-1] == "s" and each.islower())
    return next((place for place in ends if not words[place].endswith(("ss", "'s"))), -1)


def swap_signs(newer: str, older: str) -> Iterator[str]:
    """The signs of what stands in the place of what."""
    swap = swap_of(newer, older)
    if swap is None:
        return
    if swap.of_subject:
        yield "swap of subject"
        if len(swap.after) > 1:
            yield "swap of subject alone"
    elif swap.of_value:
        yield "swap"
        yield from (f"swap {each}" for each in marks_of(swap))
    elif 0 < swap.verb < len(swap.before) and not (swap.newer and swap.older):
        yield "swap more" if swap.newer else "swap less"


def marks_of(swap: Swap) -> Iterator[str]:
    """What sort of value stands in the place of another, after which verb."""
    doing = swap.doing
    leads = _leads(swap)
    kinds = [kind_of(" ".join(each)) for each in (swap.newer, swap.older)]
    sorts = [sort_of(" ".join(each)) for each in (swap.newer, swap.older)]
    yield f"verb {doing[0]}" if doing else "verb be"
    yield f"kind {kinds[0]}" if kinds[0] == kinds[1] else "two kinds"
    yield f"begins {swap.subject}"
    more = {
        "led": leads[0] and leads[1],
        "led by one": leads[0] != leads[1],
        "slot": not doing or bool(_SLOTS & set(doing)),
        "open": bool(_OPEN & {*swap.predicate[:2], root(swap.before[-1]), root(swap.newer[0])}),
        "copula": not doing and swap.predicate[0] == "be",
        "past": swap.past,
        "goes on": bool(swap.after),
        "figures": _figures(swap.newer) and _figures(swap.older),
        "measures": _measures(swap),
        "sort": sorts[0] == sorts[1] != "",
        "head": len(swap.newer) + len(swap.older) > 2 and root(swap.newer[-1]) == root(swap.older[-1]),
        "short": len(swap.newer) + len(swap.older) <= 3,
        "two places": _two_places(swap),
        "denied": bool(NEGATIONS & {each.lower() for each in (*swap.newer, *swap.older)}),
        "of somebody": swap.of_somebody,
    }
    yield from (name for name, there in more.items() if there)


def _leads(swap: Swap) -> tuple[bool, bool]:
    """Whether each value is led by a preposition: by one and the same, or by two that tell where something is."""
    if _LEADS & {each.lower() for each in swap.before[swap.verb + 1 :]}:
        return True, True
    mine, theirs = swap.newer[0].lower(), swap.older[0].lower()
    if mine in _LEADS and theirs in _LEADS and mine != theirs and not {mine, theirs} <= _WHERE:
        return True, False
    return mine in _LEADS, theirs in _LEADS


_WHERE = frozenset("in at on under behind near beside inside outside".split())


def _is_past(verb: str) -> bool:
    return verb.lower() in _PAST or verb.lower().endswith("ed")


def _two_places(swap: Swap) -> bool:
    """Whether the values share a word between others, so that more than one thing differs."""
    mine, theirs = ([root(each) for each in words] for words in (swap.newer, swap.older))
    head = {mine[-1]} & {theirs[-1]}  # "to the core team", "to the sales team"
    return bool((set(mine) & set(theirs)) - head - _LEADS - UNITS)


def _figures(words: Sequence[str]) -> bool:
    return any(each[0].isdigit() or each.lower() in NUMERALS for each in words)


def _measures(swap: Swap) -> bool:
    """Whether each value is of figures and units alone: "three times a week", "two weeks"."""
    return all(
        all(each[0].isdigit() or each.lower() in NUMERALS or root(each) in UNITS for each in words)
        for words in (swap.newer, swap.older)
    )
