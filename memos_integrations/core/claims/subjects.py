"""Who or what a clause is about: the words before its verb, in one form however they are put. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from memos_integrations.core.claims.frames import ADVERBS, NOUNS, PAST_EVENTS, PERSONAL, is_known, verb_of
from memos_integrations.core.text.words import fold

ME = frozenset({"i", "me", "my", "mine", "myself"})
PRONOUNS = frozenset(
    {"he", "she", "they", "it", "you", "this", "that", "these", "those", "there", "what", "which", "who"}
)
_OWN = {"my": "\x00", "our": "\x00"}
_KIN = frozenset("mom mum dad mother father grandma grandpa mama papa".split())
_THEIRS = frozenset({"his", "her", "their", "its", "your"})
_ARTICLES = frozenset({"the", "a", "an"})
_NEWS = frozenset(
    "new current latest updated present actual revised own old former previous correct right exact".split()
)
_LIGHT = frozenset(
    "weekly daily monthly yearly annual regular usual next upcoming whole entire very dear beloved".split()
)
_OPENERS = frozenset(
    "please let use call note remember tell ask send give make take keep try see look check so then also here there now"
    " today yesterday tomorrow tonight thanks thank sorry hello hi if when while because since until after before maybe"
    " just only never always what why how who which where".split()
)
_FORMER = frozenset({"old", "former", "previous", "ex"})
_TITLES = frozenset("mr mrs ms dr miss uncle aunt grandpa grandma".split())
_AUX = frozenset("is am are was were has have had does do did will".split())
_SPELLINGS = {"color": "colour", "favorite": "favourite", "center": "centre", "cell": "phone", "mobile": "phone",
              "telephone": "phone", "e-mail": "email", "mail": "email", "cellphone": "phone", "neighbor": "neighbour",
              "licence": "license", "program": "programme", "theater": "theatre", "mom": "mother", "mum": "mother",
              "dad": "father", "grandma": "grandmother", "grandpa": "grandfather", "mama": "mother",
              "papa": "father", "wi-fi": "wifi", "passcode": "password"}  # fmt: skip
_LONGEST = 12
_VERBISH = re.compile(r"[a-z][a-z'-]*$")


class Subject(NamedTuple):
    """A subject in one form; `personal`: it is somebody. `fresh`, `former`: called new, or old, by an adjective.

    `attribute` is set where the phrase names one that verbs tell as well ("Ana's employer", "works at"), and `owner`
    is whose it is.
    """

    key: str
    personal: bool
    fresh: bool = False
    former: bool = False
    plain: str = ""
    attribute: str = ""
    owner: str = ""


def split_subject(clause: str) -> tuple[list[str], list[str]] | None:  # noqa: C901, PLR0911 - a table of forms
    """The words before the verb, and those from it on; None where no verb is sure."""
    words = clause.split()[:60]
    if not words:
        return None
    first = words[0].lower()
    if first in {"i", "we"} or first in PRONOUNS:
        return words[:1], words[1:]
    if first in _OPENERS:
        return None
    if words[0][:1].isupper() and is_known(first) and first != verb_of(first) and not first.endswith(("s", "ing")):
        return ["I"], [first, *words[1:]]  # as in a diary: "Moved to Lisbon"
    named = 0
    while (
        named < len(words)
        and words[named][:1].isupper()
        and words[named].lower() not in _OWN.keys() | _ARTICLES | _THEIRS
    ):
        named += 1
    owned = any(word.endswith("'s") or word.endswith("s'") for word in words[:named])
    if named and not owned and named < len(words):
        place = named
        while place < len(words) and words[place].lower() in ADVERBS:
            place += 1
        if place < len(words) and (_third(words[place]) or _is_last(words, place)):
            return words[:named], words[named:]
    for place in range(max(1, named), min(len(words), _LONGEST)):
        if _starts_predicate(words, place):
            return words[:place], words[place:]
    return None


def _is_last(words: list[str], place: int) -> bool:
    """Whether a verb stands there after which nothing need follow: "died", "passed away", "retired"."""
    low, after = words[place].lower(), [word.lower().strip(",") for word in words[place + 1 : place + 2]]
    return low in _COMPLETE or (low == "passed" and after in (["away"], ["on"]))


_COMPLETE = frozenset("died retired resigned graduated".split())


def _third(word: str) -> bool:
    low = word.lower()
    return low in _AUX or low in PAST_EVENTS or is_known(low) or (low.endswith("s") and not low.endswith(("ss", "'s")))


def _starts_predicate(words: list[str], place: int) -> bool:
    low = words[place].lower()
    if not _VERBISH.match(low):
        return False
    if low in _AUX or _is_last(words, place):
        return True
    if not is_known(low) or place + 1 >= len(words):
        return False
    if low.endswith("ing"):
        return False
    plural = words[place - 1].lower().endswith("s") or words[place - 1].lower() in {"parents", "children", "people"}
    put = low in {"put", "cut", "set"} and words[place + 1].lower() in _OWN.keys() | _THEIRS | _ARTICLES
    inflected = low != verb_of(low) or put
    if inflected and words[place - 1].lower() in _OWN.keys() | _THEIRS | _ARTICLES:
        return False
    return inflected or (plural and not words[place - 1].endswith("'s"))


@lru_cache(maxsize=1 << 12)
def subject_of(phrase: str, me: str, said_of: str) -> Subject | None:
    """The subject that a phrase names; *me* is who speaks, *said_of* whom "he" and "she" mean (empty: nobody)."""
    words = phrase.split()
    low = [fold(word) for word in words]
    if len(low) == 1 and low[0] in ME:
        return Subject(me, True, plain=me)
    if low == ["we"]:
        return Subject(me, True, plain=me)
    if len(low) == 1 and low[0] in {"he", "she", "they"}:
        return Subject(said_of, True, plain=said_of) if said_of else None
    if not low or low[0] in PRONOUNS or len(low) > _LONGEST or "and" in low or "," in phrase:
        return None
    return _phrase(words, me, said_of)


def _phrase(words: list[str], me: str, said_of: str) -> Subject | None:
    """The subject of a phrase, its owner first: "the number of my dentist" is "my dentist's number"."""
    low = [fold(word) for word in words]
    for joint in ("of", "for"):
        if joint in low[1:-1]:
            place = low.index(joint)
            return _phrase([*words[place + 1 :], *words[:place]], me, said_of)
    return _plain(words, me, said_of)


def _noun(parts: list[str]) -> tuple[list[str], str]:
    """The owner, and the attribute that the last words name, if verbs can tell it as well."""
    for length in (2, 1):
        attribute = NOUNS.get(" ".join(parts[-length:]))
        if attribute is not None and len(parts) > length:
            return parts[:-length], attribute
    return parts, ""


def _plain(words: list[str], me: str, said_of: str) -> Subject | None:
    parts: list[str] = []
    fresh = former = False
    titled = any(fold(word).rstrip(".") in _TITLES for word in words)  # "old Mr. Petrov"
    for word in words:
        low = fold(word).strip("\"',.")
        owner = low.endswith(("'s", "s'"))
        low = low.removesuffix("'s").removesuffix("'")
        if low == "our" and not _noun(["\x00", *(fold(each) for each in words[1:])])[1]:
            continue  # "our office" is "the office"
        if low in _OWN or (low in _KIN and len(words) == 1):
            parts += [me, *([_SPELLINGS.get(low, low)] if low in _KIN else [])]
        elif low in _THEIRS:
            if not said_of or low in {"its", "your"}:
                return None
            parts.append(said_of)
        elif low in ME and not owner:
            parts.append(me)
        elif low in _NEWS:
            fresh = fresh or low in {"new", "latest", "updated", "revised", "current"}
            former = former or (low in _FORMER and not titled)
        elif low and low not in _ARTICLES | _LIGHT:
            parts.append(_SPELLINGS.get(low, low))
    if not parts:
        return None
    named = words[0][:1].isupper() and all(word[:1].isupper() for word in words) and fold(words[0]) not in _ARTICLES
    whose, attribute = _noun(parts)
    personal = parts[-1] in PERSONAL or (named and fold(words[0]) not in _OWN)
    return Subject(" ".join(parts), personal, fresh, former, parts[-1], attribute, " ".join(whose) if attribute else "")
