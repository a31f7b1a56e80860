"""What a text says when its disguise is taken off; read beside the text, never stored in its place.

Look-alike letters, marks over letters, digits for letters, letters set apart, backwards, turned by thirteen; base64,
hexadecimal digits, percent signs, and the escapes of JSON and HTML.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,8000}={0,2}(?![\w+/=-])")
_LINES = re.compile(r"(?<=[A-Za-z0-9+/_-]{16})\r?\n(?=[A-Za-z0-9+/_-]{4})")
_HEX = re.compile(r"(?<![\w])(?:[0-9a-fA-F]{2}[ :]?){16,4000}(?!\w)")
_HEX_HINT = re.compile(r"\d[0-9a-fA-F][ :]?\d[0-9a-fA-F][ :]?\d")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}[^%\s]{0,12}){3}")
_ENTITY = re.compile(r"(?:&#?\w{1,8};[^&\s]{0,12}){3}")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_MARKS = re.compile("[A-Za-z][\u0300-\u036f]")
_SHAPED = re.compile(r"(?:LATIN|NEGATIVE|SQUARED|REGIONAL|CIRCLED|PARENTHESIZED)\b.*\b(?:CAPITAL|LETTER) ([A-Z])$")
_DEEPEST = 2
"""What is decoded is decoded so often."""
_FOLDED = str.maketrans(
    "аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅαεοριυκντΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijshdqwABEKMHOPCTXIJSaeopiukvtABEZHIKMNOPTYX",
)
_LEET = [str.maketrans("0134578@$!", f"o{one}eastbasi") for one in "il"]
_LEET_WORD = re.compile(r"[\w@$]*[A-Za-z][\w@$]*")
_LEETED = re.compile(r"[A-Za-z][0134578@$!][A-Za-z]|(?<!\w)[0134578@$][A-Za-z]{2}")
_SPACED = re.compile(r"(?<!\w)\w(?:[ ._-]\w){5,}(?!\w)")
_HYPHENED = re.compile(r"(?<!\w)\w(?:[._-]\w){2,}(?!\w)")
_BACKWARDS = ("erongi", "dragersid", "tegrof", "edirrevo", "snoitcurtsni", "tpmorp", "metsys", "laever")
"""Words of attacks as they stand in a text that is to be read from its end."""

_TURNED = tuple(codecs.encode(word, "rot13") for word in ("ignore", "disregard", "instruction", "prompt", "password"))
"""Words of attacks, each letter turned by thirteen."""


def legible(text: str) -> str:
    """The text in compatibility form, with look-alike letters as Latin ones, where Latin letters stand beside them."""
    if text.isascii():
        return text
    normal = unicodedata.normalize("NFKC", text)
    if len(_MARKS.findall(normal)) > 7:  # no language writes so many that have no letter of their own
        normal = _MARKS.sub(lambda found: found[0][0], unicodedata.normalize("NFD", normal))
    normal = "".join(each if each.isascii() else _latin(each) for each in normal)
    return " ".join(
        word.translate(_FOLDED) if any("a" <= letter <= "z" for letter in word.casefold()) else word
        for word in normal.split(" ")
    )


@lru_cache(maxsize=4096)
def _latin(character: str) -> str:
    """The Latin letter of which a character is another shape (a small capital, in a box); else the character."""
    shaped = _SHAPED.match(unicodedata.name(character, ""))
    return shaped[1].lower() if shaped else character


def undisguised(text: str) -> list[str]:
    """What else a legible text can be read as; none for most."""
    told = _decoded(text, _DEEPEST)
    if "\n" in text:
        told.append(" ".join(text.split()))
    if _LEETED.search(text):
        told += {_LEET_WORD.sub(lambda found: _unleeted(found[0], table), text) for table in _LEET} - {text}  # noqa: B023
    if _SPACED.search(text):
        told.append(_joined(text))
    folded = text.casefold()
    if any(word in folded for word in _BACKWARDS):
        told.append(text[::-1])
        told.append(" ".join(word[::-1] for word in text.split()))
    if any(word in folded for word in _TURNED):
        told.append(codecs.encode(text, "rot13"))
    return told


def _unleeted(word: str, table: dict[int, int]) -> str:
    """Digits between the letters of a word are read as the letters that they look like."""
    letters = sum(letter.isalpha() for letter in word)
    return word.translate(table) if 2 <= letters < len(word) <= 2.5 * letters else word


def _joined(text: str) -> str:
    """Letters that stand apart, as words: wider gaps are those between them."""
    hyphened = _HYPHENED.sub(lambda found: re.sub(r"[._-]", "", found[0]), text)
    if hyphened != text:
        return hyphened
    words = re.split(r"(?<=\w)[ \t]{2,}(?=\w)", text)
    return " ".join(_SPACED.sub(lambda found: re.sub(r"[ ._-]", "", found[0]), word) for word in words)


def _decoded(text: str, deep: int) -> list[str]:
    """The texts that stand in a text, encoded, and in those."""
    told = [*_of_bytes(text)]
    if "%" in text and _PERCENT.search(text):
        told.append(unquote(text))
    if "&" in text and _ENTITY.search(text):
        told.append(html.unescape(text))
    if "\\" in text and len(_ESCAPE.findall(text)) > 7:
        told.append(_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text))
    inside = [other for each in told if deep > 1 for other in _decoded(each, deep - 1)]
    return [*(each for each in told if " " in each), *inside]


def _of_bytes(text: str) -> list[str]:
    """What base64 and hexadecimal digits spell."""
    written: list[bytes] = []
    joined = _LINES.sub("", text) if "\n" in text else text
    for found in [*_BASE64.findall(text)[:16], *(_BASE64.findall(joined)[:16] if joined != text else ())]:
        try:
            written.append(base64.b64decode(found.replace("-", "+").replace("_", "/") + "=" * (-len(found) % 4)))
        except binascii.Error:
            continue
    digits = _HEX.findall(text)[:16] if _HEX_HINT.search(text) else ()
    written += [bytes.fromhex(re.sub(r"[ :]", "", found)) for found in digits]
    told = [raw.decode("utf-8", "replace") for raw in written]
    return [plain for plain in told if plain.isprintable() and "\ufffd" not in plain]
