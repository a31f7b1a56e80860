"""Neighbouring expressions that are one: "from June to August 2022", "Friday, 5 May"."""

from __future__ import annotations

import re
from dataclasses import replace

from memos_integrations.core.when.window import Days, Mention, latest_until

_BETWEEN = re.compile(r",? ?(?:(?P<to>-|(?:to|until|till|through|up to)\b)|and\b) ?(?:the |on |in )?", re.IGNORECASE)
_LISTED = (" and ", " or ", ", ", " and in ", " or in ")  # "in May and June": what makes one a month makes both
_OPENING = re.compile(r"\b(between|from) (?:the )?(?:in |on )?$", re.IGNORECASE)


def joined(text: str, mentions: list[Mention]) -> list[Mention]:
    """Neighbours made one: both ends of a range, a weekday and the date beside it."""
    found: list[Mention] = []
    for mention in mentions:
        one = (_range(text, found[-1], mention) or _same_day(text, found[-1], mention)) if found else None
        if one is None:
            listed = found and mention.weak and not found[-1].weak and text[found[-1].to : mention.at] in _LISTED
            found.append(replace(mention, weak=False) if listed else mention)
        else:
            found[-1] = one
    return found


def _range(text: str, first: Mention, last: Mention) -> Mention | None:
    link = _BETWEEN.fullmatch(text, first.to, last.at)
    if link is None:
        return None
    opening = _OPENING.search(text[max(0, first.at - 20) : first.at])
    if opening is None and (link["to"] is None or (first.weak and last.weak)):
        return None  # "yesterday and today" are two windows; "May to April" may be two people
    if link["to"] is None and opening is not None and opening[1].lower() == "from":
        return None
    first, last = _in_one_run(first, last)
    at = first.at - (len(opening.group()) if opening else 0)
    return Mention(at, last.to, first.start, last.end, "range") if first.start < last.end else None


def _in_one_run(first: Mention, last: Mention) -> tuple[Mention, Mention]:
    """Both ends in the same run of the calendar: "June to August 2022" begins in June 2022."""
    try:
        if first.near is not None and last.days is not None:
            return _on(first, latest_until(first.near, last.days[0])), last
        if last.near is not None and first.days is not None:
            begin = first.days[0]
            return first, _on(last, next(days for days in last.near(begin) if days[0] >= begin))
    except (ValueError, OverflowError, IndexError, StopIteration):
        pass  # at the edge of the calendar each end keeps its own year
    return first, last


def _on(mention: Mention, days: Days) -> Mention:
    zone = mention.start.tzinfo
    start, end = (
        mention.start.replace(year=day.year, month=day.month, day=day.day, tzinfo=zone, fold=0) for day in days
    )
    return replace(mention, start=start, end=end, days=days)


def _same_day(text: str, weekday: Mention, date: Mention) -> Mention | None:
    """One day named twice ("Friday, 5 May 2023", "yesterday, Monday"): the name that says more counts."""
    if (
        weekday.grain != "day"
        or date.grain != "day"
        or text[weekday.to : date.at] not in {" ", ", ", ", the ", " the "}
    ):
        return None
    if weekday.near is None:
        return replace(weekday, to=date.to) if date.near is not None else None
    return replace(date, at=weekday.at)
