"""`TimeWindow`, the half-open span of time that an expression means, and the local calendar it is reckoned in."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, field_validator, model_validator

Grain = Literal["hour", "day", "week", "month", "year", "range"]
Days = tuple[date, date]
"""Local calendar days, half-open: the first day and the day after the last."""

EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
"""Where windows without a beginning ("before May 2023") begin: safe to convert to any time zone."""
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
"""Where windows without an end ("after next Friday") end."""

DAY = timedelta(days=1)


class TimeWindow(BaseModel):
    """A span of real time, from `start` up to but not including `end`, and the words it was read from.

    Both ends are kept with the fixed UTC offset that held there, so that JSON gives back an equal value; a local day
    on which the clocks change is 23 or 25 hours long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: AwareDatetime
    end: AwareDatetime
    text: str = ""
    grain: Grain = "range"

    @field_validator("start", "end")
    @classmethod
    def _with_fixed_offset(cls, value: datetime) -> datetime:
        offset = value.utcoffset()
        if offset is None or offset % timedelta(minutes=1):
            return value.astimezone(UTC)  # local mean times of before 1900 have seconds, which JSON cannot carry
        return value.replace(tzinfo=timezone(offset), fold=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"The window ends ({self.end}) before it starts ({self.start}); swap the two.")
        return self

    def __contains__(self, moment: datetime) -> bool:
        """Whether an aware moment lies inside."""
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Mention:
    """One expression found in a text: where it stands, what it means, and how it repeats if it does.

    `near(day)` gives the occurrences around a day, in order, of something that returns: "Friday", "March", "7 May".
    A `weak` mention ("May", "2020") counts only as one end of a range: "from May to July", "2020 to March 2022".
    """

    at: int
    to: int
    start: datetime
    end: datetime
    grain: Grain
    days: Days | None = None
    near: Callable[[date], list[Days]] | None = None
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, in now's own time zone; turns calendar days into mentions."""

    now: datetime
    zone: tzinfo
    assume_past: bool = True

    @property
    def today(self) -> date:
        """The local day."""
        return self.now.date()

    def midnight(self, day: date, zone: tzinfo | None = None) -> datetime:
        """The first instant of a local day."""
        return datetime(day.year, day.month, day.day, tzinfo=zone or self.zone)

    def at(self, day: date, hour: int, minute: int = 0, zone: tzinfo | None = None) -> datetime:
        """A wall-clock time of a local day; hours from 24 on belong to the next day."""
        days, hour = divmod(hour, 24)
        return self.midnight(day + days * DAY, zone).replace(hour=hour, minute=minute)

    def over(self, at: int, to: int, days: Days, grain: Grain, zone: tzinfo | None = None) -> Mention:
        """The mention that covers whole local days."""
        return Mention(at, to, self.midnight(days[0], zone), self.midnight(days[1], zone), grain, days)

    def returning(self, at: int, to: int, grain: Grain, near: Callable[[date], list[Days]], which: str) -> Mention:
        """The mention of something that returns: the last one that is over, the next one to begin, or the usual one."""
        if which == "last":
            days = [d for d in near(self.today) if d[1] <= self.today][-1]
        elif which == "next" or not self.assume_past:
            days = next(d for d in near(self.today) if d[0] > self.today or (which != "next" and d[1] > self.today))
        else:
            days = latest_until(near, self.today)
        return replace(self.over(at, to, days, grain), near=near)

    def moved(self, by: timedelta) -> datetime:
        """The moment some real time after now (before it when negative), shown in now's zone."""
        return (self.now.astimezone(UTC) + by).astimezone(self.zone)


def latest_until(near: Callable[[date], list[Days]], day: date) -> Days:
    """The last occurrence that has begun on *day*."""
    return [days for days in near(day) if days[0] <= day][-1]


def month_of(year: int, month: int) -> Days:
    """A calendar month; months outside 1–12 count on into the neighbouring years."""
    first = _first_of(year, month)
    return first, _first_of(first.year, first.month + 1)


def year_of(year: int) -> Days:
    """A calendar year."""
    return date(year, 1, 1), date(year + 1, 1, 1)


def week_of(day: date) -> Days:
    """The week from Monday to Sunday that a day lies in."""
    monday = day - day.weekday() * DAY
    return monday, monday + 7 * DAY


def weekend_of(day: date) -> Days:
    """The Saturday and Sunday of the week that a day lies in."""
    monday = day - day.weekday() * DAY
    return monday + 5 * DAY, monday + 7 * DAY


def one_day(day: date) -> Days:
    """A single day."""
    return day, day + DAY


def months_before(day: date, months: int) -> date:
    """The same day some months earlier, or the last day of that month when it has no such day."""
    first = _first_of(day.year, day.month - months)
    return first.replace(day=min(day.day, calendar.monthrange(first.year, first.month)[1]))


def yearly(period: Callable[[int], Days | None], reach: int = 2) -> Callable[[date], list[Days]]:
    """Occurrences of something that returns each year, some years (*reach*) around a day; 29 February needs eight."""

    def near(day: date) -> list[Days]:
        return [days for year in range(day.year - reach, day.year + reach + 1) if (days := period(year)) is not None]

    return near


def weekly(weekday: int) -> Callable[[date], list[Days]]:
    """Occurrences of a day of the week (Monday is 0)."""

    def near(day: date) -> list[Days]:
        this = day + (weekday - day.weekday()) * DAY
        return [one_day(this + 7 * weeks * DAY) for weeks in range(-2, 3)]

    return near


def _first_of(year: int, month: int) -> date:
    years, index = divmod(month - 1, 12)
    return date(year + years, index + 1, 1)
