"""When two clauses are about two things, though they share words. Pure."""

from __future__ import annotations

import re
from collections import defaultdict

from memos_integrations.core.contrast.lexicon import DAYS, MANY, PARTS
from memos_integrations.core.contrast.pair import Pair
from memos_integrations.core.contrast.saying import Saying, Statement, said
from memos_integrations.core.contrast.word import Word
from memos_integrations.core.text.words import fold

_STOPPED = re.compile(r"\b(?:stopped|quit|gave up|given up|aufgehört|dejé de|deje de)\b")
_WHERE = frozenset(
    "in on at with to for before after behind under near by from inside outside during "
    "without ohne sin im am auf mit vor nach zu zum zur bei en con al antes despues".split()
)
"""Words that lead a particular: where, when, with whom something is so."""
_WITHOUT = frozenset({"without", "ohne", "sin"})
_LED = {"without": "with", "ohne": "mit", "sin": "con"}
_UNTIL = frozenset({"until", "till", "bis", "hasta"})
_SINCE = frozenset({"after", "nach", "despues"})
_LIMITS = frozenset("day time part before after during vor nach antes despues without".split())
_SPANS = frozenset("day week month year hour while".split())
"""How long something went on that is over, is no limit: "after a month"."""
_REPEATED = frozenset(f"{day}s" for day in DAYS)
_EXACT = frozenset({"day", "time", "ordinal"})
_DATED = frozenset({"month", "number"})
"""Kinds that may as well say since when something is over."""


def of_two_things(pair: Pair) -> bool:
    """Whether each begins with another thing of somebody's: "my knee hurts", "my shoulder does not hurt"."""
    n, o = (saying.words[:1] for saying in (pair.n, pair.o))
    return all(
        first and first[0] in only and _is_thing(first[0], pair) and saying.owners.get(first[0].root)
        for first, only, saying in ((n, pair.only_n, pair.n), (o, pair.only_o, pair.o))
    )


def named_apart(pair: Pair) -> bool:
    """Whether each begins with a thing that the other does not name: "the office is", "the canteen is"."""
    return all(
        bool(first := saying.words[:1])
        and first[0] in only
        and _is_thing(first[0], pair)
        and first[0].place == 1
        and first[0].after_determiner
        for saying, only in ((pair.n, pair.only_n), (pair.o, pair.only_o))
    )


def _is_thing(word: Word, pair: Pair) -> bool:
    """Whether it is no value; an animal is one that neither is named by: "our dog eats", "our cat eats"."""
    named = any(pair.n.matter[key].kind == "name" for key in pair.shared & pair.n.matter.keys())
    return not word.kind or (word.kind == "pet" and not named)


def two_subjects(pair: Pair) -> bool:
    """Whether each begins with a thing that the other does not name: "the legal department", "the whole team"."""
    mine, theirs = pair.n.words[:2], pair.o.words[:1]
    noun = len(mine) == 2 and mine[1].place == mine[0].place + 1 and all(word in pair.only_n for word in mine)
    told = theirs and theirs[0] in pair.only_o and not theirs[0].kind and theirs[0].after_determiner
    return bool(noun and told and mine[0].after_determiner and not any(word.kind for word in mine))


def denied_of_another(newer: str, older: str) -> bool:
    """Whether one only denies, or says to be over, what the other says of another particular.

    "I am free on Friday" stands beside "I am not free on Saturday", "I swim in the pool" beside "I never swim in the
    sea": another day, place, time, person or thing, led by the same word, is another fact.
    """
    mine, theirs = said(newer), said(older)
    if not mine or not theirs or _only_denies(mine) == _only_denies(theirs):
        return False
    denying, stating = (mine, theirs) if _only_denies(mine) else (theirs, mine)
    return all(
        _apart(one, other, over=_is_over(each))
        for each in denying
        for one in each.sayings
        for told in stating
        for other in told.sayings
    )


def _only_denies(told: tuple[Statement, ...]) -> bool:
    return all(
        each.sayings
        and (all(saying.denied or saying.ended or _STOPPED.search(" ".join(saying.lows)) for saying in each.sayings))
        for each in told
    )


def _is_over(told: Statement) -> bool:
    return told.ended or _STOPPED.search(fold(told.text)) is not None


