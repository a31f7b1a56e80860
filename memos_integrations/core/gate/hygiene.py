"""Unicode hygiene: characters that a reader does not see and a model does, out; those that a script needs stay.

Out go tag characters, bidirectional overrides and embeddings, zero-width characters, fillers and stray variation
selectors. What stays: joiners between letters of Arabic and Indic scripts and within emoji, zero-width spaces between
letters of scripts without spaces, directional marks beside right-to-left letters, selectors after what they select,
and the flags of regions. Sources: Unicode UAX #9, UTS #51, UTS #39; smuggling by tags: Goodside 2024.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
"""A black flag, the letters of a region as tags, and the end tag: the only tags that are seen."""

_JOINING = ("ARABIC", "SYRIAC", "MONGOLIAN", "NKO", "MANDAIC", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI",
            "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA",
            "TIBETAN", "MYANMAR", "KHMER", "BALINESE")  # fmt: skip
_WITHOUT_SPACES = ("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "HIRAGANA", "KATAKANA", "CJK", "JAVANESE", "BALINESE")
_JOINERS, _SPACE = "\u200c\u200d", "\u200b"
_MARKS = "\u200e\u200f\u061c"
_ISOLATES = "\u2066\u2067\u2068\u2069"


_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_SPACES = "\u00a0\u2007\u2009\u202f\u3000"
_SIGNS = {ord(sign): plain for signs, plain in ((_DASHES, "-"), (_SPACES, " ")) for sign in signs}
_SIGNS |= {wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}


def in_plain_signs(text: str) -> str:
    """The text with the digits, dashes, spaces and wide letters of other sets as ASCII, one character for each.

    Places in it are places in the text: a card number in wide digits, or with dashes of a word processor, is one.
    """
    if text.isascii():
        return text
    plain = text.translate(_SIGNS)
    if plain.isascii():
        return plain
    return "".join(str(unicodedata.digit(each)) if each.isdecimal() else each for each in plain)


class Cleaned(NamedTuple):
    """A text without what nobody sees: how much of each kind was taken out, and what the tags among it spelled."""

    text: str
    removed: dict[str, int]
    hidden: str = ""


def cleaned(text: str) -> Cleaned:
    """The text without invisible characters that no script needs; most texts are given back as they are."""
    if text.isascii() or _UNSEEN.search(text) is None:
        return Cleaned(text, {})
    flags = {at for found in _FLAG.finditer(text) for at in range(*found.span())}
    kept: list[str] = []
    removed: Counter[str] = Counter()
    hidden: list[str] = []
    right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    for at, character in enumerate(text):
        kind = _kind(character) if _UNSEEN.match(character) else None
        if kind is None or at in flags or _is_needed(text, at, kind, right_to_left=right_to_left):
            kept.append(character)
            continue
        removed[kind] += 1
        if kind == "tag" and 0x20 <= ord(character) - 0xE0000 < 0x7F:
            hidden.append(chr(ord(character) - 0xE0000))
    return Cleaned("".join(kept), dict(removed), "".join(hidden))


def _kind(character: str) -> str:
    code = ord(character)
    if 0xE0000 <= code < 0xE0100:
        return "tag"
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return "selector"
    if 0x202A <= code <= 0x202E or character in _MARKS or character in _ISOLATES:
        return "bidi"
    return "zero_width"


def _is_needed(text: str, at: int, kind: str, *, right_to_left: bool) -> bool:
    character = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if kind == "selector":
        return bool(before) and not before.isspace() and _UNSEEN.match(before) is None and _is_selected(before)
    if character in _JOINERS:
        emoji = character == "\u200d" and _is_pictured(before) and _is_pictured(after)
        return emoji or (_is_of(before, _JOINING) and (_is_of(after, _JOINING) or not after.strip()))
    if character == _SPACE:
        return _is_of(before, _WITHOUT_SPACES) and _is_of(after, _WITHOUT_SPACES)
    if 0x180B <= ord(character) <= 0x180F:
        return _is_of(before, ("MONGOLIAN",))
    return right_to_left and (character in _MARKS or character in _ISOLATES)


def _is_of(character: str, scripts: tuple[str, ...]) -> bool:
    return bool(character) and unicodedata.name(character, "").startswith(scripts)


def _is_pictured(character: str) -> bool:
    """Whether an emoji may be joined here: a pictograph, its skin tone, its selector, or a sign such as a heart."""
    return bool(character) and (unicodedata.category(character) in ("So", "Sk") or character in "\ufe0f\u20e3♀♂")


def _is_selected(before: str) -> bool:
    return (
        unicodedata.category(before) in ("So", "Sk", "Sm", "Po")
        or before in "#*0123456789"
        or _is_of(before, ("CJK", "MONGOLIAN", "PHAGS", "MYANMAR"))
    )
