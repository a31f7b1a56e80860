"""A vault from before rules compared every spelling: what it lacks is added once, and nothing else is sealed along."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from memos_integrations.backends.keys import HeldKey
from memos_integrations.core.cube import PlaintextPayload
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import CubeFilter, Visibility
from memos_integrations.testing.cubes import NOW, asked, cube, days, revised, seen_by, stored, texts
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.integrity import read_account, read_root, root_seal, seal_meta, sealed, stored_root
from memos_integrations.vaults.integrity import stored_tally as as_stored
from memos_integrations.vaults.marks import labels_mark
from memos_integrations.vaults.numbering import Kind
from memos_integrations.vaults.seals import Sealer, added
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.sqlite_rows import labels_of, leaves_of

Labels = list[tuple[int, int, str]]
Leaves = tuple[tuple[int, int | None, float | None], ...]
EVERYTHING = CubeFilter(states=frozenset(), tiers=frozenset(), folded=True)


def hiding(**said: object) -> Visibility:
    return replace(seen_by(), hidden=(replace(EVERYTHING, **said),))


def filled(vault: SQLiteVault) -> dict[str, tuple[Labels, Leaves]]:
    """Puts memories; by their ids, the labels that they had before rules had any, and the leaves."""
    stored(vault, cube("plain", tags=("salary",)))
    stored(vault, cube("loud", tags=("SALARY ", "x")))
    value = PlaintextPayload(text="placed", value={"price": 1.5, "zero": -0.0, "words": ["a"]})
    stored(vault, cube("placed", namespace=("acme", "Ana"), payload=value))
    first = stored(vault, cube("young", recorded_at=NOW - days(9), created_at=NOW - days(9)))
    stored(vault, revised(first, "old", descriptive=first.descriptive.model_copy(update={"recorded_at": NOW})))
    stored(vault, cube("elsewhere", namespace=("other",), tags=("Salary",)))
    cubes = [match.cube for name in ("acme", "other") for match in asked(vault, by=seen_by(tenant=name)).matches]
    words = vault._words
    return {
        one.id: ([each for each in labels_of(one, words) if each[0] < Kind.SPELLED], leaves_of(one, words))
        for one in cubes
    }


def as_before(file: Path, told: dict[str, tuple[Labels, Leaves]]) -> int:
    """Take out of the file what the sixth schema brought, sealed as the fifth had it; how many rows."""
    sealer = Sealer(file.with_suffix(".key").read_bytes())
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        root = read_root(raw, sealer)
        (commit,) = raw.execute("SELECT commit_number FROM head").fetchone()
        gone = raw.execute("DELETE FROM labels WHERE kind >= ?", (int(Kind.SPELLED),)).rowcount
        for name in [name for (name,) in raw.execute("SELECT tenant FROM tallies").fetchall()]:
            tally, mac, tenant = read_account(raw, sealer, name)
            total = tally.total
            for row in list(sealed(raw, "t.name = ?", (name,))):
                readers = [
                    s for (s,) in raw.execute("SELECT subject FROM audiences WHERE audience = ?", (row.row[13],))
                ]
                mark = labels_mark(sealer, readers, *told[row.cube_id])
                fresh = sealer.cube((name, row.digest, row.history, mark, *row.marks[1:], *row.row))
                raw.execute("UPDATE seals SET mac = ?, labels = ? WHERE cube = ?", (fresh, mark, row.seq))
                total = added(total, sealer.share(fresh) - sealer.share(row.mac or b""))
            values, covered = as_stored(sealer, name, replace(tally, total=total, reserved=b""))
            fresh = sealer.tally(name, tenant, covered)
            raw.execute("UPDATE tallies SET total = ?, mac = ? WHERE tenant = ?", (values[2], fresh, name))
            root.total = added(root.total, sealer.share(fresh) - sealer.share(mac))
        sums = stored_root(sealer, commit, root)
        raw.execute("UPDATE roots SET total = ?, mac = ?", (sums[1], root_seal(raw, sealer, sums)))
        raw.execute("DELETE FROM meta WHERE name = 'spelled'")
        seal_meta(raw, sealer)
        raw.execute("ALTER TABLE tallies DROP COLUMN reserved")
        raw.execute("PRAGMA user_version = 5")
    return gone


def check(vault: SQLiteVault) -> None:
    assert texts(asked(vault, by=hiding(tags=("salary",)))) == ["old", "placed"]
    assert texts(asked(vault, by=hiding(namespace=("acme", "ana")))) == ["loud", "old", "plain"]
    assert texts(asked(vault, by=hiding(created=(NOW - days(99), NOW - days(1))))) == ["loud", "placed", "plain"]
    elsewhere = replace(hiding(tags=("salary",)), tenant="other")
    assert texts(asked(vault, by=elsewhere)) == []


@pytest.mark.parametrize("anchored", [False, True])
def test_an_older_vault_gets_the_labels_that_it_lacks_once(tmp_path: Path, anchored: bool) -> None:
    more = {"anchor": tmp_path / "elsewhere" / "anchor"} if anchored else {}
    (tmp_path / "elsewhere").mkdir()
    with SQLiteVault(tmp_path / "v", **more) as vault:
        told = filled(vault)
        check(vault)
        file = vault.path
    assert as_before(file, told) == 4
    assert {each.name for each in examine(file).findings if each.problems} <= {"older schema"}, (
        "all is sealed as it was"
    )
    with SQLiteVault(tmp_path / "v", **more) as vault:
        check(vault)
        stored(vault, cube("later", tags=("sAlary",)))
    assert examine(file).ok
    before = os.stat(file).st_mtime_ns, file.read_bytes()
    with SQLiteVault(tmp_path / "v", **more) as vault:
        assert texts(asked(vault, by=hiding(tags=("salary",)))) == ["old", "placed"]
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT count(*) FROM labels WHERE kind >= 11").fetchone() == (5,)
    assert file.read_bytes() == before[1]


@pytest.mark.parametrize("blinded", [False, True])
def test_an_encrypted_vault_gets_them_too(tmp_path: Path, blinded: bool) -> None:
    keys = HeldKey(bytes(range(32)))
    with SQLiteVault(tmp_path / "v", keys=keys, blinded=blinded) as vault:
        told = filled(vault)
        file = vault.path
    assert as_before(file, told) == 4
    with SQLiteVault(tmp_path / "v", keys=keys) as vault:
        check(vault)
    assert examine(file, keys=keys).ok


def test_a_vault_that_is_encrypted_at_that_opening_gets_them(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "v") as vault:
        told = filled(vault)
        file = vault.path
    as_before(file, told)
    with SQLiteVault(tmp_path / "v", keys=HeldKey(bytes(range(32)))) as vault:
        check(vault)


def test_what_was_edited_is_not_sealed_along(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "v") as vault:
        told = filled(vault)
        file = vault.path
    as_before(file, told)
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("UPDATE cubes SET audience = (SELECT max(audience) FROM audiences) - 1 WHERE seq = 2")
    with SQLiteVault(tmp_path / "v") as vault, pytest.raises(IntegrityError):
        asked(vault, by=hiding(tags=("salary",)))
    assert not examine(file).ok


def test_a_label_of_rules_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path / "v") as vault:
        filled(vault)
        file = vault.path
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("DELETE FROM labels WHERE kind = 11")
    with SQLiteVault(tmp_path / "v") as vault, pytest.raises(IntegrityError):
        asked(vault, by=hiding(tags=("salary",)))
