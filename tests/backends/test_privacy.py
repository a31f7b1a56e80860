"""Noisy counts over a pool, and the ledger that pays for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.privacy import PrivateStatistics
from memos_integrations.core.errors import BudgetSpentError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STEWARD = Principal(tenant="acme", user="steward")
POOL = ("acme", "pool")


@pytest.fixture
def memos(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault", clock=lambda: NOW) as made:
        for user, many in (("ana", 4), ("ben", 4), ("eve", 50)):
            by = Principal(tenant="acme", user=user)
            texts = [f"{user} likes tea number {n}." for n in range(many)]
            made.remember_many(texts, by=by, namespace=POOL, readers=["steward"], tags=[f"from-{user}"])
        made.remember("Not of the pool.", by=STEWARD)
        yield made


def over(memos: MemOS, budget: float, most: int = 4) -> PrivateStatistics:
    return PrivateStatistics(memos, steward=STEWARD, pool=POOL, budget=budget, most_per_owner=most)


def test_counts_are_near_and_one_owner_counts_so_much_at_most(memos: MemOS) -> None:
    pool = over(memos, 100_000)
    assert [pool.count(epsilon=1_000) for _ in range(3)] == [12, 12, 12]
    bins = pool.histogram(lambda cube: cube.governance.owner, ["user:ana", "user:eve", "user:zoe"], epsilon=1_000)
    assert bins == {"user:ana": 4, "user:eve": 4, "user:zoe": 0}
    assert pool.total(lambda _: 70, low=0, high=5, epsilon=10_000) == 60
    assert pool.count(epsilon=1_000, where=CubeFilter(tags=("from-ana",))) == 4


def test_noise_has_the_scale_that_was_paid_for(memos: MemOS) -> None:
    pool = over(memos, 1_000)
    off = [abs(pool.count(epsilon=1.0) - 12) for _ in range(300)]
    assert 2.8 < fmean(off) < 5.5  # the mean of |Laplace(4)| is 4; 300 draws stray by 0.23
    assert len({*off}) > 3


def test_a_spent_budget_refuses_and_stays_spent(memos: MemOS, tmp_path: Path) -> None:
    pool = over(memos, 1.0)
    for _ in range(10):
        pool.count(epsilon=0.1)
    assert pool.left() == 0
    with pytest.raises(BudgetSpentError, match="does not refill"):
        pool.count(epsilon=0.000001)
    memos.close()
    with MemOS.open(tmp_path / "vault", clock=lambda: NOW) as again:
        assert over(again, 50.0).left() == 0  # the first budget stands


def test_a_refused_release_spends_nothing(memos: MemOS) -> None:
    pool = over(memos, 1.0)
    with pytest.raises(BudgetSpentError):
        pool.count(epsilon=1.1)
    for wrong in (0, -1, float("nan"), float("inf"), "1"):
        with pytest.raises(InvalidMemoryError):
            pool.count(epsilon=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidMemoryError):
        pool.total(lambda _: 1, low=2, high=1, epsilon=0.1)
    assert pool.left() == 1.0


def test_many_at_once_spend_no_more_than_there_is(memos: MemOS) -> None:
    released: list[int] = []

    def ask() -> None:
        pool = over(memos, 1.0)
        for _ in range(4):
            try:
                released.append(pool.count(epsilon=0.125))
            except BudgetSpentError:
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(released) == 8
    assert over(memos, 1.0).left() == 0
