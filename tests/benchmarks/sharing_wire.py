"""News through a real broker: from the outbox through a relay and a wire, pulled and acknowledged."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

from memos_integrations import MemOS, Principal
from memos_integrations.core.ports import Posting, Wire
from memos_integrations.core.wire import Relay, WireSubscriber
from tests.wire.brokers import nats_command, nats_server, redis_command, redis_server

ANA, BEN, RELAY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "relay"))
MANY = 100
"""So many letters are published at a time."""


def over_brokers(events: int = 2_000) -> dict[str, Any]:
    """For NATS and Redis: `…_events_per_s` and `…_letters_per_s`, on loopback, each broker in a process of its own.

    An event is a memory: from before the relay's first look at all that were written until every one is delivered, and
    acknowledged to vault and broker; a letter wakes the subscriber, which asks the vault. `…_letters_per_s` is the wire
    alone: so many letters published, fetched and acknowledged, one for each number. Brokers sync as by default.
    """
    found: dict[str, Any] = {"wire_not_run": {}}
    for kind, there in (("nats", nats_command), ("redis", redis_command)):
        if find_spec(kind) is None or there() is None:
            found |= {f"{kind}_events_per_s": None, f"{kind}_letters_per_s": None}
            found["wire_not_run"][kind] = f"{kind} or its server is not installed: the extra `test` brings it"
            continue
        with tempfile.TemporaryDirectory() as folder, _wired(kind, Path(folder)) as wire:
            found |= {f"{kind}_{name}": value for name, value in _measured(wire, Path(folder), events).items()}
    return found


@contextmanager
def _wired(kind: str, folder: Path) -> Iterator[Wire]:
    server: Callable[..., Any] = nats_server if kind == "nats" else redis_server
    with server(folder / kind) as port:
        wire: Wire
        if kind == "nats":
            from memos_integrations.backends.nats_wire import NatsWire

            wire = NatsWire("bench", f"nats://127.0.0.1:{port}")
            yield wire
        else:
            import redis

            from memos_integrations.backends.redis_wire import RedisWire

            with redis.Redis(port=port) as client:
                wire = RedisWire("bench", client)
                yield wire
        wire.close()


def _measured(wire: Wire, folder: Path, events: int) -> dict[str, float]:
    with MemOS.open(folder / "vault") as memos:
        memos.store.subscribe("news", by=BEN)
        subscriber, stop = WireSubscriber(memos, wire, "news", by=BEN), Event()
        subscriber.pull(wait=0.0)
        memos.remember_many([f"Of many, number {number}." for number in range(events)], by=ANA, readers=["ben"])
        relay = Thread(target=Relay(memos, wire, by=RELAY).run, args=(stop, 0.01))
        began, cpu, heard = time.perf_counter(), time.process_time(), 0
        relay.start()
        while heard < events:
            batch = subscriber.pull(1_000, wait=5.0)
            subscriber.acknowledge(batch)
            heard += len(batch.deliveries)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        stop.set()
        relay.join()
        assert heard == events
    return {
        "events_per_s": round(events / wall, 1),
        "events_per_cpu_s": round(events / cpu, 1),
        "letters_per_s": round(_letters_per_s(wire, events), 1),
    }


def _letters_per_s(wire: Wire, letters: int) -> float:
    wire.join("alone")
    postings = [Posting(f"alone {number}", b'{"memos":1,"number":1,"signature":""}') for number in range(letters)]
    began, taken = time.perf_counter(), 0
    for start in range(0, letters, MANY):
        wire.publish(postings[start : start + MANY])
        while taken < min(letters, start + MANY):
            found = wire.fetch("alone", MANY, 5.0)
            wire.acknowledge("alone", found)
            taken += len(found)
    return letters / (time.perf_counter() - began)
