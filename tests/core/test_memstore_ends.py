"""What ends an offer: its licence's time, its purposes, an offer anew; it binds the audience and never the owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.memstore import Rate
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import Clock

ANA, BEN, CY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "cy"))
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
HOUR = timedelta(hours=1)
STUDY = CallContext(purpose="study")


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as engine:
        yield engine


def heard(memos: MemOS, by: Principal = BEN) -> list[str]:
    batch = memos.store.pull("news", by=by)
    memos.store.acknowledge("news", batch.upto, by=by)
    return [each.cube.text if each.cube else each.kind for each in batch.deliveries]


def found(memos: MemOS, by: Principal, context: CallContext | None = None) -> list[str]:
    return [hit.text for hit in memos.recall("kiln", by=by, context=context).hits]


def test_the_end_of_a_licence_is_the_audiences_and_never_the_owners(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish(
        "kiln", by=ANA, to=["ben", "role:admin"], tags=["kiln"], licence=Licence(until=clock.now + HOUR)
    )
    assert heard(memos) == ["The kiln is free."]
    clock.now += 2 * HOUR
    assert found(memos, BEN) == []
    assert found(memos, ANA) == ["The kiln is free."]
    assert [memos.get(cube.id, by=by).text for by in (ANA, ADMIN)] == ["The kiln is free."] * 2
    assert [each.text for each in memos.history(cube.id, by=ANA)] == ["The kiln is free."] * 2
    assert memos.update(cube.id, by=ANA, text="The kiln is taken.").text == "The kiln is taken."
    assert memos.restore(cube.id, 1, by=ANA).text == "The kiln is free."


@pytest.mark.parametrize("ticked", [False, True])
def test_whoever_was_given_it_is_told_that_it_went(memos: MemOS, clock: Clock, ticked: bool) -> None:
    for by in (BEN, CY):
        memos.store.subscribe("news", by=by)
    memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(until=clock.now + HOUR))
    assert heard(memos) == ["The kiln is free."]
    clock.now += 2 * HOUR
    if ticked:
        memos.tick(by=ANA)
    assert heard(memos) == ["withdrawn"]
    memos.tick(by=ANA)
    assert heard(memos) == []
    assert heard(memos, CY) == []
    assert memos.store.offers(by=BEN) == []


def test_a_licence_given_by_hand_ends_as_loudly(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("news", by=BEN)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"], licence=Licence(until=clock.now + HOUR))
    assert heard(memos) == ["The kiln is free."]
    clock.now += 2 * HOUR
    memos.tick(by=ANA)
    assert heard(memos) == ["withdrawn"]


def test_an_offer_that_is_over_can_be_withdrawn_and_made_anew(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(until=clock.now + HOUR))
    clock.now += 2 * HOUR
    assert memos.store.withdraw("kiln", by=ANA) == 1
    assert memos.get(cube.id, by=ANA).governance.licence is None
    assert memos.get(cube.id, by=ANA).governance.readers == ()
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(until=clock.now + HOUR))
    assert found(memos, BEN) == heard(memos) == ["The kiln is free."]
    clock.now += 2 * HOUR
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(until=clock.now + HOUR))
    assert found(memos, BEN) == ["The kiln is free."]
    with pytest.raises(InvalidMemoryError, match="over already"):
        memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(until=clock.now - HOUR))


def test_an_offer_made_anew_takes_back_what_it_no_longer_gives(memos: MemOS) -> None:
    for by in (BEN, CY):
        memos.store.subscribe("news", by=by)
    kiln = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    wheel = memos.remember("The kiln's wheel is free.", by=ANA, tags=["wheel"], readers=["cy"])
    first = Licence(text="first")
    memos.store.publish("studio", by=ANA, to=["ben"], tags=["kiln", "wheel"], licence=first)
    assert sorted(heard(memos)) == ["The kiln is free.", "The kiln's wheel is free."]
    memos.store.publish("studio", by=ANA, to=["cy"], tags=["kiln"])
    assert found(memos, BEN) == []
    assert heard(memos) == ["withdrawn"] * 2
    assert memos.store.offers(by=BEN) == []
    assert memos.get(kiln.id, by=ANA).governance.readers == ("user:cy",)
    assert memos.get(wheel.id, by=ANA).governance.readers == ("user:cy",), "named by hand"
    assert [memos.get(each.id, by=ANA).governance.licence for each in (kiln, wheel)] == [None, None]
    assert memos.store.withdraw("studio", by=ANA) == 1
    assert memos.get(kiln.id, by=ANA).governance.readers == ()


def test_whoever_dies_while_it_is_made_anew_renews(memos: MemOS, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"])
    with monkeypatch.context() as dies:
        dies.setattr(memos.store, "_renew", lambda *_, **__: 0)
        memos.store.publish("kiln", by=ANA, to=["cy"], tags=["kiln"])
    assert memos.get(cube.id, by=ANA).governance.readers == ("user:ben",)
    assert (memos.store.renew("kiln", by=ANA), memos.store.renew("kiln", by=ANA)) == (1, 0)
    assert memos.get(cube.id, by=ANA).governance.readers == ("user:cy",)


def test_within_atomic_an_offer_is_made_anew_at_once_or_not_at_all(memos: MemOS) -> None:
    cubes = [memos.remember(f"The kiln is free on day {number}.", by=ANA, tags=["kiln"]) for number in range(3)]
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"])
    before = [memos.get(cube.id, by=ANA) for cube in cubes]
    with suppress(RuntimeError), memos.atomic(by=ANA) as staged:
        staged.store.publish("kiln", by=ANA, to=["cy"], tags=["kiln"])
        raise RuntimeError
    assert [memos.get(cube.id, by=ANA).ref for cube in cubes] == [cube.ref for cube in before]
    assert [each.audience for each in memos.store.offers(by=ANA)] == [("user:ben",)]
    with memos.atomic(by=ANA) as staged:
        staged.store.publish("kiln", by=ANA, to=["cy"], tags=["kiln"])
        assert [memos.get(cube.id, by=BEN).governance.readers for cube in cubes] == [("user:ben",)] * 3
    assert [memos.get(cube.id, by=CY).governance.readers for cube in cubes] == [("user:cy",)] * 3
    assert (found(memos, BEN), memos.store.renew("kiln", by=ANA)) == ([], 0)


def test_the_licence_is_that_of_the_last_offer_that_stands(memos: MemOS, clock: Clock) -> None:
    mine, one, two = (Licence(text=text) for text in ("mine", "one", "two"))
    cube = memos.remember("The kiln is free.", by=ANA, licence=mine)
    told = []
    for name, licence in (("one", one), ("two", two)):
        clock.now += HOUR
        memos.store.publish(name, by=ANA, to=["ben"], cube_id=cube.id, licence=licence)
        told.append(memos.get(cube.id, by=ANA).governance.licence_for(BEN.subjects))
    assert memos.store.renew("one", by=ANA) == 0
    for name in ("two", "one"):
        memos.store.withdraw(name, by=ANA)
        told.append(memos.get(cube.id, by=ANA).governance.licence_for(BEN.subjects))
    assert told == [one, two, one, mine]


def test_purposes_of_an_offer_bind_its_audience_and_not_its_owner(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], purposes=["study"])
    assert found(memos, ANA) == [each.text for each in memos.find(CubeFilter(tags=("kiln",)), by=ANA)]
    assert found(memos, ANA) == found(memos, BEN, STUDY) == ["The kiln is free."]
    assert found(memos, BEN) == heard(memos) == []
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=BEN)
    memos.store.withdraw("kiln", by=ANA)
    assert memos.get(cube.id, by=ANA).governance.licence is None


@pytest.mark.parametrize("bound", ["purpose", "end"])
def test_what_one_may_not_have_does_not_stand_in_the_way_of_what_one_may(
    memos: MemOS, clock: Clock, bound: str
) -> None:
    memos.remember("Somebody said something of a kiln and of a good many other things.", by=ANA, readers=["ben"])
    clock.now += HOUR
    for number in range(6):
        memos.remember(f"The kiln, kiln, kiln number {number}.", by=ANA, tags=["firing"])
    terms = {"purpose": {"purposes": ["study"]}, "end": {"licence": Licence(until=clock.now + HOUR)}}[bound]
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["firing"], **terms)  # type: ignore[arg-type]
    clock.now += 2 * HOUR
    assert len(memos.recall("kiln", by=BEN, k=1).hits) == 1
    assert len(memos.find(CubeFilter(semantic_types=("fact",)), by=BEN, k=1)) == 1


def test_an_audience_is_a_list(memos: MemOS) -> None:
    memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    for said in (
        {"to": "ben", "tags": ["kiln"]},
        {"to": ["ben"], "tags": "kiln"},
        {"to": ["ben"], "namespace": "acme"},
    ):
        with pytest.raises(InvalidMemoryError):
            memos.store.publish("kiln", by=ANA, **said)  # type: ignore[arg-type]
    assert memos.store.offers(by=ANA) == []


def test_a_rate_paces_news_and_uses_bind_every_reading(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], rate=Rate(count=1, per=HOUR))
    assert heard(memos) == ["The kiln is free."]
    memos.update(cube.id, by=ANA, text="The kiln is taken.")
    assert heard(memos) == []
    assert [found(memos, BEN) for _ in range(3)] == [["The kiln is taken."]] * 3, "whoever may read it may look it up"
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(uses_left=2))
    assert [found(memos, BEN) for _ in range(3)] == [["The kiln is taken."]] * 2 + [[]]


def test_what_would_skip_news_is_refused(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(InvalidMemoryError):
            memos.store.push("news", print, by=BEN, attempts=wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidMemoryError):
            memos.store.push("news", print, by=BEN, limit=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidMemoryError, match="goes back"):
        memos.store.replay("news", by=BEN, after=10**6)
    assert heard(memos) == ["The kiln is free."]
