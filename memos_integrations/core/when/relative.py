"""Expressions that count from now: "yesterday", "last week", "three days ago", "on Friday", "in the past month"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from memos_integrations.core.when.window import (
    DAY,
    Clock,
    Days,
    Grain,
    Mention,
    month_of,
    months_before,
    one_day,
    week_of,
    weekend_of,
    weekly,
    year_of,
)

Rule = tuple[re.Pattern[str], Callable[[Clock, re.Match[str]], Mention | None]]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAY = "|".join(WEEKDAYS)
PARTS = {"morning": (4, 12), "afternoon": (12, 18), "evening": (17, 24), "night": (18, 30)}
"""Local hours of the parts of a day; a night ends in the next morning."""

_SMALL = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_NUMBERS = {word: n for n, word in enumerate((_SMALL + " eighteen nineteen twenty").split(), start=1)}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_VAGUE = {"few": (2, 5), "several": (3, 9)}
COUNT = (
    r"(?:half an?|a dozen|(?:a )?couple(?: of)?|(?:a )?few|several|an?"
    rf"|(?:{'|'.join(_TENS)})[- ](?:{'|'.join(_NUMBERS)})"
    rf"|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}|{'|'.join(_TENS)}|(?<![\d.,:/-])\d{{1,4}})"
)
UNIT = "minute|min|hour|hr|day|week|wk|fortnight|month|year|yr"
_NOT_A_DATE = re.compile(
    r"(?:every|each|any|most|all|black|good|ash|cyber|palm|easter|super|bloody|the|first|second|third"
    r"|fourth) $",
    re.IGNORECASE,
)
_COMPOUND = re.compile(r"(?:years?|months?|weeks?|days?|hours?),?(?: and)? $", re.IGNORECASE)


def spread(count: str) -> tuple[int, int]:
    """The least and the most that a number word means: both 3 for "three", 2 and 5 for "a few"."""
    word = count.lower()
    if word.isdigit():
        return int(word), int(word)
    for vague, bounds in _VAGUE.items():
        if vague in word:
            return bounds
    if "couple" in word:
        return 2, 2
    if word in {"a", "an", "a dozen"}:
        return (12, 12) if "dozen" in word else (1, 1)
    tens, _, ones = word.replace("-", " ").partition(" ")
    value = _NUMBERS[word] if word in _NUMBERS else _TENS[tens] + _NUMBERS.get(ones, 0)
    return value, value


def shifted(day: date, unit: str, count: int) -> Days:
    """The day, week, month or year that lies *count* units before a day (after it, when negative)."""
    if unit == "day":
        return one_day(day - count * DAY)
    if unit in {"week", "fortnight"}:
        return week_of(day - (14 if unit == "fortnight" else 7) * count * DAY)
    if unit == "weekend":
        return weekend_of(day - 7 * count * DAY)
    return month_of(day.year, day.month - count) if unit == "month" else year_of(day.year - count)


def grain_of(unit: str) -> Grain:
    """The grain of a unit's window."""
    grains: dict[str, Grain] = {"day": "day", "week": "week", "fortnight": "week", "month": "month", "year": "year"}
    return grains.get(unit, "range")


def part_of_day(clock: Clock, at: int, to: int, day: date, part: str) -> Mention:
    """The morning, afternoon, evening or night of a local day."""
    first, last = PARTS[part]
    return Mention(at, to, clock.at(day, first), clock.at(day, last), "range", one_day(day))


def _day_word(clock: Clock, match: re.Match[str]) -> Mention:
    shift = {"yesterday": -1, "tomorrow": 1, "day before yesterday": -2, "day after tomorrow": 2}
    return clock.over(*match.span(), one_day(clock.today + shift.get(match["word"].lower(), 0) * DAY), "day")


def _now(clock: Clock, match: re.Match[str]) -> Mention:
    return replace(clock.over(*match.span(), one_day(clock.today), "day"), weak=True)


def _part_of_today(clock: Clock, match: re.Match[str]) -> Mention:
    words = match.group().lower().split()
    day = clock.today - DAY if words[0] == "last" else clock.today
    return part_of_day(clock, *match.span(), day, "night" if words[-1] == "tonight" else words[-1])


