"""Two processes share over one vault and are killed at random: nothing lost, nothing twice, nothing forbidden."""

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
from tests.torture.store_worker import ANA, BEN


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)])])
def test_killed_publishers_and_subscribers_lose_and_repeat_nothing(tmp_path: Path, kills: int) -> None:
    folder, journal, dice = tmp_path / "vault", tmp_path / "journal", random.Random(5)
    with MemOS.open(folder) as memos:
        memos.store.subscribe("log", by=BEN)
    for _ in range(kills):
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.torture.store_worker", role, str(folder), str(journal)],
                stdout=subprocess.PIPE,
            )
            for role in ("publish", "subscribe")
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        for worker in dice.sample(workers, 2):
            time.sleep(dice.uniform(0.2, 1.0))
            worker.kill()
            worker.communicate()
    acknowledged = [line.split() for line in journal.read_text().splitlines()]
    with MemOS.open(folder) as memos:

        def note(news: Delivery) -> None:
            memos.remember(f"Heard {news.cube_id}.", by=BEN, key=news.id, tags=["heard"])

        while memos.store.push("log", note, by=BEN):
            pass  # a push takes so many at most
        notes = [cube.text for cube in memos.find(CubeFilter(tags=("heard",)), by=BEN, k=100_000)]
        written = {cube.id: cube for cube in memos.find(CubeFilter(), by=ANA, k=100_000)}
        assert len(notes) == len(set(notes)), "nothing twice"
        heard = {note.removeprefix("Heard ").removesuffix(".") for note in notes}
        assert {cube_id for cube_id, shared in acknowledged if shared == "1"} <= heard, "nothing lost"
        assert all(written[cube_id].governance.readers for cube_id in heard), "nothing forbidden"
        assert memos.store.dead_letters("log", by=BEN) == []
        assert memos.verify_audit().ok
    assert len(heard) >= kills
