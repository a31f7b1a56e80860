"""MemStore over each wire: what is shared reaches whom it is for, and a wire that lies delivers nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.signing import Ed25519Signer, ed25519_signed
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import CubeNotFoundError, WireError
from memos_integrations.core.memstore import Batch, Delivery, Rate
from memos_integrations.core.ports import Posting, Wire
from memos_integrations.core.wire import Envelope, LocalWire, Relay, WireSubscriber
from memos_integrations.testing.wire_contract import OpenWire

ANA, BEN, CY, RELAY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "cy", "relay"))
ELSEWHERE = Principal(tenant="other", user="ben")
QUICK = 0.05


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memos(tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault", clock=clock) as engine:
        yield engine


@pytest.fixture
def wire(open_wire: OpenWire) -> Wire:
    return open_wire(f"acme-{uuid4().hex}", again_after=0.5)


@pytest.fixture
def relay(memos: MemOS, wire: Wire) -> Relay:
    return Relay(memos, wire, by=RELAY)


def subscriber(memos: MemOS, wire: Wire, by: Principal = BEN, **wants: object) -> WireSubscriber:
    memos.store.subscribe("news", by=by, **wants)
    return WireSubscriber(memos, wire, "news", by=by)


def told(batch: Batch) -> list[tuple[str, str]]:
    return [(each.kind, each.cube.text if each.cube else "") for each in batch.deliveries]


def flow(relay: Relay, listener: WireSubscriber) -> list[tuple[str, str]]:
    relay.run_once()
    batch = listener.pull(wait=QUICK)
    listener.acknowledge(batch)
    return told(batch)


def test_what_is_shared_arrives_once_and_nowhere_else(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben, cy = subscriber(memos, wire), subscriber(memos, wire, CY)
    other = subscriber(memos, wire, ELSEWHERE)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    memos.remember("Ben owes me for clay.", by=ANA)
    relay.run_once()
    batch = ben.pull(wait=5)
    assert told(batch) == [("written", "The kiln is free.")]
    assert ben.pull(wait=QUICK).deliveries == batch.deliveries, "until it is acknowledged"
    ben.acknowledge(batch)
    assert [told(each.pull(wait=QUICK)) for each in (ben, cy, other)] == [[], [], []]
    assert {each.record.actor for each in memos.audit(by=BEN, operation="deliver")} == {"user:ben"}


def test_the_wire_carries_numbers_and_nothing_else(memos: MemOS, wire: Wire, relay: Relay) -> None:
    wire.join("spy")
    cube = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    relay.run_once()
    seen = wire.fetch("spy", 10, 5.0)
    assert [sorted(Envelope.model_validate_json(each.body).model_dump()) for each in seen] == [
        ["memos", "number", "signature"]
    ]
    assert not [each for each in seen if cube.id.encode() in each.body or b"ana" in each.body or b"kiln" in each.body]


def test_access_is_decided_when_it_is_delivered(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben = subscriber(memos, wire)
    cube = memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    relay.run_once()
    memos.update(cube.id, by=ANA, readers=[])
    assert told(ben.pull(wait=QUICK)) == []
    memos.update(cube.id, by=ANA, readers=["ben"])
    assert flow(relay, ben) == [("written", "The kiln is free.")]
    memos.forget(cube.id, by=ANA)
    assert flow(relay, ben) == [("withdrawn", "")]


def test_a_withdrawn_offer_reaches_whom_it_was_given(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben = subscriber(memos, wire, tags=["kiln"])
    memos.remember("The kiln is free.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=Licence(uses_left=1))
    assert flow(relay, ben) == [("written", "The kiln is free.")]
    memos.store.withdraw("kiln", by=ANA)
    assert flow(relay, ben) == [("withdrawn", "")]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff\xfe", b'{"memos":1,"number":0}', b'{"memos":1,"number":"7"}', b'{"memos":2,"number":7}',
     b'{"memos":1,"number":7,"cube":"x"}', b'{"memos":1,"number":9223372036854775808}', b"[" * 900, b" " * 2_000,
     b'{"memos":1,"number":7,"signature":"zz"}'],
)  # fmt: skip
def test_what_is_no_envelope_is_thrown_away(memos: MemOS, body: bytes) -> None:
    wire = LocalWire("acme", again_after=0.0)
    ben = subscriber(memos, wire)
    memos.remember("Ana's own.", by=ANA)
    wire.publish([Posting("forged", body)])
    assert told(ben.pull(wait=QUICK)) == []
    assert ben.refused == {"not an envelope": 1}
    assert wire.fetch(ben._reader, 10, 0.0) == []


def test_a_forged_number_delivers_nothing_and_holds_nothing_up(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben = subscriber(memos, wire)
    secret = memos.remember("Ana's own.", by=ANA)
    ends, _ = memos.store.happened(0, by=ANA)
    forged = [*range(1, ends[-1] + 1), 10**6, 2**63 - 1]
    wire.publish([Posting(f"forged {number}", Envelope(number=number).body()) for number in forged])
    assert told(ben.pull(wait=5)) == []
    assert ben.refused == {"no such event": 2}
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    assert flow(relay, ben) == [("written", "The kiln is free.")]
    assert not [each for each in memos.audit(by=ANA, cube_id=secret.id, operation="deliver")]


def test_only_who_signs_wakes_who_asks_for_signatures(memos: MemOS, wire: Wire) -> None:
    signer, stranger = Ed25519Signer(b"1" * 32), Ed25519Signer(b"2" * 32)
    memos.store.subscribe("news", by=BEN)
    ben = WireSubscriber(memos, wire, "news", by=BEN, signed=partial(ed25519_signed, signer.key))
    forged = [Envelope(number=1), Envelope.of(1, wire.name, stranger), Envelope.of(1, "another stream", signer)]
    forged += [Envelope.of(1, wire.name, signer).model_copy(update={"number": 2}), Envelope(number=1, signature="abc")]
    wire.publish([Posting(str(place), each.body()) for place, each in enumerate(forged)])
    ben.pull(wait=5)
    assert ben.refused == {"not an envelope": len(forged)}
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    assert flow(Relay(memos, wire, by=RELAY, signer=signer), ben) == [("written", "The kiln is free.")]
    assert ben.refused == {"not an envelope": len(forged)}


def test_a_relay_goes_on_where_it_stopped(memos: MemOS, wire: Wire) -> None:
    wire.join("spy")
    memos.remember_many([f"Number {number}." for number in range(5)], by=ANA)
    assert Relay(memos, wire, by=RELAY).run_once(limit=3) == 3
    after = Relay(memos, wire, by=RELAY)
    assert after.published == 3
    assert after.run_once() == 2
    assert [Envelope.model_validate_json(each.body).number for each in wire.fetch("spy", 10, 5.0)] == [3, 5]
    assert [after.run_once(), Relay(memos, wire, by=CY).run_once()] == [0, 5], "each principal has a place of its own"
    assert wire.fetch("spy", 10, QUICK) == [], "under the same ids"


def test_the_books_of_the_store_are_no_news(memos: MemOS, wire: Wire, relay: Relay) -> None:
    """Relays and subscribers that keep their places do not wake each other for ever."""
    second = Relay(memos, LocalWire("second"), by=CY)
    ben = subscriber(memos, wire)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    assert [relay.run_once(), second.run_once()] == [1, 1]
    ben.acknowledge(ben.pull(wait=5))
    assert [each.run_once() for each in (relay, second, relay, second)] == [0, 0, 0, 0]


def test_an_erased_memory_is_news_of_the_relay(memos: MemOS, wire: Wire, relay: Relay) -> None:
    cube = memos.remember("The kiln is free.", by=ANA)
    relay.run_once()
    memos.forget(cube.id, by=ANA)
    assert relay.run_once() >= 1


def test_a_consumer_that_fails_leaves_a_dead_letter(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben, taken = subscriber(memos, wire), list[str]()

    def consume(delivery: Delivery) -> None:
        assert delivery.cube is not None
        if "2" in delivery.cube.text:
            raise ValueError("cannot read this")
        taken.append(delivery.cube.text)

    memos.remember_many([f"Shelf {number}." for number in (1, 2, 3)], by=ANA, readers=["ben"])
    relay.run_once()
    assert ben.push(consume, wait=5) == 2
    assert taken == ["Shelf 1.", "Shelf 3."]
    assert [each.error for each in memos.store.dead_letters("news", by=BEN)] == ["ValueError"]
    assert ben.push(consume, wait=QUICK) == 0


def test_a_rate_holds_back_and_lets_through_later(memos: MemOS, wire: Wire, relay: Relay, clock: Clock) -> None:
    ben = subscriber(memos, wire)
    cube = memos.remember("Version 1.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], rate=Rate(count=1, per=timedelta(hours=1)))
    assert flow(relay, ben) == [("written", "Version 1.")]
    memos.update(cube.id, by=ANA, text="Version 2.")
    assert [flow(relay, ben), flow(relay, ben)] == [[], []]
    assert ben.refused == {}
    clock.now += timedelta(hours=2)
    assert flow(relay, ben) == [("written", "Version 2.")]


def test_a_slow_consumer_is_sent_no_more_than_it_asks_for(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben = subscriber(memos, wire)
    memos.remember_many([f"Number {number}." for number in range(25)], by=ANA, readers=["ben"])
    relay.run_once()
    heard = list[str]()
    for _ in range(3):
        batch = ben.pull(10, wait=5)
        ben.acknowledge(batch)
        heard += [text for _, text in told(batch)]
        assert len(batch.deliveries) <= 10
    assert heard == [f"Number {number}." for number in range(25)]
    assert wire.fetch(ben._reader, 10, 0.7) == [], "all letters are acknowledged"


def test_it_is_woken_by_a_relay_that_runs(memos: MemOS, wire: Wire, relay: Relay) -> None:
    ben, stop = subscriber(memos, wire), Event()
    ben.pull(wait=0)
    runner = Thread(target=relay.run, args=(stop, 0.01))
    runner.start()
    try:
        memos.remember("The kiln is free.", by=ANA, readers=["ben"])
        assert told(ben.pull(wait=1_000)) == [("written", "The kiln is free.")]
    finally:
        stop.set()
        runner.join()


def test_news_is_not_lost_with_the_wire(memos: MemOS, wire: Wire, relay: Relay) -> None:
    """A broker that forgot everything, or was never told, costs time."""
    ben = subscriber(memos, wire)
    wire.leave(ben._reader)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    relay.run_once()
    assert told(ben.pull(wait=QUICK)) == [("written", "The kiln is free.")]


def test_a_subscription_of_somebody_else_is_none(memos: MemOS, wire: Wire) -> None:
    memos.store.subscribe("news", by=BEN)
    with pytest.raises(CubeNotFoundError):
        WireSubscriber(memos, wire, "news", by=CY)


def test_a_closed_wire_says_so_and_the_news_comes_later(memos: MemOS, open_wire: OpenWire) -> None:
    wire = open_wire(f"acme-{uuid4().hex}")
    ben, relay = subscriber(memos, wire), Relay(memos, wire, by=RELAY)
    memos.remember("The kiln is free.", by=ANA, readers=["ben"])
    wire.close()
    with pytest.raises(WireError, match="closed"):
        relay.run_once()
    with pytest.raises(WireError, match="closed"):
        ben.pull()
    assert relay.published == 0
    assert told(memos.store.pull("news", by=BEN)) == [("written", "The kiln is free.")]


def test_what_is_no_news_is_not_looked_at_for_ever(memos: MemOS, relay: Relay, wire: Wire) -> None:
    ben = subscriber(memos, wire)
    memos.remember_many([f"Ana's own, number {number}." for number in range(1_100)], by=ANA)
    while relay.run_once():
        pass
    while ben.letters < 2:
        assert told(ben.pull(wait=5)) == []
    (kept,) = memos.store.subscriptions(by=BEN)
    assert kept.after >= 1_100
    assert wire.fetch(ben._reader, 10, 0.7) == [], "all letters are acknowledged"
