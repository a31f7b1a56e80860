"""Where two statements tell another number, time or count of one thing. Pure."""

from __future__ import annotations

import re

from memos_integrations.core.contrast.lexicon import CHANGING, FRAMES, MANY, SINGLE, root
from memos_integrations.core.contrast.pair import Pair
from memos_integrations.core.contrast.saying import Statement
from memos_integrations.core.text.words import fold

MEASURED = frozenset({"number", "time", "day", "month", "ordinal", "address"})
"""Kinds of values of which two that differ cannot both be the value of one thing."""


def _on_one_dial(one: str, other: str) -> bool:
    """Whether one of two hours names no half of the day, and they may be the same."""
    if (":" in one) == (":" in other) or not all(each.replace(":", "").isdigit() for each in (one, other)):
        return False
    bare, whole = sorted((one, other), key=len)
    hour, minute = whole.split(":")[:2]
    return int(bare) % 12 == int(hour) % 12 and int(minute) == 0


def it_measures_otherwise(n: Statement, o: Statement, pair: Pair) -> int:
    """The same words with another number, time or day."""
    if n.past or o.past or n.passing or n.besides or not pair.argument or pair.n.denied or pair.o.denied:
        return 0
    mine, theirs = pair.only_n, pair.only_o
    if pair.one_of_many or not pair.kinds or a_part(n, pair):
        return 0
    if not (mine and theirs) or any(word.kind not in MEASURED for word in (*mine, *theirs)):
        return 0
    if any(_on_one_dial(one.low, other.low) for one in mine for other in theirs if one.kind == other.kind == "time"):
        return 0  # "at 3", "at 15:00"
    told_of = pair.shared & SINGLE or all(word.predicate for word in (*mine, *theirs))
    return 1 if told_of and {word.kind for word in mine} == {word.kind for word in theirs} else 0


def it_is_so_at_other_times(n: Statement, o: Statement, pair: Pair) -> int:
    """How often something is so has changed."""
    mine, theirs = _HOW_OFTEN.search(fold(n.text)), _HOW_OFTEN.search(fold(o.text))
    if mine is None or theirs is None or mine[0] == theirs[0] or not n.fresh or n.besides or n.past or o.past:
        return 0
    spans = {word for found in (mine, theirs) for word in map(root, found[0].split())}
    left = [word for word in (*pair.only_n, *pair.only_o) if word.root not in spans]
    matter = pair.shared - MANY - CHANGING - spans - pair.o.holder - pair.n.holder
    return 0 if pair.n.denied or pair.o.denied or not matter else 1 if left or not pair.held else 2


def it_is_one_more(n: Statement, o: Statement, pair: Pair) -> int:
    """What there were so many of, there is one more of: "two children", "our third child was born"."""
    if n.past or o.past or pair.n.denied or pair.o.denied:
        return 0
    after = {mine.place + 1 for mine in pair.only_n if mine.low in _ORDER} | _more_at(pair)
    things = {key for key in pair.shared & pair.n.matter.keys() if pair.n.matter[key].place in after and key[0] != "@"}
    more = {mine.place + 2 for mine in pair.only_n if mine.kind == "number"} & _more_at(pair)
    if things and more and any(theirs.kind == "number" for theirs in pair.only_o):
        return 1  # "bought two more licences"
    one_more = {word.root for word in pair.n.words if pair.n.lows[word.place - 1 : word.place] == ("another",)}
    if one_more & pair.shared and _GOT.search(fold(n.text)) and any(word.kind == "number" for word in pair.only_o):
        return 1
    counts = {_ORDER[mine.low] for mine in pair.only_n if mine.low in _ORDER}
    before = {_COUNT.get(theirs.low, theirs.low) for theirs in pair.only_o if theirs.kind == "number"}
    return 1 if things and any(str(count - 1) in before for count in counts) else 0


def _more_at(pair: Pair) -> set[int]:
    """The places after "more"."""
    return {place + 1 for place, low in enumerate(pair.n.lows) if low == "more"}


_GOT = re.compile(r"\b(?:got|adopted|bought|had|have got|hired|opened|joined|born|welcomed|added|acquired)\b")
_COUNT = {word: str(number) for number, word in enumerate("one two three four five six seven eight nine".split(), 1)}
_ORDER = {word: number for number, word in enumerate("second third fourth fifth sixth seventh".split(), 2)}
_HOW_OFTEN = re.compile(
    r"\b(?:every (?:(?:other|second|third|two|three|four) )?(?:day|week|month|year|quarter|night|morning|evening"
    r"|weekend"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)s?"
    r"|(?:once|twice|(?:\d+|two|three|four|five|six) times) (?:a|per|every|each) (?:day|week|month|year|night)"
    r"|daily|weekly|fortnightly|monthly|yearly)\b"
)


def a_part(n: Statement, pair: Pair) -> bool:
    """Whether a number counts a part of what they share: "8 of the chapters", "spent 100 euros of the budget"."""
    wholes = (each[1].split() for each in _PART_OF.finditer(fold(n.text)))
    return any(FRAMES.get(root(word), root(word)) in pair.shared for words in wholes for word in words)


_PART_OF = re.compile(r"\d\S*(?: \w+)? of (?:the|my|our|his|her|their|its|these|those) ((?:[\w-]+ ?){1,2})")
