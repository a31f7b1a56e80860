"""Rules that are adopted in a branch, a pipeline or a block hold there, and elsewhere only once they are true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memos_integrations.core import ruling
from memos_integrations.core.access import Principal, Verb
from memos_integrations.core.errors import AccessDeniedError, PipelineError
from memos_integrations.core.pipeline import MemPipeline, PipelineRun
from memos_integrations.core.policy import Memories, Policy, Rule
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ADMIN, ANA, Clock

CLOSED = Policy(rules=(Rule(name="pay", who=("*",), may_not=(Verb.READ,), memories=Memories(tags=("pay",))),))


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as engine:
        engine.remember("Tom earns 5,000 a month.", by=ANA, tags=["pay"])
        yield engine


def is_read(memos: MemOS) -> bool:
    return bool(memos.recall("What does Tom earn?", by=ANA).hits)


def lifting(run: PipelineRun) -> None:
    run.memory.adopt_policy(None, by=run.by)
    assert is_read(run.memory)


def given_up(run: PipelineRun) -> None:
    raise PipelineError("Nobody agreed.")


def in_a_branch(memos: MemOS) -> None:
    with memos.branch(by=ADMIN) as branch:
        branch.memos.adopt_policy(None, by=ADMIN)
        assert is_read(branch.memos)
        assert not is_read(memos)


def in_a_dry_run(memos: MemOS) -> None:
    memos.run(MemPipeline("lift", [lifting]), by=ADMIN, dry_run=True)


def in_a_run_that_fails(memos: MemOS) -> None:
    with pytest.raises(PipelineError):
        memos.run(MemPipeline("lift", [lifting, given_up]), by=ADMIN)


@pytest.mark.parametrize("tried", [in_a_branch, in_a_dry_run, in_a_run_that_fails])
def test_what_was_only_tried_opens_nothing(memos: MemOS, tried: Callable[[MemOS], None]) -> None:
    memos.adopt_policy(CLOSED, by=ADMIN)
    assert not is_read(memos)
    tried(memos)
    assert not is_read(memos)
    assert memos.adopted_policy(by=ADMIN) is not None


def test_what_was_only_tried_closes_nothing(memos: MemOS) -> None:
    with memos.branch(by=ADMIN) as branch:
        branch.memos.adopt_policy(CLOSED, by=ADMIN)
        assert not is_read(branch.memos)
        with branch.memos.branch(by=ADMIN) as within:
            within.memos.adopt_policy(None, by=ADMIN)
            assert is_read(within.memos)
        assert not is_read(branch.memos)
        assert is_read(memos)
    assert is_read(memos)


def test_what_is_tried_holds_there_as_long_as_it_is_open(memos: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ruling, "AGAIN_S", 0.0)
    with memos.branch(by=ADMIN) as branch:
        branch.memos.adopt_policy(CLOSED, by=ADMIN)
        assert not is_read(branch.memos)
        assert not is_read(branch.memos)
        assert is_read(memos)


def test_it_holds_everywhere_at_once_when_it_is_true(memos: MemOS) -> None:
    with memos.branch(by=ADMIN) as branch:
        with branch.memos.atomic(by=ADMIN) as within:
            within.adopt_policy(CLOSED, by=ADMIN)
        assert not is_read(branch.memos)
        assert is_read(memos)
        branch.merge()
    assert not is_read(memos)
    with memos.atomic(by=ADMIN) as memory:
        memory.adopt_policy(None, by=ADMIN)
    assert is_read(memos)


def test_other_rules_of_the_same_number_are_told_apart(tmp_path: Path, clock: Clock) -> None:
    with MemOS.open(tmp_path, clock=clock) as here, MemOS.open(tmp_path, clock=clock) as there:
        here.remember("Tom earns 5,000 a month.", by=ANA, tags=["pay"])
        with here.branch(by=ADMIN) as branch:
            branch.memos.adopt_policy(None, by=ADMIN)
        there.adopt_policy(CLOSED, by=ADMIN)
        here._rules._held = {each: held._replace(again=0.0) for each, held in here._rules._held.items()}
        assert not is_read(here)


def test_another_tenant_is_out_of_reach_of_what_is_staged(memos: MemOS) -> None:
    theirs = Principal(tenant="other", user="ana")

    def writing(run: PipelineRun) -> None:
        run.memory.remember("Tom earns 9,000 a month.", by=theirs)

    with pytest.raises(AccessDeniedError, match="one's own tenant"):
        memos.run(MemPipeline("astray", [writing]), by=ANA)
    with pytest.raises(AccessDeniedError, match="one's own tenant"), memos.atomic(by=ANA) as memory:
        memory.remember_many(["Tom earns 9,000 a month."], by=theirs)
    assert memos.find(CubeFilter(), by=theirs) == []
    assert memos.verify_audit().ok
