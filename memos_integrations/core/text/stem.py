"""The Porter2 ("Snowball English") stemmer: related word forms become one search term.

Written from the published description: M. F. Porter, "The English (Porter2) stemming algorithm",
snowballstem.org/algorithms/english/stemmer.html (2001, with the later refinements named there). Step numbers,
R1, R2 and "short word" are the description's own words.
"""

from __future__ import annotations

import re
from functools import lru_cache

_VOWELS = frozenset("aeiouy")
_DOUBLES = ("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt")
_HAS_VOWEL = re.compile("[aeiouy]")
_REGION = re.compile("[aeiouy][^aeiouy]")  # a region starts after the first such pair; a capital Y is a consonant
_R1_PREFIX = re.compile("gener|commun|arsen|past|univers|later|emerg|organ|inter")
_CONSONANT_Y = re.compile("(^|[aeiouy])y")

_WHOLE_WORDS = {
    "skis": "ski",
    "skies": "sky",
    "idly": "idl",
    "gently": "gentl",
    "ugly": "ugli",
    "early": "earli",
    "only": "onli",
    "singly": "singl",
    **{word: word for word in ("sky", "news", "howe", "atlas", "cosmos", "bias", "andes")},
}
_KEPT_AFTER_1A = frozenset("inning outing canning herring earring evening".split())

# Longest ending first: the description asks for the longest match, and only then looks at the region.
_STEP_2 = (
    ("ational", "ate"),
    ("fulness", "ful"),
    ("iveness", "ive"),
    ("ization", "ize"),
    ("ousness", "ous"),
    ("biliti", "ble"),
    ("lessli", "less"),
    ("tional", "tion"),
    ("alism", "al"),
    ("aliti", "al"),
    ("ation", "ate"),
    ("entli", "ent"),
    ("fulli", "ful"),
    ("iviti", "ive"),
    ("ogist", "og"),
    ("ousli", "ous"),
    ("abli", "able"),
    ("alli", "al"),
    ("anci", "ance"),
    ("ator", "ate"),
    ("enci", "ence"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("ogi", "og"),
    ("li", ""),
)
_STEP_3 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("alize", "al"),
    ("ative", ""),
    ("icate", "ic"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ness", ""),
    ("ful", ""),
)
_STEP_4 = tuple("ement able ance ence ible ment ant ate ent ion ism iti ive ize ous al er ic".split())


def stem(word: str) -> str:
    """The stem of one casefolded word. Words that are not purely a–z come back as they are."""
    if len(word) <= 2 or not (word.isascii() and word.isalpha()):
        return word  # not kept: numbers are many, and each stands in few texts
    return _stem(word)


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    if word in _WHOLE_WORDS:
        return _WHOLE_WORDS[word]
    word = _CONSONANT_Y.sub(r"\1Y", word)
    r1 = _region_1(word)
    pair = _REGION.search(word, r1)
    r2 = pair.end() if pair else len(word)
    word = _step_1a(word)
    if word in _KEPT_AFTER_1A:
        return word
    word = _step_1c(_step_1b(word, r1))
    word = _step_4(_step_3(_step_2(word, r1), r1, r2), r2)
    return _step_5(word, r1, r2).replace("Y", "y")


def _region_1(word: str) -> int:
    found = _R1_PREFIX.match(word) or _REGION.search(word)
    return found.end() if found else len(word)


def _ends_in_short_syllable(word: str) -> bool:
    if word == "past":
        return True
    if len(word) == 2:
        return word[0] in _VOWELS and word[1] not in _VOWELS
    return (
        len(word) > 2
        and word[-1] not in _VOWELS
        and word[-1] not in "wxY"
        and word[-2] in _VOWELS
        and word[-3] not in _VOWELS
    )


def _step_1a(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _HAS_VOWEL.search(word, 0, len(word) - 2):
        return word[:-1]
    return word


def _step_1b(word: str, r1: int) -> str:
    for ending in ("eedly", "eed"):
        if word.endswith(ending):
            body = word[: -len(ending)]
            return body + "ee" if len(body) >= r1 and body not in {"proc", "exc", "succ"} else word
    for ending in ("ingly", "edly", "ing", "ed"):
        if word.endswith(ending):
            body = word[: -len(ending)]
            if ending == "ing" and len(body) == 2 and body[1] in "yY" and body[0] not in _VOWELS:
                return body[0] + "ie"
            return _repair(body, r1) if _HAS_VOWEL.search(body) else word
    return word


def _repair(body: str, r1: int) -> str:
    if body.endswith(("at", "bl", "iz")):
        return body + "e"
    if body.endswith(_DOUBLES):
        return body if len(body) == 3 and body[0] in "aeo" else body[:-1]
    return body + "e" if len(body) <= r1 and _ends_in_short_syllable(body) else body


def _step_1c(word: str) -> str:
    return word[:-1] + "i" if len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWELS else word


def _step_2(word: str, r1: int) -> str:
    for ending, instead in _STEP_2:
        if word.endswith(ending):
            body = word[: -len(ending)]
            needs = {"ogi": "l", "li": "cdeghkmnrt"}.get(ending)
            fits = len(body) >= r1 and (needs is None or (body[-1:] != "" and body[-1] in needs))
            return body + instead if fits else word
    return word


def _step_3(word: str, r1: int, r2: int) -> str:
    for ending, instead in _STEP_3:
        if word.endswith(ending):
            body = word[: -len(ending)]
            return body + instead if len(body) >= (r2 if ending == "ative" else r1) else word
    return word


def _step_4(word: str, r2: int) -> str:
    for ending in _STEP_4:
        if word.endswith(ending):
            body = word[: -len(ending)]
            fits = len(body) >= r2 and (ending != "ion" or body.endswith(("s", "t")))
            return body if fits else word
    return word


def _step_5(word: str, r1: int, r2: int) -> str:
    body = word[:-1]
    if word.endswith("e") and (len(body) >= r2 or (len(body) >= r1 and not _ends_in_short_syllable(body))):
        return body
    return body if word.endswith("ll") and len(body) >= r2 else word
