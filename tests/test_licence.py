"""A licence that counts uses: counted before the words are given, for everybody but the owner, and never overdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal, Provenance
from memos_integrations.core.cube import Licence, ModelFingerprint
from memos_integrations.core.errors import AccessDeniedError, LicenceSpentError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")) as made:
        yield made


def lent(memos: MemOS, uses: int, text: str = "The kettle is in the blue room.") -> str:
    return memos.remember(text, by=ANA, readers=["ben"], licence=Licence(uses_left=uses)).id


def denials(memos: MemOS) -> list[tuple[str | None, str, str]]:
    found = memos.audit(by=ADMIN, outcome="denied")
    return [(each.record.cube_id, each.record.operation, each.record.reason) for each in found]


def test_each_recall_is_a_use_and_the_owner_needs_none(memos: MemOS) -> None:
    kettle = lent(memos, 2)
    other = memos.remember("A kettle costs nine pounds.", by=ANA, readers=["ben"]).id
    for _ in range(3):
        assert {hit.cube.id for hit in memos.recall("kettle", by=ANA).hits} == {kettle, other}
    for left in (1, 0):
        assert {hit.cube.id for hit in memos.recall("kettle", by=BEN).hits} == {kettle, other}
        assert memos.get(kettle, by=ANA).behaviour.licensed == 2 - left
    assert denials(memos) == []
    assert [hit.cube.id for hit in memos.recall("kettle", by=BEN, k=1).hits] == [other], "another takes its place"
    assert denials(memos) == [(kettle, "recall", "its licence has no uses left")]
    assert memos.get(kettle, by=ANA).text.startswith("The kettle")
    assert memos.verify_audit().ok


def test_reading_and_listing_are_uses_looking_again_is_none(memos: MemOS) -> None:
    kettle = lent(memos, 2)
    assert memos.get(kettle, by=BEN).id == kettle
    assert memos.explain_access(kettle, BEN).allowed
    assert [each.id for each in memos.get_many([kettle], by=BEN)] == [kettle]
    assert [each.id for each in memos.find(CubeFilter(), by=BEN)] == [kettle]
    assert memos.find(CubeFilter(), by=BEN) == []
    with pytest.raises(LicenceSpentError, match=kettle):
        memos.get(kettle, by=BEN)
    assert [row[:2] for row in denials(memos)] == [(kettle, "find"), (kettle, "read")]
    assert [each.id for each in memos.get_many([kettle], by=BEN)] == [kettle], "it was handed out before"


def test_many_at_once_do_not_overdraw_it(memos: MemOS) -> None:
    kettle = lent(memos, 5)
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: len(memos.recall("kettle", by=BEN).hits), range(24)))
    assert sum(given) == 5
    assert len(denials(memos)) == 19
    assert memos.get(kettle, by=ANA).behaviour.licensed == 5


def test_only_the_owner_grants_another(memos: MemOS) -> None:
    kettle = memos.remember("Kettle.", by=ANA, writers=["ben"], sharers=["ben"], licence=Licence(uses_left=0)).id
    with pytest.raises(AccessDeniedError, match="only its owner"):
        memos.update(kettle, by=BEN, licence=Licence(uses_left=9))
    assert memos.recall("kettle", by=BEN).hits == ()
    memos.update(kettle, by=ANA, licence=Licence(uses_left=1))
    assert [len(memos.recall("kettle", by=BEN).hits) for _ in range(2)] == [1, 0]
    memos.update(kettle, by=ANA, licence=None)
    assert len(memos.recall("kettle", by=BEN).hits) == 1


@pytest.mark.answers("AISVS 5.2.7")
@pytest.mark.parametrize("way", ["remember", "summarise", "activation"])
def test_what_is_derived_goes_when_the_last_use_is_spent(memos: MemOS, way: str) -> None:
    kettle = lent(memos, 2)
    cube = memos.get(kettle, by=BEN)
    made_by = dict.fromkeys(("model", "weights", "tokenizer", "chat_template", "dtype", "positions"), "x")
    made = {
        "remember": lambda: memos.remember("Blue kettle.", by=BEN, provenance=Provenance(derived_from=(cube.ref,))),
        "summarise": lambda: memos.summarise([kettle], by=BEN),
        "activation": lambda: memos.keep_activation(
            b"keys and values", [cube], token_count=3, token_ids_digest="0" * 64, key="k",
            fingerprint=ModelFingerprint(**made_by), by=BEN,
        ),
    }[way]()  # fmt: skip
    if way != "summarise":  # which reads once more
        assert memos.get_many([made.id], by=BEN) == [made]
        memos.get(kettle, by=BEN)
    assert memos.get_many([made.id], by=BEN) == []
    assert memos.recall("kettle", by=BEN, needed=True).hits == ()
    assert memos.find(CubeFilter(), by=BEN) == []
    assert memos.find_activation("k", by=BEN) is None
    memos.update(kettle, by=ANA, licence=Licence(uses_left=3))
    assert memos.get(kettle, by=BEN).id == kettle, "the owner may grant another"
