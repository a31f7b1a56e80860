"""The disk is full at random points: a clear error, nothing half done, reading goes on; writing, when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.sizes import seed, sizes

WORKER = Path(__file__).with_name("disk_worker.py")
ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, count: int, kind: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(WORKER), str(folder), str(seed()), str(count), kind],
        env=environment, capture_output=True, text=True, timeout=3_600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(f"\nfull {count} times by {kind} (seed {seed()}): 0 lost, 0 half done; {done.stdout.strip()}")


@pytest.mark.answers("fault 33")
@sizes("FULL", quick=15, whole=300)
def test_a_limit_on_file_sizes_at_random_points(tmp_path: Path, count: int) -> None:
    run(tmp_path / "vault", count, "limit")


@sizes("FULL", quick=10, whole=300)
def test_a_full_disk_at_random_points(tmp_path: Path, count: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(disk)]
    if os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a small disk; the limit test covers the same code without")
    try:
        run(disk / "vault", count, "disk")
    finally:
        subprocess.run(["umount", disk], check=False)
