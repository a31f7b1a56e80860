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

UNITS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]|_")


def tells_when(text: str) -> bool:
    """Whether it holds a word of time."""
    return TIME_WORDS.search(text) is not None


def says_something(text: str) -> bool:
    """Whether it says something, and does not only ask: a question looks much like another one that is asked of it."""
    return any(not said.rstrip().endswith("?") for said in sentences(text))


def names_somebody(text: str) -> bool:
    """Whether it holds what looks like a name: a capital letter where no sentence begins."""
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
