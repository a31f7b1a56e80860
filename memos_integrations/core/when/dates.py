"""Expressions that name a date: ISO and numeric dates, "7 May 2023", "in March", "last summer", "in 2022"."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Literal

from memos_integrations.core.when.relative import Rule, rule
from memos_integrations.core.when.window import (
    Clock,
    Days,
    Mention,
    month_of,
    one_day,
    year_of,
    yearly,
)

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL = "january february march april may june july august september october november december"
MONTH = rf"(?:(?:{_FULL.replace(' ', '|')})\b|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?)"
MONTH_NUMBERS = {month: number for number, month in enumerate(_MONTHS, start=1)}
HINTED_BEFORE = ("on", "by", "since", "until", "till", "before", "after", "from", "to")
"""Words after which "the 7th" is a day."""
_PLAIN_MONTHS = frozenset(_FULL.split()) - {"march", "may", "april", "june", "august"}  # the others are verbs or people
_VERBS = frozenset({"march", "may", "mar"})
_NOT_COUNTED = (  # "2000 words", "5 miles", "3 pm": a number of something, not a date
    r"(?! ?(?:%|percent|euros?|dollars?|pounds?|words?|tokens?|characters?|letters?|people|persons|users|times|steps"
    r"|miles|km|kilomet|met(?:er|re)s?|feet|foot|minutes?|mins?|hours?|days?|weeks?|months?|years?|am\b|pm\b|kg"
    r"|calories|pieces|pages|items|lines|rows)\b)"
)
YEAR = rf"(?:[12]\d\d\d|'\d\d)(?!['\w]|[.,:/-]\d){_NOT_COUNTED}"
_NEAR_YEAR = rf"(?:19|20|21)\d\d(?!\w|[.,:/]\d){_NOT_COUNTED}"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?![\d:])"
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth"
    " twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split()
_TO = r"(?: ?- ?| (?:to|and|until|till|through) )"
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)(?![\w:]))?"
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_ALWAYS = frozenset("in during since until till throughout early mid late".split())
_BEFORE_YEAR = _ALWAYS | frozenset("before after from of by year around".split())
_WORD_BEFORE = re.compile(r"([a-z]+)[ -](?:the )?$", re.IGNORECASE)


def zone_of(word: str | None) -> tzinfo | None:
    """The zone that "Z", "UTC", "GMT" or "+02:00" names; None for no word."""
    if not word:
        return None
    if word[0] not in "+-":
        return UTC
    return timezone((1 if word[0] == "+" else -1) * timedelta(hours=int(word[1:3]), minutes=int(word[-2:])))


def hour_from(start: datetime) -> datetime:
    """One real hour later, in the same zone: on the day the clocks change, wall times do not tell."""
    return (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)


def _iso(clock: Clock, match: re.Match[str]) -> Mention | None:
    zone, day = zone_of(match["zone"]), date(int(match["y"]), int(match["m"]), int(match["d"]))
    if match["hour"] is None:
        return clock.over(*match.span(), one_day(day), "day", zone)
    if int(match["hour"]) > 24 or int(match["minute"]) > 59:
        return None
    start = clock.at(day, int(match["hour"]), 0, zone)
    return Mention(*match.span(), start, hour_from(start), "hour")


def _iso_month(clock: Clock, match: re.Match[str]) -> Mention:
    return clock.over(*match.span(), month_of(int(match["y"]), int(match["m"])), "month")


def _numeric(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A date in digits, unless day and month could be swapped."""
    first, second, third = int(match["a"]), int(match["b"]), int(match["c"])
    if len(match["a"]) == 4:
        day = date(first, second, third)
    elif len(match["c"]) != 4:
        return None
    elif match["sep"] == "." or first > 12 or first == second:
        day = date(third, second, first)
    elif second > 12:
        day = date(third, first, second)
    else:
        return None
    return clock.over(*match.span(), one_day(day), "day", zone_of(match["zone"]))


