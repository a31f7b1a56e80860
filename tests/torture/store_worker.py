"""A publisher, or a subscriber, of one vault, to be killed at any moment: see `test_store_kill.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from memos_integrations import MemOS, Principal
from memos_integrations.core.memstore import Delivery

ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")


def publish(memos: MemOS, journal: Path) -> None:
    """Write memories, one of three for Ben; acknowledged ones stand in the journal."""
    number = len(journal.read_text().splitlines()) if journal.exists() else 0
    while True:
        shared = number % 3 == 0
        cube = memos.remember(f"Entry {number} of the log.", by=ANA, readers=["ben"] if shared else [])
        with journal.open("a") as file:
            file.write(f"{cube.id} {int(shared)}\n")
        number += 1


def subscribe(memos: MemOS) -> None:
    """Note every delivery once, under its id."""

    def note(delivery: Delivery) -> None:
        assert delivery.cube is not None
        memos.remember(f"Heard {delivery.cube_id}.", by=BEN, key=delivery.id, tags=["heard"])

    while True:
        memos.store.push("log", note, by=BEN, limit=20)


if __name__ == "__main__":
    role, folder, written = sys.argv[1:]
    with MemOS.open(folder) as engine:
        print("ready", flush=True)
        publish(engine, Path(written)) if role == "publish" else subscribe(engine)
