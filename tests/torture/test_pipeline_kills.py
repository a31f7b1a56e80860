"""kill -9 amid pipelines, blocks, branches, merges, decisions, feedback, restores, roll-backs: all of each, or none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from memos_integrations import MemOS, State
from memos_integrations.core.cube import MemCube, Relation, TrustLabel
from tests.torture.pipeline_worker import ANA, ANY, TOGETHER
from tests.torture.sizes import seed, sizes

WORKER = Path(__file__).with_name("pipeline_worker.py")
FULL = Path(__file__).with_name("pipeline_disk_worker.py")
ROOT = Path(__file__).resolve().parents[2]
ROUND = 10


@pytest.mark.answers("fault 31")
@sizes("PIPELINE_KILLS", quick=6, whole=200)
def test_all_of_it_or_nothing(tmp_path: Path, count: int) -> None:
    folder, random, seen = tmp_path / "vault", Random(seed()), Counter[str]()
    acknowledged: list[list[str]] = []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for start in range(0, count, ROUND):
        lives = [f"{random.uniform(0.02, 0.6):.3f}" for _ in range(min(ROUND, count - start))]
        command = [sys.executable, str(WORKER), str(folder), str(seed()), str(start), *lives]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        acknowledged += [line.split() for line in done.stdout.splitlines()]
        inspect(folder, acknowledged)
    seen.update(words[1] for words in acknowledged)
    assert len(seen) >= 3
    print(f"\n{count} kills (seed {seed()}): nothing half done, nothing acknowledged lost, chain intact; {dict(seen)}")


@sizes("PIPELINE_FULL", quick=8, whole=200)
def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path, count: int) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, str(FULL), str(tmp_path / "vault"), str(seed()), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3_600, check=False)
    assert done.returncode == 0, done.stderr
    print(f"\nfull {count} times (seed {seed()}): nothing half done; {done.stdout.strip()}")


def inspect(folder: Path, acknowledged: list[list[str]]) -> None:
    """Hold every group against what a whole deed leaves behind."""
    with MemOS.open(folder) as memos:
        cubes = {cube.id: cube for cube in memos.find(ANY, by=ANA, k=100_000)}
        runs = {str(e.record.cube_id) for e in logged(memos, "pipeline")}
        for words in acknowledged:
            if words[1] in {"written", "rewritten"}:
                assert words[0] in runs
            assert words[1] != "merged" or words[2] in cubes
            if words[1] in {"rewritten", "atomic", "branched"}:
                assert all(f"Deed {words[0]}." in told_by(memos, cubes[each]) for each in words[2:])
        assert not [cube.text for cube in cubes.values() if cube.text.startswith("Nothing but")]
        check_groups(list(cubes.values()))
        check_pairs(cubes)
        check_merged(memos, list(cubes.values()))
        check_doubted(cubes, {str(entry.record.cube_id) for entry in logged(memos, "feedback")})
        assert memos.verify_audit().problems == ()


def told_by(memos: MemOS, cube: MemCube) -> str:
    return "\n".join(each.text for each in memos.history(cube.id, by=ANA))


def logged(memos: MemOS, operation: str) -> list:
    found, after = [], 0
    while page := memos.audit(by=ANA, operation=operation, after=after, limit=10_000):
        found += page
        after = page[-1].number
    return found


def check_groups(cubes: list[MemCube]) -> None:
    """A group was written as a whole, and the last deed was done to all of it."""
    members: dict[str, list[MemCube]] = {}
    for cube in cubes:
        if not cube.provenance.derived_from:
            for tag in cube.descriptive.tags:
                if tag.startswith("group-"):
                    members.setdefault(tag, []).append(cube)
    for name, group in members.items():
        assert len(group) == TOGETHER, name
        assert len({cube.state is State.MERGED for cube in group}) == 1, name
        words = {cube.text.splitlines()[-1] for cube in group}
        parts = {cube.text for cube in group if f"of {name}." in cube.text and cube.text.count("\n") == 0}
        restored = sum(" part " in word for word in words) and any(cube.version > 1 for cube in group)
        assert len(words) == 1 or len(parts) == TOGETHER or restored, (name, words)


def check_pairs(cubes: dict[str, MemCube]) -> None:
    """What one memory says it did to another shows in the other."""
    for cube in cubes.values():
        for link in cube.provenance.links:
            if link.relation is Relation.MERGED_INTO and link.target not in cubes:
                continue  # it came back, and what it was merged into is gone; see `check_merged`
            other = cubes[link.target]
            if link.relation is Relation.SUPERSEDES:
                assert other.state is State.ARCHIVED
                assert other.descriptive.valid_to is not None
            elif link.relation is Relation.MERGED_FROM:
                assert other.state is State.MERGED or other.text not in cube.text  # what it does not tell stays
                assert cube.id in {each.target for each in other.provenance.links}


def check_merged(memos: MemOS, cubes: list[MemCube]) -> None:
    """Nothing is out of recall for the sake of what is gone."""
    there = {cube.id for cube in cubes}
    merged = [cube for cube in cubes if cube.state is State.MERGED]
    targets = [[e.target for e in c.provenance.links if e.relation is Relation.MERGED_INTO] for c in merged]
    assert there.issuperset(each[-1] for each in targets)
    assert memos._governance.aftermath.stranded(merged, memos._clock()) == []


def check_doubted(cubes: dict[str, MemCube], doubted: set[str]) -> None:
    """What was called wrong is less trusted and retires nothing any more: both, or neither."""
    for cube in cubes.values():
        if cube.text.startswith("I moved to"):
            retires = any(link.relation is Relation.SUPERSEDES for link in cube.provenance.links)
            assert (cube.trust.label is TrustLabel.UNVERIFIED) == (cube.id in doubted)
            assert not (retires and cube.id in doubted)
