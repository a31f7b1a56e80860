"""The clauses of two texts that can be about the same, with what they share and what only one says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from memos_integrations.core.contrast.apart import modified_apart
from memos_integrations.core.contrast.lexicon import CHANGING, DETERMINERS, FILLERS, FRAMES, KINDRED, root
from memos_integrations.core.contrast.marks import FORMER, SUCCESSION
from memos_integrations.core.contrast.pair import OWN, Pair
from memos_integrations.core.contrast.saying import Saying, Statement, said
from memos_integrations.core.contrast.word import Word
from memos_integrations.core.text.words import fold

FAMILY = 5
"""Letters that words of one family begin with."""


@lru_cache(maxsize=1 << 7)
def meetings(newer: str, older: str) -> tuple[tuple[Statement, Statement, tuple[Pair, ...]], ...]:
    """Each statement of a later with each of an earlier text, and their clauses that can be of the same."""
    return tuple((n, o, tuple(pairs_of(n, o))) for o in said(older) for n in said(newer))


def pairs_of(n: Statement, o: Statement) -> Iterator[Pair]:
    """The clauses of a later and of an earlier statement that can be of the same one, and of the same thing of it."""
    for mine in (_of_things(each, o) for each in n.sayings):
        for theirs in (_of_things(each, n) for each in o.sayings):
            both = mine.matter.keys() & theirs.matter.keys() - (named_by(FORMER, o) if theirs.changes else frozenset())
            shared = frozenset(key for key in both if _one_head(key, mine, theirs))
            if not _one_holder(mine, n, theirs, o) or modified_apart(mine, theirs, corrected=n.corrects):
                continue
            kin = dict(_kin(mine, theirs, shared))
            over = {key for key, its in kin.items() if its in mine.ending}
            pair = Pair(
                replace(mine, ending=mine.ending | over) if over else mine,
                theirs,
                shared | kin.keys(),
                tuple(word for key, word in mine.matter.items() if key not in shared and key not in kin.values()),
                tuple(word for key, word in theirs.matter.items() if key not in shared and key not in kin),
            )
            yield pair


def _of_things(saying: Saying, other: Statement) -> Saying:
    """The clause; of nobody, where the other text has in small letters what only begins it: "Lunch", "the lunch"."""
    named = saying.holder and saying.holder <= other.small and not saying.holder & KINDRED
    return replace(saying, holder=frozenset()) if named else saying


def _kin(mine: Saying, theirs: Saying, shared: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Words of one family ("therapy", "therapist"), the earlier's first."""
    for key, word in theirs.matter.items():
        for other, its in mine.matter.items():
            short, long = sorted((key, other), key=len)
            akin = (len(short) >= FAMILY and long.startswith(short)) or long == f"{short}ment"
            one = akin and "name" not in {word.kind, its.kind}
            if one and not {key, other} & shared and not short.startswith("@"):
                yield key, other


def _one_head(key: str, mine: Saying, theirs: Saying) -> bool:
    """Whether a shared word belongs to one thing in both: in "the Cobalt review" and "the Cobalt fund" it does not."""
    one, other = mine.heads.get(key), theirs.heads.get(key)
    return one is None or other is None or one == other


def _one_holder(mine: Saying, n: Statement, theirs: Saying, o: Statement) -> bool:
    """Whether both can be about the same one: each one's holder is named by the other."""
    if _held(mine.holder, o, theirs) and _held(theirs.holder, n, mine):
        return True
    shared = mine.matter.keys() & theirs.matter.keys() - theirs.holder
    two = not {mine.holder, theirs.holder} & {*OWN, frozenset()} and not mine.holder & theirs.holder
    if not two and any("@me" in mine.owners.get(key, ()) and "@me" in theirs.owners.get(key, ()) for key in shared):
        return True
    if mine.changes and not theirs.holder and shared and not n.besides:
        thing = done_to(mine)
        if thing is not None and thing.root in shared and not any(theirs.owners.get(key) for key in shared):
            return True  # "Finance cut the budget": of the budget, whoever does it
    if mine.changes and theirs.holder in OWN and mine.holder & theirs.matter.keys() and not mine.holder & KINDRED:
        return True  # "We target Python 3.9", "Python was raised to 3.11"
    person = theirs.holder - {"@me", "@mine"}
    return n.succeeds and bool(person & n.mentions or (SUCCESSION.search(fold(n.text)) and len(shared) > 1))


def _held(holder: frozenset[str], other: Statement, by: Saying) -> bool:
    if not holder or not by.holder:
        return not holder or holder in OWN or bool(holder & other.mentions)
    if holder in OWN:
        return by.holder in OWN or "@me" in other.mentions
    return bool(holder & other.mentions)


def done_to(saying: Saying) -> Word | None:
    """What a verb of change is done to: the last word of the noun phrase right after it."""
    place = next((place for place, low in enumerate(saying.lows) if root(low) in CHANGING), len(saying.lows))
    after = [word for word in saying.words if word.place > place]
    last = after[0] if after else None
    for word in after[1:]:
        if last is None or word.place != last.place + 1 or word.kind:
            break
        last = word
    return last


def named_by(mark: re.Pattern[str], n: Statement) -> frozenset[str]:
    """The roots of the words that *mark* finds in its groups."""
    found = mark.finditer(fold(n.text))
    words = [word for each in found for group in each.groups() if group for word in group.split()]
    plain = (word.removesuffix("'s") for word in words if word not in FILLERS | DETERMINERS)
    return frozenset(FRAMES.get(root(word), root(word)) for word in plain)
