"""A child that reads, writes, updates, deletes and stores blobs until it is killed; prints what was acknowledged.

    python kill_worker.py VAULT SEED FIRST LIFE...

It imports once, then forks one worker per LIFE (seconds until SIGKILL). Between two lives it damages index files. For
every second life the clock starts at the first acknowledgement, so that a slow machine works, too; for the others at
the fork, so that opening and recovery are killed as well. A line is printed, unbuffered, before the next deed begins.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from itertools import count
from pathlib import Path
from random import Random

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.ports import Erase, Move, Transaction, Use
from memos_integrations.testing.cubes import EMBEDDER, NOW, asked, cube, put, record, revised, submit, unit
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.damage import damage, index_files
from tests.torture.eagerness import be_eager


def work(path: Path, seed: int, started: int) -> None:
    """Do random deeds for ever."""
    random = Random(seed)
    vault = SQLiteVault(path)
    vault.bind_embedder(EMBEDDER)
    living: list[MemCube] = []
    for number in count():
        choice = random.random()
        if choice < 0.45 or not living:
            write(vault, random, living, f"{seed} {number}")
        elif choice < 0.6:
            place = random.randrange(len(living))
            new = revised(living[place], f"{living[place].text} again")
            submit(vault, put(new, vector=unit(number)), audit=(record(new, "update"),))
            say(f"{new.id} {new.version}")
            living[place] = new
        elif choice < 0.7:
            gone = living.pop(random.randrange(len(living)))
            say(f"{gone.id} erasing")
            submit(vault, Erase(gone.id), audit=(record(gone, "forget"),))
            say(f"{gone.id} erased")
        elif choice < 0.9:
            look(vault, random, living)
        elif choice < 0.97:
            beside_it = random.choice(living)
            submit(vault, Use(beside_it.id, NOW, "r"))
        else:
            vault.close()
            vault = SQLiteVault(path)
        if number == 1:
            os.write(started, b"!")


def write(vault: SQLiteVault, random: Random, living: list[MemCube], name: str) -> None:
    """One to five cubes at once, one of them perhaps with a blob."""
    new = [cube(f"cube {name} {number}") for number in range(random.randrange(1, 5))]
    if random.random() < 0.3:
        new.append(beside(vault.put_blob(f"blob {name}".encode()), f"picture {name}"))
    rows = [put(each, vector=unit(random.randrange(10**6)), key=each.id) for each in new]
    futures = [vault.submit(Transaction((row,), (record(each),))) for row, each in zip(rows, new, strict=True)]
    for each, future in zip(new, futures, strict=True):
        future.result()
        say(f"{each.id} 1")
    living += new


def look(vault: SQLiteVault, random: Random, living: list[MemCube]) -> None:
    """Read one's own writes in every way; a wrong answer ends the worker with an error."""
    mine = random.choice(living)
    assert [each.version for each in vault.get("acme", [mine.id])] == [mine.version]
    found = asked(vault, mine.text, vector=unit(random.randrange(99)), k=10_000, states=frozenset(State))
    assert mine.id in {match.cube.id for match in found.matches}
    for blob in mine.blobs:
        assert content_of(vault.open_blob(blob)).startswith(b"blob")
    if mine.state is State.GENERATED:
        submit(vault, Move(mine.id, State.GENERATED, State.ACTIVATED))
        living[living.index(mine)] = mine.model_copy(update={"state": State.ACTIVATED})


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def main() -> None:
    be_eager()
    path, seed, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random = Random(seed * 1_000_003 + first)
    for number, life in enumerate(map(float, sys.argv[4:]), start=first):
        begun, started = os.pipe()
        child = os.fork()
        if child == 0:
            work(path, seed * 1_000_003 + number, started)
        if number % 2:
            select.select([begun], [], [], 60)
        time.sleep(life)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(begun)
        os.close(started)
        if not os.WIFSIGNALED(status):
            sys.exit(f"worker {number} ended by itself")
        files = index_files(path)
        if files and random.random() < 0.5:
            say(f"- damage:{damage(random.choice(files), random)}")


if __name__ == "__main__":
    main()
