"""Where a question leads: topic, concept, fact; narrow places first, everything last."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memos_integrations import MemScheduler, Turn
from memos_integrations.core.reader import read_by_rules
from memos_integrations.core.router import Layer, MemoryPathResolver

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)


def test_narrow_stops_come_first_and_each_has_its_reason() -> None:
    call = read_by_rules("What did Noor decide about the paint last week?", now=NOW)
    path = MemoryPathResolver().resolve(call, namespace=("acme", "ana"))
    assert path.stops[0].layer is Layer.FACT
    assert path.stops[0].window == call.window
    assert any("Noor" in stop.entities for stop in path.stops)
    assert all(stop.reason and stop.namespace == ("acme", "ana") for stop in path.stops)
    assert "paint" in str(path)


@pytest.mark.parametrize("prompt", ["Where is the key?", "?", "hello", "什么时候", "Which book did Noor read in May?"])
def test_every_path_ends_with_everything(prompt: str) -> None:
    last = MemoryPathResolver().resolve(read_by_rules(prompt, now=NOW)).stops[-1]
    assert last.layer is Layer.EVERYTHING
    assert not last.semantic_types
    assert not last.entities
    assert last.window is None


def test_a_pronoun_leads_into_the_session_that_is_going_on() -> None:
    history = [Turn(role="user", text="I met Noor at the harbour.")]
    call = read_by_rules("What does she do?", history=history, now=NOW)
    path = MemoryPathResolver().resolve(call, session="s1")
    assert [stop.session for stop in path.stops if stop.session] == ["s1"]


def test_the_plan_of_a_recall_shows_its_path() -> None:
    call = read_by_rules("What did Noor decide about the paint?", now=NOW)
    path = MemScheduler().plan(call, k=5, namespace=("acme",)).path
    assert path == MemoryPathResolver().resolve(call, namespace=("acme",))
