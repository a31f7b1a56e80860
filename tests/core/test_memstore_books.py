"""The books of `MemStore` are no memories: time, roll-backs and sweeps leave offers and subscriptions as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from memos_integrations.core.item import ItemQuery
from memos_integrations.core.memstore import Rate
from memos_integrations.core.operator.options import TRUST_OF_ROLE
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.pipeline.steps import Archive, Find
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ANA, BEN, DAY, Clock


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as engine:
        yield engine


def aged(memos: MemOS, clock: Clock, since: datetime) -> None:
    clock.now += 500 * DAY
    memos.recall("When is the kiln free?", by=ANA)
    assert memos.tick(by=ANA).archived == {}
    assert memos.tick(by=BEN).archived == {}


def rolled_back(memos: MemOS, clock: Clock, since: datetime) -> None:
    assert memos.roll_back(since, by=ANA).archived == ()


def forgotten_by_channel(memos: MemOS, clock: Clock, since: datetime) -> None:
    assert memos.forget_from(by=ANA, channel="user") == []


def set_apart(memos: MemOS, clock: Clock, since: datetime) -> None:
    assert memos.quarantine(CubeFilter(), by=ANA, channel="user") == []


def archived_by_a_pipeline(memos: MemOS, clock: Clock, since: datetime) -> None:
    clock.now += 40 * DAY
    steps = [Find.model_validate({"older_than_days": 30, "as": "old"}), Archive.model_validate({"in": "old"})]
    kiln = memos.run(MemPipeline("tidy", steps), by=ANA).changes
    assert len(kiln) == 1
    memos.move(kiln[0].cube_id, "activated", by=ANA)


def archived_by_hand(memos: MemOS, clock: Clock, since: datetime) -> None:
    for place in ("publications", "opened", "subscriptions"):
        for by in (ANA, BEN):
            for item in memos.items.search(ItemQuery(("memstore", place)), by=by):
                memos.move(item.cube_id, "archived", by=by)


HAPPENS = [aged, rolled_back, forgotten_by_channel, set_apart, archived_by_a_pipeline, archived_by_hand]


@pytest.mark.parametrize("happens", HAPPENS)
def test_an_offer_stands_and_can_be_withdrawn_whatever_becomes_of_memories(
    memos: MemOS, clock: Clock, happens: Callable[[MemOS, Clock, datetime], None]
) -> None:
    imported = TRUST_OF_ROLE["tool"]
    memos.remember("The kiln is free on Friday.", by=ANA, tags=["kiln"], trust=imported)
    clock.now += DAY
    since = clock.now
    clock.now += DAY
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], rate=Rate(count=9, per=DAY))
    memos.store.subscribe("news", by=BEN)
    clock.now += DAY
    happens(memos, clock, since)
    assert [each.name for each in memos.store.offers(by=BEN)] == ["kiln"]
    assert [each.name for each in memos.store.subscriptions(by=BEN)] == ["news"]
    assert len(memos.recall("When is the kiln free?", by=BEN).hits) == 1
    assert memos.store.withdraw("kiln", by=ANA) == 1
    assert memos.recall("When is the kiln free?", by=BEN).hits == ()


def test_a_rate_binds_though_its_offer_was_archived_before(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("news", by=BEN)
    kiln = memos.remember("The kiln is free on Friday.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], rate=Rate(count=1, per=DAY))
    archived_by_hand(memos, clock, clock.now)
    for day, given in (("Friday", 1), ("Monday", 0)):
        memos.update(kiln.id, by=ANA, text=f"The kiln is free on {day}, from noon.")
        batch = memos.store.pull("news", by=BEN)
        assert len(batch.deliveries) == given
        memos.store.acknowledge("news", batch.upto, by=BEN)


def test_a_roll_back_does_not_bring_a_withdrawn_offer_back(memos: MemOS, clock: Clock) -> None:
    memos.remember("The kiln is free on Friday.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"])
    clock.now += DAY
    since = clock.now
    clock.now += DAY
    memos.store.withdraw("kiln", by=ANA)
    memos.roll_back(since, by=ANA)
    memos.store.renew("kiln", by=ANA)
    assert memos.store.offers(by=BEN) == []
    assert memos.recall("When is the kiln free?", by=BEN).hits == ()
