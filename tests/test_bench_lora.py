"""The benchmark of parameter memory asks honestly, and its replay says what it is meant to say."""

from __future__ import annotations

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.lora import lessons_of
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.lora import ASKED, invented, scheduler


@pytest.mark.parametrize("seed", range(3))
def test_what_is_asked_was_never_taught(seed: int) -> None:
    facts, questions = invented(seed)
    assert (len(facts), len(questions)) == (20, 60)
    with MemOS(InMemoryVault()) as memos:
        made = lessons_of(memos.remember_many(facts, by=Principal(tenant="acme", user="ana")))
    people = {fact.split(" lives")[0] for fact in facts if " lives" in fact}

    def form(question: str) -> str:
        return next((question.replace(who, "{who}") for who in people if who in question), question)

    taught = {form(lesson.question) for lesson in (*made.taught, *made.probes)}
    asked = {each for forms in ASKED.values() for each in forms}
    assert {form(question) for question, _ in questions} == asked
    assert not taught & asked
    # Not a matter of punctuation either: what tells these questions apart is in no lesson.
    assert not [
        each
        for each in taught
        for word in ("city", "town", "animal", "call home", "find {who}", "visit")
        if word in each
    ]
    assert set(made.facts) == set(facts)


def test_each_seed_has_its_own_people() -> None:
    one, two = invented(0), invented(1)
    assert one == invented(0) != two


def test_the_replay_names_its_best_baseline() -> None:
    told = scheduler(requests=600, memories=80)
    assert 0 < told["scheduler_cost_vs_best_baseline"] < 1.2
    for row in told["scheduler_by_rent"].values():
        assert row["baselines_s"][row["best_baseline"]] == min(row["baselines_s"].values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_deciding_by_cost_is_cheaper_than_every_fixed_rule_whether_disk_is_dear_or_cheap(seed: int) -> None:
    told = scheduler(seed=seed)
    assert told["scheduler_cost_vs_best_baseline"] <= 1.0
    assert all(row["ratio"] <= 1.0 for row in told["scheduler_by_rent"].values())
