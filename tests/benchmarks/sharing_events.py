"""News in one process: how fast memories are published, and how soon and how many subscribers hear of them."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from tests.benchmarks.meta import meta, single_threaded
from tests.benchmarks.sharing_wire import over_nats

ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
SINGLY = 200


def measured(events: int = 5_000) -> dict[str, Any]:
    """Publishing, delivery and throughput of one subscriber.

    `publish_p50_ms`: to offer one memory that is there. `delivery_p95_ms`: to be given what was just written, one by
    one. `events_per_s`: of many at once, pulled, recorded and acknowledged; `events_per_cpu_s` by processor time.
    `nats_events_per_s`: the same through a relay and a broker; see `sharing_wire.py`.
    """
    with tempfile.TemporaryDirectory() as folder, MemOS.open(folder) as memos:
        memos.store.subscribe("news", by=BEN)
        offered, delivered = [], []
        for number in range(SINGLY):
            cube = memos.remember(f"Offered number {number}.", by=ANA)
            began = time.perf_counter()
            memos.store.publish(f"offer {number}", by=ANA, to=["ben"], cube_id=cube.id)
            offered.append(time.perf_counter() - began)
        memos.store.push("news", lambda news: None, by=BEN)
        for number in range(SINGLY):
            memos.remember(f"Shared number {number}.", by=ANA, readers=["ben"])
            began = time.perf_counter()
            batch = memos.store.pull("news", by=BEN)
            delivered.append(time.perf_counter() - began)
            assert len(batch.deliveries) == 1
            memos.store.acknowledge("news", batch.upto, by=BEN)
        memos.remember_many([f"Of many, number {number}." for number in range(events)], by=ANA, readers=["ben"])
        began, cpu, heard = time.perf_counter(), time.process_time(), 0
        while batch := memos.store.pull("news", by=BEN, limit=1_000):
            heard += len(batch.deliveries)
            memos.store.acknowledge("news", batch.upto, by=BEN)
            if not batch.more:
                break
        rate, cpu_rate = heard / (time.perf_counter() - began), heard / (time.process_time() - cpu)
        assert heard == events
    return {
        "publish_p50_ms": round(1e3 * median(offered), 3),
        "delivery_p95_ms": round(1e3 * float(np.percentile(delivered, 95)), 3),
        "events_per_s": round(rate, 1),
        "events_per_cpu_s": round(cpu_rate, 1),
        "events": events,
    } | over_nats(events)


def main() -> None:
    """The command."""
    single_threaded()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    result = {"meta": meta(Path(tempfile.gettempdir()), events=said.events), **measured(said.events)}
    for name, value in result.items():
        if name != "meta":
            print(f"{name:20} {value}")
    if said.json:
        said.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
