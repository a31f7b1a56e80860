"""Memories from before some spellings were taken together are found by the words of now, once the vault was opened."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import KeyProvider
from memos_integrations.core.text import terms
from memos_integrations.core.text import words as taken_apart
from memos_integrations.testing.cubes import EMBEDDER, asked, cube, revised, stored, unit
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.integrity import seal_meta
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed
from tests.vaults.test_encryption import KEY

THAI = "\u0e09\u0e31\u0e19\u0e0a\u0e2d\u0e1a\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27\u0e1c\u0e31\u0e14"
RICE = "\u0e02\u0e49\u0e32\u0e27\u0e1c\u0e31\u0e14"
HYPHENS = "Donau\u00addampf\u00adschiff"


def as_before(text: str) -> list[str]:
    """The words of a text, taken apart at everything that is no letter, and nowhere else."""
    return [taken_apart.stem(word) for word in taken_apart._WORD.findall(taken_apart.fold(text))]


@pytest.fixture(params=[None, KEY], ids=["in clear", "encrypted"])
def keys(request: pytest.FixtureRequest) -> KeyProvider | None:
    """What the vault is encrypted with."""
    given: KeyProvider | None = request.param
    return given


@pytest.fixture
def older(folder: Path, keys: KeyProvider | None) -> list[MemCube]:
    """Memories of an older vault, in two spellings and in English."""
    with SQLiteVault(folder, keys=keys) as vault:
        vault.bind_embedder(EMBEDDER)
        told = [cube(text) for text in (THAI, HYPHENS, "The kettle is blue.", "Caf\u00e9 \u2014 blue")]
        for number, each in enumerate(told):
            stored(vault, each, vector=unit(number), terms=" ".join(as_before(each.text)))
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as raw:
        raw.execute("DELETE FROM meta WHERE name = 'worded'")
        seal_meta(raw, Sealer((folder / "vault.key").read_bytes()))
    return told


def found(vault: SQLiteVault, text: str) -> list[str]:
    return [m.cube.text for m in asked(vault, " ".join(terms(text)), k=9).matches if m.bm25]


def test_they_are_found_by_the_words_of_now(
    folder: Path, keys: KeyProvider | None, older: list[MemCube], small_blocks: None
) -> None:
    for _ in range(2):
        with SQLiteVault(folder, keys=keys) as vault:
            assert found(vault, RICE) == [THAI]
            assert found(vault, "Donaudampfschiff") == [HYPHENS]
            assert len(found(vault, "blue")) == 2
            assert vault.get("acme", [each.id for each in older]) == older
            assert vault.verify_audit().ok
        assert examine(folder, keys=keys).ok
    with SQLiteVault(folder, keys=keys) as vault:
        stored(vault, revised(older[0], "The kettle is green."))
        assert found(vault, RICE) == []


def test_what_was_edited_is_not_sealed_along(folder: Path, keys: KeyProvider | None, older: list[MemCube]) -> None:
    changed(folder, "UPDATE words SET packed = (SELECT packed FROM words WHERE cube = 2) WHERE cube = 1")
    with SQLiteVault(folder, keys=keys) as vault, pytest.raises(IntegrityError, match=older[0].id):
        found(vault, "Donaudampfschiff")
    assert older[0].id in str(examine(folder, keys=keys))


def test_a_new_vault_is_not_looked_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLiteVault(folder) as vault:
        stored(vault, cube(THAI), terms=" ".join(terms(THAI)))
    monkeypatch.setattr("memos_integrations.vaults.rewording.finished", None)
    with SQLiteVault(folder) as vault:
        assert found(vault, RICE) == [THAI]
