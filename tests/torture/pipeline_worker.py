"""A child that changes many memories at a time until it is killed; each time all of them, or none.

    python pipeline_worker.py VAULT SEED FIRST LIFE...

Memories stand in groups of `TOGETHER`; the words of each name the last deed that was done to its group, so that a half
done one shows. A deed is a pipeline, an atomic block, a branch that is merged, a merge by hand, one that comes apart
again, a decision and its undoing, feedback that takes one back, a restore, or a roll-back. It imports once, then forks
one worker per LIFE (seconds until SIGKILL).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random

from memos_integrations import MemOS, Principal, State
from memos_integrations.core.pipeline import MemPipeline, PipelineRun
from memos_integrations.core.ports import CubeFilter

ANA = Principal(tenant="acme", user="ana")
TOGETHER = 4
ANY = CubeFilter(states=frozenset(State))
ACTIVE = frozenset({State.GENERATED, State.ACTIVATED})
START = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """A clock that goes on by a second with each look, and from the last one on in the next life."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def opened(path: Path) -> MemOS:
    """The memory in the vault, at a time after everything in it."""
    clock = Clock(START)
    memos = MemOS.open(path, clock=clock)
    clock.now = max([START, *(each.descriptive.recorded_at for each in memos.find(ANY, by=ANA, k=100_000))])
    return memos


def groups(memos: MemOS) -> dict[str, list[str]]:
    """Group -> ids of its memories that are active."""
    found: dict[str, list[str]] = {}
    for cube in sorted(memos.find(CubeFilter(states=ACTIVE), by=ANA, k=100_000), key=lambda each: each.id):
        names = [tag for tag in cube.descriptive.tags if tag.startswith("group-")]
        for name in names[:1]:
            found.setdefault(name, []).append(cube.id)
    return found


def work(path: Path, seed: int, started: int) -> None:
    """Do random deeds for ever."""
    random = Random(seed)
    memos = opened(path)
    for number in count():
        there = {name: ids for name, ids in groups(memos).items() if len(ids) == TOGETHER}
        name = random.choice(sorted(there)) if there else ""
        kinds = [
            "write",
            *(["rewrite", "merge", "part", "atomic", "branch", "restore", "roll back"] if there else []),
            "decide",
        ]
        kind = random.choice(kinds)
        deed(memos, kind, there.get(name, []), f"{seed}-{number}", random)
        if number == 1:
            os.write(started, b"!")


def deed(memos: MemOS, kind: str, ids: list[str], name: str, random: Random) -> None:
    """One deed, and what was acknowledged of it."""
    if kind == "write":
        steps = [writing(f"Deed {name} part {part} of group-{name}.", f"group-{name}") for part in range(TOGETHER)]
        memos.run(MemPipeline("write", steps), by=ANA, run_id=name)
        say(f"{name} written group-{name}")
    elif kind == "rewrite":
        memos.run(MemPipeline("rewrite", [rewriting(each, f"Deed {name}.") for each in ids]), by=ANA, run_id=name)
        say(f"{name} rewritten {' '.join(ids)}")
    elif kind == "merge":
        say(f"{name} merged {memos.merge(ids, by=ANA).id} {' '.join(ids)}")
    elif kind in {"part", "branch", "atomic"}:
        as_one(memos, kind, ids, name, random)
    elif kind == "restore":
        memos.restore(ids[0], 1, by=ANA)
        memos.run(MemPipeline("again", [rewriting(each, f"Deed {name}.") for each in ids]), by=ANA)
    elif kind == "roll back":
        since = memos._clock()
        memos.run(MemPipeline("wrong", [rewriting(each, f"Wrong {name}.") for each in ids]), by=ANA)
        memos.roll_back(since, by=ANA)
        say(f"{name} back")
    else:
        decide(memos, name, random)


def decide(memos: MemOS, name: str, random: Random) -> None:
    """A fact that another retires; half of them come back, by undoing or because the other was called wrong."""
    old = memos.remember(f"I live in Town{number_of(name)}.", by=ANA, namespace=("acme", "ana", name))
    new = memos.remember(f"I moved to Port{number_of(name)}.", by=ANA, namespace=("acme", "ana", name))
    decided = memos.consolidate(by=ANA, namespace=("acme", "ana", name))
    if decided and random.random() < 0.5:
        memos.undo(decided[0], by=ANA)
    elif decided:
        memos.feedback(new.id, "wrong", by=ANA)
    say(f"{name} decided {old.id}")


def as_one(memos: MemOS, kind: str, ids: list[str], name: str, random: Random) -> None:
    """The same words after each of a group: in a block, or on a branch; or a merge that is taken back as a whole."""
    if kind == "part":
        memos.forget(memos.merge(ids, by=ANA, text=f"All of deed {name}.").id, by=ANA)
        say(f"{name} parted {' '.join(ids)}")
    elif kind == "branch":
        branch = memos.branch(by=ANA)
        rewrite_within(branch.memos, ids, name, random)
        branch.merge()
        say(f"{name} branched {' '.join(ids)}")
    else:
        with memos.atomic(by=ANA) as memory:
            rewrite_within(memory, ids, name, random)
        say(f"{name} atomic {' '.join(ids)}")


def rewrite_within(memory: MemOS, ids: list[str], name: str, random: Random) -> None:
    for each in ids:
        memory.append(each, f"Deed {name}.", by=ANA)
        if random.random() < 0.2:
            memory.recall("Deed", by=ANA, needed=True)
    memory.forget(memory.remember(f"Nothing but {name}.", by=ANA).id, by=ANA)


def number_of(name: str) -> str:
    """A word without digits for a name."""
    return "".join("abcdefghij"[int(each)] for each in name if each.isdigit())


def writing(text: str, tag: str) -> object:
    """A step that remembers."""

    def write(run: PipelineRun) -> object:
        return run.memory.remember(text, by=run.by, tags=[tag])

    return write


def rewriting(cube_id: str, text: str) -> object:
    """A step that gives a memory other words."""

    def rewrite(run: PipelineRun) -> object:
        return run.memory.update(cube_id, by=run.by, text=text)

    return rewrite


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def main() -> None:
    path, seed, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
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


if __name__ == "__main__":
    main()
