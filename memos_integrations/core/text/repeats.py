"""Whether two texts say the same in the same words. Pure.

A repeat is merged away, and goes with what it repeats when that is forgotten. So precision comes first: whatever may
change what is said counts, and a rephrasing is no repeat.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_QUOTES = str.maketrans(dict.fromkeys("‘’ʼ＇", "'") | dict.fromkeys("“”„«»＂", '"'))  # noqa: RUF001 - shapes of a sign
_VERBATIM = re.compile(
    r"pass(?:word|phrase|code|key)|\b(?:pin|code|keys?|token|secret|login|log-in|user ?name|handle|spell|spelled|spelt"
    r"|wi-?fi|url|link|literal(?:ly)?|string|command|regex|type[sd]?)\b|://|[`\\{}=<>|_@#^~]",
    re.IGNORECASE,
)
"""Where these stand, any letter and any stop may be part of what is remembered."""

_BEFORE = re.compile(
    r"^(?:(?:please,? |just )?(?:remember|note|keep in mind|bear in mind) that (?=(?:i|my|we|our|the|he|she|they) )"
    r"|please,? |(?:just )?to repeat[:,] |(?:just )?a reminder[:,] |reminder[:,] |actually, |by the way, |btw,? "
    r"|as you know, |as i (?:said|mentioned), |again, )",
    re.IGNORECASE,
)
_AFTER = re.compile(r",? (?:by the way|btw)$|, (?:please|actually|as you know|as i (?:said|mentioned))$", re.IGNORECASE)
_END = re.compile(r"(?<=[a-z])[.!…]+$|(?<=[^.\s])\.$")
_PLAIN = re.compile(r"[A-Z]?[a-z]+(?:'[a-z]+)?|I(?:'[a-z]+)?|A")
_BEGINNING = frozenset("i i'm i've i'll my we our the a an he she it they his her their there this".split())
"""Words whose capital says nothing but that a sentence begins, so that they may follow what is left out."""

_ALIKE = {
    "i'm": "i am", "i've": "i have", "i'll": "i will", "you're": "you are", "you've": "you have", "we're": "we are",
    "we've": "we have", "we'll": "we will", "they're": "they are", "they've": "they have", "it's": "it is",
    "isn't": "is not", "aren't": "are not", "wasn't": "was not", "weren't": "were not", "don't": "do not",
    "doesn't": "does not", "didn't": "did not", "can't": "can not", "cannot": "can not", "couldn't": "could not",
    "won't": "will not", "wouldn't": "would not", "shouldn't": "should not", "haven't": "have not",
    "hasn't": "has not", "hadn't": "had not",
    "favorite": "favourite", "favorites": "favourites", "color": "colour", "colors": "colours", "gray": "grey",
    "neighbor": "neighbour", "neighbors": "neighbours", "flavor": "flavour",
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12",
}  # fmt: skip
"""Words in lower case that are another way to write the same. "One" is not always a number."""


class _Spoken(NamedTuple):
    """The words of a text: the first apart, and whether the text itself begins with it."""

    first: str
    rest: tuple[str, ...]
    begins: bool


def same_words(one: str, other: str) -> bool:
    """Whether two texts are the same words in the same order.

    What does not count: white space, a full stop or an exclamation mark at the end, the shape of quotes, the capital
    with which a text begins, contractions ("I'm"), British or American spelling, two to twelve in letters or digits,
    and what is said for politeness before or after ("please", "by the way", "remember that").

    All else counts: each sign, other capitals, every number, article, adverb, negation and preposition. Where a text
    tells of a password, a code or the like, every character but white space around it counts.
    """
    if one.strip() == other.strip():
        return True
    if _VERBATIM.search(one) or _VERBATIM.search(other):
        return False
    mine, theirs = _spoken(one), _spoken(other)
    if mine.rest != theirs.rest:
        return False
    if mine.first == theirs.first:
        return True
    folded = _folded(mine.first)
    both = mine.begins and theirs.begins
    return folded == _folded(theirs.first) and (both or folded in _BEGINNING)


@lru_cache(maxsize=1 << 12)
def _spoken(text: str) -> _Spoken:
    said = " ".join(unicodedata.normalize("NFC", text).translate(_QUOTES).split())
    whole = said = _END.sub("", said)
    said = _AFTER.sub("", said)
    while said != (left := _BEFORE.sub("", said)):
        said = left
    said = _END.sub("", said)
    first, *rest = [piece for word in said.split() for piece in _written_out(word)] or [""]
    return _Spoken(first, tuple(rest), whole.startswith(said))


def _written_out(word: str) -> list[str]:
    comma = "," if word.endswith(",") else ""
    bare = word.removesuffix(",")
    known = _ALIKE.get(_folded(bare) if "'" in bare else bare)
    if known is None:
        return [word]
    return f"{known[0].upper() if bare[0].isupper() else known[0]}{known[1:]}{comma}".split()


def _folded(word: str) -> str:
    return word.lower() if _PLAIN.fullmatch(word.removesuffix(",")) else word
