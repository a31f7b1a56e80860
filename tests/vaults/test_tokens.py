"""Token vectors in a vault: kept with their version, gone with it, refused when they are not what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import Erase, PutVector, Transaction
from memos_integrations.testing.cubes import EMBEDDER, cube, put, record, revised, stored, submit, unit
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.staged import StagedVault
from tests.vaults.conftest import changed, without_reserved

KEY = HeldKey(bytes(range(32)))
TOKENS = b"\x01\x02tokens of zanzibar" * 40


def kept(vault: SQLiteVault | StagedVault, *cubes: MemCube, tenant: str = "acme") -> list[bytes | None]:
    found = vault.tokens(tenant, [each.ref for each in cubes])
    return [found.get(each.id) for each in cubes]


@pytest.mark.parametrize("keys", [None, KEY])
def test_they_come_back_in_another_process_for_their_version_and_tenant(folder: Path, keys: HeldKey | None) -> None:
    one, other, third = cube("one"), cube("other"), cube("third")
    with SQLiteVault(folder, keys=keys) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        changes = (put(other, vector=unit(2), tokens=b"other"), put(third, vector=unit(3)))
        submit(vault, *changes, audit=(record(other), record(third)))
        assert TOKENS not in b"".join(each.read_bytes() for each in folder.iterdir()) or keys is None
    with SQLiteVault(folder, keys=keys) as vault:
        assert kept(vault, other, third, one) == [b"other", None, TOKENS]
        assert kept(vault, one, tenant="globex") == [None]
        assert kept(vault, revised(one, "not yet")) == [None]
        assert all(finding.problems == () for finding in examine(folder, keys=keys).findings)


@pytest.mark.parametrize("keys", [None, KEY])
def test_a_new_version_takes_away_those_of_the_old_one(folder: Path, keys: HeldKey | None) -> None:
    one = cube("one")
    with SQLiteVault(folder, keys=keys) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        two = stored(vault, revised(one, "two"), vector=unit(2), tokens=b"two")
        assert kept(vault, one) == [None]
        assert kept(vault, two) == [b"two"]
        three = stored(vault, revised(two, "three"))
        assert kept(vault, two) == kept(vault, three) == [None]
        submit(vault, PutVector(three.id, 3, unit(3), b"three"))
        assert kept(vault, three) == [b"three"]


def test_an_erased_cube_leaves_none_in_any_file(folder: Path) -> None:
    one = cube("one")
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        assert vault.traces(one.id)["tokens"] == 1
        submit(vault, Erase(one.id))
        assert kept(vault, one) == [None]
        assert not any(vault.traces(one.id).values())
    assert not any(TOKENS[:20] in each.read_bytes() for each in folder.iterdir() if each.is_file())


def test_what_comes_in_as_a_whole_brings_them_too(folder: Path) -> None:
    one = cube("one")
    two = revised(one, "two")
    with SQLiteVault(folder, keys=KEY) as vault:
        vault.bind_embedder(EMBEDDER)
        vault.submit_whole(
            Transaction((change,)) for change in (put(one, vector=unit(1), tokens=b"1"), put(two, tokens=TOKENS))
        )
        assert kept(vault, two) == [TOKENS]


@pytest.mark.parametrize(
    "how",
    [
        "UPDATE tokens SET row = CAST(substr(row, 1, 40) || x'00' || substr(row, 42) AS BLOB) WHERE cube = 1",
        "UPDATE tokens SET row = (SELECT row FROM tokens WHERE cube = 2) WHERE cube = 1",
        "UPDATE tokens SET row = x'' WHERE cube = 1",
    ],
)
@pytest.mark.parametrize("keys", [None, KEY])
def test_other_ones_are_refused_and_the_doctor_says_whose(folder: Path, how: str, keys: HeldKey | None) -> None:
    one, other = cube("one"), cube("other")
    with SQLiteVault(folder, keys=keys) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        stored(vault, other, vector=unit(2), tokens=TOKENS)
    changed(folder, how)
    with SQLiteVault(folder, keys=keys) as vault:
        assert kept(vault, other) == [TOKENS]
        with pytest.raises(IntegrityError, match=one.id):
            kept(vault, other, one)
    problems = [problem for finding in examine(folder, keys=keys).findings for problem in finding.problems]
    assert [each.split(" do ")[0] for each in problems] == [f"The token vectors of cube {one.id!r}"]


def test_those_of_an_older_version_are_refused(folder: Path) -> None:
    one = cube("one")
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        with vault._reading() as connection:
            ((before,),) = connection.execute("SELECT row FROM tokens").fetchall()
        two = stored(vault, revised(one, "two"), vector=unit(2), tokens=b"two")
    changed(folder, "UPDATE tokens SET row = ?", before)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError, match=one.id):
        kept(vault, two)


def test_a_vault_from_before_them_is_brought_up_to_date(folder: Path, filled: list[MemCube]) -> None:
    without_reserved(folder)
    changed(folder, "DROP TABLE tokens")
    changed(folder, "PRAGMA user_version = 4")
    with SQLiteVault(folder) as vault:
        assert kept(vault, filled[0]) == [None]
        two = stored(vault, revised(filled[0], "two"), vector=unit(1), tokens=TOKENS)
        assert kept(vault, two) == [TOKENS]


def test_an_encrypted_vault_seals_those_that_stood_in_clear(folder: Path) -> None:
    one = cube("one")
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
    with SQLiteVault(folder, keys=KEY) as vault:
        assert kept(vault, one) == [TOKENS]
    assert not any(TOKENS[:20] in each.read_bytes() for each in folder.iterdir() if each.is_file())


def test_a_stage_reads_those_below_and_brings_its_own(folder: Path) -> None:
    one, new = cube("one"), cube("new")
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        stored(vault, one, vector=unit(1), tokens=TOKENS)
        stage = StagedVault(vault, "acme")
        submit(stage, put(new, vector=unit(2), tokens=b"new"))
        assert kept(stage, one) == [TOKENS]
        vault.submit(stage.pending()).result()
        assert kept(vault, new) == [b"new"]
