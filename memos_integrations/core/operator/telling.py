"""What the words of a text look like: whether they name a time, or somebody, or only ask. Pure."""

from __future__ import annotations

import re
from itertools import pairwise

from memos_integrations.core.text import sentences

TIME_WORDS = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|since|recently|(?:last|next|this|past) \w+|weekends?|(?:mon|tues|wednes"
    r"|thurs|fri|satur|sun)day|january|february|march|april|june|july|august|september|october|november|december|weeks?|months?"
    r"|years?|days|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)

_DAYS = "mon tues wednes thurs fri satur sun"
_MONTHS = "january february march april june july august september october november december"
_LONE = frozenset(
    f"yesterday today tonight tomorrow ago since recently days {_MONTHS}".split()
    + [f"{each}day" for each in _DAYS.split()]
    + [each + end for each in ("weekend", "week", "month", "year") for end in ("", "s")]
    + [str(year) for year in range(1900, 2100)]
)
_LEADING = frozenset("last next this past".split())
"""With `_LONE`, what `TIME_WORDS` finds in ASCII: a word for itself, or one before a space and another."""
_LED = re.compile(r"\b(?:last|next|this|past) \w")
_WORDS = re.compile(r"\w+")
_CAPITAL = re.compile(r'[^\s.!?:"\[]\s+[A-Z][a-z]')

UNITS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]|_")


def tells_when(text: str) -> bool:
    """Whether it holds a word of time."""
    if not text.isascii():
        return TIME_WORDS.search(text) is not None
    # The expression tries a dozen beginnings at every word; to look the words up gives the same at a fifth of the cost.
    folded = text.lower()
    words = _WORDS.findall(folded)
    if not _LONE.isdisjoint(words):
        return True
    return not _LEADING.isdisjoint(words) and _LED.search(folded) is not None


def says_something(text: str) -> bool:
    """Whether it says something, and does not only ask: a question looks much like another one that is asked of it."""
    if "?" not in text:
        return bool(text.strip())
    return any(not said.rstrip().endswith("?") for said in sentences(text))


def names_somebody(text: str) -> bool:
    """Whether it holds what looks like a name: a capital letter where no sentence begins."""
    if text.isascii():
        return _CAPITAL.search(text) is not None
    words = text.split()
    return any(
        word[0].isupper() and word[1:2].islower() and not before.endswith((".", "!", "?", ":", '"', "["))
        for before, word in pairwise(words)
    )


def length_of(text: str) -> int:
    """How many words it has."""
    return len(text.split())


def units_of(text: str) -> int:
    """How many words and signs it has; of scripts without spaces, characters."""
    return len(UNITS.findall(text))
