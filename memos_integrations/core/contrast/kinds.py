"""Where one has none of a sort, and now one of it: "we have no pets", "we adopted a puppy". And the other way. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memos_integrations.core.claims.sorts import CLASS_OF, SORT_OF
from memos_integrations.core.contrast.lexicon import root
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Saying, Statement, said
from memos_integrations.core.text.words import fold

_GOT = re.compile(
    r"\b(?:adopted|bought|got|gave birth|had (?:a|our|my) (?:first )?(?:baby|son|daughter|boy|girl)|born|purchased"
    r"|rescued|inherited|received|leased|brought home|picked up|welcomed|ordered|joined|signed up for)\b"
)
"""Says that one has it from then on."""
_HAS = re.compile(r"\b(?:have|has|own|owns|drink|drinks|eat|eats|play|plays|enjoy|enjoys|keep|keeps|raise)\b")
_MOSTLY = re.compile(
    r"\b(?:main|primary|default|mostly|mainly|primarily|usually|use|uses|write|writes|drive|drives|my|our|switched|upgraded|changed|moved|migrated)\b"
)
_HABIT = frozenset({"alcohol", "meat", "dairy", "instrument"})
"""Sorts of which one has something by doing it, whatever was bought."""
_FOR_ANOTHER = re.compile(
    r"\bfor (?:my|our|his|her|their|a|the) \w+(?:[.,;!]|$)|\btoy\b|\brental\b"
    r"|\b(?:bought|got|gave|ordered) (?:my|our|his|her|their) \w+ an?\b"
)


def denied_sorts(saying: Saying) -> Iterator[str]:
    """The sorts of which a clause says that somebody has none."""
    if saying.denied and saying.denied_at >= 0:
        for word in saying.words:
            led = word.lead in {"with", "for", "about", "to", "in", "on", "at", "by"}
            if word.place > saying.denied_at and (plain := root(word.low)) in CLASS_OF and not led:
                yield CLASS_OF[plain]


def sorts_in(saying: Saying) -> Iterator[str]:
    """The sorts of which a clause names something, or a sort itself."""
    if not saying.denied:
        yield from (SORT_OF[plain] for word in saying.words if (plain := root(word.low)) in SORT_OF)


def sorts_of(text: str) -> tuple[tuple[str, str], ...]:
    """(whose it is, the sort) of what a text says that one has, or has none of."""
    return tuple(dict.fromkeys(each for statement in said(text) for each in _sorts_told(statement)))


def _sorts_told(statement: Statement) -> Iterator[tuple[str, str]]:
    text = fold(statement.text)
    has = _GOT.search(text) or _HAS.search(text) or _MOSTLY.search(text)
    for saying in statement.sayings:
        if not saying.holder:
            continue
        whose = "@me" if "@mine" in saying.holder else min(saying.holder)
        yield from ((whose, f"@sort {sort}") for sort in denied_sorts(saying))
        if has:
            yield from ((whose, f"@sort {sort}") for sort in sorts_in(saying))


def it_is_had_now(n: Statement, o: Statement, pair: Pair) -> int:
    """One had none of a sort, and has one now; or had one, and has none of the sort any more."""
    text, before = fold(n.text), fold(o.text)
    if n.past or o.past or n.besides or pair.of_its_owner or not _of_one(pair) or _FOR_ANOTHER.search(text):
        return 0
    denied = set(denied_sorts(pair.o)) & set(sorts_in(pair.n))
    if denied:
        got = _GOT.search(text) and not denied <= _HABIT
        now = _HAS.search(text) and not n.passing and (n.fresh or not denied <= _HABIT)
        return 2 if got else 1 if now else 0
    gone = set(denied_sorts(pair.n)) & set(sorts_in(pair.o))
    return 0 if not gone or n.passing or not _HAS.search(before) else 1


def _of_one(pair: Pair) -> bool:
    return pair.n.holder == pair.o.holder or (pair.n.holder in OWN and pair.o.holder in OWN)
