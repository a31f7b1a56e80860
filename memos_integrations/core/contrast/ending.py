"""What a clause says has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from memos_integrations.core.contrast.lexicon import (
    DAYS,
    DETERMINERS,
    ENDING,
    ENDING_PAIRS,
    FILLERS,
    FRAMES,
    IRREGULAR,
    KIN,
    MONTHS,
    OVER,
    PARTS,
    root,
)


def ended_in(tokens: list[str], lows: list[str]) -> Iterator[str]:
    """The roots of what the clause says has ended: what follows the verb of ending, else what goes before it."""
    for place, low in enumerate(lows):
        pair = any((root(low), low_after) in PAIRS for low_after in lows[place + 1 : place + 6])
        no_verb = place > 0 and lows[place - 1] in DETERMINERS | _NOUN_FOLLOWS
        verb = root(low) in ENDING and (_is_told(low) or " ".join(lows[max(0, place - 2) : place]) in _HAD_TO)
        named = place > 0 and tokens[place][0].isupper()
        if _is_no_end(lows, place):
            continue
        if low in {"done", "through"} and lows[place + 1 : place + 2] == ["with"]:
            yield from (FRAMES.get(root(each), root(each)) for each in _object(lows[place + 2 :]))
        if no_verb or named or low == "die" or not (verb or pair or low in OVER):
            continue
        if pair and FRAMES.get(root(low), "@cost") != "@cost":
            yield FRAMES[root(low)]  # "moved out": of where one lives
        if lows[place + 1 : place + 3] == ["out", "of"] and root(low) == _RUN:
            continue  # "ran out of milk"
        away = root(low) == _PASS and lows[place + 1 : place + 2] == ["away"]
        after = [] if away else list(_object(lows[place + 1 :]))
        before = _subject_of(lows[:place])
        passive = verb and place > 0 and lows[place - 1] in _PASSIVE and not low.endswith("ing")
        over = low in OVER and "of" in lows[1:place] and root(low) not in ENDING
        before = _heads(lows[: lows.index("of")]) if over else before  # "maintenance of the site is over"
        chosen = before if (low in OVER and root(low) not in ENDING) or not after or passive else after
        yield from (FRAMES.get(root(each), root(each)) for each in chosen[:5])


def _is_no_end(lows: list[str], place: int) -> bool:
    """Whether a word that can tell of an end tells of none: "places are left", "gone on leave", "half past nine"."""
    low, before, after = lows[place], lows[:place], lows[place + 1 : place + 2]
    match low:
        case "left":
            return bool({"is", "are"} & {*before}) and after != ["for"]
        case "gone":
            return after in (["on"], ["to"], ["into"], ["up"], ["down"])
        case "done":
            return after != ["with"] and not _PASSIVE & {*before[-2:]}
        case "past":
            return before[-1:] in (["half"], ["quarter"], ["minutes"]) or (before[-1:] != [] and before[-1].isdigit())
        case _:
            return False


def _object(lows: list[str]) -> Iterator[str]:
    """The content words of what a verb is done to, without what says which one it is: "the chain of my bike"."""
    told = False
    for each in lows:
        if told and each in _LEADING_ON:
            return
        if each not in FILLERS | _WHEN and not each.isdigit():
            told = each not in _LIGHT
            yield each


_LEADING_ON = frozenset("of about in at for from with on about to".split())


_LIGHT = frozenset(
    "job position work subscription membership contract account habit course degree use lessons classes plan plans idea"
    " member dose supply rid notice trip flight price rent fee talk talking thinking going career post"
    " role part half share".split()
)
"""Nouns of which what follows tells the matter: "my job at Bosch", "the subscription to Netflix"."""


_RUN, _PASS = root("run"), root("pass")


def _subject_of(lows: list[str]) -> list[str]:
    """The content words of what a verb is said of; of "the oboe teacher" the last."""
    if "had" in lows:
        return list(_object(lows[lows.index("had") + 1 :]))[-1:]  # "had the tiles in the bathroom replaced"
    content = [each for each in lows if each not in FILLERS]
    phrase = list(_object([each for each in lows if each not in FILLERS or each in _LEADING_ON]))
    return phrase[-1:] if phrase and phrase[-1] in KIN else content


def _heads(lows: list[str]) -> list[str]:
    return [each for each in lows if each not in FILLERS]


_HAD_TO = frozenset({"had to", "asked to", "decided to", "wants to"})


def _is_told(low: str) -> bool:
    """Whether a verb is in a form that tells of an event: "sells" is a habit."""
    return low.endswith(("ed", "ing")) or low in _EVENTS or IRREGULAR.get(low, low) != low or low.startswith("ge")


_WHEN = DAYS | MONTHS | PARTS | frozenset("yesterday today tonight ago early late".split())


_PASSIVE = frozenset("was were been is are be got being wurde wurden fue".split())


_EVENTS = frozenset(
    "left sold lost withdrawn thrown sworn quit split gave swore withdrew sought aufgehort verkauft beendet"
    " abgesagt abgemeldet abgeschafft"
    " weggegeben vendi vendio vendido dejado deje dejo cancele cancelado terminado acabado".split()
)


PAIRS = frozenset((root(verb), particle) for verb, particle in ENDING_PAIRS)


_NOUN_FOLLOWS = frozenset("of on in at for per by without".split())
