"""A publisher with a relay, or a subscriber, over one vault and one broker, to be killed at any moment."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event, Thread

from memos_integrations import MemOS
from memos_integrations.core.memstore import Delivery
from memos_integrations.core.ports import Wire
from memos_integrations.core.wire import Relay, WireSubscriber
from tests.torture.store_worker import BEN, publish
from tests.wire.opening import opened_wires
from tests.wire.test_sharing import RELAY

STREAM = "killed"


def relay(memos: MemOS, wire: Wire) -> None:
    Relay(memos, wire, by=RELAY).run(Event(), 0.01)


def subscribe(memos: MemOS, wire: Wire) -> None:
    """Note every delivery once, under its id; woken by the wire, or never."""

    def note(delivery: Delivery) -> None:
        assert delivery.cube is not None
        memos.remember(f"Heard {delivery.cube_id}.", by=BEN, key=delivery.id, tags=["heard"])

    subscriber = WireSubscriber(memos, wire, "log", by=BEN)
    woken = False
    while True:
        subscriber.push(note, limit=20, wait=1_000)
        if subscriber.letters and not woken:
            print("woken", flush=True)
            woken = True


if __name__ == "__main__":
    role, kind, port, folder, written = sys.argv[1:]
    with MemOS.open(folder) as engine, opened_wires(kind, int(port)) as opened:
        stream = opened(STREAM, again_after=0.5)
        print("ready", flush=True)
        if role == "publish":
            Thread(target=relay, args=(engine, stream), daemon=True).start()
            publish(engine, Path(written))
        else:
            subscribe(engine, stream)
