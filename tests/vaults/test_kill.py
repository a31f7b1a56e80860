"""kill -9 while writing: whatever was acknowledged is there."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from memos_integrations.backends.keys import HeldKey
from memos_integrations.testing.cubes import asked, unit
from memos_integrations.vaults.sqlite import SQLiteVault

CHILD = Path(__file__).with_name("crash_writer.py")


@pytest.mark.parametrize(
    ("kills", "keys"),
    [
        pytest.param(12, None, id="12 in clear"),
        pytest.param(50, None, id="50 in clear", marks=pytest.mark.slow),
        pytest.param(50, HeldKey(bytes(32)), id="50 encrypted", marks=pytest.mark.slow),
    ],
)
def test_no_acknowledged_write_is_lost_in_many_kills(tmp_path: Path, kills: int, keys: HeldKey | None) -> None:
    folder = tmp_path / "vault"
    chance = random.Random(20260301)
    lives = [f"{chance.uniform(0.05, 0.5):.3f}" for _ in range(kills)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CRASH_ENCRYPTED": "yes" if keys else ""}
    done = subprocess.run(
        [sys.executable, str(CHILD), str(folder), *lives],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    erased = {cube_id for cube_id, what in said if what == "erased"}
    perhaps = {cube_id for cube_id, what in said if what == "erasing"}
    written = {(cube_id, int(what)) for cube_id, what in said if what.isdigit()}
    assert len(written) > kills
    with SQLiteVault(folder, keys=keys) as vault:
        for cube_id, version in written:
            versions = vault.history("acme", cube_id)
            if cube_id in erased:
                assert versions == []
                assert set(vault.traces(cube_id).values()) == {0}
            elif cube_id not in perhaps or versions:
                assert versions[version - 1].version == version
                assert vault.find_key("acme", cube_id) == cube_id
        report = vault.verify_audit()
        assert report.problems == ()
        assert report.entries >= len(written) + len(erased)
        assert_index_agrees(vault)


def assert_index_agrees(vault: SQLiteVault) -> None:
    """The index finds what a scan of the table of vectors finds."""
    with closing(sqlite3.connect(vault.path)) as truth:
        rows = [np.frombuffer(row, dtype="<f4") for (row,) in truth.execute("SELECT row FROM vectors")]
    matrix = np.stack(rows).astype(np.float64)
    for seed in range(100, 120):
        best = sorted(matrix @ unit(seed).astype(np.float64))[-7:]
        found = asked(vault, vector=unit(seed), k=7)
        assert np.allclose(sorted(match.cosine for match in found.matches), best, atol=1e-12)
