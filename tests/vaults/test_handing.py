"""What this process wrote is at hand at once: to the byte what would be read, until somebody else changes the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memos_integrations import MemCube, MemOS, Principal
from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.errors import IntegrityError, VaultKeyError
from memos_integrations.core.events import CubeErased, CubeWritten, MemEvent
from memos_integrations.vaults.handing import _BY_ID, Handing
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.sqlite_rows import event_of
from tests.vaults.conftest import changed

ANA = Principal(tenant="acme", user="ana")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def written(vault: SQLiteVault) -> list[MemCube]:
    memos = MemOS(vault, clock=lambda: NOW)
    made = memos.remember_many([f"Note {number} on the bridge." for number in range(4)], by=ANA, readers=["ben"])
    said = memos.remember("With a value and a key.", by=ANA, value={"a": [1, 2.5]}, key="one")
    return [*made, said]


def handing(vault: SQLiteVault) -> Handing:
    return vault._guard.witness.handing


def test_what_is_at_hand_is_what_would_be_read(tmp_path: Path) -> None:
    vault = SQLiteVault(tmp_path / "v")
    made, kept = written(vault), handing(vault)
    with vault._reading() as connection:
        rows = connection.execute(_BY_ID, (json.dumps([cube.id for cube in made]), "acme")).fetchall()
        assert len(rows) == len(made) == len(kept._held)
        for row in rows:
            known = kept._held[row[14]]
            assert known.row == row
            read = kept._checked(row)
            assert (read, read.state, read.behaviour) == (known.cube, known.cube.state, known.cube.behaviour)
            assert (read.canonical(), read.digest) == (known.cube.canonical(), known.cube.digest)
    vault.close()


def test_it_is_read_again_once_somebody_else_changed_the_file(tmp_path: Path) -> None:
    vault = SQLiteVault(tmp_path / "v")
    cube = written(vault)[0]
    assert vault.get("acme", [cube.id]) == [cube]
    changed(
        tmp_path / "v", "UPDATE versions SET body = x'00ff' WHERE cube = (SELECT seq FROM cubes WHERE id = ?)", cube.id
    )
    with pytest.raises(IntegrityError):
        vault.get("acme", [cube.id])
    vault.close()


def test_what_a_vault_encrypts_is_at_hand_only_as_long_as_its_keys_are(tmp_path: Path) -> None:
    """The process could open it all the same while the keys are there; afterwards nothing of it is given, or held."""
    vault = SQLiteVault(tmp_path / "v", keys=HeldKey(bytes(range(32))))
    cubes = written(vault)
    assert len(handing(vault)._held) == len(cubes)
    assert vault.get("acme", [each.id for each in cubes]) == cubes
    vault.erase_keys(by=Principal(tenant="acme", user="root", roles=frozenset({"admin"})), now=NOW)
    assert not handing(vault)._held
    with pytest.raises((VaultKeyError, IntegrityError)):
        vault.get("acme", [cubes[0].id])
    vault.close()


def test_an_event_is_read_as_its_model_reads_it() -> None:
    told: list[MemEvent] = [
        CubeWritten(at=NOW, tenant="acme", cube_id="c", actor="user:ana", version=3),
        CubeErased(at=NOW, tenant="acme", cube_id="c", actor="user:ana"),
    ]
    for event in told:
        found = event_of(event._canonical)
        assert (found, type(found), found._canonical) == (event, type(event), event._canonical)
    for damaged in (b"", b"[]", b'{"kind":"cube_written"}', b'{"kind":"other"}'):
        with pytest.raises(ValueError, match=r"."):
            event_of(damaged)
