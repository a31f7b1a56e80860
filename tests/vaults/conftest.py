from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, stored, unit
from memos_integrations.vaults import postings
from memos_integrations.vaults.integrity import read_account, read_root, root_seal, stored_root, stored_tally
from memos_integrations.vaults.seals import Sealer, added
from memos_integrations.vaults.sqlite import SQLiteVault

Python = Callable[[str], str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a vault may stand."""
    return tmp_path / "vault"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full text makes blocks of three cubes already."""
    monkeypatch.setattr(postings, "FOLD_AT", 3)


@pytest.fixture
def filled(folder: Path) -> list[MemCube]:
    """Thirty cubes with vectors in a vault at `folder`, closed again; its index was used and saved."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [stored(vault, cube(f"kettle {seed}"), vector=unit(seed), key=f"k{seed}") for seed in range(30)]
        asked(vault, vector=unit(3))
    return cubes


@pytest.fixture
def python() -> Python:
    """Run a script in a Python of its own; gives what it printed."""

    def run(script: str) -> str:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def changed(folder: Path, sql: str, *values: object) -> None:
    """Change a closed vault's file behind its back."""
    with closing(sqlite3.connect(folder / "vault.db")) as connection, connection:
        assert connection.execute(sql, values).rowcount != 0


def without_reserved(folder: Path) -> None:
    """Take out of a closed vault's file what the seventh schema brought, sealed as the sixth had it."""
    file = folder / "vault.db"
    sealer = Sealer(file.with_suffix(".key").read_bytes())
    with closing(sqlite3.connect(file)) as raw, raw:
        root = read_root(raw, sealer)
        (commit,) = raw.execute("SELECT commit_number FROM head").fetchone()
        for (name,) in raw.execute("SELECT tenant FROM tallies").fetchall():
            tally, mac, tenant = read_account(raw, sealer, name)
            _, covered = stored_tally(sealer, name, replace(tally, reserved=b""))
            fresh = sealer.tally(name, tenant, covered)
            raw.execute("UPDATE tallies SET mac = ? WHERE tenant = ?", (fresh, name))
            root.total = added(root.total, sealer.share(fresh) - sealer.share(mac))
        sums = stored_root(sealer, commit, root)
        raw.execute("UPDATE roots SET total = ?, mac = ?", (sums[1], root_seal(raw, sealer, sums)))
        raw.execute("ALTER TABLE tallies DROP COLUMN reserved")
        raw.execute("PRAGMA user_version = 6")
