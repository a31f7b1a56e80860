"""A child whose disk is full again and again, at random points; every claim about that is checked on the spot.

    python disk_worker.py VAULT SEED COUNT limit|disk

`limit`: no file may grow beyond a random size (RLIMIT_FSIZE). `disk`: the vault's folder is on a small disk, most of
which a ballast file takes. Prints what it counted.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import VaultFullError
from memos_integrations.core.ports import Erase
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, put, record, revised, submit, unit
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults import writer
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.eagerness import be_eager


@contextmanager
def little_room(folder: Path, random: Random, kind: str) -> Iterator[None]:
    """Leave a little room for writing, somewhere between none and a megabyte."""
    spare = random.randrange(random.choice([1, 5_000, 100_000, 1_000_000]))
    if kind == "limit":
        # Of any file: the database outgrows the log, and under a limit of its size nothing would ever be full.
        sizes = {file.suffix: file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}
        size = random.choice([sizes[suffix] for suffix in sorted(sizes)])
        chosen = random.choice([random.randrange(size + 1), size]) + spare
        resource.setrlimit(resource.RLIMIT_FSIZE, (chosen, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return
    ballast = folder.parent / "ballast"
    free = os.statvfs(folder.parent)
    left = max(0, free.f_bavail * free.f_frsize - spare)
    try:
        with ballast.open("wb") as out:
            out.write(bytes(left))
    except OSError as exc:
        if exc.errno != errno.ENOSPC:
            raise
    try:
        yield
    finally:
        ballast.unlink()


def main() -> None:
    be_eager()
    writer.WAL_WAIT_S = 0.05  # nobody else reads here: what an erase waits for is room, which does not come
    folder, seed, count, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    random, living, erased = Random(seed), list[MemCube](), list[MemCube]()
    seen: Counter[str] = Counter()
    vault = SQLiteVault(folder)
    vault.bind_embedder(EMBEDDER)
    vault.put_blob(b"so that the folder is there")
    while seen["full"] < count:
        with little_room(folder, random, kind):
            for _ in range(50):
                try:
                    deed(vault, random, living, erased)
                except VaultFullError:
                    seen["full"] += 1
                    break
                seen["done"] += 1
            look(vault, living, erased, random)
        if random.random() < 0.2 or len(living) > 60:
            for each in living[30:]:
                submit(vault, Erase(each.id), audit=(record(each, "forget"),))
            erased, living = [*erased, *living[30:]][-30:], living[:30]
        deed(vault, random, living, erased)  # there is room again
        if random.random() < 0.3:
            vault.close()
            vault = SQLiteVault(folder)
        look(vault, living, erased, random)
    assert vault.verify_audit().problems == ()
    vault.close()
    print(dict(seen))


def deed(vault: SQLiteVault, random: Random, living: list[MemCube], erased: list[MemCube]) -> None:
    """Write, revise, erase, or store a blob; what was refused was not done."""
    choice = random.random()
    if choice < 0.5 or not living:
        new = cube(f"kettle {random.random()} " + "x" * random.randrange(4_000))
        if random.random() < 0.3:
            new = beside(vault.put_blob(b"blob" + random.randbytes(random.randrange(30_000))), f"{random.random()}")
        submit(vault, put(new, vector=unit(random.randrange(99)), key=new.id), audit=(record(new),))
        living.append(new)
    elif choice < 0.8:
        place = random.randrange(len(living))
        new = revised(living[place], f"again {random.random()} " + "y" * random.randrange(4_000))
        submit(vault, put(new, vector=unit(random.randrange(99))), audit=(record(new, "update"),))
        living[place] = new
    else:
        gone = random.choice(living)
        submit(vault, Erase(gone.id), audit=(record(gone, "forget"),))
        living.remove(gone)
        erased.append(gone)


def look(vault: SQLiteVault, living: list[MemCube], erased: list[MemCube], random: Random) -> None:
    """Reading goes on, full or not: every acknowledged version is there, whole; nothing else is."""
    assert vault.get("acme", [each.id for each in living]) == living
    assert vault.get("acme", [each.id for each in erased]) == []
    found = asked(vault, vector=unit(random.randrange(99)), k=10_000)
    assert {match.cube.id for match in found.matches} == {each.id for each in living}
    for each in living:
        for blob in each.blobs:
            assert content_of(vault.open_blob(blob)).startswith(b"blob")


if __name__ == "__main__":
    main()
