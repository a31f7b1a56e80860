"""The rate of a licence binds every way in which somebody is handed a memory, and uses bind an export, too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemCube, MemOS, Principal, Rate
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube import Licence
from memos_integrations.core.errors import AccessDeniedError, LicenceSpentError, RateSpentError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
CAT = Principal(tenant="acme", user="cat")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEY = Ed25519Signer(bytes(range(32)))
TWICE = Licence(rate=Rate(count=2, per=timedelta(hours=1)))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "memory"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = SQLiteVault(tmp_path / "v") if request.param == "sqlite" else InMemoryVault()
    with MemOS(vault, clock=clock) as made:
        yield made
        assert made.verify_audit().ok


def ways(memos: MemOS, cube_id: str, folder: Path) -> Iterator[Any]:
    """Every way in which Ben may have the words; each gives whether he was handed them."""
    yield lambda: bool(memos.recall("kiln", by=BEN, needed=True).hits)
    yield lambda: bool(memos.find(CubeFilter(tags=("kiln",)), by=BEN))
    yield lambda: memos.get(cube_id, by=BEN).text != ""
    yield lambda: bool(memos.get_many([cube_id], by=BEN))
    path = folder / "a.mip"
    path.unlink(missing_ok=True)
    yield lambda: memos.dump(path, by=BEN, signer=KEY, issuer="ben", recipient="x").cubes > 0


def gives(way: Any) -> bool:
    try:
        return bool(way())
    except RateSpentError:
        return False


@pytest.mark.parametrize("way", range(5))
def test_a_rate_binds_every_reading_of_each_person(memos: MemOS, clock: Clock, tmp_path: Path, way: int) -> None:
    cube = memos.remember("The kiln is fired on Thursdays.", by=ANA, tags=["kiln"])
    memos.update(cube.id, by=ANA, sharers=["ben"])
    memos.store.publish("kiln", by=ANA, to=["ben", "cat"], tags=["kiln"], licence=TWICE)
    assert memos.recall("kiln", by=BEN, needed=True).hits
    clock.now += timedelta(minutes=11)
    assert memos.get(cube.id, by=BEN)
    clock.now += timedelta(minutes=11)
    assert not gives([*ways(memos, cube.id, tmp_path)][way])
    assert memos.get(cube.id, by=CAT)  # each person has a rate of their own
    assert all(memos.get(cube.id, by=ANA) for _ in range(4))
    clock.now = NOW + timedelta(hours=1, seconds=1)
    assert gives([*ways(memos, cube.id, tmp_path)][way])


def test_a_new_version_is_no_way_around_a_rate(memos: MemOS) -> None:
    cube = memos.remember("Edit 0.", by=ANA, readers=["ben"], licence=TWICE)
    for number in range(2):
        assert memos.get(cube.id, by=BEN)
        memos.update(cube.id, by=ANA, text=f"Edit {number + 1}.")
    with pytest.raises(RateSpentError):
        memos.get(cube.id, by=BEN)
    denied = memos.audit(by=Principal(tenant="acme", user="root", roles=frozenset({"admin"})), cube_id=cube.id)
    assert denied[-1].record.reason == "its licence has no uses for now"


def test_news_under_a_rate_waits_for_room(memos: MemOS, clock: Clock) -> None:
    memos.store.subscribe("log", by=BEN)
    cube = memos.remember("Edit 0.", by=ANA, tags=["kiln"])
    memos.store.publish("kiln", by=ANA, to=["ben"], tags=["kiln"], licence=TWICE)
    seen = []
    for number in range(4):
        batch = memos.store.pull("log", by=BEN)
        seen += [each.cube.text for each in batch.deliveries]
        memos.store.acknowledge("log", batch.upto, by=BEN)
        memos.update(cube.id, by=ANA, text=f"Edit {number + 1}.")
    assert seen == ["Edit 0.", "Edit 1."]
    clock.now += timedelta(hours=2)
    batch = memos.store.pull("log", by=BEN)
    assert [each.cube.text for each in batch.deliveries] == ["Edit 4."]


def test_two_who_ask_at_once_share_a_rate(memos: MemOS) -> None:
    cube = memos.remember("A fact.", by=ANA, readers=["ben"], licence=TWICE)
    with ThreadPoolExecutor(8) as pool:
        given = [*pool.map(lambda _: gives(lambda: memos.get(cube.id, by=BEN)), range(16))]
    assert sum(given) == 2


def test_an_export_is_a_use_of_a_licence(memos: MemOS, tmp_path: Path) -> None:
    memos.remember("The recipe is salt.", by=ANA, readers=["ben"], sharers=["ben"], licence=Licence(uses_left=1))
    how: dict[str, Any] = {"signer": KEY, "issuer": "acme", "recipient": "x"}
    assert memos.dump(tmp_path / "owner.mip", by=ANA, **how).cubes == 1
    assert memos.dump(tmp_path / "a.mip", by=BEN, **how).cubes == 1
    made = memos.dump(tmp_path / "b.mip", by=BEN, **how)
    assert (made.cubes, made.declined) == (0, {"not_shared": 1})


def cube_of(licence: Licence) -> MemCube:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        return memos.remember("A fact.", by=ANA, licence=licence)


def test_a_licence_without_a_rate_is_spelled_as_before() -> None:
    plain = Licence(uses_left=3)
    assert b"rate" not in cube_of(plain).canonical()
    assert "rate" not in plain.model_dump_json()
    assert Licence.model_validate_json(TWICE.model_dump_json()) == TWICE
    assert b'"rate":{' in cube_of(TWICE).canonical()


def test_who_is_refused_is_told_which_it_is(memos: MemOS) -> None:
    both = TWICE.model_copy(update={"uses_left": 1})
    cube = memos.remember("A fact.", by=ANA, readers=["ben"], licence=both)
    assert memos.get(cube.id, by=BEN)
    with pytest.raises(LicenceSpentError) as caught:
        memos.get(cube.id, by=BEN)
    assert isinstance(caught.value, AccessDeniedError)
