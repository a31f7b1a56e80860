"""A child that writes into a vault until it is killed, and prints the id of each write that was acknowledged.

    python crash_writer.py VAULT LIFE...

It imports once, then forks one writer per LIFE (seconds until SIGKILL), one after the other: the kill is real, the
start is cheap. For every second one the clock starts at its first acknowledgement, so that a slow machine writes too;
for the others at the fork, so that opening and recovery are killed as well. A line is printed, unbuffered, before
the next write begins: a printed id was acknowledged before the kill.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from itertools import count
from pathlib import Path

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.ports import Erase, Transaction
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, record, revised, unit
from memos_integrations.vaults.sqlite import SQLiteVault

KEYS = HeldKey(bytes(32)) if os.environ.get("CRASH_ENCRYPTED") else None


def write(vault: SQLiteVault, seed: int, started: int) -> None:
    """Write for ever: two versions and a vector each, sometimes erased, sometimes searched (so that the index runs)."""
    for number in count():
        first = cube(f"cube {seed} {number}")
        second = revised(first, f"{first.text} again")
        at_once = [
            vault.submit(Transaction((put(first, vector=unit(number), key=first.id),), (record(first),))),
            vault.submit(Transaction((put(second, vector=unit(number + 1)),), (record(second, "update"),))),
        ]
        for version, future in enumerate(at_once, start=1):
            future.result()
            say(f"{first.id} {version}")
        if number == 0:
            os.write(started, b"!")
        if number % 5 == 4:
            say(f"{first.id} erasing")
            vault.submit(Transaction((Erase(first.id),), (record(first, "forget"),))).result()
            say(f"{first.id} erased")
        if number % 3 == 0:
            asked(vault, "again", vector=unit(number))
        if number % 20 == 19:
            vault.close()
            vault = SQLiteVault(vault.path, keys=KEYS)


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def main() -> None:
    path = Path(sys.argv[1])
    for seed, life in enumerate(map(float, sys.argv[2:])):
        begun, started = os.pipe()
        child = os.fork()
        if child == 0:
            vault = SQLiteVault(path, keys=KEYS)
            vault.bind_embedder(EMBEDDER)
            write(vault, seed, started)
        if seed % 2:
            select.select([begun], [], [], 60)
        time.sleep(life)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(begun)
        os.close(started)
        if not os.WIFSIGNALED(status):
            sys.exit(f"writer {seed} ended by itself")


if __name__ == "__main__":
    main()