def _worded(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A month with a day or two: "7 May 2023", "May 7th", "the second of May", "between 3 and 7 May"."""
    found = match.groupdict()
    first = _day_number(found["d1"])
    last = _day_number(found["d2"]) if found.get("d2") else first
    month, year = _month_number(found["month"]), found["year"]
    if _is_verb(match) or last < first or (found.get("to") and "and" in found["to"] and not found["pre"]):
        return None

    def period(in_year: int) -> Days | None:
        try:
            return date(in_year, month, first), one_day(date(in_year, month, last))[1]
        except ValueError:
            return None  # 29 February in most years, 31 April in all

    grain: Literal["day", "range"] = "day" if first == last else "range"
    if year is None:
        return clock.returning(*match.span(), grain, yearly(period, reach=8), "")
    days = period(year_in(year))
    return clock.over(*match.span(), days, grain, zone_of(found["zone"])) if days else None


def _is_verb(match: re.Match[str]) -> bool:
    """Whether "may" or "march" in small letters beside a number is more likely the verb: "2 may be enough"."""
    month, head = match["month"], match.string[max(0, match.start() - 8) : match.start()]
    if match["year"] or month[0].isupper() or month.lower() not in _VERBS or re.search(r"\bon (?:the )?$", head, re.I):
        return False
    of = match.groupdict().get("of")
    return not of and not (match.start("d1") > match.start("month") and match["d1"][-1].isalpha())


def _day_number(word: str) -> int:
    return _ORDINALS.index(word.lower()) + 1 if word.lower() in _ORDINALS else int(re.sub(r"\D", "", word))


def _month_number(word: str) -> int:
    return MONTH_NUMBERS[word[:3].lower()]


def year_in(word: str) -> int:
    """The year that "2023", "'23" or "23" means: of this century up to 50, else of the last."""
    digits = int(word.lstrip("'"))
    return digits if digits >= 100 else digits + (2000 if digits <= 50 else 1900)


def _month_of_year(clock: Clock, match: re.Match[str]) -> Mention:
    return clock.over(*match.span(), month_of(year_in(match["year"]), _month_number(match["month"])), "month")


def _month(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A month without a year. Names that are also verbs or people need a word that makes them a month."""
    number = _month_number(match["month"])
    which = (match["which"] or "").lower().split(" ")[-1]
    if match["owner"] and match["month"].lower() not in _PLAIN_MONTHS:
        return None
    if which == "this":
        mention = clock.over(*match.span(), month_of(clock.today.year, number), "month")
    else:
        which = {"past": "last", "previous": "last", "coming": "next"}.get(which, which)
        near = yearly(lambda year: month_of(year, number))
        mention = clock.returning(*match.span(), "month", near, which)
    return replace(mention, weak=not _is_surely_month(match))


def _is_surely_month(match: re.Match[str]) -> bool:
    name, before = match["month"].lower(), word_before(match)
    if name in _PLAIN_MONTHS:
        return before not in {"every", "each", "any"}
    is_capital = match["month"][0].isupper() and not match["month"].isupper()
    if match["which"]:
        return is_capital
    if before in _ALWAYS:
        return True
    is_person = name in {"april", "may", "june", "august"}
    return is_capital and (before in {"before", "after"} or (before in {"of", "from"} and not is_person))


def word_before(match: re.Match[str]) -> str:
    """The word before a match, in small letters, past a "the"."""
    found = _WORD_BEFORE.search(match.string, max(0, match.start() - 16), match.start())
    return found[1].lower() if found else ""


def _season(clock: Clock, match: re.Match[str]) -> Mention | None:
    first = _SEASONS[match["season"].lower()]

    def period(year: int) -> Days:
        return month_of(year, first)[0], month_of(year, first + 3)[0]

    which = (match["which"] or "").lower()
    if match["year"]:
        return clock.over(*match.span(), period(year_in(match["year"])), "range")
    if match["relative"]:
        shift = {"last": -1, "next": 1}.get(match["relative"].split()[0].lower(), 0)
        return clock.over(*match.span(), period(clock.today.year + shift), "range")
    if which == "this":
        nearest = next(days for days in yearly(period)(clock.today) if days[1] > date(clock.today.year, 1, 1))
        is_over = nearest[1] <= clock.today and first == 12
        return clock.over(*match.span(), period(clock.today.year) if is_over else nearest, "range")
    if not which and word_before(match) not in _ALWAYS | {"before", "after", "over"}:
        return None
    which = {"past": "last", "previous": "last", "coming": "next"}.get(which, which)
    return clock.returning(*match.span(), "range", yearly(period), which)


def _year(clock: Clock, match: re.Match[str]) -> Mention:
    mention = clock.over(*match.span(), year_of(int(match["year"])), "year")
    return replace(mention, weak=word_before(match) not in _BEFORE_YEAR)


def _years(clock: Clock, match: re.Match[str]) -> Mention | None:
    needs = {"and": "between", "to": "from"}.get(match["to"].strip().lower())
    first, last = int(match["a"]), int(match["b"])
    if first > last or (needs and (match["pre"] or "").strip().lower() not in {needs, "between"}):
        return None
    return clock.over(*match.span(), (year_of(first)[0], year_of(last)[1]), "range")


_ORDINAL = "|".join(sorted(_ORDINALS, key=len, reverse=True))
_PRE = r"(?P<pre>\b(?:between|from) (?:the )?)?"
_OF_YEAR = rf"(?:,? (?:of )?(?P<year>{YEAR}))?{_ZONE}"
_WHICH = r"(?:(?P<which>this past|this coming|last|this|next|past|previous|coming) )?"

DATES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w-])(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)"
        rf"(?:(?:T| (?:at )?)(?P<hour>\d\d):(?P<minute>\d\d)(?::\d\d(?:[.,]\d{{1,9}})?)?)?{_ZONE}(?!\d)",
        _iso,
    ),
    rule(r"(?<![\w-])(?P<y>[12]\d\d\d)-(?P<m>0[1-9]|1[0-2])(?![\w-])", _iso_month),
    rule(rf"(?<![\w./-])(?P<a>\d{{1,4}})(?P<sep>[./-])(?P<b>\d\d?)(?P=sep)(?P<c>\d{{1,4}})(?![\w/-]){_ZONE}", _numeric),
    rule(
        rf"{_PRE}(?<![\w.,:/-])(?:(?P<d1>{_DAY})(?P<to>{_TO}))(?P<d2>{_DAY})(?P<of> of)? (?P<month>{MONTH}){_OF_YEAR}",
        _worded,
    ),
    rule(rf"{_PRE}\b(?P<month>{MONTH}) (?P<d1>{_DAY})(?P<to>{_TO})(?P<d2>{_DAY}){_NOT_COUNTED}{_OF_YEAR}", _worded),
    rule(rf"(?<![\w.,:/-])(?P<d1>{_DAY})(?P<of> of)? (?P<month>{MONTH}){_OF_YEAR}", _worded),
    rule(
        rf"(?<![\w.,:/-])(?P<d1>{_DAY}) (?P<month>{MONTH}) (?P<year>\d\d)(?P<zone>)(?=[.,;:!?)](?!\d)|$)",
        _worded,
    ),
    rule(rf"\b(?P<d1>{_ORDINAL})(?P<of> of) (?P<month>{MONTH}){_OF_YEAR}", _worded),
    rule(rf"\b(?P<month>{MONTH}) (?:the )?(?P<d1>{_DAY}){_NOT_COUNTED}{_OF_YEAR}", _worded),
    rule(rf"\b(?P<month>{MONTH}),?(?: of)? (?P<year>{YEAR})", _month_of_year),
    rule(rf"\b{_WHICH}(?P<month>{MONTH})(?P<owner>'s)?", _month),
    rule(
        rf"\b{_WHICH}(?P<season>{'|'.join(_SEASONS)})\b"
        rf"(?:(?: of|,)? (?:(?P<year>{YEAR})|(?P<relative>(?:last|this|next) year)\b)|(?! of\b))",
        _season,
    ),
    rule(rf"{_PRE}(?<![\w$€£.,:/#-])(?P<a>{_NEAR_YEAR})(?P<to>{_TO})(?P<b>{_NEAR_YEAR})(?!-)", _years),
    rule(rf"(?<![\w$€£.,:/#])(?<!\d-)(?P<year>{_NEAR_YEAR})(?!-\d)", _year),
)
