"""Full text in words and blocks: the same answers with and without blocks, and nothing of an erased cube in one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import Erase, Move, Put, Transaction
from memos_integrations.testing.cubes import asked, cube, put, record, revised, seen_by, stored, submit
from memos_integrations.vaults import InMemoryVault, postings
from memos_integrations.vaults.doctor import examine
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.vaults.conftest import changed

pytestmark = pytest.mark.usefixtures("small_blocks")

WORDS = st.lists(st.sampled_from(["tea", "pot", "blue", "cup"]), max_size=4)
ACTS = st.lists(
    st.tuples(st.just("new"), st.lists(WORDS, min_size=1, max_size=4))
    | st.tuples(st.just("words"), st.tuples(st.integers(0, 20), WORDS))
    | st.tuples(st.sampled_from(["erase", "used"]), st.integers(0, 20)),
    max_size=12,
)


def blocks(folder: Path) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(folder / "vault.db")) as connection:
        return connection.execute("SELECT tenant, term, first, length(packed) FROM postings").fetchall()


def problems(folder: Path) -> list[str]:
    """What the doctor finds, but for versions that these tests wrote without a record in the audit log."""
    return [each for finding in examine(folder).findings for each in finding.problems if "no audit record" not in each]


def same_words(vault: SQLiteVault, reference: InMemoryVault, words: str) -> None:
    found, expected = asked(vault, words, k=99), asked(reference, words, k=99)
    assert [(m.cube.id, m.bm25) for m in found.matches] == [(m.cube.id, m.bm25) for m in expected.matches]


@given(ACTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_writes_changes_and_erasures_finds_what_the_reference_finds(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("vault")
    with SQLiteVault(folder) as vault, InMemoryVault() as reference:
        there: list[MemCube] = []
        for act, said in acts:
            changes: list[Put | Erase | Move] = []
            if act == "new":
                new = [(cube("something"), words) for words in said]  # type: ignore[attr-defined]
                changes = [put(each, terms=" ".join(words)) for each, words in new]
                there += [each for each, _ in new]
            elif there and act == "words":
                number, words = said  # type: ignore[misc]
                there[number % len(there)] = newer = revised(there[number % len(there)], "else")
                changes = [put(newer, terms=" ".join(words))]
            elif there and act == "used":
                present = reference.get("acme", [there[said % len(there)].id])[0]  # type: ignore[operator]
                changes = [Move(present.id, present.state, State.ACTIVATED)]
            elif there:
                changes = [Erase(there.pop(said % len(there)).id)]  # type: ignore[operator]
            for each in (vault, reference):
                each.submit(Transaction(tuple(changes))).result()
            same_words(vault, reference, "tea pot")  # what is kept of the words goes along with every commit
        for words in ("tea", "pot blue", "cup tea blue pot"):
            same_words(vault, reference, words)
    assert problems(folder) == []


def test_blocks_are_made_of_many_cubes_at_once_and_erased_to_the_last_term(folder: Path) -> None:
    chance = Random(3)
    with SQLiteVault(folder) as vault:
        cubes = [stored(vault, cube(f"kettle number{n}")) for n in range(11)]
        assert len(blocks(folder)) > 0
        assert {m.cube.id for m in asked(vault, "kettle", k=99).matches} == {each.id for each in cubes}
        chance.shuffle(cubes)
        for each in cubes:
            submit(vault, Erase(each.id), audit=(record(each, "forget"),))
        assert blocks(folder) == []
        assert asked(vault, "kettle").matches == ()
    assert problems(folder) == []


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM postings",
        "UPDATE postings SET term = term + 1",
        "UPDATE postings SET packed = zeroblob(length(packed))",
        "UPDATE postings SET packed = x'00'",
        "UPDATE postings SET first = first - 1",
        "UPDATE postings SET tenant = tenant + 1",
        "UPDATE tenants SET merged = merged + 1",
        "UPDATE tenants SET merged = 0",
        "DELETE FROM words WHERE cube = 4",
        "UPDATE words SET packed = (SELECT packed FROM words WHERE cube = 5) WHERE cube = 4",
    ],
)
def test_an_edit_of_words_or_blocks_is_refused(folder: Path, filled: list[MemCube], sql: str) -> None:
    with SQLiteVault(folder) as vault:
        truth = [match.cube.id for match in asked(vault, "kettle 7", k=99).matches]
    changed(folder, sql)
    with SQLiteVault(folder) as vault:
        try:
            now = [match.cube.id for match in asked(vault, "kettle 7", k=99).matches]
        except (IntegrityError, postings.VaultCorruptError):
            assert not examine(folder).ok
        else:
            pytest.fail(f"nobody noticed; the answer was {'the same' if now == truth else 'another'}")


def test_a_damaged_block_names_a_cube(folder: Path, filled: list[MemCube]) -> None:
    changed(folder, "UPDATE postings SET packed = substr(packed, 13) WHERE length(packed) > 12")
    with SQLiteVault(folder) as vault, pytest.raises(IntegrityError) as caught:
        asked(vault, "kettle")
    assert caught.value.cube_id in {each.id for each in filled}
    assert caught.value.cube_id in str(examine(folder))


def test_a_word_of_others_is_answered_as_a_word_of_nobody(folder: Path) -> None:
    """All but the time, see `postings.py`; and blocks of another tenant are not even read."""
    with SQLiteVault(folder) as vault:
        for n in range(9):
            stored(vault, cube(f"secret {n}", owner="user:bob"), readers=("user:bob",))
            stored(vault, cube(f"foreign {n}", namespace=("other",)))
        for n in range(4):
            stored(vault, cube(f"kettle {n}"))
        ours = asked(vault, "secret kettle")
        assert ours.matches == asked(vault, "nobodys kettle").matches
        nobodys = asked(vault, "nobodys")
        assert [*nobodys.matching.values()] == [0]
        for word in ("secret", "foreign"):
            assert asked(vault, word) == replace(nobodys, matching={word: 0})
        assert len(asked(vault, "secret", by=seen_by("user:bob")).matches) == 9
    with closing(sqlite3.connect(vault.path)) as raw, raw:
        raw.execute("DELETE FROM postings WHERE tenant = (SELECT number FROM tenants WHERE name = 'other')")
    with SQLiteVault(folder) as vault:
        assert asked(vault, "foreign") == replace(nobodys, matching={"foreign": 0})
        assert len(asked(vault, "kettle").matches) == 4


def test_of_many_equal_matches_those_with_the_smallest_ids_are_found(folder: Path) -> None:
    with SQLiteVault(folder) as vault:
        there = [stored(vault, cube("the same")) for _ in range(12)]
        found = asked(vault, "same", k=5).matches
        assert [match.cube.id for match in found] == sorted(each.id for each in there)[:5]


def test_words_that_no_commit_touched_are_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first use changes a cube's state, and so the tenant: else every recall would make the next one read it all."""
    monkeypatch.setattr(postings, "FOLD_AT", 99)
    with SQLiteVault(folder) as vault:
        there = [stored(vault, cube(f"kettle {n}")) for n in range(5)]
        before = asked(vault, "kettle", k=9)
        submit(vault, Move(there[1].id, State.GENERATED, State.ACTIVATED))
        monkeypatch.setattr(postings, "_words", lambda *_: pytest.fail("all words are read again"))
        after = asked(vault, "kettle", k=9)
        assert [(m.cube.id, m.bm25) for m in after.matches] == [(m.cube.id, m.bm25) for m in before.matches]