def _turn(clock: Clock, match: re.Match[str]) -> Mention | None:
    """This, last or next week, month, year or weekend; "the week before last"."""
    which, unit = (match["which"] or "").lower(), (match["unit"] or match["unit2"]).lower()
    if match["beyond"]:
        return clock.over(
            *match.span(), shifted(clock.today, unit, 2 if match["beyond"].lower() == "last" else -2), grain_of(unit)
        )
    if match["the"] and which not in {"last", "previous", "current", "coming"}:
        return None  # "the next week" in a story is the week after another event
    count = {"last": 1, "previous": 1, "past": 1, "next": -1, "coming": 0 if unit == "weekend" else -1}.get(which, 0)
    return clock.over(*match.span(), shifted(clock.today, unit, count), grain_of(unit))


def _the_weekend(clock: Clock, match: re.Match[str]) -> Mention:
    this = weekend_of(clock.today)
    begun = this[0] <= clock.today
    return clock.over(
        *match.span(), shifted(clock.today, "weekend", 0 if begun or not clock.assume_past else 1), "range"
    )


def _rolling(clock: Clock, match: re.Match[str]) -> Mention | None:
    """What reaches from now, not from the calendar: "in the last three days", "the past week", "next few months"."""
    unit = _unit(match["unit"])
    if match["n"] is None and not (match["prep"] and match["the"]) and match["which"].lower() != "past":
        return None
    _, most = spread(match["n"] or "one")
    ahead = match["which"].lower() in {"next", "coming"}
    if unit in {"minute", "hour"}:
        span = timedelta(**{f"{unit}s": most})
        start, end = (clock.now, clock.moved(span)) if ahead else (clock.moved(-span), clock.moved(_INSTANT))
        return Mention(*match.span(), start, end, "range")
    edge = _same_day(clock.today, unit, -most if ahead else most)
    days = (clock.today, edge + DAY) if ahead else (edge, clock.today + DAY)
    return clock.over(*match.span(), days, "range")


_INSTANT = timedelta(microseconds=1)  # what happens at this very moment lies within "the last hour"


def _same_day(day: date, unit: str, count: int) -> date:
    if unit in {"month", "year"}:
        return months_before(day, count * (12 if unit == "year" else 1))
    return day - count * {"day": 1, "week": 7, "fortnight": 14}[unit] * DAY


def _ago(clock: Clock, match: re.Match[str]) -> Mention | None:
    unit, count = _unit(match["unit"]), match["n"].lower()
    if _COMPOUND.search(match.string[max(0, match.start() - 20) : match.start()]):
        return None  # "two years and three months ago" is not three months ago
    sign = 1 if match["ago"].lower() == "ago" else -1
    if count.startswith("half"):
        finer = {"hour": ("minute", 30), "year": ("month", 6)}.get(unit)
        return _counted(clock, match, finer[0], sign * finer[1], sign * finer[1]) if finer else None
    least, most = spread(count)
    if match["exact"] and least == most and unit not in {"minute", "hour"}:
        return clock.over(*match.span(), one_day(_same_day(clock.today, unit, sign * most)), "day")
    if match["half"] or match["half2"]:
        if unit not in {"hour", "year"} or least != most:
            return None
        each, unit = (60, "minute") if unit == "hour" else (12, "month")
        least = most = least * each + each // 2
    return _counted(clock, match, unit, *sorted((sign * least, sign * most)))


def _counted(clock: Clock, match: re.Match[str], unit: str, least: int, most: int) -> Mention:
    if unit in {"minute", "hour"}:
        slack = timedelta(minutes=30)
        first, last = (clock.moved(-timedelta(**{f"{unit}s": n})) for n in (most, least))
        return Mention(*match.span(), first - slack, last + slack, "hour" if least == most else "range")
    days = shifted(clock.today, unit, most)[0], shifted(clock.today, unit, least)[1]
    return clock.over(*match.span(), days, grain_of(unit) if least == most else "range")


