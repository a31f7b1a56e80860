"""Lists, filters and structured values: what is asked of memory besides "what do you know about this"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter, ValueTest
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

ANA = Principal(tenant="acme", user="ana")
BOB = Principal(tenant="acme", user="bob")


@pytest.fixture(params=["memory", "sqlite", "sqlite+vectors"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    embedder = WordsEmbedder() if request.param.endswith("vectors") else None
    with MemOS(InMemoryVault()) if request.param == "memory" else MemOS.open(tmp_path, embedder=embedder) as made:
        yield made


def test_a_list_is_governed_filtered_and_on_record(memos: MemOS) -> None:
    one = memos.remember("First.", by=ANA, value={"place": "attic"}, namespace=("acme", "ana", "notes"))
    two = memos.remember("", by=ANA, value={"place": "cellar", "n": 2}, namespace=("acme", "ana", "notes"))
    memos.remember("Elsewhere.", by=ANA)
    memos.remember("Bob's.", by=BOB, value={"place": "attic"})
    notes = CubeFilter(namespace=("acme", "ana", "notes"))
    assert {cube.id for cube in memos.find(notes, by=ANA)} == {one.id, two.id}
    assert memos.find(notes, by=BOB) == []
    attic = CubeFilter(value=(ValueTest(("place",), "eq", "attic"),))
    assert [cube.id for cube in memos.find(attic, by=ANA)] == [one.id]
    assert len(memos.find(CubeFilter(), by=ANA, k=2)) == 2
    assert [entry.record.operation for entry in memos.audit(by=ANA)].count("find") == 3
    with pytest.raises(InvalidMemoryError):
        memos.find(notes, by=ANA, k=0)


def test_recall_within_a_filter_finds_what_others_would_have_crowded_out(memos: MemOS) -> None:
    for number in range(60):
        memos.remember(f"The tea of day {number} was tea, tea and tea.", by=ANA)
    wanted = memos.remember("On that day there was some tea with the soup.", by=ANA, value={"course": "soup"})
    where = CubeFilter(value=(ValueTest(("course",), "eq", "soup"),))
    assert [hit.cube.id for hit in memos.recall("Which tea?", by=ANA, k=3, where=where).hits] == [wanted.id]


def test_new_words_drop_the_value_that_stood_beside_the_old_ones(memos: MemOS) -> None:
    cube = memos.remember("The code is 4711.", by=ANA, value={"code": "4711"})
    assert "4711" not in memos.update(cube.id, by=ANA, text="The code is kept elsewhere.").to_json()


def test_the_engine_over_a_vault_is_found_by_its_address_while_it_is_open(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos, MemOS(InMemoryVault()) as other:
        assert memos.uri.startswith("file://")
        assert MemOS.live(memos.uri) is memos
        assert MemOS.live(other.uri) is other
    assert MemOS.live(memos.uri) is None
