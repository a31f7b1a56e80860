"""What a text says when its disguise is taken off; read beside the text, never stored in its place.

Look-alike letters, digits for letters, letters set apart, backwards, base64.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata

_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,8000}={0,2}(?![\w+/=-])")
_FOLDED = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅαεοριυκντΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwABEKMHOPCTXIJSaeopiukvtABEZHIKMNOPTYX",
)
_LEET = [str.maketrans("0134578@$!", f"o{one}eastbasi") for one in "il"]
_LEET_WORD = re.compile(r"[\w@$]*[A-Za-z][\w@$]*")
_LEETED = re.compile(r"[A-Za-z][0134578@$!][A-Za-z]|(?<!\w)[0134578@$][A-Za-z]{2}")
_SPACED = re.compile(r"(?<!\w)\w(?:[ ._-]\w){5,}(?!\w)")
_BACKWARDS = ("erongi", "dragersid", "tegrof", "edirrevo", "snoitcurtsni", "tpmorp", "metsys", "laever")
"""Words of attacks as they stand in a text that is to be read from its end."""


def legible(text: str) -> str:
    """The text in compatibility form, with look-alike letters as Latin ones, where Latin letters stand beside them."""
    if text.isascii():
        return text
    normal = unicodedata.normalize("NFKC", text)
    return " ".join(
        word.translate(_FOLDED) if any("a" <= letter <= "z" for letter in word.casefold()) else word
        for word in normal.split(" ")
    )


def undisguised(text: str) -> list[str]:
    """What else a legible text can be read as; none for most."""
    told = _decoded(text)
    if _LEETED.search(text):
        told += {_LEET_WORD.sub(lambda found: _unleeted(found[0], table), text) for table in _LEET} - {text}  # noqa: B023
    if _SPACED.search(text):
        told.append(_joined(text))
    folded = text.casefold()
    if any(word in folded for word in _BACKWARDS):
        told.append(text[::-1])
        told.append(" ".join(word[::-1] for word in text.split()))
    return told


def _unleeted(word: str, table: dict[int, int]) -> str:
    """Digits between the letters of a word are read as the letters that they look like."""
    letters = sum(letter.isalpha() for letter in word)
    return word.translate(table) if 2 <= letters < len(word) <= 2 * letters else word


def _joined(text: str) -> str:
    """Letters that stand apart, as words: wider gaps are those between them."""
    words = re.split(r"(?<=\w)[ \t]{2,}(?=\w)", text)
    return " ".join(_SPACED.sub(lambda found: re.sub(r"[ ._-]", "", found[0]), word) for word in words)


def _decoded(text: str) -> list[str]:
    told: list[str] = []
    for found in _BASE64.findall(text)[:16]:
        try:
            plain = base64.b64decode(found.replace("-", "+").replace("_", "/") + "=" * (-len(found) % 4)).decode(
                "utf-8"
            )
        except (binascii.Error, UnicodeDecodeError):
            continue
        told += [plain] if plain.isprintable() and " " in plain else []
    return told
