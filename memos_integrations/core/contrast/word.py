"""A word of a statement with its role: what sort of value it is, whose the thing is, which one is meant. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from memos_integrations.core.claims.claim import KINDS
from memos_integrations.core.contrast.lexicon import (
    CHANGING,
    DAYS,
    DETERMINERS,
    ENDING,
    FILLERS,
    FRAMES,
    KIN,
    MANY,
    MONTHS,
    NUMERALS,
    ORDINALS,
    OVER,
    PARTS,
    TITLES,
    root,
)

_KIND_OF_WORD = {word: kind for kind, words in KINDS.items() for word in words}
_KIND_OF = {root(word): kind for kind, words in KINDS.items() for word in words}
_NEWS = frozenset("new current former previous latest updated last own next".split())
POSSESSIVE_ME = frozenset("my our mein meine unser unsere mi mis nuestra".split())


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its root (or the frame it belongs to), and the kind of value it may be."""

    low: str
    root: str
    place: int = 0
    lead: str = ""
    kind: str = ""
    after_determiner: bool = False
    predicate: bool = False
    indefinite: bool = False
    unit: str = ""

    @property
    def is_value(self) -> bool:
        """Whether it is a number, a time, a name or one of a closed kind."""
        return bool(self.kind)


def owners_of(tokens: list[str], lows: list[str], word: Word) -> frozenset[str]:
    """Whose a thing is said to be: "my", or the name with an apostrophe before it."""
    for place in range(word.place - 1, max(-1, word.place - 4), -1):
        if tokens[place].endswith(("'s", "s'")):
            return frozenset({root(lows[place])})
        if lows[place] in POSSESSIVE_ME:
            return frozenset({"@me"})
        if lows[place] in KIN or (lows[place] in FILLERS and lows[place] not in _NEWS):
            break
    behind = word.place + 1
    if lows[behind : behind + 1] == ["of"]:  # "the number of Ana's phone"
        named = [
            place for place in range(behind + 1, min(behind + 3, len(lows))) if tokens[place].endswith(("'s", "s'"))
        ]
        return frozenset(root(lows[place]) for place in named[:1])
    return frozenset()


def heads_of(content: list[Word]) -> Iterator[tuple[str, str]]:
    """The names that stand before a noun, with it: "the Cobalt review"."""
    for one, other in pairwise(content):
        noun = not (other.kind or other.root in MANY | CHANGING or other.root.startswith("@"))
        if one.kind == "name" and noun and other.place == one.place + 1:
            yield one.root, other.root


def qualifiers_of(content: list[Word], word: Word) -> frozenset[str]:
    """The words that say which one is meant: "the small box", "the deadline for the tax return"."""
    if word.root in MANY or word.root in CHANGING or word.root.startswith("@"):
        return frozenset()
    at = bisect_left(content, word.place, key=attrgetter("place"))
    near = content[max(0, at - _LONGEST_PHRASE) : at + 2]
    found, places = set[str](), {each.place: each for each in near}
    place = word.place - 1
    while (each := places.get(place)) is not None and each.kind not in {"number", "time"}:
        found.add(each.root)
        if each.after_determiner:
            break
        place -= 1
    else:
        found.clear()  # what stands there is no noun phrase
    after = next((each for each in near if each.place > word.place), None)
    if (
        after is not None
        and (after.lead in {"for", "of"} or _is_partner(after))
        and after.place <= word.place + 3
        and not after.predicate
    ):
        found.add(after.root)
    return frozenset(found)


def _is_partner(word: Word) -> bool:
    """Whether it is with whom: "the contract with Datacorp"."""
    return word.lead == "with" and not (word.indefinite or word.after_determiner or word.kind)


