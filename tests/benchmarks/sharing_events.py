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
from tests.benchmarks.sharing_wire import over_brokers

ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")
LATE = Principal(tenant="acme", user="fay")
OTHERS = tuple(Principal(tenant="acme", user=user) for user in ("cleo", "dan", "eve"))
SINGLY = 50


def measured(events: int = 2_000) -> dict[str, Any]:
    """Publishing, delivery and throughput of one subscriber.

    `publish_p50_ms`: to offer one memory that is there. `delivery_p95_ms`: to be given what was just written, one by
    one. `events_per_s`: of many at once, pulled, recorded and acknowledged; `events_per_cpu_s` by processor time.
    `events_fanned_out_per_s`: the same of four subscribers, one after another, of whom each is given everything. What
    they are given was written by this process a moment ago, and is at hand; `events_afresh_per_s` is of a subscriber in
    a vault that was opened anew (and held against its seals once), as in another process: every memory is read.
    `nats_…` and `redis_…`: through a relay and a broker; see `sharing_wire.py`.
    """
    with tempfile.TemporaryDirectory() as folder:
        offered, delivered, spent = _at_hand(Path(folder), events)
        afresh = _afresh(Path(folder), events)
    (wall, cpu), deliveries = spent[0], events * len(spent)
    return {
        "publish_p50_ms": round(1e3 * median(offered), 3),
        "delivery_p95_ms": round(1e3 * float(np.percentile(delivered, 95)), 3),
        "events_per_s": round(events / wall, 1),
        "events_per_cpu_s": round(events / cpu, 1),
        "events_fanned_out_per_s": round(deliveries / sum(wall for wall, _ in spent), 1),
        "events_fanned_out_per_cpu_s": round(deliveries / sum(cpu for _, cpu in spent), 1),
        "events_afresh_per_s": round(events / afresh[0], 1),
        "events_afresh_per_cpu_s": round(events / afresh[1], 1),
        "events": events,
    } | over_brokers(events)


def _at_hand(folder: Path, events: int) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    with MemOS.open(folder) as memos:
        offered, delivered = _one_by_one(memos)
        everybody = (BEN, *OTHERS)
        for each in (*everybody, LATE):
            memos.store.subscribe("news", by=each)
            memos.store.pull("news", by=each)
        readers = [each.user for each in (*everybody, LATE)]
        memos.remember_many([f"Of many, number {number}." for number in range(events)], by=ANA, readers=readers)
        spent = [_pulled(memos, each, events) for each in everybody]
    return offered, delivered, spent


def _afresh(folder: Path, events: int) -> tuple[float, float]:
    with MemOS.open(folder) as memos:
        memos.store.pull("news", by=BEN)
        return _pulled(memos, LATE, events)


def _one_by_one(memos: MemOS) -> tuple[list[float], list[float]]:
    """Seconds to offer a memory, and to be given one."""
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
    return offered, delivered


def _pulled(memos: MemOS, by: Principal, events: int) -> tuple[float, float]:
    """Seconds of the wall and of the processor until everything is pulled, recorded and acknowledged."""
    began, cpu, heard = time.perf_counter(), time.process_time(), 0
    while batch := memos.store.pull("news", by=by, limit=1_000):
        heard += len(batch.deliveries)
        memos.store.acknowledge("news", batch.upto, by=by)
        if not batch.more:
            break
    assert heard == events
    return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    """The command."""
    single_threaded()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000)
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
