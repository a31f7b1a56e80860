"""Where a later statement says what an earlier one says but for one value, of which there is one at a time. Pure.

No word of change need be said: "the dog sleeps in the hall", "the dog sleeps in the yard". What several values can have
at once ("I play tennis", "I play chess"), or somebody can do in several places, is left alone.
"""

from __future__ import annotations

import re

from memos_integrations.core.claims import kind_of, refines, same_value
from memos_integrations.core.claims.claim import KINDS, period_of
from memos_integrations.core.claims.sorts import sort_of
from memos_integrations.core.conflict.swapped import BE, GROUPS, Swap, marks_of, roots_of, swap_of
from memos_integrations.core.contrast import said
from memos_integrations.core.contrast.lexicon import IRREGULAR, root

_OF_PEOPLE = roots_of("sleep sit park bank belong store keep host run deploy")
"""Verbs that tell where somebody or what is theirs is, in one place at a time."""
_HELD = roots_of(
    "own lead manage run head chair maintain handle write edit teach host approve organise organize coach oversee"
    " supervise direct"
)


def takes_its_place(newer: str, older: str) -> bool:
    """Whether the later says all that the earlier says but for one value, of which there is one at a time as a rule."""
    swap = swap_of(newer, older)
    if swap is None or _stands_beside(newer, older):
        return False
    if kind_of(newer) == kind_of(older) == "money" and period_of(newer) != period_of(older):
        return False  # "10 euros a month", "120 euros a year"
    if swap.of_subject:
        return any(_OF_THE.search(each) for each in (newer, older)) and _is_other_doer(swap)
    return swap.of_value and _is_other_value(swap)


_OF_THE = re.compile(r"\w (?:the|our|my) |\w's ")
"""Tells of one thing: several may teach the harp, or run shops."""


def _stands_beside(newer: str, older: str) -> bool:
    n, o = said(newer)[0], said(older)[0]
    told = n.quoted or o.quoted or n.unsure != o.unsure or n.planned != o.planned
    once = any(each.passing or each.past or each.ended for each in (n, o))
    return told or once or n.besides or _OF_MANY.search(older) is not None


_OF_MANY = re.compile(r"^(?:an?|one|some|many|most|several|both|two|three) ", re.IGNORECASE)
"""Begins what is told of one of several, or of several."""


def _is_other_value(swap: Swap) -> bool:
    marks = set(marks_of(swap))
    if "past" in marks:
        return False
    if "denied" not in marks and (_is_of_ones_own(swap) or _is_as_often(swap, marks)):
        return True
    mine, theirs = (" ".join(each) for each in (swap.newer, swap.older))
    if marks & {"two places", "denied"} or refines(mine, theirs) or same_value(mine, theirs) or _lists(swap):
        return False
    if "measures" in marks:
        return _is_one_count(swap, marks)
    measured = bool({kind_of(mine), kind_of(theirs)} & _MEASURED)
    if marks & {"led by one", "open"} or ("two kinds" in marks and measured):
        return False
    return _is_elsewhere(swap) if "led" in marks else _is_something_else(swap, marks, sort_of(mine))


def _is_as_often(swap: Swap, marks: set[str]) -> bool:
    """Whether each says how often: "every week", "once a month"."""
    every = swap.before[-1].lower() in {"every", "each"} and "measures" in marks
    often = all(_OFTEN.search(" ".join(each)) for each in (swap.newer, swap.older))
    return (every or often) and "two places" not in marks


def _is_one_count(swap: Swap, marks: set[str]) -> bool:
    """Whether there is one such count of it; somebody does the same at several hours."""
    if swap.before[-1].lower() == "at":
        return False  # hours, which the claims know: "at 3", "at 15:00"
    several = swap.of_somebody and {"led", "kind time"} <= marks and not _AT_ONCE & set(swap.doing)
    return swap.subject != "it" and not several


def _is_something_else(swap: Swap, marks: set[str], sort: str) -> bool:
    """Whether what something runs, or is, is another one of its sort."""
    if "goes on" in marks:
        return False
    if "sort" in marks and sort != "language" and swap.subject != "i":
        return bool(_RUNS & set(swap.doing))
    owned = swap.subject == "mine" or any(each.endswith(("'s", "s'")) for each in swap.before[: swap.verb])
    return "copula" in marks and owned and not swap.of_somebody and bool(marks & _ONE_KIND)


_OFTEN = re.compile(r"^(?:every|each|once|twice|daily|weekly|monthly|yearly|(?:\d+|\w+) times)\b", re.IGNORECASE)


def _is_of_ones_own(swap: Swap) -> bool:
    """Whether one has what is one's own otherwise: "I take my tea with milk", "I take my tea black"."""
    after = swap.before[swap.verb + 1 :]
    own = len(after) > 1 and after[0].lower() in {"my", "our", "his", "her", "their"}
    return own and bool(_HAVING & set(swap.doing[:1]))


_HAVING = roots_of("take like want wear drink prefer keep eat have")
_AT_ONCE = roots_of("start begin leave wake finish arrive get go open close")
_RUNS = roots_of("run use")


def _is_elsewhere(swap: Swap) -> bool:
    """Whether it is told where something is, by what, or of whom: somebody does the same in several places."""
    if len(swap.after) > 1 and not _OF_PEOPLE & set(swap.doing):
        return False
    done = any(each.lower().endswith("ed") or each.lower() in IRREGULAR for each in swap.before[swap.verb + 1 :])
    passive = done and swap.before[swap.verb].lower() in BE
    return not swap.of_somebody or bool(_OF_PEOPLE & set(swap.doing)) or (passive and swap.subject == "name")


_MEASURED = frozenset({"time", "number", "money", "frequency"})
_ONE_KIND = frozenset(f"kind {each}" for each in (*KINDS, "name", "number", "money", "time", "address"))


def _lists(swap: Swap) -> bool:
    return bool({"and", "or", "only", "except"} & {each.lower() for each in (*swap.newer, *swap.older)})


def _is_other_doer(swap: Swap) -> bool:
    """Whether all that is told of one is told of another, and there is one who does it: "Ana leads the choir"."""
    both = swap.newer, swap.older
    told = BE & {each.lower() for each in (*swap.newer, *swap.older)}
    if told or swap.before or len(swap.after) < 2 or not all(0 < len(words) <= 3 for words in both):
        return False
    place = swap.verb - len(swap.older)
    if not 0 <= place < len(swap.after) - 1:
        return False
    group = {each.lower() for each in swap.after[:place]} | {swap.older[-1].lower()}
    named = all(words[0][:1].isupper() for words in both) and not place
    return (named or bool(group & GROUPS)) and root(swap.after[place]) in _HELD
