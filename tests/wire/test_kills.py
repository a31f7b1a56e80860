"""Two processes of different principals share over a broker and are killed at random, at last the broker as well."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memos_integrations import MemOS
from memos_integrations.core.memstore import Delivery
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.wire import Relay, WireSubscriber
from tests.torture.store_worker import ANA, BEN
from tests.wire.brokers import nats_server, redis_server
from tests.wire.opening import opened_wires
from tests.wire.test_sharing import RELAY
from tests.wire.wire_worker import STREAM

BROKERS = {"nats": nats_server, "redis": redis_server}


def killed_once(kind: str, port: int, folder: Path, journal: Path, dice: random.Random) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.wire.wire_worker", role, kind, str(port), str(folder), str(journal)],
            stdout=subprocess.PIPE,
        )
        for role in ("publish", "subscribe")
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        assert workers[1].stdout is not None
        assert workers[1].stdout.readline() == b"woken\n", "by the wire: nothing else would in the time of this test"
        for worker in dice.sample(workers, 2):
            time.sleep(dice.uniform(0.1, 0.8))
            worker.kill()
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def drained(kind: str, port: int, memos: MemOS) -> None:
    """Everything that is left is relayed and heard."""

    def note(news: Delivery) -> None:
        memos.remember(f"Heard {news.cube_id}.", by=BEN, key=news.id, tags=["heard"])

    with opened_wires(kind, port) as opened:
        wire = opened(STREAM, again_after=0.5)
        relay, subscriber = Relay(memos, wire, by=RELAY), WireSubscriber(memos, wire, "log", by=BEN)
        while relay.run_once():
            pass
        while subscriber.push(note, wait=1.0):
            pass
        assert subscriber.refused == {}


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("nats", 2),
        pytest.param("redis", 2, marks=pytest.mark.slow),
        pytest.param("nats", 30, marks=pytest.mark.slow),
        pytest.param("redis", 30, marks=pytest.mark.slow),
    ],
)
def test_killed_sharers_lose_and_repeat_nothing(tmp_path: Path, kind: str, kills: int) -> None:
    folder, journal, dice = tmp_path / "vault", tmp_path / "journal", random.Random(5)
    with MemOS.open(folder) as memos:
        memos.store.subscribe("log", by=BEN)
    for half in range(2):  # between the halves the broker goes and comes back
        with BROKERS[kind](tmp_path / kind) as port:
            for _ in range(kills // 2):
                killed_once(kind, port, folder, journal, dice)
            if half:
                with MemOS.open(folder) as memos:
                    drained(kind, port, memos)
    acknowledged = [line.split() for line in journal.read_text().splitlines()]
    with MemOS.open(folder) as memos:
        notes = [cube.text for cube in memos.find(CubeFilter(tags=("heard",)), by=BEN, k=100_000)]
        written = {cube.id: cube for cube in memos.find(CubeFilter(), by=ANA, k=100_000)}
        assert len(notes) == len(set(notes)), "nothing twice"
        heard = {note.removeprefix("Heard ").removesuffix(".") for note in notes}
        assert {cube_id for cube_id, shared in acknowledged if shared == "1"} <= heard, "nothing lost"
        assert all(written[cube_id].governance.readers for cube_id in heard), "nothing forbidden"
        assert memos.store.dead_letters("log", by=BEN) == []
        assert memos.verify_audit().ok
    assert len(heard) >= kills
