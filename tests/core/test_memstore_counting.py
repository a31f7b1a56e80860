"""What counts a delivery: licences and rates hold in the vault, across processes; withdrawing leaves what it must."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.memstore import Rate, standing
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import Clock

ANA, BEN, CY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "cy"))
HOURLY = Rate(count=1, per=timedelta(hours=1))


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as engine:
        yield engine


def heard(memos: MemOS, name: str = "news", by: Principal = BEN, limit: int = 1_000) -> list[str]:
    batch = memos.store.pull(name, by=by, limit=limit)
    memos.store.acknowledge(name, batch.upto, by=by)
    return [each.cube.text if each.cube else each.kind for each in batch.deliveries]


def test_a_rate_ends_the_batch_where_it_is_used_up_and_says_that_there_is_no_more_now(
    memos: MemOS, clock: Clock
) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA)
    memos.store.publish("kiln", by=ANA, to=["ben"], cube_id=cube.id, rate=HOURLY)
    assert heard(memos) == ["The kiln is free."]
    memos.remember("Before it.", by=ANA, readers=["ben"])
    memos.update(cube.id, by=ANA, text="The kiln is taken.")
    memos.remember("After it.", by=ANA, readers=["ben"])
    batch = memos.store.pull("news", by=BEN)
    assert [each.cube.text for each in batch.deliveries if each.cube] == ["Before it."]
    assert not batch.more
    assert memos.store.push("news", lambda news: None, by=BEN) == 1
    clock.now += timedelta(hours=2)
    assert heard(memos) == ["The kiln is taken.", "After it."]


def test_one_spent_licence_in_a_batch_stops_no_other(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    once = Licence(uses_left=1)
    cubes = [memos.remember(f"Firing {number}.", by=ANA, readers=["ben"], licence=once) for number in range(3)]
    memos.get(cubes[1].id, by=BEN)
    assert heard(memos) == ["Firing 0.", "Firing 2."]
    memos.store.replay("news", by=BEN)
    assert heard(memos) == ["Firing 0.", "Firing 2."], "to be given the same version again is no other use"
    denied = [each.record.cube_id for each in memos.audit(by=BEN, operation="deliver", outcome="denied")]
    assert set(denied) == {cubes[1].id}


def test_an_offer_that_is_made_later_holds_from_then_on_however_much_happened_meanwhile(
    memos: MemOS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "FEW", 3)
    monkeypatch.setattr(standing, "PAGE", 20)
    memos.store.subscribe("news", by=BEN)
    assert heard(memos) == []
    for busy in (1, 5, 30):
        cube = memos.remember(f"The kiln, {busy}.", by=ANA)
        for number in range(busy):
            memos.remember(f"Private {number} of {busy}.", by=ANA)
        memos.store.publish(f"kiln {busy}", by=ANA, to=["ben"], cube_id=cube.id, rate=HOURLY)
        assert heard(memos) == [f"The kiln, {busy}."]
        memos.update(cube.id, by=ANA, text=f"The kiln is taken, {busy}.")
        assert heard(memos) == []
        memos.store.withdraw(f"kiln {busy}", by=ANA)
        memos.update(cube.id, by=ANA, readers=["ben"])
        assert heard(memos) == [f"The kiln is taken, {busy}."], "an offer that is withdrawn holds nobody back"


def test_many_that_go_at_once_are_told_once_each(memos: MemOS) -> None:
    for by in (BEN, CY):
        memos.store.subscribe("news", by=by)
    cubes = memos.remember_many([f"Firing {number}." for number in range(40)], by=ANA, readers=["ben"])
    assert len(heard(memos)) == 40
    for cube in cubes:
        memos.forget(cube.id, by=ANA)
    assert heard(memos) == ["withdrawn"] * 40
    assert heard(memos, by=CY) == heard(memos) == []


def test_to_withdraw_takes_back_what_the_offer_opened_and_nothing_else(memos: MemOS) -> None:
    study, once = CallContext(purpose="study"), Licence(text="look", uses_left=5)
    named = memos.remember("Ben was named by hand.", by=ANA, readers=["ben"])
    memos.store.publish("x", by=ANA, to=["ben", "cy"], cube_id=named.id, purposes=["study"], licence=once)
    assert memos.get(named.id, by=CY, context=study).governance.licence == once.model_copy(
        update={"purposes": ("study",)}
    )
    assert memos.store.withdraw("x", by=ANA) == 1
    after = memos.get(named.id, by=BEN).governance
    assert (after.readers, after.purposes, after.licence) == (("user:ben",), (), None)
    assert memos.store.renew("x", by=ANA) == 0


def test_readers_that_two_offers_opened_go_with_the_second(memos: MemOS) -> None:
    cube = memos.remember("The kiln is free.", by=ANA, readers=["cy"], tags=["kiln"])
    memos.store.publish("one", by=ANA, to=["ben"], cube_id=cube.id)
    memos.store.publish("all", by=ANA, to=["ben", "cy"], tags=["kiln"])
    readers = [
        (memos.store.withdraw(name, by=ANA), memos.get(cube.id, by=ANA).governance.readers)[1]
        for name in ("one", "all")
    ]
    assert readers == [("user:cy", "user:ben"), ("user:cy",)]


def test_what_a_query_no_longer_names_is_taken_back_too(memos: MemOS) -> None:
    cube, gone = (memos.remember(f"The {what} is free.", by=ANA, tags=["studio"]) for what in ("kiln", "wheel"))
    memos.store.publish("studio", by=ANA, to=["ben"], tags=["studio"])
    memos.update(cube.id, by=ANA, tags=["private"])
    memos.forget(gone.id, by=ANA)
    assert memos.get(cube.id, by=BEN).descriptive.tags == ("private",)
    assert memos.store.withdraw("studio", by=ANA) == 1
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=BEN)


WORKER = """
import sys
from memos_integrations import MemOS, Principal
with MemOS.open(sys.argv[1]) as memos:
    ben = Principal(tenant="acme", user="ben")
    print("ready", flush=True)
    for _ in range(60):
        batch = memos.store.pull(sys.argv[2], by=ben)
        memos.store.acknowledge(sys.argv[2], batch.upto, by=ben)
"""


def test_two_processes_together_do_not_exceed_a_rate(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cubes = [memos.remember(f"Kiln {number}.", by=ANA, tags=["kiln"]) for number in range(5)]
        memos.store.publish("kilns", by=ANA, to=["ben"], tags=["kiln"], rate=Rate(count=3, per=timedelta(days=1)))
        for name in ("one", "two"):
            memos.store.subscribe(name, by=BEN, replay=True)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(tmp_path), name], env=environment, stdout=subprocess.PIPE
            )
            for name in ("one", "two")
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        version = 1
        while any(worker.poll() is None for worker in workers):
            version += 1
            for cube in cubes:
                memos.update(cube.id, by=ANA, text=f"Kiln, for the time number {version}.")
        for worker in workers:
            worker.communicate()
        assert [worker.returncode for worker in workers] == [0, 0]
        for cube in cubes:
            given = {each.record.version for each in memos.audit(by=BEN, operation="deliver", cube_id=cube.id)}
            assert len(given) == 3, f"{len(given)} versions were given of {version}"
