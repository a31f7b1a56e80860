"""A part of a vault leaves: by words, by owner; and all of it in parts, whenever it is interrupted."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.interchange.syncing import EVERYTHING
from memos_integrations.core.ports import Vectors
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

ANA = Principal(tenant="clinic-a", user="ana")
CAT = Principal(tenant="clinic-a", user="cat")
BO = Principal(tenant="clinic-b", user="bo")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
OUT: dict[str, Any] = {"by": ANA, "signer": KEY, "issuer": "clinic-a", "recipient": "clinic-b"}
IN: dict[str, Any] = {"by": BO, "trusted": {KEY.key: "clinic-a"}, "recipient": "clinic-b"}


@pytest.fixture(params=["words", "vectors"])
def source(request: pytest.FixtureRequest) -> Iterator[MemOS]:
    embedder = WordsEmbedder() if request.param == "vectors" else None
    with MemOS(InMemoryVault(), embedder=embedder, clock=lambda: NOW) as memos:
        memos.remember("The kiln was fired to cone six on Monday.", by=ANA)
        memos.remember("Kiln and glaze: the kiln cracked on Friday.", by=ANA)
        memos.remember("Lunch was soup.", by=ANA)
        cats = memos.remember("Cat fires the kiln on Sunday.", by=CAT, readers=["ana"])
        memos.update(cats.id, by=CAT, sharers=["ana"])
        yield memos


def told(path: Path | str) -> set[str]:
    lines = zipfile.ZipFile(path).read("cubes.jsonl").splitlines()
    return {json.loads(line)["payload"]["text"].split(" ")[0] for line in lines}


@pytest.mark.parametrize("since", [None, 0])
def test_what_is_about_something_leaves(source: MemOS, tmp_path: Path, since: int | None) -> None:
    made = source.dump(tmp_path / "a.mip", about="kiln", at_least=0.3, since=since, history=False, **OUT)
    assert told(tmp_path / "a.mip") == {"The", "Kiln", "Cat"}
    assert (made.cubes, made.declined) == (3, {})
    source.dump(tmp_path / "b.mip", about="kiln", at_least=0.3, owners=["cat"], since=since, history=False, **OUT)
    assert told(tmp_path / "b.mip") == {"Cat"}
    source.dump(tmp_path / "c.mip", owners=["user:ana"], since=since, history=False, **OUT)
    assert told(tmp_path / "c.mip") == {"The", "Kiln", "Lunch"}
    assert source.dump(tmp_path / "d.mip", about="submarine", since=since, **OUT).cubes == 0


@pytest.mark.parametrize(
    "how",
    [{"about": " "}, {"about": 3}, {"about": "kiln", "at_least": 2}, {"about": "kiln", "at_least": True},
     {"owners": "cat"}, {"owners": [3]}, {"where": "kiln"}],
)  # fmt: skip
def test_a_part_that_makes_no_sense_is_an_error_of_ours(source: MemOS, tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidMemoryError):
        source.dump(tmp_path / "a.mip", **(OUT | how))
    assert [*tmp_path.iterdir()] == []


def test_what_the_vault_has_a_vector_of_is_not_embedded_again(tmp_path: Path) -> None:
    """Of 30 memories only the question is; and it decides as a new embedding would."""

    class Counting(WordsEmbedder):
        texts = 0

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.texts += len(texts)
            return super().embed(texts)

    embedder = Counting()
    with MemOS(SQLiteVault(tmp_path / "v"), embedder=embedder, clock=lambda: NOW) as memos:
        memos.remember_many([f"Kiln number {number} is hot." for number in range(15)], by=ANA)
        memos.remember_many([f"Lunch number {number} was soup." for number in range(15)], by=ANA)
        before = embedder.texts
        assert memos.dump(tmp_path / "a.mip", about="hot kiln", at_least=0.5, **OUT).cubes == 15
        assert embedder.texts - before == 1


def test_words_without_meaning_name_nothing(tmp_path: Path) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        memos.remember("The kiln.", by=ANA)
        assert memos.dump(tmp_path / "a.mip", about="?!", **OUT).cubes == 0


def test_what_stays_for_another_purpose_is_named_only_where_it_was_asked_for(source: MemOS, tmp_path: Path) -> None:
    source.remember("The kiln is insured.", by=ANA, purposes=["billing"])
    assert source.dump(tmp_path / "a.mip", about="soup", **OUT).declined == {}
    assert source.dump(tmp_path / "b.mip", about="kiln", at_least=0.3, **OUT).declined == {"not_shared": 1}


def test_an_export_in_parts_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    parts = []

    def interrupted(count: int) -> None:
        if len(parts) == 2 and count == 30:
            raise KeyboardInterrupt

    with MemOS(SQLiteVault(tmp_path / "from"), clock=lambda: NOW) as source:
        source.remember_many((f"Fact {number}." for number in range(130)), by=ANA)
        parts += [source.dump_next(out, "whole", most=30, progress=interrupted, **OUT) for _ in range(2)]
        with pytest.raises(KeyboardInterrupt):
            source.dump_next(out, "whole", most=30, progress=interrupted, **OUT)
    assert len(parts) == len([*out.iterdir()]) == 2
    with MemOS(SQLiteVault(tmp_path / "from"), clock=lambda: NOW) as source:
        while made := source.dump_next(out, "whole", most=30, **OUT):
            parts.append(made)
    assert [each.cubes for each in parts] == [30, 30, 30, 30, 10]
    with MemOS(InMemoryVault(), clock=lambda: NOW) as target:
        counts = [target.load(path, **IN).counts for path in sorted(out.iterdir())]
        assert sum(each["new"] for each in counts) == 130
        assert len(target.find(EVERYTHING, by=BO, k=1_000)) == 135