def _unit(word: str) -> str:
    return {"min": "minute", "hr": "hour", "wk": "week", "yr": "year"}.get(word.lower(), word.lower())


def _weekday(clock: Clock, match: re.Match[str]) -> Mention | None:
    index = WEEKDAYS.index(match["day"].lower())
    which = (match["which"] or "").lower().removeprefix("this ")
    if not which and _NOT_A_DATE.search(match.string[max(0, match.start() - 10) : match.start()]):
        return None
    week = (match["week"] or ("this" if which == "this" else "")).lower()
    if week:
        monday = shifted(clock.today, "week", {"last": 1, "next": -1}.get(week, 0))[0]
        return clock.over(*match.span(), one_day(monday + index * DAY), "day")
    ahead = which in {"next", "coming"} or (not which and not clock.assume_past)
    return clock.returning(*match.span(), "day", weekly(index), "next" if ahead else "last")


def _short_weekday(clock: Clock, match: re.Match[str]) -> Mention:
    index = [day[:3] for day in WEEKDAYS].index(match["day"][:3].lower())
    which = match["which"].lower()
    ahead = which == "next" or (which != "last" and not clock.assume_past)
    return clock.returning(*match.span(), "day", weekly(index), "next" if ahead else "last")


def _weekday_of_week(clock: Clock, match: re.Match[str]) -> Mention:
    monday = shifted(clock.today, "week", {"last": 1, "next": -1}.get(match["week"].lower(), 0))[0]
    return clock.over(*match.span(), one_day(monday + WEEKDAYS.index(match["day"].lower()) * DAY), "day")


def rule(pattern: str, meaning: Callable[[Clock, re.Match[str]], Mention | None]) -> Rule:
    """A rule of a pattern, whatever its case, and what a match of it means."""
    return re.compile(pattern, re.IGNORECASE), meaning


RELATIVE: tuple[Rule, ...] = (
    rule(r"\b(?:the )?(?P<word>day before yesterday|day after tomorrow)\b", _day_word),
    rule(r"\b(?P<word>yesterday|today|tomorrow)\b", _day_word),
    rule(r"\bnow\b", _now),
    rule(r"\b(?:tonight|this (?:morning|afternoon|evening|night)|last (?:night|evening))\b", _part_of_today),
    rule(
        r"\b(?P<the>the )?(?:(?P<which>this|last|next|previous|current|coming|past) (?P<unit>week|month|year"
        r"|weekend)(?! (?:of|before|after)\b)"
        r"|(?P<unit2>week|month|year|weekend) (?:before (?=last)|after (?=next))(?P<beyond>last|next))\b",
        _turn,
    ),
    rule(r"\b(?:the|at|on|over) (?:the )?weekend\b(?! (?:before|after|of)\b)", _the_weekend),
    rule(
        r"\b(?:(?P<prep>in|over|during|within|throughout|for) )?(?:(?P<the>the|these|this) )?(?P<which>last|past"
        r"|previous|next|coming) "
        rf"(?:(?P<n>{COUNT}) )?(?P<unit>{UNIT})s?\b(?! of\b)",
        _rolling,
    ),
    rule(
        rf"(?<!\w)(?P<n>{COUNT})(?P<half> and a half)? (?P<unit>{UNIT})s?(?P<half2> and a half)? (?P<ago>ago\b"
        r"|from (?:now|today)\b|hence\b)"
        r"(?P<exact> today\b)?",
        _ago,
    ),
    rule(
        rf"\b(?:(?P<which>this coming|this past|this|last|past|next|coming|previous) )?(?P<day>{WEEKDAY})\b"
        r"(?:,?(?: of)? (?P<week>last|this|next) week\b)?",
        _weekday,
    ),
    (
        re.compile(r"\b(?P<which>[Oo]n|[Ll]ast|[Nn]ext|[Tt]his) (?P<day>Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?"),
        _short_weekday,
    ),
    rule(rf"\b(?P<week>last|this|next) week(?:'s|,)?(?: on)? (?P<day>{WEEKDAY})\b", _weekday_of_week),
)
