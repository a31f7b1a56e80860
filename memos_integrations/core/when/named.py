"""Times named by what returns or is counted off: feasts, quarters, decades, "the first Monday of May"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from memos_integrations.core.when.dates import HINTED_BEFORE, MONTH, MONTH_NUMBERS, YEAR, word_before, year_in
from memos_integrations.core.when.relative import COUNT, WEEKDAY, WEEKDAYS, Rule, rule, shifted, spread
from memos_integrations.core.when.window import (
    DAY,
    Clock,
    Days,
    Grain,
    Mention,
    month_of,
    one_day,
    week_of,
    weekend_of,
    weekly,
    year_of,
    yearly,
)

_BEFORE_FEAST = frozenset("at on over during throughout since until till before after by around from between".split())
_BEFORE_QUARTER = _BEFORE_FEAST | {"in", "for"}
_ORDER = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
    "nineties": 90,
}  # fmt: skip


def easter(year: int) -> date:
    """Easter Sunday in the Gregorian calendar (the anonymous algorithm of 1876, Meeus 1991, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    r = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * r) // 451
    month, day = divmod(h + r - 7 * m + 114, 31)
    return date(year, month, day + 1)


def _fourth_thursday(year: int) -> date:
    first = date(year, 11, 1)
    return first + ((3 - first.weekday()) % 7 + 21) * DAY


_FEASTS: dict[str, Callable[[int], Days]] = {
    "christmas eve": lambda year: one_day(date(year, 12, 24)),
    "christmas day": lambda year: one_day(date(year, 12, 25)),
    "christmas": lambda year: (date(year, 12, 24), date(year, 12, 27)),
    "boxing day": lambda year: one_day(date(year, 12, 26)),
    "new year's eve": lambda year: one_day(date(year, 12, 31)),
    "new year's day": lambda year: one_day(date(year, 1, 1)),
    "new year": lambda year: (date(year - 1, 12, 31), date(year, 1, 2)),
    "valentine's day": lambda year: one_day(date(year, 2, 14)),
    "halloween": lambda year: one_day(date(year, 10, 31)),
    "good friday": lambda year: one_day(easter(year) - 2 * DAY),
    "easter sunday": lambda year: one_day(easter(year)),
    "easter monday": lambda year: one_day(easter(year) + DAY),
    "easter": lambda year: (easter(year) - 2 * DAY, easter(year) + 2 * DAY),
    "thanksgiving": lambda year: one_day(_fourth_thursday(year)),
}
"""Feasts that a calendar tells, longest names first; Thanksgiving is the American one."""


def _feast(clock: Clock, match: re.Match[str]) -> Mention:
    """A feast. Without "last", "at" or the like before it, it is what people wish for, and no time."""
    period = _FEASTS[match["feast"].lower()]
    if match["year"]:
        return clock.over(*match.span(), period(year_in(match["year"])), "range")
    which = {"past": "last", "coming": "next"}.get((match["which"] or "").lower(), (match["which"] or "").lower())
    if which == "this":
        return clock.over(*match.span(), period(clock.today.year), "range")
    days = period(clock.today.year)
    mention = clock.returning(*match.span(), "day" if days[1] - days[0] == DAY else "range", yearly(period), which)
    return replace(mention, weak=not which and word_before(match) not in _BEFORE_FEAST)


def _quarter(clock: Clock, match: re.Match[str]) -> Mention | None:
    number = match["q"] or str(_ORDER.get((match["nth"] or "").lower(), ""))
    if match["which"]:
        this = (clock.today.month - 1) // 3 * 3 + 1
        shift = {"last": -3, "previous": -3, "next": 3, "coming": 3}.get(match["which"].lower(), 0)
        return clock.over(*match.span(), _months(clock.today.year, this + shift, 3), "range")
    if number not in {"1", "2", "3", "4"}:
        return None
    first = 3 * int(number) - 2
    if match["year"]:
        return clock.over(*match.span(), _months(year_in(match["year"]), first, 3), "range")
    mention = clock.returning(*match.span(), "range", yearly(lambda year: _months(year, first, 3)), "")
    return replace(mention, weak=word_before(match) not in _BEFORE_QUARTER)


