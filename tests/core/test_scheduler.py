"""Plans, as a table: what each kind of question makes the scheduler do, and why."""

from datetime import UTC, datetime

import pytest

from memos_integrations.core.reader import MemReader
from memos_integrations.core.scheduler import DEFAULT_TOKEN_BUDGET, MemoryPlan, MemScheduler

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)


def plan(prompt: str, **how: object) -> MemoryPlan:
    call = MemReader().read(prompt, now=NOW)
    return MemScheduler().plan(call, **{"k": 8, **how})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "vectors", "actions"),
    [
        ("Where did I park the car?", False, ["fulltext"]),
        ("Where did I park the car?", True, ["fulltext", "dense"]),
        ("What did Ana tell me about Lisbon last week?", True, ["fulltext", "dense", "window"]),
        ("Summarise my meeting notes from last week", True, ["window"]),
        ("Summarise what you know about my garden", False, ["fulltext", "latest"]),
        ("Hello!", True, []),
    ],
)
def test_the_question_decides_the_steps(prompt: str, vectors: bool, actions: list[str]) -> None:
    made = plan(prompt, has_vectors=vectors)
    assert [step.action.value for step in made.steps] == actions
    assert made.needed is bool(actions)
    assert made.reason
    assert all(step.reason and step.k >= made.k for step in made.steps)


def test_a_plan_is_plain_json() -> None:
    made = plan("What did Ana tell me about Lisbon last week?", namespace=("acme", "ana"), has_vectors=True)
    assert MemoryPlan.model_validate_json(made.model_dump_json()) == made
    assert {step.namespace for step in made.steps} == {("acme", "ana")}


def test_signals_count_only_when_the_question_asks_for_them() -> None:
    assert "time" not in plan("Where did I park the car?").weights
    assert plan("What happened last week with the car?").weights["time"] > 0
    assert "dense" not in plan("Where did I park the car?").weights


def test_budget_and_override() -> None:
    assert plan("Where is it?", token_budget=7).token_budget == 7
    assert plan("Where did I park?").token_budget == DEFAULT_TOKEN_BUDGET
    assert plan("Hello!", needed=True).steps
    assert not plan("Where did I park the car?", needed=False).needed


def test_the_same_call_gives_the_same_plan() -> None:
    assert plan("Where did I park the car?", has_vectors=True) == plan("Where did I park the car?", has_vectors=True)
