"""kill -9 during reads, writes, updates, deletes, blobs and whatever the index does; index files damaged in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from memos_integrations.testing.cubes import asked, unit
from memos_integrations.testing.vault_blobs import content_of
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.sizes import seed, sizes
from tests.vaults.test_kill import assert_index_agrees

WORKER = Path(__file__).with_name("kill_worker.py")
ROOT = Path(__file__).resolve().parents[2]
ROUND = 20
"""Kills between two inspections."""


@pytest.mark.answers("fault 31", "Chroma #7090, Qdrant #3090")
@sizes("KILLS", quick=12, whole=200)
def test_nothing_acknowledged_is_lost_and_nothing_erased_returns(tmp_path: Path, count: int) -> None:
    folder, random = tmp_path / "vault", Random(seed())
    seen: Counter[str] = Counter()
    written: dict[str, int] = {}
    erased: set[str] = set()
    perhaps: set[str] = set()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for start in range(0, count, ROUND):
        lives = [f"{random.uniform(0.02, 0.5):.3f}" for _ in range(min(ROUND, count - start))]
        command = [sys.executable, str(WORKER), str(folder), str(seed()), str(start), *lives]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            cube_id, what = line.split()
            if what == "erased":
                erased.add(cube_id)
            elif what == "erasing":
                perhaps.add(cube_id)
            elif what.isdigit():
                written[cube_id] = max(int(what), written.get(cube_id, 0))
                seen["acknowledged writes"] += 1
            else:
                seen[what] += 1
        inspect(folder, written, erased, perhaps)
    assert len(written) > count
    seen |= {"cubes": len(written), "erased": len(erased)}
    print(f"\n{count} kills (seed {seed()}): 0 acknowledged lost, 0 erased returned, chain intact; {dict(seen)}")


def inspect(folder: Path, written: dict[str, int], erased: set[str], perhaps: set[str]) -> None:
    """Hold everything that was ever acknowledged against what the vault says now."""
    with SQLiteVault(folder) as vault:
        blobs = 0
        for cube_id, version in written.items():
            versions = vault.history("acme", cube_id)
            if cube_id in erased:
                assert versions == []
                assert set(vault.traces(cube_id).values()) == {0}
            elif cube_id not in perhaps or versions:
                assert len(versions) >= version
                assert vault.find_key("acme", cube_id) == cube_id
                for blob in versions[-1].blobs:
                    assert content_of(vault.open_blob(blob)).startswith(b"blob")
                    blobs += 1
        found = asked(vault, "cube", vector=unit(5), k=10**6, states=frozenset())
        assert not {match.cube.id for match in found.matches} & erased
        report = vault.verify_audit()
        assert report.problems == ()
        assert report.entries >= len(written) + len(erased)
        assert_index_agrees(vault)