def _apart(denying: Saying, stating: Saying, *, over: bool) -> bool:
    """Whether a particular is another one, or the denial is of one time or addition only, of which nothing was said.

    The day of what is *over* may be that on which it ended.
    """
    mine, theirs = _particulars(denying), _particulars(stating)
    once = {"day", "time"} if over and not any(word.low in _REPEATED for word in denying.words) else set()
    limits = (mine.keys() & _LIMITS if over else mine.keys()) - theirs.keys() - once
    limits -= {slot for slot in limits if mine[slot] & stating.matter.keys()}  # "no lift in our building"
    if limits == {"without"} and (theirs.keys() & {*_LED.values()} or _lacked(denying) & stating.matter.keys()):
        return False  # "with milk", "needs crutches to walk"
    return bool(limits) or any(not mine[slot] & theirs[slot] for slot in mine.keys() & theirs.keys())


def _lacked(saying: Saying) -> set[str]:
    return {word.root for word in saying.words if word.lead in _WITHOUT}


def _particulars(saying: Saying) -> dict[str, set[str]]:
    """The particulars of a clause, by their kind or by the word that leads them; of a phrase, all its words."""
    found: dict[str, set[str]] = defaultdict(set)
    slot, end = "", 0
    for word in saying.words:
        reason = word.lead in _SINCE and (word.place <= 2 or word.low.removesuffix("s") in _SPANS)
        led = word.lead in _WHERE and word.kind not in _DATED and not reason
        if word.kind in _EXACT and word.lead not in _UNTIL:
            slot = word.kind
        elif led:
            slot = "part" if word.low in PARTS else _LED.get(word.lead, word.lead)
        elif word.place != end + 1:
            slot = ""
        end = word.place
        if slot:
            found[slot].add(word.low.removesuffix("s") if word.kind == "day" else word.root)
    if any(each in saying.acts for each in _WITHOUT):
        found["without"] = set()
    return found


def modified_apart(mine: Saying, theirs: Saying, *, corrected: bool) -> bool:
    """Whether a shared noun is told apart: by whose it is, which one it is, or where it is."""
    for key in mine.matter.keys() & theirs.matter.keys():
        if mine.numbered.get(key) != theirs.numbered.get(key) and key in mine.numbered.keys() & theirs.numbered.keys():
            return True
        for one, other in ((mine.owners, theirs.owners), (mine.kept_apart, theirs.kept_apart)):
            if one.get(key) and other.get(key) and not one[key] & other[key]:
                said_of = mine.matter[key].predicate and theirs.matter[key].predicate
                told = corrected or said_of or _reached(mine, key)
                if one is mine.owners or not told:
                    return True
        if _ways(mine, theirs, key) == {"to", "from"}:
            return True  # "the flight to London", "the flight from London"
        here, there = _behind(mine, key), _behind(theirs, key)
        if here and there and here.root != there.root:
            return True
    return False


def _ways(mine: Saying, theirs: Saying, key: str) -> set[str]:
    """The words that lead it where it says which one is meant of what both begin with."""
    if not (mine.words and theirs.words):
        return set()
    firsts = [saying.words[0] for saying in (mine, theirs)]
    close = all(
        saying.matter[key].place - first.place <= 3 for saying, first in zip((mine, theirs), firsts, strict=True)
    )
    one = firsts[0].root == firsts[1].root and firsts[0].root != key and close
    return {saying.matter[key].lead for saying in (mine, theirs)} if one else set()


def _reached(saying: Saying, key: str) -> bool:
    """Whether a change ends in it: "upgraded to the Pro plan", "moved up to the fourth floor"."""
    phrase = [word for word in saying.words if word.root == key or word.root in saying.kept_apart.get(key, ())]
    return saying.changes and any(word.lead in {"to", "into", "zu", "auf", "a"} for word in phrase)


def _behind(saying: Saying, key: str) -> Word | None:
    if len(saying.words) < 2 or saying.words[0].root != key or key in MANY:
        return None
    if key.startswith("@") and not saying.words[0].after_determiner:
        return None
    first, second = saying.words[:2]
    named = second.place == first.place + 1 and second.kind in {"number", "name"} and second.low not in _HOW_OFTEN
    far = second.place == first.place + 3 or not first.after_determiner  # "the nanny comes on", "open at"
    done = second.kind in {"day", "time"} and far and not second.after_determiner
    apart = second.lead in _TELL_APART and second.place <= first.place + 3 and not (second.predicate or done)
    return second if named or (apart and second is not saying.words[-1]) else None


_HOW_OFTEN = frozenset({"once", "twice", "thrice"})
_TELL_APART = frozenset("for in of at from on with".split())
