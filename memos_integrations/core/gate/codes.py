"""What base32, bits, numbers of letters, Morse's dots and dashes, and Braille spell."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress

_BASE32 = re.compile(r"(?<![A-Z2-7=])[A-Z2-7]{24,8000}={0,6}(?![A-Z2-7=])")
_ASCII85 = re.compile(r"<~([!-uz\s]{16,8000})~>")
_BITS = re.compile(r"(?<![\w.])[01]{7,8}(?:[\s,_-]{0,2}[01]{7,8}){5,4000}(?![\w.])")
_NUMBERS = re.compile(r"(?<![\w.,])\d{2,3}(?:[ ,;\-\t\n]{1,2}\d{2,3}){9,4000}(?![\w.])")
_HEX_NUMBERS = re.compile(r"(?:(?:0x|U\+)[0-9A-Fa-f]{2,5}[\s,;]{0,2}){8,4000}")
_OCTAL = re.compile(r"(?:\\[0-7]{3}){8,4000}")
_NUMBERS_HINT = re.compile(r"(?:\d{2,3}[ ,;\-\t\n]{1,2}){6}")
_MORSE = re.compile(r"(?<![\w.-])[.\u00b7-]{1,6}(?:[ /|]{1,3}[.\u00b7-]{1,6}){11,4000}(?![\w-])")
_MORSE_SIGNS = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
)
_MORSE_LETTERS = dict(
    zip(
        _MORSE_SIGNS.split(),
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
)
_BRAILLE = re.compile("[\u2800-\u28ff]{2}")
_BRAILLE_LETTERS = {0x2800: " "} | {
    0x2800 + dots: letter
    for dots, letter in zip(
        (1, 3, 9, 25, 17, 11, 27, 19, 10, 26, 5, 7, 13, 29, 21, 15, 31, 23, 14, 30, 37, 39, 58, 45, 61, 53),
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
}
_MOST = 16
"""So many of each are looked at in one text."""


def coded_in(text: str) -> Iterator[bytes]:
    """What stands in codes in a text; what does not spell anything comes as it is."""
    for found in _BASE32.findall(text)[:_MOST]:
        bare = found.rstrip("=")
        with suppress(binascii.Error):
            yield base64.b32decode(bare + "=" * (-len(bare) % 8))
    for found in _ASCII85.findall(text)[:_MOST] if "<~" in text else ():
        with suppress(ValueError):
            yield base64.a85decode(found)
    for found in _HEX_NUMBERS.findall(text)[:_MOST] if "0x" in text or "U+" in text else ():
        with suppress(ValueError):
            yield bytes(int(number, 16) for number in re.findall(r"[x+]([0-9A-Fa-f]+)", found))
    for found in _OCTAL.findall(text)[:_MOST] if "\\" in text else ():
        with suppress(ValueError):
            yield bytes(int(number, 8) for number in re.findall(r"[0-7]{3}", found))
    if "0" in text and "1" in text:
        yield from map(_of_bits, _BITS.findall(text)[:_MOST])
    if _NUMBERS_HINT.search(text) is not None:
        yield from _of_numbers(text)
    if " -" in text or " ." in text or " \u00b7" in text:
        for found in _MORSE.findall(text)[:_MOST]:
            words = re.split(r" {2,3}| ?[/|] ?", found.replace("\u00b7", "."))
            yield " ".join("".join(_MORSE_LETTERS.get(sign, "?") for sign in word.split()) for word in words).encode()
    if _BRAILLE.search(text) is not None:
        yield text.translate(_BRAILLE_LETTERS).encode("utf-8", "replace")


def _of_bits(written: str) -> bytes:
    """Groups of seven or eight bits, or all of them in rows of eight."""
    groups = re.findall(r"[01]+", written)
    if len(groups) > 1 and all(len(group) == len(groups[0]) for group in groups):
        return bytes(int(group, 2) & 0xFF for group in groups)
    joined = "".join(groups)
    return bytes(int(joined[at : at + 8], 2) for at in range(0, len(joined) - 7, 8))


def _of_numbers(text: str) -> Iterator[bytes]:
    for found in _NUMBERS.findall(text)[:_MOST]:
        for base in (10, 8):
            with suppress(ValueError):  # an eight to the base of eight, or what is no byte
                yield bytes(int(number, base) for number in re.findall(r"\d+", found))
