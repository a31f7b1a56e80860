"""Signs that a later statement says against an earlier one: what each says, what they share, in which words. Pure.

A sign is a name, there or not. None of them decides by itself; `weighed` adds up how much each speaks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise

from memos_integrations.core.claims import Claim, Strength
from memos_integrations.core.conflict.standing import is_of_somebody
from memos_integrations.core.conflict.swapped import swap_of, swap_signs
from memos_integrations.core.contrast import Pair, Statement, meetings, said
from memos_integrations.core.contrast.apart import named_apart, of_two_things, two_subjects
from memos_integrations.core.contrast.kinds import denied_sorts, sorts_in
from memos_integrations.core.contrast.lexicon import (
    CHANGING,
    DAYS,
    IRREGULAR,
    MANY,
    MONTHS,
    NUMERALS,
    PARTS,
    SINGLE,
    root,
)
from memos_integrations.core.contrast.turns import TURNS, turned

_STATEMENT = (
    "fresh", "ended", "corrects", "succeeds", "besides", "unsure", "past", "passing", "quoted", "instead", "drops",
    "planned",
)  # fmt: skip
_SAYING = ("denied", "changes", "begins", "ending", "holder")
_PAIR = (
    "argument", "held", "opposed", "one_of_many", "other_doing", "compound", "of_two_heads", "of_its_owner", "couple",
)  # fmt: skip
_MEASURES = frozenset({"number", "time", "day", "month", "ordinal", "address", "money"})
_TOGETHER = frozenset(
    [f"newer {each}" for each in ("fresh", "ended", "changes", "besides", "past", "passing", "unsure", "denied")]
    + [f"newer {each}" for each in ("corrects", "instead")]
    + [f"pair {each}" for each in ("none", "held", "kinds", "measure", "of name", "argument", "single", "opposed")]
    + [f"pair {each}" for each in ("begins", "led", "apart", "one_of_many", "ending", "negated", "compound")]
    + ["pair alike 0", "pair alike 1", "held by one", "held by others", "first word", "other figures"]
    + ["older figures", "older denied"]
    + [
        f"swap {each}"
        for each in ("slot", "figures", "led", "copula", "of subject", "past", "short", "head", "two kinds")
    ]
    + [f"swap begins {each}" for each in ("i", "mine", "name", "thing", "many", "it")]
)
"""Signs that also count two together: news of the same holder, news besides."""
_FIGURES = re.compile(r"\d[\d.:,]*")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_SHORT = ((re.compile(r"n['’]t\b"), " not"), (re.compile(r"['’]s\b"), " s"), (re.compile(r"['’]m\b"), " am"))  # noqa: RUF001


def of_one_matter(newer: str, older: str, mine: Sequence[Claim], theirs: Sequence[Claim]) -> bool:
    """Whether two texts share more than whom they are about, and when: a thing, or what has one value at a time.

    What the earlier one only supposes, or quotes, is of no matter, unless the later one gives it up.
    """
    drops = any(each.drops for each in said(newer))
    if any(each.quoted or (each.unsure and not drops) for each in said(older)) or _says_the_same(newer, older):
        return False
    if any(_of_a_thing(pair) for _, _, met in meetings(newer, older) for pair in met):
        return True
    swap = swap_of(newer, older)
    if swap is not None and swap.of_value:
        return True
    n, o = ({each.key for each in claims if each.strength is not Strength.MANY} for claims in (mine, theirs))
    return bool(n & o)


def _says_the_same(newer: str, older: str) -> bool:
    """Whether one denies the opposite of what the other says: "unpaid", "not paid"; "open", "not fixed"."""
    return any(
        pair.n.denied != pair.o.denied and (pair.opposed or bool(turned(TURNS, pair.n.acts, pair.o.acts)))
        for _, _, met in meetings(newer, older)
        for pair in met
        if not any(each.kind for each in (*pair.only_n, *pair.only_o) if each.kind == "name")
    )


def _of_a_thing(pair: Pair) -> bool:
    return pair.argument and bool(pair.shared - MANY - CHANGING - pair.n.holder - pair.o.holder - _TIMES)


_TIMES = frozenset(map(root, PARTS | DAYS | MONTHS))


def signs_of(newer: str, older: str, mine: Sequence[Claim], theirs: Sequence[Claim]) -> frozenset[str]:
    """The signs of two texts, and of what they claim: "newer fresh", "pair held", "newer says gave up"."""
    found = {f"newer {each}" for each in _of_text(newer)} | {f"older {each}" for each in _of_text(older)}
    found.update(_of_pairs(newer, older), _of_holders(said(newer), said(older)), _of_claims(mine, theirs))
    found.update(_of_figures(newer, older), swap_signs(newer, older))
    together = sorted(found & _TOGETHER)
    found.update(f"{one} & {other}" for one, other in combinations(together, 2))
    found.update(_of_words(words_in(newer), words_in(older)))
    return frozenset(found)


@lru_cache(maxsize=1 << 12)
def words_in(text: str) -> tuple[str, ...]:
    """The words of a text by their roots, names and figures by what they are."""
    for pattern, into in _SHORT:
        text = pattern.sub(into, text)
    found = list[str]()
    for each in _WORD.finditer(text):
        word, low = each[0], each[0].lower()
        begins = text[: each.start()].rstrip(" \"'(")[-1:] in {"", ".", "!", "?", ":", ";"}
        if low[0].isdigit() or low in NUMERALS:
            found.append("#")
        elif low in DAYS or low in MONTHS:
            found.append("@day" if low in DAYS else "@month")
        else:
            name = word[0].isupper() and not begins and low not in {"i"}
            past = low.endswith("ed") or IRREGULAR.get(low, low) != low
            found.append("@name" if name else f"{root(low)}+" if past else root(low))
    return tuple(found)


@lru_cache(maxsize=1 << 12)
def _of_text(text: str) -> frozenset[str]:
    told = said(text)
    sayings = [saying for each in told for saying in each.sayings]
    found = {mark for mark in _STATEMENT if any(getattr(each, mark) for each in told)}
    found |= {mark for mark in _SAYING if any(getattr(each, mark) for each in sayings)}
    found.add(f"of length {min(4, len(text.split()) // 4)}")
    more = {
        "nothing": not told,
        "several": len(told) > 1,
        "somebody": is_of_somebody(text),
        "figures": _FIGURES.search(text) is not None,
        "colon": ":" in text,
        "only": " only " in f" {text.lower()} ".replace(".", " "),
        "small": text[:1].islower(),
    }
    return frozenset(found | {name for name, there in more.items() if there})


def _of_pairs(newer: str, older: str) -> Iterator[str]:
    pairs = [pair for _, _, met in meetings(newer, older) for pair in met]
    best = max(pairs, key=lambda pair: pair.alike, default=None)
    if best is None:
        yield "pair none"
        return
    yield from (f"pair {name}" for name in _of_pair(best))
    if any(pair.n.ending & pair.shared for pair in pairs):
        yield "pair ending"
    for pair in pairs:
        mine, theirs = set(sorts_in(pair.n)), set(sorts_in(pair.o))
        if mine & theirs:
            yield "pair sort"
        if set(denied_sorts(pair.o)) & mine or set(denied_sorts(pair.n)) & theirs:
            yield "pair none of a sort"


def _of_pair(pair: Pair) -> Iterator[str]:
    yield from (name for name in _PAIR if getattr(pair, name))
    yield f"alike {int(min(0.99, pair.alike) * 6)}"
    yield f"cover {int(min(0.99, pair.cover) * 4)}"
    yield f"shared {min(4, len(pair.shared))}"
    yield f"newer only {min(4, len(pair.only_n))}"
    yield f"older only {min(4, len(pair.only_o))}"
    if pair.kinds:
        yield "kinds"
        yield from (f"of {kind}" for kind in pair.kinds & (_MEASURES | {"name"}))
    first = pair.n.words[:1], pair.o.words[:1]
    units = [{word.unit for word in only if word.unit} for only in (pair.only_n, pair.only_o)]
    leads = [{word.lead for word in only if word.lead} for only in (pair.only_n, pair.only_o)]
    more = {
        "measure": bool(pair.kinds & _MEASURES),
        "single": bool(pair.shared & SINGLE),
        "negated": pair.n.denied != pair.o.denied,
        "apart": named_apart(pair),
        "of two subjects": two_subjects(pair),
        "of two things": of_two_things(pair),
        "other count": bool(units[0] & units[1]),
        "one side denied": pair.n.denied != pair.o.denied and bool(pair.n.scales & pair.o.scales),
        "led": bool(leads[0] & leads[1]),
        "begins": bool(first[0] and first[1] and first[0][0].root == first[1][0].root),
    }
    yield from (name for name, there in more.items() if there)


def _of_holders(mine: Sequence[Statement], theirs: Sequence[Statement]) -> Iterator[str]:
    n, o = ({saying.holder for each in told for saying in each.sayings} for told in (mine, theirs))
    if n & o:
        yield "held by one"
    if not any(one & other or not one or not other for one in n for other in o):
        yield "held by others"


def _of_claims(mine: Sequence[Claim], theirs: Sequence[Claim]) -> Iterator[str]:
    more = {
        "claims of one key": bool({each.key for each in mine} & {each.key for each in theirs}),
        "claims of one subject": bool({each.subject for each in mine} & {each.subject for each in theirs}),
        "newer claims nothing": not mine,
        "older claims nothing": not theirs,
        "newer claims a change": any(each.changed for each in mine),
        "newer claims an end": any(each.ended for each in mine),
        "newer claims what was": any(each.was for each in mine),
    }
    yield from (name for name, there in more.items() if there)


def _of_figures(newer: str, older: str) -> Iterator[str]:
    mine, theirs = (set(_FIGURES.findall(text)) for text in (newer, older))
    if mine and theirs:
        yield "same figures" if mine & theirs else "other figures"


def _of_words(mine: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    n, o = set(mine), set(theirs)
    yield f"words shared {int(5 * len(n & o) / max(1, min(len(n), len(o))))}"
    if mine[:1] == theirs[:1]:
        yield "first word"
    yield from (f"newer alone says {word}" for word in n - o)
    yield from (f"older alone says {word}" for word in o - n)
    yield from (f"both say {word}" for word in n & o)
    yield from (f"newer says {one} {other}" for one, other in pairwise(mine))
    yield from (f"newer begins {word}" for word in mine[:1])
