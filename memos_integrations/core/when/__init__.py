"""Time expressions in English text: "last week", "in March 2023", "since Friday", "2023-05-07T10:00Z".

Rules, no library and no model: each expression becomes a `TimeWindow`, a half-open span of real time. Called by the
reader on prompts and by the operator on what is written. What the rules cannot be sure about gives no window: a missed
window costs a little ranking, a wrong one hides the answer.

Choices where English is ambiguous:

- Weeks run from Monday to Sunday (ISO 8601); a weekend is the Saturday and Sunday of such a week.
- "last week" is the calendar week before this one; "the past week" and "in the last week" are the last seven days.
- "last Friday" and "on Friday" are the nearest Friday before today, "next Friday" the nearest after today,
  "this Friday" the Friday of this week.
- "in March" and "7 May" are the latest that have begun; "last March" is one that is over.
- "7/5/2023" may be May or July and gives nothing; "25/12/2023" and "12/25/2023" can only be one day and are read, as
  are year-first dates and day-first dates with dots ("7.5.2023").
- Seasons are the meteorological ones of the northern hemisphere; "winter 2022" begins in December 2022.
- Mornings are 04-12 h, afternoons 12-18 h, evenings 17-24 h, nights 18-06 h.
- "three hours ago" is that moment give or take half an hour; "a few days ago" is two to five days ago.
"""

from __future__ import annotations

from memos_integrations.core.when.find import find_window, find_windows, most_specific
from memos_integrations.core.when.window import EARLIEST, LATEST, Grain, TimeWindow

__all__ = ["EARLIEST", "LATEST", "Grain", "TimeWindow", "find_window", "find_windows", "most_specific"]
