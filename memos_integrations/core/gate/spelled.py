"""Numbers that are spelled out digit by digit, as people say them: four five double three nine. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

FEWEST = 7
"""So many digits at least make a number that could be somebody's."""

_DIGITS = {
    word: str(digit)
    for digit, words in enumerate(
        (
            "zero oh o nought null nul cero zéro",
            "one eins un uno um een één",
            "two zwei zwo deux dos due dois twee",
            "three drei trois tres tre três drie",
            "four vier quatre cuatro quattro quatro",
            "five fünf fuenf cinq cinco cinque vijf",
            "six sechs seis sei zes",
            "seven sieben sept siete sette sete zeven",
            "eight acht huit ocho otto oito",
            "nine neun neuf nueve nove negen",
        )
    )
    for word in words.split()
}
"""English, German, French, Spanish, Italian, Portuguese, Dutch."""

_TIMES = {"double": 2, "triple": 3}
_WORD = "|".join(sorted(_DIGITS, key=len, reverse=True))
_ONE = rf"(?:(?:double|triple)[ -])?(?:{_WORD}|\d)"
_RUN = re.compile(rf"(?<!\w){_ONE}(?:[\s,.\u2026\u2013-]{{1,3}}{_ONE}){{3,}}(?!\w)", re.IGNORECASE)
_PART = re.compile(rf"(?:(double|triple)[ -])?({_WORD}|\d)(?!\w)", re.IGNORECASE)
_HINT = re.compile(
    rf"(?<!\w)(?:{_WORD})[\s,.\u2026\u2013-]{{1,3}}(?:(?:double|triple)[ -])?(?:{_WORD})(?!\w)", re.IGNORECASE
)
_COUNTED = ("0123456789", "1234567890", "9876543210")


def is_spelled(text: str) -> bool:
    """Whether two digits stand in words beside each other: a cheap look before a closer one."""
    return _HINT.search(text) is not None


def spelled_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Where numbers are spelled out, and their digits; who only counts says none."""
    for found in _RUN.finditer(text) if is_spelled(text) else ():
        parts = _PART.findall(found[0])
        digits = "".join(_DIGITS.get(said.casefold(), said) * _TIMES.get(times.casefold(), 1) for times, said in parts)
        in_words = sum(not said.isdigit() for _, said in parts)
        if len(digits) >= FEWEST and in_words > 3 and not any(digits in counted for counted in _COUNTED):
            yield *found.span(), digits
