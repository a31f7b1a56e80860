"""What tests of time and of states begin with: people, a day to start from, and a clock that tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

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


class WalkingClock(Clock):
    """A clock that moves on a minute with each look."""

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def judging(kind: str, path: Path, clock: Clock) -> MemOS:
    """A memory that judges conflicts, in memory or in a vault on disk."""
    if kind == "memory":
        return MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=clock)
    return MemOS.open(path, embedder=WordsEmbedder(), conflicts=ConflictRules(), clock=clock)
