"""What a text says when its disguise is taken off; read beside the text, never stored in its place.

Look-alike letters, marks over letters, digits for letters, letters set apart or glued together, backwards, upside
down, turned by thirteen; base64, hexadecimal digits, the codes of `codes`, percent signs, and the escapes of JSON and
HTML.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

from memos_integrations.core.gate.codes import coded_in

_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,8000}={0,2}(?![\w+/=-])")
_LINES = re.compile(r"(?<=[A-Za-z0-9+/_-]{16})\r?\n(?=[A-Za-z0-9+/_-]{4})")
_HEX = re.compile(r"(?<![\w])(?:[0-9a-fA-F]{2}[ :]?){16,4000}(?!\w)")
_HEX_HINT = re.compile(r"\d[0-9a-fA-F][ :]?\d[0-9a-fA-F][ :]?\d")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}[^%\s]{0,12}){3}")
_ENTITY = re.compile(r"(?:&#?\w{1,8};[^&\s]{0,12}){3}|(?:&#x?[0-9a-fA-F]{2,6};[^&\n]{0,60}){3}")
_QUOTED = re.compile(r"=([0-7][0-9A-F])")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))")
_MARKS = re.compile(r"[^\W\d_][\u0300-\u036f]+")
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
_TURNED_OVER = str.maketrans(
    "ɐqɔpǝɟƃɓɥᴉıɾʞʃlɯuodbɹʇnʌʍʎ∀ƆƎℲ⅁⅂Ԁᴚ⊥∩Λ⅄",  # noqa: RUF001
    "abcdefgghiijkllmnopqrtuvwyACEFGLPRTUVY",
)
_UPSIDE_DOWN = re.compile("[ɐɔǝɟƃɓɥᴉɾʞɯɹʇʌʍʎ]")
"""Letters that stand on their heads; a text that is full of them is read from its end."""

_GLUED = re.compile(r"(?<![^\W_])(?:[^\W\d_]{9,400}|[^\W\d_]{2,40}(?:_[^\W\d_]{1,40}){2,40})(?![^\W_])")
_GLUED_HINTS = ("instruct", "rule", "prompt", "restrict", "guidel", "directive")
_OF_ORDERS = re.compile(
    r"ignor(?:e|ing)|disregard(?:ing)?|forget|override|bypass|reveal|repeat|print|show|output|leak|send|forward"
    r"|delete|obey|follow"
    r"|instructions?|instruct|directives?|guidelines?|rules?|restrictions?|prompts?|system|developer|previous(?:ly)?"
    r"|prior|above|earlier"
    r"|hidden|secrets?|passwords?|credentials?|messages?|conversations?|memor(?:y|ies)|everything|anything|all|any"
    r"|your|you|are|now|the"
    r"|user|users|owner|assistant|admin|unrestricted|mode|without|telling|asking|tell|dont|donot|never|not|always"
    r"|must|new|that|this|were|told|given|have|been|and|with|from|to|of|my|me|no|do",
    re.IGNORECASE,
)
"""The words that orders to a machine are made of: where they are written as one word, they are set apart again."""

_BACKWARDS = ("erongi", "dragersid", "tegrof", "edirrevo", "snoitcurtsni", "tpmorp", "metsys", "laever")
"""Words of attacks as they stand in a text that is to be read from its end."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BOTH = _LETTERS + _LETTERS.upper()
_TABLES = [
    *(
        str.maketrans(_BOTH, _LETTERS[by:] + _LETTERS[:by] + (_LETTERS[by:] + _LETTERS[:by]).upper())
        for by in range(1, 26)
    ),
    str.maketrans(_BOTH, _LETTERS[::-1] + _LETTERS[::-1].upper()),
]
"""Each letter turned by so many, and each by the one that stands as far from the other end."""

_BACK = [{new: old for old, new in table.items()} for table in _TABLES]
_TURNED = [tuple(word.translate(table) for word in ("ignore", "disregard", "instruction")) for table in _TABLES]
"""Words of attacks, as each of the tables writes them."""

_UNSEEN_BETWEEN = re.compile(
    r"<!--[^<>]{0,200}-->|</?[a-z][a-z0-9]{0,9}(?:\s[^<>]{0,200})?/?>|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    re.IGNORECASE,
)
"""What stands between letters and is not shown: comments and tags of HTML, control characters."""

_DOTTED = re.compile(r"(?<!\S)[^\W\d_]{2,20}(?:[.|/+*,;~]{1,2}[^\W\d_]{1,20}){3,40}")


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
    if len(_UPSIDE_DOWN.findall(text)) > 5:
        told += [
            (turned := text.translate(_TURNED_OVER))[::-1],
            " ".join(word[::-1] for word in turned.split()),
            turned,
        ]
    folded = text.casefold()
    if any(word in folded for word in _GLUED_HINTS):
        told += {_GLUED.sub(lambda found: _set_apart(found[0]), text)} - {text}
    if any(word in folded for word in _BACKWARDS):
        told.append(text[::-1])
        told.append(" ".join(word[::-1] for word in text.split()))
    told += [
        text.translate(back)
        for back, words in zip(_BACK, _TURNED, strict=True)
        if any(word in folded for word in words)
    ]
    shown = _UNSEEN_BETWEEN.sub("", text)
    if shown != text:
        told.append(shown)
    if _DOTTED.search(text) is not None:
        told.append(_DOTTED.sub(lambda found: re.sub(r"[.|/+*,;~]+", " ", found[0]), text))
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


def _set_apart(word: str) -> str:
    """The words that were glued together, by underscores or by nothing; a word that is one stays."""
    if "_" in word:
        return word.replace("_", " ")
    parts: list[str] = _OF_ORDERS.findall(word)
    return " ".join(parts) if sum(map(len, parts)) == len(word) else word


def _decoded(text: str, deep: int) -> list[str]:
    """The texts that stand in a text, encoded, and in those."""
    told = [*_of_bytes(text)]
    if "=" in text and len(_QUOTED.findall(text)) > 7:
        told.append(_QUOTED.sub(lambda found: chr(int(found[1], 16)), text))
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
    written += coded_in(text)
    told = [raw.decode("utf-8", "replace") for raw in written]
    return [plain for plain in told if plain.isprintable() and "\ufffd" not in plain]
