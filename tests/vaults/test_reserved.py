"""Whether a tenant has rules is told by its sealed counts: it is not added up for that, and nothing is guessed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import Expect
from memos_integrations.core.ruling import rules_id
from memos_integrations.testing.cubes import cube, put, record, revised, stored, submit
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed, without_reserved

RULES = rules_id("acme")


def rules(folder: Path, *, alone: bool = True) -> MemCube:
    """Puts three memories and the rules of their tenant, by both ways of writing."""
    with SQLiteVault(folder) as vault:
        first, *_ = [stored(vault, cube(f"kettle {n}")) for n in range(3)]
        made = cube("some rules", id=RULES)
        if alone:
            stored(vault, made)
        else:
            submit(vault, Expect(first.id, 1), put(made), audit=(record(made),))
        stored(vault, cube("elsewhere", namespace=("globex",)))
    return made


def added_up(vault: SQLiteVault) -> set[str]:
    return {*vault._guard.witness._tenants}


def test_a_tenant_without_rules_is_not_added_up_for_them(folder: Path) -> None:
    rules(folder)
    with SQLiteVault(folder) as vault:
        assert vault.get("globex", [rules_id("globex")]) == []
        assert vault.get("nobody", [rules_id("nobody")]) == []
        assert added_up(vault) == set()
        assert vault.get("globex", [cube().id]) == []
        assert added_up(vault) == {"globex"}


@pytest.mark.parametrize("alone", [True, False])
def test_rules_are_found_at_once_and_by_who_opens_it_later(folder: Path, alone: bool) -> None:
    made = rules(folder, alone=alone)
    with SQLiteVault(folder) as vault, SQLiteVault(folder) as other:
        assert [each.id for each in vault.get("acme", [RULES])] == [made.id]
        for one, another in ((vault, other), (other, vault)):
            namespace = f"new {one is vault}"
            known = rules_id(namespace)
            assert one.get(namespace, [known]) == another.get(namespace, [known]) == []
            stored(another, cube("first", namespace=(namespace,)))
            assert one.get(namespace, [known]) == another.get(namespace, [known]) == []
            there = stored(another, cube("its rules", id=known, namespace=(namespace,)))
            stored(another, revised(there, "others"))
            assert [each.version for each in one.get(namespace, [known])] == [2]
    assert examine(folder).ok


EDITS = (
    "UPDATE tallies SET reserved = x'00' WHERE tenant = 'acme'",
    "UPDATE tallies SET reserved = x'' WHERE tenant = 'acme'",
    "DELETE FROM tallies WHERE tenant = 'acme'",
    f"UPDATE cubes SET id = 'gone' WHERE id = '{RULES}'",
)


@pytest.mark.parametrize("edit", EDITS)
def test_rules_that_were_taken_away_or_denied_are_missed(folder: Path, edit: str) -> None:
    rules(folder)
    changed(folder, edit)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        vault.get("acme", [RULES])
    assert not examine(folder).ok


def test_counts_of_before_the_rules_that_are_set_back_are_refused(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube("kettle"))
    with closing(sqlite3.connect(folder / "vault.db")) as raw:
        before = raw.execute("SELECT * FROM tallies").fetchone()
        tenant = raw.execute("SELECT changed, tail FROM tenants").fetchone()
    rules(folder)
    changed(folder, "UPDATE tenants SET changed = ?, tail = ? WHERE name = 'acme'", *tenant)
    changed(folder, "DELETE FROM tallies WHERE tenant = 'acme'")
    changed(folder, f"INSERT INTO tallies VALUES ({', '.join('?' * len(before))})", *before)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError, match="missing, was added, or set back"):
        vault.get("acme", [RULES])


def test_of_a_tenant_of_before_the_counts_say_nothing_and_it_is_added_up(folder: Path) -> None:
    made = rules(folder)
    without_reserved(folder)
    with SQLiteVault(folder) as vault:
        assert [each.id for each in vault.get("acme", [RULES])] == [made.id]
        assert vault.get("globex", [rules_id("globex")]) == []
        assert added_up(vault) == {"acme", "globex"}
        stored(vault, cube("later", namespace=("globex",)))
    assert examine(folder).ok
    changed(folder, "UPDATE cubes SET id = 'gone' WHERE id = ?", RULES)
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError):
        vault.get("acme", [RULES])
