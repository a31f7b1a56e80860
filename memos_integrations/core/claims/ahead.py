"""Whether a statement is about what will be, and so leaves what holds now alone. Pure."""

from __future__ import annotations

import re
from datetime import datetime

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar enero janvier",
            "february februar febrero février",
            "march märz marzo mars",
            "april abril avril",
            "may mai mayo",
            "june juni junio juin",
            "july juli julio juillet",
            "august agosto août",
            "september septiembre septembre",
            "october oktober octubre octobre",
            "november noviembre novembre",
            "december dezember diciembre décembre",
        ),
        1,
    )
    for name in names.split()
}
_DAYS = (
    "(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag"
    "|lunes|martes|miércoles|jueves|viernes|lundi|mardi|mercredi|jeudi|vendredi"
)
_FROM = (
    r"(?:from|as of|as from|starting(?: from| on| in)?|beginning(?: on| in)?|effective(?: from| as of)?"
    r"|ab(?: dem)?|a partir del?|à partir d[eu]|desde(?: el)?|dès)"
)
_COUNT = r"(?:an?|one|two|three|four|five|six|\d+|a few|a couple of)"

_WILL_BE = re.compile(
    r"(?:\bwill|'ll) (?:then |soon |also )?(?:be(?:come)?|have)\b(?! from now\b)|\b(?:is|am|are|'m|'re|'s) "
    r"(?:(?:going|about|due|set) to (?:be|become)\b|(?:moving|joining|starting|switching|changing|becoming|leaving)\b"
    r"(?=.* (?:in|on|next|from|tomorrow|soon)\b))"
    r"|\b(?:wird|werden|werde) .*\b(?:sein|haben|heißen|arbeiten|wohnen|leben)\b|\b(?:será|serán|sera|seront)\b",
    re.IGNORECASE,
)
_LATER = re.compile(
    rf"\b{_FROM} (?:(?:the )?(?:next|coming)\b|tomorrow\b|(?:nächst|kommend)\w*\b|morgen\b|mañana\b|demain\b"
    rf"|(?:la |el )?próxim\w+|(?:this )?(?:{_DAYS})\b)"
    rf"|\btomorrow,|\bnext (?:week|month|year|spring|summer|autumn|fall|winter|(?:{_DAYS}))\b"
    rf"|\bin {_COUNT} (?:day|week|month|year)s?\b|\bin (?:\w+ )?(?:tagen|wochen|monaten|jahren)\b"
    rf"|\b(?:dentro de|en|dans) \w+ (?:días|semanas|meses|años|jours|semaines|mois|ans)\b"
    rf"|\b(?:starts?|begins?|joins?)\b[^.;]* (?:on (?:{_DAYS})|tomorrow)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b(?:{_FROM}|in|on) (?:(?:the )?\d{{1,2}}(?:st|nd|rd|th|\.)?(?: of| de)? )?({'|'.join(_MONTHS)})\b"
    r"(?:,? (?:the )?\d{1,2}(?:st|nd|rd|th)?\b)?(?:,? (?:de )?(\d{4}))?",
    re.IGNORECASE,
)
_ALREADY = re.compile(
    r"\b(?:since|ago|last|already|was|were|had|did|became|moved|joined|started|switched|changed|left|began|seit|letzt\w*"
    r"|desde hace|depuis|from now on|as of now|now)\b",
    re.IGNORECASE,
)
_HALF_A_YEAR = 6


def is_ahead(sentence: str, told_at: datetime) -> bool:
    """Whether a sentence says what will be, later than when it was told: "will be", "from July", "in two years".

    A month without a year is the coming one where it is less than half a year off, or the sentence says "will".
    """
    if _ALREADY.search(sentence):
        return False
    if _WILL_BE.search(sentence) or _LATER.search(sentence):
        return True
    return any(_is_to_come(found[1], found[2], told_at) for found in _NAMED.finditer(sentence))


def _is_to_come(month: str, year: str | None, told_at: datetime) -> bool:
    number = _MONTHS[month.casefold()]
    if year:
        return (int(year), number) > (told_at.year, told_at.month)
    return 0 < (number - told_at.month) % 12 <= _HALF_A_YEAR
