"""Find the expressions in a text, settle which ones overlap, and hand back windows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.when.beside import refined, related
from memos_integrations.core.when.dates import DATES
from memos_integrations.core.when.named import NAMED
from memos_integrations.core.when.ranges import joined
from memos_integrations.core.when.relative import RELATIVE
from memos_integrations.core.when.window import Clock, Mention, TimeWindow

_SAME_SHAPE = str.maketrans({"–": "-", "—": "-", "−": "-", "‑": "-", "’": "'"})  # noqa: RUF001
_HINT = re.compile(
    r"\d|day\b|days\b|week|month|year|night|hour|minute|morning|evening|afternoon|tomorrow|spring|summer|autumn|fall"
    r"|winter|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|(?:on|last|this|next) (?:mon|tue|wed|thu|fri|sat|sun)"
    r"|christmas|easter|halloween|thanksgiving|quarter|decade|(?:[tfs]\w\w|eigh|nine)\w*ties\b",
    re.IGNORECASE,
)
_BREADTHS = (
    timedelta(hours=13),
    timedelta(days=1, hours=2),
    timedelta(days=7, hours=2),
    timedelta(days=32),
    timedelta(days=367),
)


def find_window(text: str, now: datetime, *, assume_past: bool = True) -> TimeWindow | None:
    """The most specific window that *text* names, the first one if several are equally so; None if it names none.

    *assume_past* decides what "on Friday" or "in March" mean: the latest (True) or the next (False).

    Raises:
        InvalidMemoryError: *now* has no time zone.
    """
    return most_specific(find_windows(text, now, assume_past=assume_past))


def most_specific(windows: list[TimeWindow]) -> TimeWindow | None:
    """The window that says most: hours before days before weeks, and the first of equals; None of none."""
    return min(windows, key=_breadth, default=None)


def find_windows(text: str, now: datetime, *, assume_past: bool = True) -> list[TimeWindow]:
    """Every window that *text* names, in reading order.

    Days are local days in the zone of *now*, except where the text names an offset or UTC. `TimeWindow.text` has the
    words as matched, with white space, dashes and apostrophes evened out.

    Raises:
        InvalidMemoryError: *now* has no time zone.
    """
    if now.tzinfo is None or now.utcoffset() is None:
        raise InvalidMemoryError("`now` has no time zone; pass an aware datetime, such as datetime.now(UTC).")
    plain = " ".join(text.translate(_SAME_SHAPE).split())
    if not _HINT.search(plain):
        return []
    clock = Clock(now, now.tzinfo, assume_past)
    mentions = [refined(plain, clock, mention) for mention in _without_overlaps(_mentions(plain, clock))]
    strong = [mention for mention in joined(plain, mentions) if not mention.weak]
    settled = _without_overlaps([related(plain, clock, mention) for mention in strong])
    return [window for mention in settled if (window := _window(plain, mention)) is not None]


def _mentions(text: str, clock: Clock) -> list[Mention]:
    found: list[Mention] = []
    for pattern, meaning in RELATIVE + DATES + NAMED:
        for match in pattern.finditer(text):
            try:
                mention = meaning(clock, match)
            except (ValueError, OverflowError, IndexError, StopIteration):
                continue  # no such day ("2023-13-45"), or beyond the calendar that Python knows
            if mention is not None:
                found.append(mention)
    return found


def _without_overlaps(mentions: list[Mention]) -> list[Mention]:
    """Of mentions that share words, the longest; in reading order."""
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (m.at, -m.to, m.weak)):
        if not kept or mention.at >= kept[-1].to:
            kept.append(mention)
        elif mention.to - mention.at > kept[-1].to - kept[-1].at:
            kept[-1] = mention
    return kept


def _window(text: str, mention: Mention) -> TimeWindow | None:
    try:
        start, end = mention.start.astimezone(UTC), mention.end.astimezone(UTC)
        if start >= end:
            return None
        return TimeWindow(
            start=mention.start, end=mention.end, text=text[mention.at : mention.to].strip(), grain=mention.grain
        )
    except OverflowError:
        return None  # within a day of the first or the last day that Python knows


def _breadth(window: TimeWindow) -> int:
    length = window.end - window.start
    return next((i for i, most in enumerate(_BREADTHS) if length <= most), len(_BREADTHS))
