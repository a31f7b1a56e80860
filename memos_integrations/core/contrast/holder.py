"""Whose a clause is: of the words before its verb, the person that they name. Pure."""

from __future__ import annotations

from memos_integrations.core.claims.frames import ONE_AT_A_TIME, PERSONAL
from memos_integrations.core.contrast.lexicon import (
    ANYBODY,
    CHANGING,
    DAYS,
    DETERMINERS,
    ENDING,
    FILLERS,
    FRAMES,
    IRREGULAR,
    KIN,
    MANY,
    ME,
    MONTHS,
    PARTS,
    TITLES,
    YO,
    root,
)
from memos_integrations.core.contrast.word import POSSESSIVE_ME

_OPENERS = frozenset("actually sorry please correction update note fyi now currently today recently"
                     " so and but no well because then also turns yesterday tonight gestern heute hoy ayer"
                     " finally jetzt ahora ya".split())  # fmt: skip
_LEADS = frozenset("as in on at during since from for every each after before by until im am seit en desde".split())
_WHICH = frozenset("of last next this these those other few most recent".split())
_TIMES = DETERMINERS | PARTS | DAYS | MONTHS | _WHICH


def holder_of(tokens: list[str], lows: list[str]) -> frozenset[str]:
    """Whose it is: of the words before the verb, the person that they name last."""
    place = _subject_at(lows)
    first = lows[place]
    if first in POSSESSIVE_ME or (first in ME and tokens[place].endswith("'s")):  # "User's partner"
        return _of_mine(tokens, lows, place)
    if first in ME or first in YO or (first in {"he", "me", "nos"} and _spanish(lows, place)):
        return frozenset({"@me"})
    if first in ANYBODY:
        return frozenset()
    if first in DETERMINERS:
        return frozenset(root(low) for low in lows[place + 1 : place + 2] if low in KIN)
    listed = root(first) in FRAMES.keys() | MANY | CHANGING | ENDING and not first.endswith("s")
    if listed or _told_first(lows, place):
        return frozenset({"@me"})  # without a subject, as in a diary or in Spanish
    named = (
        tokens[place][0].isupper() and (first not in FILLERS or first in TITLES) and not _is_noun(tokens, lows, place)
    )
    return _named(tokens, lows, place) if named else frozenset()


def _is_noun(tokens: list[str], lows: list[str], place: int) -> bool:
    """Whether the first word belongs to nouns before "is": "Feature flag beta is off", "Budget for the trip"."""
    if tokens[place].endswith(("'s", "s'")) or lows[place] in TITLES:
        return False
    after = tokens[place + 1 : place + 2]
    if (lows[place] in _THINGS and "".join(after).islower()) or {*after} & _NO_VERBS:
        return True
    for each in range(place + 1, min(place + 4, len(lows))):
        if lows[each] in {"for", "of"} or (lows[each] == "with" and each > place + 1):
            return True
        if lows[each] in _AUXILIARIES:
            return each > place + 1
        if (
            not tokens[each].islower()
            or lows[each] in IRREGULAR
            or lows[each] in FILLERS
            or lows[each].endswith(("s", "ed", "ing"))
        ):
            return False
    return False


_THINGS = (ONE_AT_A_TIME - PERSONAL - KIN) | frozenset(
    "repo project service server build model api docs tests customer client ticket order parcel invoice contract policy"
    " wifi staging production frontend backend website app cluster pipeline queue cache config lunch dinner breakfast"
    " meeting training practice rehearsal delivery parking travel login access support".split()
)
"""Nouns with which a note may begin, without an article."""
_NO_VERBS = frozenset("above below over under of for per".split())
_AUXILIARIES = frozenset("is are was were has have had must can will does do".split())


def _told_first(lows: list[str], place: int) -> bool:
    """Whether a verb of what happened comes first: "Found my keys", "Broke up with Marco"."""
    after = lows[place + 1 : place + 2]
    past = lows[place] in IRREGULAR or (lows[place].endswith("ed") and len(lows[place]) > PARTICIPLE)
    return past and any(low in DETERMINERS | _AFTER_VERBS or low[0].isdigit() for low in after)


PARTICIPLE = 4
_AFTER_VERBS = frozenset("to from with up on off out back in by for at down away rid".split())


def _of_mine(tokens: list[str], lows: list[str], place: int) -> frozenset[str]:
    """Who "my sister" is, with the name where it follows; a thing of mine is nobody."""
    for each in range(place + 1, min(place + 3, len(lows))):
        if lows[each] in KIN and not tokens[each].endswith(("'s", "s'")):
            name = lows[each + 1 : each + 2] if tokens[each + 1 : each + 2] and tokens[each + 1][0].isupper() else []
            also = ["@me"] if lows[each + 1 : each + 3] in (["and", "i"], ["und", "ich"], ["y", "yo"]) else []
            return frozenset([root(lows[each]), *map(root, name), *also])
        if lows[each] in KIN:
            return frozenset({root(lows[each])})
    return frozenset({"@mine"})


def _spanish(lows: list[str], place: int) -> bool:
    """Whether "he", "me" begin a Spanish sentence: "He dejado", "Me casé"."""
    return any(low.endswith(("ado", "ido", "e", "o")) and low != "he" for low in lows[place + 1 : place + 2])


def _subject_at(lows: list[str]) -> int:
    """Where the subject begins: after openings, and a time that is told first."""
    place = 0
    while place < len(lows) - 1 and (lows[place] in _OPENERS or lows[place] in MONTHS or lows[place] in DAYS):
        place += 1
    if lows[place] not in _LEADS:
        return place
    later = place + 1
    while later < len(lows) - 1 and (lows[later] in _TIMES or lows[later].isdigit()):
        later += 1
    return later if later > place + 1 else place


def _named(tokens: list[str], lows: list[str], place: int) -> frozenset[str]:
    found = [] if lows[place] in TITLES else [root(lows[place])]
    for each in range(place + 1, min(place + 4, len(tokens))):
        if lows[each] in KIN and tokens[each - 1].lower().endswith("'s"):
            return frozenset({root(lows[each])})
        if lows[each] in ME and lows[each - 1] in {"and", "und", "y"}:
            return frozenset([*found, "@me"])
        if lows[each] in TITLES:
            continue
        if not (tokens[each][0].isupper() or lows[each] in {"and", "und", "y"}):
            break
        found.append(root(lows[each]))
    return frozenset(found)
