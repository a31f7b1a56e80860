"""What a search remembers of a tenant holds as long as nothing there changed that a search could notice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.ports import Erase, Move, PutVector, Use
from memos_integrations.testing.cubes import NOW, asked, cube, put, revised, seen_by, stored, submit, texts, unit
from memos_integrations.vaults.sqlite import SQLiteVault


def change_number(folder: Path, tenant: str = "acme") -> int:
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        return int(connection.execute("SELECT changed FROM tenants WHERE name = ?", (tenant,)).fetchone()[0])


CHANGES: list[tuple[Callable[[MemCube], object], bool]] = [
    (lambda old: Use(old.id, NOW, "recall"), False),
    (lambda old: put(cube("elsewhere", namespace=("other",))), False),
    (lambda old: put(cube("new")), True),
    (lambda old: put(revised(old, "anew")), True),
    (lambda old: PutVector(old.id, 1, unit(5)), True),
    (lambda old: Move(old.id, State.GENERATED, State.ARCHIVED), True),
    (lambda old: Erase(old.id), True),
]


@pytest.mark.parametrize(
    ("change", "counts"), CHANGES, ids=["use", "other", "new", "revise", "vector", "move", "erase"]
)
def test_what_counts_as_a_change(
    folder: Path, filled: list[MemCube], change: Callable[[MemCube], object], counts: bool
) -> None:
    before = change_number(folder)
    with SQLiteVault(folder) as vault:
        submit(vault, change(filled[3]))
        assert (change_number(folder) > before) is counts


def test_two_vaults_on_one_file_never_answer_from_yesterday(folder: Path, filled: list[MemCube]) -> None:
    with SQLiteVault(folder) as one, SQLiteVault(folder) as two:
        for number, old in enumerate(filled[:12]):
            assert asked(two, k=99).visible == 30 - number
            assert asked(one, k=99, tags=("x",)).visible == number // 4
            if number % 4 == 3:
                stored(one, revised(old, "tagged", descriptive=old.descriptive.model_copy(update={"tags": ("x",)})))
                assert asked(two, k=99, tags=("x",)).visible == (number + 1) // 4
                submit(two, Move(filled[18 + number].id, State.GENERATED, State.MERGED))
            else:
                submit(one, Erase(old.id))


def test_many_questions_of_many_askers_keep_apart(folder: Path) -> None:
    """More different questions than are remembered, asked again and again."""
    with SQLiteVault(folder) as vault:
        for number in range(30):
            who = (f"user:{number % 3}",)
            stored(
                vault, cube(f"{number}", tags=(f"t{number % 5}",), purposes=("p",) if number % 2 else ()), readers=who
            )
        for _ in range(3):
            for user in range(4):
                for tag in range(5):
                    found = texts(asked(vault, k=99, tags=(f"t{tag}",), by=seen_by(f"user:{user}")))
                    even = [n for n in range(30) if n % 3 == user and n % 5 == tag and n % 2 == 0]
                    assert found == sorted(map(str, even))
