"""A child whose disk is full again and again amid pipelines: each one is done, or nothing of it is.

    python pipeline_disk_worker.py VAULT SEED COUNT

No file may grow beyond a random size (RLIMIT_FSIZE). Prints what it counted.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from memos_integrations import MemOS, State
from memos_integrations.core.errors import CyclicDerivationError, VaultFullError
from memos_integrations.core.pipeline import MemPipeline
from memos_integrations.core.ports import CubeFilter
from tests.torture.disk_worker import little_room
from tests.torture.pipeline_worker import ANA, TOGETHER, rewriting, writing

ALL = CubeFilter(states=frozenset(State))


def standing(memos: MemOS) -> list[tuple[str, int, str, str]]:
    """Everything there is, as it stands."""
    cubes = memos.find(ALL, by=ANA, k=10_000)
    return sorted((each.id, each.version, each.state.value, each.text) for each in cubes)


def deed(memos: MemOS, random: Random, name: str) -> None:
    """Write, rewrite, merge or erase several memories at once."""
    ids = [each.id for each in memos.find(CubeFilter(), by=ANA, k=TOGETHER)]
    kind = random.randrange(4) if len(ids) == TOGETHER else 0
    if kind == 0:
        text = "x" * random.randrange(3_000)
        memos.run(MemPipeline("write", [writing(f"{name} {part} {text}", "t") for part in range(TOGETHER)]), by=ANA)
    elif kind == 1:
        memos.run(MemPipeline("rewrite", [rewriting(each, f"{name} again") for each in ids]), by=ANA)
    elif kind == 2:
        with suppress(CyclicDerivationError):  # rewritten, a merge stands beside what it was merged from
            memos.merge(ids, by=ANA, text=f"{name} merged")
    else:
        with memos.atomic(by=ANA) as memory:
            for each in ids:
                memory.forget(each, by=ANA)


def main() -> None:
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random, seen = Random(seed), Counter[str]()
    memos = MemOS.open(folder, read_audit="strict")
    for number in range(3):
        deed(memos, random, f"first {number}")
    while seen["full"] < count:
        before = standing(memos)
        with little_room(folder, random, "limit"):
            try:
                deed(memos, random, f"{seen['full']} {seen['done']}")
                seen["done"] += 1
                before = []
            except VaultFullError:
                seen["full"] += 1
        if before:
            assert standing(memos) == before, "half done"
        deed(memos, random, f"room {seen['full']} {seen['done']}")
    assert memos.verify_audit().problems == ()
    memos.close()
    with MemOS.open(folder) as again:
        assert again.verify_audit().problems == ()
    print(dict(seen))


if __name__ == "__main__":
    main()
