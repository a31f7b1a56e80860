"""Time expressions become spans of real time in the zone of `now`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.when import EARLIEST, LATEST, TimeWindow, find_window, find_windows

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 6, 12, 15, 30, tzinfo=BERLIN)  # a Wednesday

DAYS = {  # expression: first day, day after the last
    "today": ("2024-06-12", "2024-06-13"),
    "yesterday": ("2024-06-11", "2024-06-12"),
    "the day before yesterday": ("2024-06-10", "2024-06-11"),
    "tomorrow": ("2024-06-13", "2024-06-14"),
    "this week": ("2024-06-10", "2024-06-17"),
    "last week": ("2024-06-03", "2024-06-10"),
    "next week": ("2024-06-17", "2024-06-24"),
    "the week before last": ("2024-05-27", "2024-06-03"),
    "last month": ("2024-05-01", "2024-06-01"),
    "this year": ("2024-01-01", "2025-01-01"),
    "last year's trip": ("2023-01-01", "2024-01-01"),
    "next month": ("2024-07-01", "2024-08-01"),
    "last weekend": ("2024-06-08", "2024-06-10"),
    "this weekend": ("2024-06-15", "2024-06-17"),
    "over the weekend": ("2024-06-08", "2024-06-10"),
    "last Friday": ("2024-06-07", "2024-06-08"),
    "on Friday": ("2024-06-07", "2024-06-08"),
    "on Wednesday": ("2024-06-05", "2024-06-06"),
    "this Tuesday": ("2024-06-11", "2024-06-12"),
    "next Friday": ("2024-06-14", "2024-06-15"),
    "this past Friday": ("2024-06-07", "2024-06-08"),
    "on Fri": ("2024-06-07", "2024-06-08"),
    "last week, on Friday": ("2024-06-07", "2024-06-08"),
    "Tuesday of last week": ("2024-06-04", "2024-06-05"),
    "three days ago": ("2024-06-09", "2024-06-10"),
    "12 days ago": ("2024-05-31", "2024-06-01"),
    "twenty-five days ago": ("2024-05-18", "2024-05-19"),
    "a couple of weeks ago": ("2024-05-27", "2024-06-03"),
    "a few days ago": ("2024-06-07", "2024-06-11"),
    "two months ago": ("2024-04-01", "2024-05-01"),
    "a year ago": ("2023-01-01", "2024-01-01"),
    "a year ago today": ("2023-06-12", "2023-06-13"),
    "a year and a half ago": ("2022-12-01", "2023-01-01"),
    "two weeks from now": ("2024-06-24", "2024-07-01"),
    "in the last 3 days": ("2024-06-09", "2024-06-13"),
    "over the past week": ("2024-06-05", "2024-06-13"),
    "in the past two months": ("2024-04-12", "2024-06-13"),
    "in the next 3 days": ("2024-06-12", "2024-06-16"),
    "since March": ("2024-03-01", "2024-06-13"),
    "since last week": ("2024-06-03", "2024-06-13"),
    "since 2022": ("2022-01-01", "2024-06-13"),
    "after 5 May 2023": ("2023-05-06", "2024-06-13"),
    "between 3 and 7 May 2023": ("2023-05-03", "2023-05-08"),
    "between May 3 and May 7, 2023": ("2023-05-03", "2023-05-08"),
    "May 3–7, 2023": ("2023-05-03", "2023-05-08"),
    "from June to August 2022": ("2022-06-01", "2022-09-01"),
    "from November to February": ("2023-11-01", "2024-03-01"),
    "from June 2022 to August": ("2022-06-01", "2022-09-01"),
    "between 2020 and 2022": ("2020-01-01", "2023-01-01"),
    "from Monday to Friday": ("2024-06-03", "2024-06-08"),
    "in March 2023": ("2023-03-01", "2023-04-01"),
    "in March": ("2024-03-01", "2024-04-01"),
    "in July": ("2023-07-01", "2023-08-01"),
    "last March": ("2024-03-01", "2024-04-01"),
    "in may": ("2024-05-01", "2024-06-01"),
    "in 2022": ("2022-01-01", "2023-01-01"),
    "7 May 2023": ("2023-05-07", "2023-05-08"),
    "May 7th, 2023": ("2023-05-07", "2023-05-08"),
    "the 7th of may 2023": ("2023-05-07", "2023-05-08"),
    "Sunday, 7 May 2023": ("2023-05-07", "2023-05-08"),
    "the second of May": ("2024-05-02", "2024-05-03"),
    "20 June": ("2023-06-20", "2023-06-21"),
    "29 February": ("2024-02-29", "2024-03-01"),
    "2023-05-07": ("2023-05-07", "2023-05-08"),
    "2023/05/07": ("2023-05-07", "2023-05-08"),
    "2023-05": ("2023-05-01", "2023-06-01"),
    "7.5.2023": ("2023-05-07", "2023-05-08"),
    "25/12/2023": ("2023-12-25", "2023-12-26"),
    "12/25/2023": ("2023-12-25", "2023-12-26"),
    "early May 2023": ("2023-05-01", "2023-05-11"),
    "late May 2023": ("2023-05-21", "2023-06-01"),
    "mid-May 2023": ("2023-05-11", "2023-05-21"),
    "the end of last month": ("2024-05-21", "2024-06-01"),
    "earlier this week": ("2024-06-10", "2024-06-13"),
    "last summer": ("2023-06-01", "2023-09-01"),
    "summer of 2022": ("2022-06-01", "2022-09-01"),
    "last winter": ("2023-12-01", "2024-03-01"),
    "the week of 7 May 2023": ("2023-05-01", "2023-05-08"),
    "the week before 9 June 2023": ("2023-06-02", "2023-06-09"),
    "the Friday before 7 May 2023": ("2023-05-05", "2023-05-06"),
    "two days after 7 May 2023": ("2023-05-09", "2023-05-10"),
    "7 May '23": ("2023-05-07", "2023-05-08"),
    "in May '23": ("2023-05-01", "2023-06-01"),
    "5 jan 24": ("2024-01-05", "2024-01-06"),
    "on the 7th": ("2024-06-07", "2024-06-08"),
    "on the 20th": ("2024-05-20", "2024-05-21"),
    "on Tuesday the 4th": ("2024-06-04", "2024-06-05"),
    "on the 3rd of last month": ("2024-05-03", "2024-05-04"),
    "since the 7th": ("2024-06-07", "2024-06-13"),
    "two weekends ago": ("2024-06-01", "2024-06-03"),
    "two Fridays ago": ("2024-05-31", "2024-06-01"),
    "two nights ago": ("2024-06-10", "2024-06-11"),
    "two summers ago": ("2022-06-01", "2022-09-01"),
    "a decade ago": ("2014-01-01", "2015-01-01"),
    "2 wks ago": ("2024-05-27", "2024-06-03"),
    "Thursday two weeks ago": ("2024-05-30", "2024-05-31"),
    "two weeks ago on Thursday": ("2024-05-30", "2024-05-31"),
    "the Friday before last": ("2024-05-31", "2024-06-01"),
    "the night before last": ("2024-06-10", "2024-06-11"),
    "the first Monday of May 2023": ("2023-05-01", "2023-05-02"),
    "the last Friday in March": ("2024-03-29", "2024-03-30"),
    "the second weekend of June 2023": ("2023-06-10", "2023-06-12"),
    "the first week of May": ("2024-05-01", "2024-05-08"),
    "the last day of last month": ("2024-05-31", "2024-06-01"),
    "Q1 2023": ("2023-01-01", "2023-04-01"),
    "in Q3": ("2023-07-01", "2023-10-01"),
    "last quarter": ("2024-01-01", "2024-04-01"),
    "the first quarter of 2023": ("2023-01-01", "2023-04-01"),
    "the second half of last year": ("2023-07-01", "2024-01-01"),
    "in the 1990s": ("1990-01-01", "2000-01-01"),
    "in the '90s": ("1990-01-01", "2000-01-01"),
    "in the eighties": ("1980-01-01", "1990-01-01"),
    "last Christmas": ("2023-12-24", "2023-12-27"),
    "at Christmas 2022": ("2022-12-24", "2022-12-27"),
    "on New Year's Eve": ("2023-12-31", "2024-01-01"),
    "between Christmas and New Year": ("2023-12-24", "2024-01-02"),
    "at Easter": ("2024-03-29", "2024-04-02"),
    "Easter Monday 2023": ("2023-04-10", "2023-04-11"),
    "on Thanksgiving": ("2023-11-23", "2023-11-24"),
    "since Halloween": ("2023-10-31", "2024-06-13"),
    "the week commencing 3 June": ("2024-06-03", "2024-06-10"),
}  # fmt: skip


@pytest.mark.parametrize("text", DAYS)
@pytest.mark.parametrize("frame", ["{}", "What did Ana say {}?"])
def test_an_expression_covers_local_calendar_days(text: str, frame: str) -> None:
    window = find_window(frame.format(text), NOW)
    assert window is not None
    first, after = (datetime.fromisoformat(day).replace(tzinfo=BERLIN) for day in DAYS[text])
    assert (window.start, window.end) == (first, after)


@pytest.mark.parametrize(
    ("text", "start", "end", "grain"),
    [
        ("2 hours ago", "2024-06-12T13:00+02:00", "2024-06-12T14:00+02:00", "hour"),
        ("20 minutes ago", "2024-06-12T14:40+02:00", "2024-06-12T15:40+02:00", "hour"),
        ("half an hour ago", "2024-06-12T14:30+02:00", "2024-06-12T15:30+02:00", "hour"),
        ("this morning", "2024-06-12T04:00+02:00", "2024-06-12T12:00+02:00", "range"),
        ("last night", "2024-06-11T18:00+02:00", "2024-06-12T06:00+02:00", "range"),
        ("yesterday evening", "2024-06-11T17:00+02:00", "2024-06-12T00:00+02:00", "range"),
        ("at 3 pm yesterday", "2024-06-11T15:00+02:00", "2024-06-11T16:00+02:00", "hour"),
        ("yesterday at 15:30", "2024-06-11T15:00+02:00", "2024-06-11T16:00+02:00", "hour"),
        ("yesterday at 12 am UTC", "2024-06-11T00:00+00:00", "2024-06-11T01:00+00:00", "hour"),
        ("2023-05-07T10:30:00+05:30", "2023-05-07T10:00+05:30", "2023-05-07T11:00+05:30", "hour"),
        ("2023-05-07 10:30Z", "2023-05-07T10:00+00:00", "2023-05-07T11:00+00:00", "hour"),
        ("7 May 2023 UTC", "2023-05-07T00:00+00:00", "2023-05-08T00:00+00:00", "day"),
        ("before 5 May 2023", EARLIEST.isoformat(), "2023-05-05T00:00+02:00", "range"),
        ("until last Friday", EARLIEST.isoformat(), "2024-06-08T00:00+02:00", "range"),
        ("after next Friday", "2024-06-15T00:00+02:00", LATEST.isoformat(), "range"),
    ],
)
def test_an_expression_covers_hours_or_has_an_open_end(text: str, start: str, end: str, grain: str) -> None:
    window = find_window(text, NOW)
    assert window is not None
    assert (window.start, window.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))
    assert (window.grain, window.text) == (grain, text)


@pytest.mark.parametrize(
    "text",
    [
        "I may go", "they march on", "March on!", "the second time", "wait a second", "We march 5 miles", "I may 5",
        "this may be good", "the last may be first", "last march", "May told me", "with April", "June's house",
        "in June's house", "the 2nd may be bad", "2 may be enough", "the sun sat on the fall", "I fall",
        "spring into action",
        "in the fall of Rome", "every Friday", "on Fridays", "Black Friday deals", "in 1500 words", "in 2000 steps",
        "$2022", "room 2022", "7/5/2023", "2023-13-45", "1.5 years ago",
        "two years and three months ago", "the next week he left", "the following day", "last minute", "last name",
        "the last year of school", "10:30", "at 3 pm", "version 2.0.2023.1", "May I ask?",
        "a Christmas tree", "gifts for Christmas", "my Easter card", "on the 7th floor", "the 2nd time",
        "a quarter of it",
        "the first day of school", "the first Monday", "in her thirties", "Q3",
        "in two weeks", "'40s", "two good nights ago", "to march or to sit", "",
    ],
)  # fmt: skip
def test_what_is_no_date_or_not_surely_one_gives_no_window(text: str) -> None:
    assert find_windows(text, NOW) == []


@pytest.mark.parametrize("text", ["31 April 2023", "April 31, April 2023"])
def test_a_day_that_does_not_exist_leaves_its_month(text: str) -> None:
    window = find_window(text, NOW)
    assert window is not None
    assert (window.text, window.grain) == ("April 2023", "month")


def test_the_most_specific_of_several_wins_and_all_come_in_reading_order() -> None:
    text = "In 2022 we met, then last week, then on 7 May 2023 and yesterday."
    assert [window.text for window in find_windows(text, NOW)] == ["2022", "last week", "7 May 2023", "yesterday"]
    window = find_window(text, NOW)
    assert window is not None
    assert window.text == "7 May 2023"


def test_the_future_is_meant_when_the_caller_says_so() -> None:
    past, future = find_window("on Friday", NOW), find_window("on Friday", NOW, assume_past=False)
    assert past is not None
    assert future is not None
    assert future.start - past.start == timedelta(days=7)
    march = find_window("in March", NOW, assume_past=False)
    assert march is not None
    assert march.start == datetime(2025, 3, 1, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2024-03-31", 23), ("Europe/Berlin", "2024-10-27", 25), ("America/Havana", "2024-11-03", 25),
     ("America/Sao_Paulo", "2018-11-04", 23), ("Australia/Lord_Howe", "2024-04-07", 24.5)],
)  # fmt: skip
def test_a_day_on_which_the_clocks_change_has_its_true_length(zone: str, day: str, hours: float) -> None:
    window = find_window(f"on {day}", NOW.astimezone(ZoneInfo(zone)))
    assert window is not None
    assert window.end - window.start == timedelta(hours=hours)


def test_the_hour_that_the_clocks_skip_is_still_an_hour() -> None:
    window = find_window("2024-03-31 at 2 am", NOW)
    assert window is not None
    assert window.end - window.start == timedelta(hours=1)


def test_the_day_is_the_day_where_now_is() -> None:
    moment = datetime(2024, 1, 1, 3, tzinfo=UTC)
    here, there = (find_window("today", moment.astimezone(ZoneInfo(z))) for z in ("Asia/Tokyo", "America/New_York"))
    assert here is not None
    assert there is not None
    assert (here.start.isoformat(), there.start.isoformat()) == (
        "2024-01-01T00:00:00+09:00",
        "2023-12-31T00:00:00-05:00",
    )


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidMemoryError, match="time zone"):
        find_window("yesterday", datetime(2024, 1, 1))
    with pytest.raises(ValidationError, match="before it starts"):
        TimeWindow(start=NOW, end=NOW)


def test_what_happens_now_lies_within_the_last_hour() -> None:
    window = find_window("in the last hour", NOW)
    assert window is not None
    assert NOW in window
    assert NOW - timedelta(hours=2) not in window


TEXTS = st.lists(
    st.sampled_from(
        [*DAYS, "at 3 pm", "since", "before", "from", "to", "between", "and", "early", "2 hours ago", "May", "8", "now"]
    ),
    max_size=6,
).map(" ".join)
ZONES = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/Havana"), ZoneInfo("Asia/Kathmandu"), timezone(timedelta(hours=-11))]
)
NOWS = st.builds(lambda naive, zone: naive.replace(tzinfo=zone), st.datetimes(), ZONES)


@given(TEXTS | st.text(), NOWS, st.booleans())
def test_any_text_at_any_time_gives_windows_that_start_before_they_end(text: str, now: datetime, past: bool) -> None:
    for window in find_windows(text, now, assume_past=past):
        assert window.start < window.end
        assert TimeWindow.model_validate_json(window.model_dump_json()) == window
        assert window.text


WEEKLY = [text for text in DAYS if text.split()[-1] in {"yesterday", "today", "tomorrow", "week", "weekend", "Friday"}]


@given(st.sampled_from([*WEEKLY, "three days ago", "2 hours ago", "last night"]), st.integers(-500, 500))
def test_what_counts_in_days_moves_with_now_by_whole_weeks(text: str, weeks: int) -> None:
    if "year" in text or "2023" in text:
        return
    now, moved = datetime(2024, 6, 12, 15, 30, tzinfo=UTC), timedelta(weeks=weeks)
    before, after = find_window(text, now), find_window(text, now + moved)
    assert before is not None
    assert after is not None
    assert (before.start + moved, before.end + moved) == (after.start, after.end)
