"""When something was, in words: an expression of a message, resolved on the day of the message. Pure.

What was said exactly is answered exactly ("yesterday" is a date); what was said loosely stays as loose as it was, but
tied to a date, so that it can be understood later: "last week" becomes "the week before 9 June 2023".
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from memos_integrations.core.when import EARLIEST, LATEST, TimeWindow, find_windows

DAY = timedelta(days=1)
_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # not by locale
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_SEASONS = {3: "spring", 6: "summer", 9: "autumn", 12: "winter"}
_WEEKDAY = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)", re.IGNORECASE)
_AHEAD = re.compile(
    r"\b(?:will|shall|going to|gonna|plans?|planning|next|upcoming|can't wait|look(?:ing)? forward|soon|hope to"
    r"|about to|starting|thinking (?:of|about)|coming up|scheduled|\w+'ll)\b",
    re.IGNORECASE,
)
_WEEKENDS_AGO = re.compile(r"\b(?P<count>two|2|three|3|a couple of|a few|few) weekends? ago\b", re.IGNORECASE)
_LOOSE = re.compile(
    r"(?:(?:in|over|during|within|throughout|for) )?(?:the |this )?(?P<which>last|past|previous|this|next|coming"
    r"|this past"
    r"|this coming) (?P<unit>week|weekend)",
    re.IGNORECASE,
)
_COUNT = (
    r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|\d+"
    r"|a few|few|several|a couple(?: of)?|couple(?: of)?|half an?)"
)
LENGTH = re.compile(
    rf"(?:\b(?:about|around|almost|nearly|over|roughly|more than|less than|at least) )?\b{_COUNT}"
    r"(?:[ -](?:and a half|more|whole|full|long))?[ -](?:years?|months?|weeks?|days?|hours?|minutes?|decades?|nights?)"
    r"(?: and a half)?\b",
    re.IGNORECASE,
)
_SINCE = re.compile(
    r"\bsince (?:(?:early |late |mid-?)?(?:\w+ )?(?:19|20)\d\d|(?:i|we|he|she|they) (?:was"
    r"|were) [\w ]{1,30}?(?=[.,!?;]|$)"
    r"|(?:childhood|high school|college|university|last \w+))",
    re.IGNORECASE,
)


def day_in_words(day: date) -> str:
    """A day as people write it: 7 May 2023."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def times_in(text: str, said: datetime) -> list[tuple[str, TimeWindow | None]]:
    """Each time that a sentence said on *said* names, worded so that it is understood on any day; in reading order."""
    found: list[tuple[int, str, TimeWindow | None]] = []
    plain = " ".join(text.split())
    for match in _WEEKENDS_AGO.finditer(plain):
        count = match["count"].lower()
        words = {"2": "two", "3": "three", "few": "a few"}.get(count, count)
        found.append((match.start(), f"{words} weekends before {day_in_words(said.date())}", None))
    taken = [match.span() for match in _WEEKENDS_AGO.finditer(plain)]
    at = 0
    for window in find_windows(text, said, assume_past=_AHEAD.search(text) is None):
        place = plain.lower().find(window.text.lower(), at)
        at = max(place, at)
        if not any(start <= place < end for start, end in taken):
            found.append((place, in_words(window, said), window))
    return [(words, window) for _, words, window in sorted(found, key=lambda one: one[0])]


def in_words(window: TimeWindow, said: datetime) -> str:
    """A window that was named on *said*, in words that hold on any day."""
    today, told = day_in_words(said.date()), " ".join(window.text.lower().split())
    loose = _LOOSE.fullmatch(told)
    if loose is not None:
        which = loose["which"].lower().removeprefix("this ")
        link = {"this": "of", "next": "after", "coming": "after"}.get(which, "before")
        return f"the {loose['unit'].lower()} {link} {today}"
    if told in {"the weekend", "over the weekend", "at the weekend", "on the weekend", "the week"}:
        return f"the weekend {'after' if window.start > said else 'before'} {today}"
    if told.endswith(" ago") and window.grain in {"range", "week"}:
        return f"{told.removesuffix(' ago')} before {today}"
    if told.endswith((" from now", " hence")) and window.grain in {"range", "week"}:
        return f"{told.removesuffix(' from now').removesuffix(' hence')} after {today}"
    return _span(window, told)


def _span(window: TimeWindow, told: str) -> str:  # noqa: C901, PLR0911 - a table of forms
    first, last = window.start.date(), (window.end - timedelta(microseconds=1)).date()
    if window.start <= EARLIEST:
        return f"before {day_in_words(last + DAY)}"
    if window.end >= LATEST or told.startswith(("since ", "after ")):
        if told.startswith("since ") and re.fullmatch(r"since \d{4}", told):
            return told
        return f"{'since' if told.startswith('since') else 'after'} {day_in_words(first)}"
    if first == last or window.end - window.start <= timedelta(hours=14):  # a night is the day on which it began
        named = _WEEKDAY.search(told) is not None
        return f"{_WEEKDAYS[first.weekday()]}, {day_in_words(first)}" if named else day_in_words(first)
    if window.grain == "month" and first.day == 1:
        return f"{_MONTHS[first.month - 1]} {first.year}"
    if window.grain == "year" and (first.month, first.day) == (1, 1):
        return str(first.year)
    if window.grain == "week":
        return f"the week of {day_in_words(first)}"
    season = _SEASONS.get(first.month) if first.day == 1 and 88 <= (last - first).days <= 92 else None
    if season:
        return f"{'fall' if season == 'autumn' and 'fall' in told else season} {first.year}"
    part = re.match(r"(?:in )?(early|mid|late|beginning of|start of|middle of|end of)\b", told)
    if part and (last - first).days < 100:
        name = f"{_MONTHS[first.month - 1]} {first.year}"
        return f"{part[1]} {name}"
    if (first.month, first.year) == (last.month, last.year):
        return f"{first.day}-{day_in_words(last)}"
    return f"{day_in_words(first)} to {day_in_words(last)}"


def length_in(text: str) -> str | None:
    """The length of time that a sentence names: "4 years", "since 2016"; None when it names none."""
    since = _SINCE.search(text)
    if since is not None:
        return since.group().strip()
    for match in LENGTH.finditer(text):
        rest = text[match.end() : match.end() + 8].lower()
        if not rest.lstrip().startswith(("ago", "old", "later")):
            return match.group().strip()
    return None
