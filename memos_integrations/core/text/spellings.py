"""Spellings that mean the same, and scripts without spaces: what is taken together before words are compared. Pure.

Left out are signs that are not seen: soft hyphens, joiners, direction marks, variation selectors, Arabic stretching,
and the skin tone of an emoji. Digits of every script are those of ASCII. A Persian word whose parts a zero-width
non-joiner keeps apart ("mi" and "ravam") is written together and as two words as well, so it counts as both.

Thai, Lao, Khmer and Burmese are written without spaces, and no dictionary is at hand: as for Chinese, what is compared
are overlapping pairs, here of a letter with all that stands above, below and beside it; as many words are no longer
than one of these, each by itself too. In what order the signs of a letter were typed does not count. Which characters
are emoji: Unicode Technical Standard 51, emoji-data.txt (16.0), with fewer gaps.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

EMOJI = (
    "\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u2600-\u26ff\u2702\u2705\u2708-\u270d\u270f\u2712\u2714\u2716\u271d\u2721"
    "\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797\u27a1\u27b0\u27bf\u2b1b"
    "\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
"""A word of its own, each."""

FLAG = "[\U0001f1e6-\U0001f1ff]{2}"

_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"
"""Vowels that stand before the letter after which they are said."""

_LETTERS = (
    "\u0e01-\u0e2f\u0e46\u0e81-\u0eaf\u0ebd\u0ec6\u0edc-\u0edf\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3\u17d7"
)
_BESIDE = (
    "\u0e30-\u0e3a\u0e45\u0e47-\u0e4e\u0eb0-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u1038\u103a-\u103e\u1056-\u1059\u17b4-\u17d1\u17d3"
)
_UNDER = "\u1039\u17d2"
"""What puts the letter after it under the one before it."""

UNSPACED = f"{_LETTERS}{_BEFORE}{_BESIDE}{_UNDER}"
"""The characters of scripts without spaces, but for those of East Asia."""

_FIRST = "\u17c9\u17ca\u103b\u103c\u103d\u103e\u1031\u102d\u102e\u1032\u102f\u1030\u102b\u102c\u103a\u1036\u1037\u1038"
_LAST = "\u0e30\u0e32\u0e45\u0eb0\u0eb2"

_CLUSTER = re.compile(f"[{_BEFORE}]?[{_LETTERS}](?:[{_UNDER}][{_LETTERS}]|[{_BESIDE}{_UNDER}])*|.", re.DOTALL)
_RUN = re.compile(f"[{UNSPACED}]+")
_HEAD = re.compile(f"[{_BEFORE}]?.", re.DOTALL)
_UNIT = re.compile(f"[{_UNDER}]?.", re.DOTALL)

_NON_JOINER, _SPACE = "\u200c", "\u200b"
_UNSEEN = (
    "\u00ad\u034f\u061c\u0640\u115f\u1160\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff"
)
_LEFT_OUT = re.compile(f"[{_UNSEEN}]+|(?<=[{UNSPACED}]){_SPACE}+(?=[{UNSPACED}])")
_DIGIT = re.compile(r"[^\D0-9]")
_APART = re.compile("[\u0620-\u06ff]+(?:\u200c[\u0620-\u06ff]+)+")
_NEWLY = re.compile(f"{_LEFT_OUT.pattern}|{_DIGIT.pattern}|[{UNSPACED}{EMOJI}]|{FLAG}")


def as_spoken(text: str) -> str:
    """*text* without what is not seen, its digits those of ASCII."""
    if _NON_JOINER in text:
        text = _APART.sub(_both, text)
    return _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit.group())), _LEFT_OUT.sub("", text))


def _both(word: re.Match[str]) -> str:
    said = word.group()
    return f"{said.replace(_NON_JOINER, '')} {said.replace(_NON_JOINER, ' ')}"


def pairs(run: str) -> list[str]:
    """Of a run in a script without spaces every letter with its signs, and the overlapping pairs of these."""
    clusters = [_ordered(cluster) for cluster in _CLUSTER.findall(run)]
    return clusters + ["".join(pair) for pair in pairwise(clusters)]


def is_lone(word: str) -> bool:
    """Whether a word is one letter of a script without spaces, with its signs."""
    return _RUN.match(word) is not None and _CLUSTER.fullmatch(word) is not None


def _ordered(cluster: str) -> str:
    head = _HEAD.match(cluster)
    end = head.end() if head is not None else 0
    return cluster[:end] + "".join(sorted(_UNIT.findall(cluster[end:]), key=_place))


def _place(unit: str) -> int:
    """Where a sign is written among those of one letter."""
    return -1 if len(unit) > 1 else _FIRST.find(unit) if unit in _FIRST else ord(unit) << (unit in _LAST)


def is_told_apart(text: str) -> bool:
    """Whether there is anything in *text* that is compared otherwise than before there was this file."""
    return not text.isascii() and _NEWLY.search(text) is not None