def _half(clock: Clock, match: re.Match[str]) -> Mention:
    whole = year_of(year_in(match["year"])) if match["year"] else shifted(clock.today, "year", _turns(match["turn"]))
    first = 1 if match["nth"].lower() == "first" else 7
    return clock.over(*match.span(), _months(whole[0].year, first, 6), "range")


def _decade(clock: Clock, match: re.Match[str]) -> Mention:
    if match["tens"]:
        first = 1900 + _DECADES[match["tens"].lower()]
    elif match["short"]:
        first = (2000 if match["short"] in {"00", "10"} else 1900) + int(match["short"])
    else:
        first = int(match["full"])
    return clock.over(*match.span(), (date(first, 1, 1), date(first + 10, 1, 1)), "range")


def _counted_off(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A day or week of a month by its number: "the first Monday of May 2023", "the last week of last month"."""
    order, unit = _ORDER[match["nth"].lower()], match["unit"].lower()

    def within(month: Days) -> Days | None:
        if unit == "week":
            return (
                (month[1] - 7 * DAY, month[1])
                if order < 0
                else (month[0] + (order - 1) * 7 * DAY, month[0] + order * 7 * DAY)
            )
        if unit == "day":
            return one_day(month[1] - DAY if order < 0 else month[0] + (order - 1) * DAY)
        wanted = 5 if unit == "weekend" else WEEKDAYS.index(unit)
        first = month[0] + (wanted - month[0].weekday()) % 7 * DAY
        last = first + (month[1] - DAY - first).days // 7 * 7 * DAY
        day = last if order < 0 else first + (order - 1) * 7 * DAY
        return None if day >= month[1] else weekend_of(day) if unit == "weekend" else one_day(day)

    grain: Grain = "week" if unit == "week" else "range" if unit == "weekend" else "day"
    if match["month"] is None or match["year"]:
        month = (
            month_of(year_in(match["year"]), MONTH_NUMBERS[match["month"][:3].lower()])
            if match["month"]
            else shifted(clock.today, "month", _turns(match["turn"]))
        )
        days = within(month)
        return clock.over(*match.span(), days, grain) if days else None
    number = MONTH_NUMBERS[match["month"][:3].lower()]
    return clock.returning(*match.span(), grain, yearly(lambda year: within(month_of(year, number))), "")


def _ago(clock: Clock, match: re.Match[str]) -> Mention | None:
    """Weekends, nights, days of the week, seasons and decades, counted back from now: "two Fridays ago"."""
    unit = match["unit"].lower()
    least, most = spread(match["n"])
    if unit in _SEASONS and least == most:
        near = [_months(year, _SEASONS[unit], 3) for year in range(clock.today.year - most - 1, clock.today.year + 1)]
        return clock.over(*match.span(), [days for days in near if days[1] <= clock.today][-most], "range")
    if unit == "decade":
        days = shifted(clock.today, "year", 10 * most)[0], shifted(clock.today, "year", 10 * least)[1]
    elif unit == "night" or unit in WEEKDAYS:
        back = weekly(WEEKDAYS.index(unit)) if unit in WEEKDAYS else None
        last = [days for days in back(clock.today) if days[1] <= clock.today][-1][0] if back else clock.today - DAY
        step = 7 if back else 1
        days = last - (most - 1) * step * DAY, last - ((least - 1) * step - 1) * DAY
    else:
        last_end = [end for end in weekends_over(clock.today) if end <= clock.today][-1]
        days = last_end - (7 * (most - 1) + 2) * DAY, last_end - 7 * (least - 1) * DAY
    return clock.over(*match.span(), days, "day" if days[1] - days[0] == DAY else "range")


def weekends_over(day: date) -> list[date]:
    """The days after the weekends around a day, in order."""
    return [weekend_of(day + 7 * weeks * DAY)[1] for weeks in (-1, 0)]


def _weekday_ago(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A day of the week some weeks ago: "Thursday two weeks ago", "two weeks ago on Thursday"."""
    least, most = spread(match["n"] or match["n2"])
    if least != most:
        return None
    monday = week_of(clock.today - 7 * most * DAY)[0]
    return clock.over(
        *match.span(), one_day(monday + WEEKDAYS.index((match["day"] or match["day2"]).lower()) * DAY), "day"
    )


def _before_last(clock: Clock, match: re.Match[str]) -> Mention:
    """The one before the last: "the Friday before last", "the night before last"."""
    if match["day"].lower() == "night":
        return clock.over(*match.span(), one_day(clock.today - 2 * DAY), "day")
    over = [days for days in weekly(WEEKDAYS.index(match["day"].lower()))(clock.today) if days[1] <= clock.today]
    return clock.over(*match.span(), one_day(over[-1][0] - 7 * DAY), "day")


def _day_of_month(clock: Clock, match: re.Match[str]) -> Mention | None:
    """A day of a month that is not named ("on the 7th"), or only as last, this or next month."""
    number = int(match["d"])

    def of(month: Days) -> Days | None:
        day = month[0] + (number - 1) * DAY
        return one_day(day) if day < month[1] else None

    if match["turn"]:
        days = of(shifted(clock.today, "month", _turns(match["turn"])))
        return clock.over(*match.span(), days, "day") if days else None

    def near(day: date) -> list[Days]:
        months = (of(month_of(day.year, day.month + shift)) for shift in range(-3, 4))
        return [days for days in months if days is not None]

    return clock.returning(*match.span(), "day", near, "")


def _months(year: int, first: int, count: int) -> Days:
    return month_of(year, first)[0], month_of(year, first + count)[0]


def _turns(word: str) -> int:
    return {"last": 1, "previous": 1, "next": -1, "coming": -1}.get(word.lower().split()[0], 0)


_TURN = r"(?P<turn>(?:last|this|next) {})\b"
_BEHIND = "|".join(rf"(?<=[{word[0]}{word[0].upper()}]{word[1:]} )" for word in HINTED_BEFORE)
_NO_NOUN = r"(?=[.,;:!?)]|$| (?:and|or|at|to|until|in the (?:morning|afternoon|evening))\b)"
_NTH = rf"(?P<nth>{'|'.join(_ORDER)})"

NAMED: tuple[Rule, ...] = (
    rule(
        r"\b(?:(?P<which>last|this|next|past|coming) )?"
        rf"(?P<feast>{'|'.join(_FEASTS)})\b"
        r"(?!'s|-| (?:cards?|cakes?|trees?|gifts?|presents?|eggs?|carols?|songs?|part(?:y|ies)|costumes?)\b)"
        rf"(?:,?(?: of)? (?P<year>{YEAR}))?",
        _feast,
    ),
    rule(
        r"\b(?:(?P<which>last|this|previous|next|coming) quarter\b(?! of\b)|Q(?P<q>[1-4])\b"
        rf"|the {_NTH} quarter\b(?= of {YEAR}))"
        rf"(?:,? (?:of )?(?P<year>{YEAR}))?",
        _quarter,
    ),
    rule(rf"\b(?:the )?(?P<nth>first|second) half of (?:(?P<year>{YEAR})|{_TURN.format('year')})", _half),
    rule(
        rf"(?<!\w)(?:(?:the )?(?P<full>(?:19|20)\d0)'?s|the '(?P<short>\d0)s|the (?P<tens>{'|'.join(_DECADES)}))(?!\w)",
        _decade,
    ),
    rule(
        rf"\b(?:the )?{_NTH} (?P<unit>day|week|weekend|{WEEKDAY}) (?:of|in) "
        rf"(?:(?P<month>{MONTH})(?:,? (?:of )?(?P<year>{YEAR}))?|{_TURN.format('month')})",
        _counted_off,
    ),
    rule(rf"(?<!\w)(?P<n>{COUNT}) (?P<unit>weekend|night|decade|{'|'.join(_SEASONS)}|{WEEKDAY})s? ago\b", _ago),
    rule(
        rf"\b(?:(?P<day>{WEEKDAY}),? (?P<n>{COUNT}) weeks? ago"
        rf"|(?P<n2>{COUNT}) weeks? ago,?(?: on)? (?P<day2>{WEEKDAY}))\b",
        _weekday_ago,
    ),
    rule(rf"\b(?:the )?(?P<day>{WEEKDAY}|night) before last\b", _before_last),
    rule(
        rf"(?:{_BEHIND}|(?<=day )|(?<=day, ))the (?P<d>[1-9]|[12]\d|3[01])(?:st|nd|rd|th)\b"
        rf"(?: of {_TURN.format('month')}|{_NO_NOUN})",
        _day_of_month,
    ),
)