def word_of(tokens: list[str], lows: list[str], place: int) -> Word | None:
    """The word at a place with its role; None where it carries no matter of its own."""
    low = lows[place]
    plain = root(low)
    if place and _DESIGNATION.fullmatch(tokens[place]) and tokens[place - 1][-1:].isalpha():
        return Word(low, low, place, lows[place - 1], "name", False, not _COPULAS.isdisjoint(lows[:place]))
    after = place == 0 or lows[place - 1] in DETERMINERS
    if place and plain in ENDING and (after or lows[place - 1] in _OF_ABSENCE):
        plain = low  # "the left knee", "a finished book", "sick leave": no verb
    shift = low == "day" and lows[place + 1 : place + 2] in (["shift"], ["shifts"])
    if (low in FILLERS | _NAMELESS and not shift) or (plain in ENDING and plain not in FRAMES) or low in OVER:
        return None
    framed = FRAMES.get(plain, plain)
    if plain == _MOVE and (lows[place + 1 : place + 2] or ("",))[0] in DETERMINERS:
        framed = plain  # "they moved my shift"
    if low == "leave" and place and lows[place - 1] in _OF_ABSENCE:
        framed = _ABSENCE
    framed = plain if low in {"call", "calls", "calling"} else framed
    kind = _kind(tokens, lows, plain, place)
    kind = "" if kind == "standing" and framed.startswith("@") else kind
    said_of = not _COPULAS.isdisjoint(lows[:place])
    back = 2 if place > 1 and lows[place - 1] in DETERMINERS else 1
    back += 1 if place > back and lows[place - 1] in TITLES else 0
    lead = lows[place - back] if place else ""
    kind = "" if kind == "name" and lead in _WITH else kind
    one_of_many = low not in _PERIODS and any(each in _INDEFINITE for each in lows[max(0, place - 2) : place])
    unit = lows[place + 1] if kind == "number" and place + 1 < len(lows) and lows[place + 1] not in FILLERS else ""
    return Word(low, framed, place, lead, kind, after, said_of, one_of_many, root(unit) if unit else "")


def _kind(tokens: list[str], lows: list[str], plain: str, place: int) -> str:  # noqa: C901, PLR0911 - a table of kinds
    token, low, lead = tokens[place], lows[place], lows[place - 1] if place else ""
    if token[0].isdigit():
        hour = ":" in token or lead in _BEFORE_TIMES or lows[place + 1 : place + 2] in (["am"], ["pm"])
        return "time" if hour else "number"
    if "." in token or "_" in token:
        return "address"
    if low in NUMERALS:
        return "number"
    if low in ORDINALS:
        return "ordinal"
    if low in DAYS or low.removesuffix("s") in DAYS:
        return "day"
    if low in MONTHS and token[0].isupper():
        return "month"
    if low in _KIND_OF_WORD:
        return _KIND_OF_WORD[low]
    if plain in _KIND_OF:
        return _KIND_OF[plain]
    if place > 0 and token[0].isupper():
        return "name"
    if low in {"noon", "midnight"}:
        return "time"
    if low in PARTS:
        return ""
    if lead == "to" and "next" in lows[:place]:
        return "place"
    return "place" if {lead, lows[place - 2] if place > 1 and lead in DETERMINERS else ""} & _BEFORE_PLACES else ""


_LONGEST_PHRASE = 64
"""What has more words before its noun is no noun phrase, but a language that this does not part into words."""
_DESIGNATION = re.compile(r"[A-HJ-Z]")
"""A capital alone that tells one of several: "team A"."""
_OF_ABSENCE = frozenset("parental sick maternity paternity annual unpaid medical study on".split())
_MOVE, _ABSENCE = root("move"), root("sabbatical")
_NAMELESS = TITLES - {"frau"}
_PERIODS = frozenset("day week weekend month quarter year night hour minute semana dia mes ano".split())
"""Per what something is counted: "four days a week" is not one of many weeks."""
_COPULAS = frozenset("is are am was were be been ist sind es son".split())
_WITH = frozenset("with mit con".split())
_INDEFINITE = frozenset("a an ein eine einen un una".split())
_BEFORE_TIMES = frozenset("at until till um around".split())
_BEFORE_PLACES = frozenset("in at on by near under behind beside opposite".split())
