"""MemStore: what is offered reaches whom it is for, once acknowledged, and nobody else; over both vaults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.memstore import Delivery, Rate
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import Clock

ANA, BEN, CY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "cy"))
ELSEWHERE = Principal(tenant="other", user="ben")


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path)
    with MemOS(vault, clock=clock) as engine:
        yield engine


def heard(memos: MemOS, name: str = "news", by: Principal = BEN, *, acknowledged: bool = True) -> list[tuple[str, str]]:
    batch = memos.store.pull(name, by=by)
    if acknowledged:
        memos.store.acknowledge(name, batch.upto, by=by)
    return [(each.kind, each.cube.text if each.cube else "") for each in batch.deliveries]


def test_an_offer_reaches_its_audience_and_nobody_else(memos: MemOS) -> None:
    for by in (BEN, CY, ELSEWHERE):
        memos.store.subscribe("news", by=by)
    cube = memos.remember("The kiln is free on Friday.", by=ANA)
    assert heard(memos) == []
    offer = memos.store.publish("kiln", by=ANA, to=["ben"], cube_id=cube.id, price="2 EUR")
    assert heard(memos) == [("written", "The kiln is free on Friday.")]
    assert [heard(memos, by=by) for by in (CY, ELSEWHERE)] == [[], []]
    assert memos.store.offers(by=BEN) == memos.store.offers(by=ANA) == [offer]
    assert memos.store.offers(by=CY) == memos.store.offers(by=ELSEWHERE) == []
    given = [each.record for each in memos.audit(by=BEN, operation="deliver")]
    assert [(each.cube_id, each.actor) for each in given] == [(cube.id, "user:ben")]


def test_what_is_not_acknowledged_comes_again_with_the_same_id(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    first, again = memos.store.pull("news", by=BEN), memos.store.pull("news", by=BEN)
    assert [each.id for each in first.deliveries] == [each.id for each in again.deliveries] != []
    for each in (*first.deliveries, *again.deliveries):
        assert each.cube is not None
        memos.remember(f"Heard: {each.cube.text}", by=BEN, key=each.id)
    memos.store.acknowledge("news", first.upto, by=BEN)
    assert heard(memos) == []
    assert len(memos.recall("heard kiln", by=BEN).hits) == 2, "what was heard, and one note of it"
    memos.store.replay("news", by=BEN)
    assert heard(memos) == [("written", "The kiln is free.")]


def test_what_goes_is_told_to_whom_it_was_given_and_to_nobody_else(memos: MemOS, clock: Clock) -> None:
    for by in (BEN, CY):
        memos.store.subscribe("news", by=by)
    shared = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    gone = memos.remember("The wheel is broken.", by=ANA, readers=["ben"])
    never = memos.remember("My salary is secret.", by=ANA)
    ends = memos.remember("The sale is on.", by=ANA, readers=["ben"], ttl=timedelta(hours=1))
    assert len(heard(memos)) == 3
    memos.update(shared.id, by=ANA, readers=())
    memos.forget(gone.id, by=ANA)
    memos.forget(never.id, by=ANA)
    clock.now += timedelta(hours=2)
    memos.tick(by=ANA)
    assert sorted(heard(memos)) == [("withdrawn", "")] * 3
    assert heard(memos, by=CY) == []
    assert ends.id not in {hit.cube.id for hit in memos.recall("sale", by=BEN).hits}


def test_access_is_decided_when_it_is_delivered(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    memos.update(cube.id, by=ANA, readers=())
    assert heard(memos) == []


def test_an_offer_of_a_query_is_renewed_and_withdrawn(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN, tags=["pottery"])
    memos.remember("The kiln is free.", by=ANA, tags=["pottery"])
    memos.remember("Cy owes me a tenner.", by=ANA, tags=["money"])
    memos.store.publish("studio", by=ANA, to=["ben"], tags=["pottery"])
    assert heard(memos) == [("written", "The kiln is free.")]
    memos.remember("The wheel is mended.", by=ANA, tags=["pottery"])
    assert heard(memos) == []
    assert (memos.store.renew("studio", by=ANA), memos.store.renew("studio", by=ANA)) == (1, 0)
    assert heard(memos) == [("written", "The wheel is mended.")]
    assert memos.store.withdraw("studio", by=ANA) == 2
    assert heard(memos) == [("withdrawn", "")] * 2
    assert memos.recall("kiln", by=BEN).hits == ()
    assert memos.store.offers(by=BEN) == []


def test_two_offers_of_one_memory_keep_it_shared_until_both_are_withdrawn(memos: MemOS) -> None:
    cube = memos.remember("The kiln is free.", by=ANA)
    for name in ("one", "two"):
        memos.store.publish(name, by=ANA, to=["ben"], cube_id=cube.id)
    memos.store.withdraw("one", by=ANA)
    assert memos.get(cube.id, by=BEN).text == "The kiln is free."
    memos.store.withdraw("two", by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=BEN)


def test_a_licence_counts_deliveries_in_the_vault(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA)
    memos.store.publish("kiln", by=ANA, to=["ben"], cube_id=cube.id, licence=Licence(text="two looks", uses_left=2))
    assert [heard(memos, acknowledged=False) for _ in range(3)] == [[("written", "The kiln is free.")]] * 3
    texts = ["The kiln is taken.", "The kiln is hot."]
    assert [(memos.update(cube.id, by=ANA, text=text), heard(memos))[1] for text in texts] == [
        [("written", "The kiln is taken.")],
        [],
    ]


def test_an_offer_for_a_purpose_can_be_withdrawn(memos: MemOS) -> None:
    study = CallContext(purpose="study")
    cubes = [memos.remember(text, by=ANA, tags=["kiln"]) for text in ("The kiln is free.", "The kiln is hot.")]
    memos.store.publish("one", by=ANA, to=["ben"], cube_id=cubes[0].id, purposes=["study"])
    memos.store.publish("all", by=ANA, to=["cy"], tags=["kiln"], purposes=["study"])
    assert memos.get(cubes[0].id, by=BEN, context=study).text == "The kiln is free."
    assert memos.store.withdraw("one", by=ANA) == 1
    assert memos.store.withdraw("all", by=ANA) == 2
    for by in (BEN, CY):
        assert memos.recall("kiln", by=by, context=study).hits == ()


def test_the_same_news_has_the_same_id_though_it_moved_meanwhile(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    (first,) = memos.store.pull("news", by=BEN).deliveries
    memos.move(cube.id, "archived", by=ANA)
    (again,) = memos.store.pull("news", by=BEN).deliveries
    assert (again.id, again.kind) == (first.id, "written")


def test_callers_at_once_do_not_exceed_a_rate(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA)
    memos.store.publish("kiln", by=ANA, to=["ben"], cube_id=cube.id, rate=Rate(count=1, per=timedelta(hours=1)))
    assert len(heard(memos)) == 1
    memos.update(cube.id, by=ANA, text="The kiln is taken.")
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(lambda _: memos.store.pull("news", by=BEN), range(8)))
    assert [batch.deliveries for batch in batches] == [()] * 8


def test_a_rate_holds_a_subscriber_back_and_nothing_is_lost(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("news", by=BEN)
    cube = memos.remember("The kiln is free.", by=ANA)
    memos.store.publish("kiln", by=ANA, to=["ben"], cube_id=cube.id, rate=Rate(count=1, per=timedelta(hours=1)))
    assert heard(memos) == [("written", "The kiln is free.")]
    memos.update(cube.id, by=ANA, text="The kiln is taken.")
    memos.remember("The wheel is mended.", by=ANA, readers=["ben"])
    assert heard(memos) == []
    clock.now += timedelta(hours=2)
    assert heard(memos) == [("written", "The kiln is taken."), ("written", "The wheel is mended.")]


def test_a_consumer_that_fails_loses_nothing(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    for text in ("The kiln is free.", "The wheel is broken.", "The shop is shut."):
        memos.remember(text, by=ANA, readers=["ben"])
    took: list[str] = []

    def consume(delivery: Delivery) -> None:
        assert delivery.cube is not None
        if "wheel" in delivery.cube.text:
            raise RuntimeError("The wheel is broken. I cannot take it")
        took.append(delivery.cube.text)

    assert memos.store.push("news", consume, by=BEN) == 2, "the dead are not among those that it took"
    assert took == ["The kiln is free.", "The shop is shut."]
    (dead,) = memos.store.dead_letters("news", by=BEN)
    assert (dead.error, dead.kind) == ("RuntimeError", "written")
    assert "wheel" not in dead.model_dump_json()
    mended: list[str] = []
    assert memos.store.retry("news", lambda each: mended.append(each.cube.text if each.cube else ""), by=BEN) == 1
    assert mended == ["The wheel is broken."]
    assert memos.store.dead_letters("news", by=BEN) == []


def test_it_wants_what_it_says(memos: MemOS) -> None:
    memos.store.subscribe("about", by=BEN, about="kiln temperature")
    memos.store.subscribe("place", by=BEN, namespace=["studio"])
    memos.store.subscribe("moves", by=BEN, kinds=["moved"])
    memos.store.subscribe("own", by=BEN, own=True)
    memos.remember("The kiln reached its temperature.", by=ANA, readers=["ben"])
    memos.remember("Tea is ready.", by=ANA, readers=["ben"], namespace=("acme", "studio", "kitchen"))
    memos.remember("A note of my own.", by=BEN)
    assert heard(memos, "about") == [("written", "The kiln reached its temperature.")]
    assert heard(memos, "place") == [("written", "Tea is ready.")]
    assert heard(memos, "moves") == []
    assert ("written", "A note of my own.") in heard(memos, "own")


def test_a_slow_subscriber_is_sent_no_more_than_it_asks_for(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    for number in range(7):
        memos.remember(f"Firing number {number}.", by=ANA, readers=["ben"])
    told: list[str] = []
    while True:
        batch = memos.store.pull("news", by=BEN, limit=3)
        assert len(batch.deliveries) <= 3
        told += [each.cube.text for each in batch.deliveries if each.cube]
        memos.store.acknowledge("news", batch.upto, by=BEN)
        if not batch.more:
            break
    assert told == [f"Firing number {number}." for number in range(7)]


def test_bad_input_is_refused_and_changes_nothing(memos: MemOS) -> None:
    cube = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    with pytest.raises(InvalidMemoryError):
        memos.store.publish("x", by=ANA, to=[], cube_id=cube.id)
    with pytest.raises(InvalidMemoryError):
        memos.store.publish("x", by=ANA, to=["ben"])
    with pytest.raises(InvalidMemoryError):
        memos.store.subscribe("x", by=BEN, kinds=["eaten"])
    with pytest.raises(CubeNotFoundError):
        memos.store.pull("none", by=BEN)
    memos.store.subscribe("news", by=BEN)
    for limit in (0, 1_001):
        with pytest.raises(InvalidMemoryError):
            memos.store.pull("news", by=BEN, limit=limit)
    with pytest.raises(InvalidMemoryError):
        memos.store.acknowledge("news", 10**9, by=BEN)
    with pytest.raises((AccessDeniedError, CubeNotFoundError)):
        memos.store.publish("kiln", by=BEN, to=["cy"], cube_id=cube.id)
    assert memos.store.subscriptions(by=CY) == []
    assert memos.store.offers(by=CY) == []


def test_who_follows_is_woken_by_what_is_written(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    took: list[str] = []
    heard_it, until = Event(), Event()

    def consume(delivery: Delivery) -> None:
        took.append(delivery.cube.text if delivery.cube else delivery.kind)
        heard_it.set()

    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(memos.store.follow, "news", consume, by=BEN, until=until, every=600.0)
        try:
            cubes = []
            for number in range(3):
                cubes.append(memos.remember(f"Firing number {number}.", by=ANA, readers=["ben"]))
                assert heard_it.wait(30), "long before it would have looked by itself"
                heard_it.clear()
            memos.forget(cubes[0].id, by=ANA)
            assert heard_it.wait(30)
        finally:
            until.set()
        assert following.result(30) == 4
    assert took == ["Firing number 0.", "Firing number 1.", "Firing number 2.", "withdrawn"]


def test_to_push_where_nothing_is_new_writes_nothing(memos: MemOS) -> None:
    memos.store.subscribe("news", by=BEN)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    assert memos.store.push("news", lambda news: None, by=BEN) == 1
    before = memos.generation(by=BEN)
    assert [memos.store.push("news", lambda news: None, by=BEN) for _ in range(3)] == [0] * 3
    assert memos.generation(by=BEN) == before


def test_what_is_for_one_purpose_is_offered_in_it(memos: MemOS) -> None:
    care = CallContext(purpose="care")
    cube = memos.remember("The dose is 5 mg.", by=ANA, purposes=["care"])
    with pytest.raises((AccessDeniedError, CubeNotFoundError)):
        memos.store.publish("dose", by=ANA, to=["ben"], cube_id=cube.id)
    memos.store.publish("dose", by=ANA, to=["ben"], cube_id=cube.id, context=care)
    assert memos.get(cube.id, by=BEN, context=care).text == "The dose is 5 mg."
    assert memos.store.withdraw("dose", by=ANA, context=care) == 1
    with pytest.raises(CubeNotFoundError):
        memos.get(cube.id, by=BEN, context=care)
