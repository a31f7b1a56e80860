"""What tests of time and of states begin with: people, a day to start from, and a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from memos_integrations.core.access import Principal

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now
