"""Where a question leads: everything, topic, concept, fact; and what a recall makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos_integrations import MemOS, MemScheduler, Principal
from memos_integrations.core.cube import Labels
from memos_integrations.core.operator import scopes_of
from memos_integrations.core.reader import MemoryCall, read_by_rules
from memos_integrations.core.router import Layer, MemoryPath, MemoryPathResolver

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)


def test_wide_stops_come_first_and_each_has_its_reason() -> None:
    call = read_by_rules("What did Noor decide about the paint last week?", now=NOW)
    path = MemoryPathResolver().resolve(call, namespace=("acme", "ana"))
    assert path.stops[-1].layer is Layer.FACT
    assert path.stops[-1].window == call.window
    assert any("Noor" in stop.entities for stop in path.stops)
    assert all(stop.reason and stop.namespace == ("acme", "ana") for stop in path.stops)
    assert "paint" in str(path)


@pytest.mark.parametrize("prompt", ["Where is the key?", "?", "hello", "什么时候", "Which book did Noor read in May?"])
def test_every_path_begins_with_everything(prompt: str) -> None:
    first = MemoryPathResolver().resolve(read_by_rules(prompt, now=NOW)).stops[0]
    assert first.layer is Layer.EVERYTHING
    assert not first.semantic_types
    assert not first.entities
    assert first.window is None


def test_the_plan_of_a_recall_shows_its_path() -> None:
    call = read_by_rules("What did Noor decide about the paint?", now=NOW)
    path = MemScheduler().plan(call, k=5, namespace=("acme",)).path
    assert path == MemoryPathResolver().resolve(call, namespace=("acme",))


def test_a_question_that_asks_for_no_one_thing_is_its_own_fact() -> None:
    assert (
        MemoryPathResolver().resolve(read_by_rules("What did I say about kettles?", now=NOW)).fact.endswith("kettles?")
    )
    assert MemoryPathResolver().resolve(read_by_rules("What is Ana's address?", now=NOW)).fact == "address of Ana"


ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
ASKED = "Which tea do I prefer, as Noor knows?"
QUIET = "The afternoon went by with ropes, sails, a long walk along the quay, two letters, and a pot of green tea."


class Nowhere(MemoryPathResolver):
    """Searches everything, and nothing else."""

    def resolve(self, call: MemoryCall, *, namespace: Labels = ()) -> MemoryPath:
        path = super().resolve(call, namespace=namespace)
        return path.model_copy(update={"stops": path.stops[:1]})


def larder(folder: Path, loud: int, scheduler: MemScheduler | None = None) -> MemOS:
    """Many short notes in the words asked for, and a long preference that has one of them."""
    memos = MemOS.open(folder, scheduler=scheduler)
    memos.remember_many((f"Tea {number}: prefer tea, Noor knows tea." for number in range(loud)), by=ANA)
    memos.remember(QUIET, by=ANA, semantic_type="preference")
    memos.remember(f"Ben likes it so. {QUIET}", by=BEN, semantic_type="preference")
    return memos


def test_a_narrower_stop_is_passed_by_when_all_was_seen(tmp_path: Path) -> None:
    with larder(tmp_path, loud=0) as memos:
        explained = memos.recall(ASKED, by=ANA, k=2).explain()
    assert explained.visited
    assert all("seen already" in told for told in explained.visited)
    assert f"then {explained.visited[0]}" in str(explained)


def test_a_narrower_stop_finds_what_the_wide_search_cut_off(tmp_path: Path) -> None:
    with larder(tmp_path / "path", loud=640) as memos:
        path = {told.split(" ")[1]: told for told in memos.recall(ASKED, by=ANA, k=2).visited}
        assert "were found already" in path["about"]
        assert path["kind"].endswith("searched, 1 more")
        assert "Ben" not in memos.recall(ASKED, by=ANA, k=200, token_budget=100_000).text
        found = considered(memos)
    with larder(tmp_path / "wide", loud=640, scheduler=MemScheduler(resolver=Nowhere())) as memos:
        assert QUIET in found - considered(memos)


def considered(memos: MemOS) -> set[str]:
    call = memos.read(ASKED)
    caller = memos._caller(ANA, None)
    return {
        each.cube.text for each in memos._operator._scopes.search(memos.plan(call, k=2), call, caller).by_id.values()
    }


@pytest.mark.parametrize("loud", [0, 5, 152, 153, 320])
@pytest.mark.parametrize("k", [1, 2, 60])
def test_a_path_loses_nothing_that_a_search_of_everything_finds(loud: int, k: int, tmp_path: Path) -> None:
    with larder(tmp_path, loud) as memos:
        for question in (ASKED, "What did Noor say about tea last week?", "tea", "What do I like?"):
            call, caller = memos.read(question), memos._caller(ANA, None)
            plan = memos.plan(call, k=k, needed=True)
            assert plan.path is not None
            bare = plan.model_copy(update={"path": plan.path.model_copy(update={"stops": ()})})
            walked, told = (memos._operator._scopes.search(each, call, caller).by_id for each in (plan, bare))
            assert walked.keys() >= told.keys()
            assert all(walked[name].signals == told[name].signals for name in told)
            findings = [memos.look(plan, call, scope, by=ANA) for scope in range(len(scopes_of(plan)))]
            apart, here = (memos.execute(plan, call, by=ANA, findings=given) for given in (findings, ()))
            assert apart.visited == here.visited
            assert [hit.cube.ref for hit in apart.hits] == [hit.cube.ref for hit in here.hits]
