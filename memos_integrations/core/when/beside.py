"""Words beside an expression that narrow or turn it: "at 3 pm", "early", "since", "the week before"."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from memos_integrations.core.when.dates import hour_from, zone_of
from memos_integrations.core.when.relative import COUNT, WEEKDAY, WEEKDAYS, part_of_day, spread
from memos_integrations.core.when.window import (
    DAY,
    EARLIEST,
    LATEST,
    Clock,
    Days,
    Mention,
    months_before,
    one_day,
    week_of,
    weekend_of,
    weekly,
)

_PART_OF = re.compile(
    r"(?:\b(?:the )?(early|mid|late|beginning of|start of|middle of|end of)|\b(earlier|later))(?: "
    r"|-)(?:in )?(?:the )?$",
    re.IGNORECASE,
)
_RELATION = re.compile(
    r"\b(since|before|prior to|after|until|till|up to) (?:the )?(?:(?:about|around|on) )?$",
    re.IGNORECASE,
)
_SHIFTED = re.compile(
    rf"(?:\b(?P<n>{COUNT}) (?P<units>day|week|month|year)s?|\bthe (?P<one>day|night|week|weekend|month|year|{WEEKDAY}))"
    r" (?P<way>before|after) (?:the )?$|\bthe (?P<of>week|weekend) of (?:the )?$"
    r"|\b(?:the )?(?P<from>week) (?:commencing|beginning|starting) (?:on )?(?:the )?$",
    re.IGNORECASE,
)
_CLOCK = (
    r"(?:(?P<h>\d{1,2})(?::[0-5]\d)? ?(?P<half>[ap])\.?m\b\.?|(?P<h24>[01]?\d|2[0-3]):[0-5]\d|(?P<word>noon|midnight))"
    r"(?: ?(?P<zone>UTC|GMT|Z)\b)?"
)
_CLOCK_AFTER = re.compile(rf",? (?:(?:at|around|about|by) )?{_CLOCK}(?![\w:])", re.IGNORECASE)
_CLOCK_BEFORE = re.compile(rf"(?<![\w:.])(?:at )?{_CLOCK},? (?:on )?$", re.IGNORECASE)
_PART_AFTER = re.compile(r",?(?: in the)? (morning|afternoon|evening|night)\b", re.IGNORECASE)
_PART_BEFORE = re.compile(r"\b(?:in |on )?the (morning|afternoon|evening|night) (?:of|on) (?:the )?$", re.IGNORECASE)


def refined(text: str, clock: Clock, mention: Mention) -> Mention:
    """The mention narrowed to an hour, a part of the day, or the early, middle or late part of a longer span."""
    if mention.days is None:
        return mention
    head = text[max(0, mention.at - 40) : mention.at]
    try:
        if mention.grain == "day":
            return _at_clock(text, head, clock, mention, mention.days) or _in_part(
                text, head, clock, mention, mention.days
            )
        return _third(head, clock, mention, mention.days)
    except (ValueError, OverflowError, IndexError, StopIteration):
        return mention


def related(text: str, clock: Clock, mention: Mention) -> Mention:
    """The mention turned into what "since", "before", "after", "until" or "two days before" make of it."""
    head = text[max(0, mention.at - 60) : mention.at]
    try:
        shifted = _SHIFTED.search(head)
        if shifted is not None:
            return _shifted(shifted, mention.at - len(head) + shifted.start(), clock, mention) or mention
        relation = _RELATION.search(head)
        if relation is None:
            return mention
        tonight = clock.midnight(clock.today + DAY)
        now_on = tonight if mention.start < tonight else LATEST
        start, end = {
            "since": (mention.start, now_on),
            "after": (mention.end, now_on if mention.end < now_on else LATEST),
            "before": (EARLIEST, mention.start),
            "prior to": (EARLIEST, mention.start),
        }.get(relation[1].lower(), (EARLIEST, mention.end))
    except (ValueError, OverflowError, IndexError, StopIteration):
        return mention
    return Mention(mention.at - len(head) + relation.start(), mention.to, start, end, "range")


def _at_clock(text: str, head: str, clock: Clock, mention: Mention, days: Days) -> Mention | None:
    behind, ahead = _CLOCK_AFTER.match(text, mention.to, mention.to + 40), _CLOCK_BEFORE.search(head)
    match = behind or ahead
    if match is None:
        return None
    at, to = (mention.at, behind.end()) if behind else (mention.at - len(head) + match.start(), mention.to)
    hour = {"noon": 12, "midnight": 0}.get((match["word"] or "").lower(), int(match["h24"] or match["h"] or 0))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"].lower() == "p" else 0)
    start = clock.at(days[0], hour, zone=zone_of(match["zone"]) or mention.start.tzinfo)
    return Mention(at, to, start, hour_from(start), "hour")


def _in_part(text: str, head: str, clock: Clock, mention: Mention, days: Days) -> Mention:
    behind, ahead = _PART_AFTER.match(text, mention.to, mention.to + 20), _PART_BEFORE.search(head)
    match = behind or ahead
    if match is None:
        return mention
    at, to = (mention.at, behind.end()) if behind else (mention.at - len(head) + match.start(), mention.to)
    return part_of_day(clock, at, to, days[0], match[1].lower())


def _third(head: str, clock: Clock, mention: Mention, whole: Days) -> Mention:
    """A month, year, week or season cut to its first, second or last third, or at today ("earlier this year")."""
    match, near = _PART_OF.search(head), mention.near
    if match is None:
        return mention
    word, today = (match[1] or match[2]).lower().split(" ")[0], clock.today

    def cut(days: Days) -> Days:
        if word == "earlier":
            return days[0], min(days[1], today + DAY)
        if word == "later":
            return max(days[0], today), days[1]
        third = (days[1] - days[0]).days // 3 * DAY
        if word in {"late", "end"}:
            return days[0] + 2 * third, days[1]
        return (days[0] + third, days[0] + 2 * third) if word in {"mid", "middle"} else (days[0], days[0] + third)

    days = cut(whole)
    if days[0] >= days[1]:
        return mention
    narrowed = clock.over(mention.at - len(head) + match.start(), mention.to, days, "range")
    return replace(narrowed, near=(lambda day: [cut(each) for each in near(day)]) if near else None)


def _shifted(match: re.Match[str], at: int, clock: Clock, mention: Mention) -> Mention | None:
    """The time before or after a date: for "the week before" seven days, for "the Friday before" the nearest one."""
    if mention.days is None:
        return None
    first, after = mention.days
    if match["of"] or match["from"]:
        is_weekend = match["of"] is not None and match["of"].lower() == "weekend"
        days = weekend_of(first) if is_weekend else (first, first + 7 * DAY) if match["from"] else week_of(first)
        return clock.over(at, mention.to, days, "range" if is_weekend else "week")
    sign, unit = (-1 if match["way"].lower() == "before" else 1), (match["units"] or match["one"]).lower()
    if match["n"]:
        least, most = spread(match["n"])
        if least != most:
            return None
        return clock.over(at, mention.to, one_day(_moved(first, unit, sign * most)), "day")
    if unit in WEEKDAYS or unit in {"day", "night", "weekend"}:
        days = _nearest(unit, first, after, sign)
        return clock.over(at, mention.to, days, "range" if unit == "weekend" else "day")
    days = (_moved(first, unit, -1), first) if sign < 0 else (after, _moved(after, unit, 1))
    return clock.over(at, mention.to, days, "range")


def _moved(day: date, unit: str, count: int) -> date:
    if unit in {"month", "year"}:
        return months_before(day, -count * (12 if unit == "year" else 1))
    return day + count * (7 if unit == "week" else 1) * DAY


def _nearest(unit: str, first: date, after: date, sign: int) -> Days:
    """The last such day that is over on *first*, or the first one that begins on *after* or later."""
    if unit in {"day", "night"}:
        return one_day(first - DAY if sign < 0 else after)
    if unit == "weekend":
        around = (
            [weekend_of(first + 7 * weeks * DAY) for weeks in range(-1, 1)]
            if sign < 0
            else [weekend_of(after), weekend_of(after + 7 * DAY)]
        )
    else:
        around = weekly(WEEKDAYS.index(unit))(first if sign < 0 else after)
    return (
        [days for days in around if days[1] <= first][-1]
        if sign < 0
        else next(days for days in around if days[0] >= after)
    )
