"""What is said about the future leaves the present alone; what is said about the past, or from now on, does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.claims.ahead import is_ahead
from memos_integrations.core.conflict import ConflictRules, Ruling
from memos_integrations.core.cube import State
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = START + timedelta(days=40)
ANA = Principal(tenant="acme", user="ana")

AHEAD = [
    ("My salary is 5000.", "My salary will be 6000 from July."),
    ("My boss is Eva.", "My boss will be Karl from July."),
    ("My bank is ING.", "My bank will be DKB in two years."),
    ("My salary is 5000.", "My salary is 6000 from July."),
    ("My salary is 5000.", "As of July my salary is 6000."),
    ("My salary is 5000.", "Effective July 1, my salary is 6000."),
    ("My boss is Eva.", "My boss is Karl from next week."),
    ("I work at Siemens.", "Starting Monday, I work at Bosch."),
    ("I work at Siemens.", "I start at Bosch on Monday."),
    ("I live in Rome.", "I'm moving to Oslo in July."),
    ("I live in Rome.", "I will live in Oslo from July."),
    ("I live in Rome.", "I will live in Oslo."),
    ("The port is 8080.", "The port will be 9090 after the migration."),
    ("Mein Chef ist Karl.", "Mein Chef ist ab Juli Otto."),
    ("Ich arbeite bei Siemens.", "Ab Juli arbeite ich bei Bosch."),
    ("Vivo en Roma.", "A partir de julio vivo en Oslo."),
    ("Mi jefe es Juan.", "Mi jefe será Pedro a partir de julio."),
]
HERE = [
    ("My salary is 5000.", "My salary has been 6000 since February."),
    ("My salary is 5000.", "My salary is 6000 as of last month."),
    ("My salary is 5000.", "My salary is 6000 from now on."),
    ("My boss is Eva.", "Since Monday my boss is Karl."),
    ("My boss is Eva.", "My new boss is Karl."),
    ("I live in Rome.", "I moved to Oslo last week."),
    ("I live in Rome.", "I live in Oslo from today."),
    ("The meeting is on Monday.", "The meeting will now be on Tuesday."),
]


def told(older: str, newer: str) -> tuple[State, State, list[Ruling]]:
    """The states of both a minute after the newer was told, and what was decided."""
    now = [START]
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=lambda: now[0]) as memos:
        old = memos.remember(older, by=ANA)
        now[0] = LATER
        new = memos.remember(newer, by=ANA)
        now[0] += timedelta(minutes=1)
        memos.tick(by=ANA)
        found = [each.ruling for each in memos.decisions(new.id, by=ANA)]
        return memos.get(old.id, by=ANA).state, memos.get(new.id, by=ANA).state, found


@pytest.mark.parametrize(("older", "newer"), AHEAD)
def test_what_will_be_leaves_what_is(older: str, newer: str) -> None:
    *states, found = told(older, newer)
    assert states == [State.GENERATED, State.GENERATED]
    assert Ruling.SUPERSEDE not in found


@pytest.mark.parametrize(("older", "newer"), HERE)
def test_what_is_so_now_retires_what_was(older: str, newer: str) -> None:
    old, new, found = told(older, newer)
    assert (old, new, found) == (State.ARCHIVED, State.GENERATED, [Ruling.SUPERSEDE])


def test_from_a_day_that_is_read_the_later_follows_the_earlier() -> None:
    now = [START]
    with MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=lambda: now[0]) as memos:
        old = memos.remember("I work at Siemens.", by=ANA)
        now[0] = LATER
        new = memos.remember("As of next month I work at Bosch.", by=ANA)
        ends = datetime(2026, 5, 1, tzinfo=UTC)
        assert memos.get(old.id, by=ANA).descriptive.valid_to == ends
        assert memos.get(new.id, by=ANA).descriptive.valid_from == ends
        asked, ahead = "Where do I work, at Siemens or at Bosch?", "Will I work at Siemens or at Bosch?"
        assert [hit.cube.id for hit in memos.recall(asked, by=ANA).hits] == [old.id]
        assert [hit.cube.id for hit in memos.recall(ahead, by=ANA).hits] == [old.id, new.id]
        assert [hit.cube.id for hit in memos.recall(asked, by=ANA, valid_at=ends).hits] == [new.id]
        now[0] = ends
        assert [hit.cube.id for hit in memos.recall(asked, by=ANA).hits] == [new.id]


@pytest.mark.parametrize(
    ("sentence", "ahead"),
    [
        ("My rent is 900 from October.", True),
        ("My rent is 900 from November.", False),
        ("My rent is 900 from March.", False),
        ("My rent is 900 from March 2027.", True),
        ("My rent is 900 from July 2024.", False),
        ("Ab nächster Woche ist Otto mein Chef.", True),
        ("Dentro de dos años vivo en Oslo.", True),
        ("À partir de juillet, j'habite à Oslo.", True),
        ("My rent will be 900.", True),
        ("My rent will now be 900.", False),
        ("I moved in July.", False),
        ("I may live in Oslo.", False),
        ("My will is with the notary.", False),
    ],
)
def test_a_month_without_a_year_is_the_coming_one_while_it_is_near(sentence: str, ahead: bool) -> None:
    assert is_ahead(sentence, LATER) == ahead
