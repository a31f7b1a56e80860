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
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, LicenceSpentError, RateSpentError
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


def refused(memos: MemOS, cube_id: str, by: Principal) -> bool:
    try:
        return not memos.get(cube_id, by=by).text
    except (LicenceSpentError, RateSpentError, CubeNotFoundError):
        return True


def told(memos: MemOS, by: Principal) -> list[str]:
    batch = memos.store.pull("all", by=by)
    memos.store.acknowledge("all", batch.upto, by=by)
    return [each.kind for each in batch.deliveries]


def test_each_is_bound_by_the_offer_that_is_for_them(memos: MemOS) -> None:
    cube = memos.remember("The kiln is hot.", by=ANA)
    memos.store.publish("cats", by=ANA, to=["cat"], cube_id=cube.id, licence=Licence(uses_left=2))
    assert not refused(memos, cube.id, CAT)
    memos.store.publish("bens", by=ANA, to=["ben"], cube_id=cube.id)
    assert not any(refused(memos, cube.id, BEN) for _ in range(5))
    assert [refused(memos, cube.id, CAT) for _ in range(3)] == [False, True, True], "what she used before counts"
    assert not refused(memos, cube.id, BEN)
    memos.store.withdraw("bens", by=ANA)
    assert refused(memos, cube.id, BEN)
    assert refused(memos, cube.id, CAT)
    memos.store.withdraw("cats", by=ANA)
    assert memos.get(cube.id, by=ANA).governance.licence is None


def test_equal_licences_of_two_offers_are_counted_apart(memos: MemOS) -> None:
    cube = memos.remember("The kiln is hot.", by=ANA)
    for name in ("ben", "cat"):
        memos.store.publish(name, by=ANA, to=[name], cube_id=cube.id, licence=Licence(uses_left=2))
    seen = [(refused(memos, cube.id, BEN), refused(memos, cube.id, CAT)) for _ in range(3)]
    assert seen == [(False, False), (False, False), (True, True)]


def test_the_end_of_one_offer_is_no_end_of_the_other(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The kiln is hot.", by=ANA)
    for by in (BEN, CAT):
        memos.store.subscribe("all", by=by)
    for name, hours in (("ben", 1), ("cat", 3)):
        until = clock.now + timedelta(hours=hours)
        memos.store.publish(name, by=ANA, to=[name], cube_id=cube.id, licence=Licence(until=until))
    news = [[told(memos, by) for by in (BEN, CAT)]]
    for hours, gone in ((0, (False, False)), (2, (True, False)), (2, (True, True))):
        clock.now += timedelta(hours=hours)
        assert (refused(memos, cube.id, BEN), refused(memos, cube.id, CAT)) == gone
        memos.tick(by=ANA)
        news.append([told(memos, by) for by in (BEN, CAT)])
    assert news[:3] == [[["written"], ["written"]], [[], []], [["withdrawn"], []]]
    assert news[3][1] == ["withdrawn"]
    assert not refused(memos, cube.id, ANA)


def test_whom_two_offers_name_the_closer_one_binds(memos: MemOS) -> None:
    cube = memos.remember("The kiln is hot.", by=ANA)
    memos.store.publish("bens", by=ANA, to=["ben"], cube_id=cube.id)
    memos.store.publish("all", by=ANA, to=["*"], cube_id=cube.id, licence=Licence(uses_left=1))
    assert not any(refused(memos, cube.id, BEN) for _ in range(3))
    assert [refused(memos, cube.id, CAT) for _ in range(2)] == [False, True]


def test_several_licences_leave_and_arrive(memos: MemOS, tmp_path: Path) -> None:
    cube = memos.remember("The kiln is hot.", by=ANA)
    for name, licence in (("ben", Licence(uses_left=2, rate=TWICE.rate)), ("cat", Licence(until=NOW + timedelta(1)))):
        memos.store.publish(name, by=ANA, to=[name], cube_id=cube.id, licence=licence)
    memos.dump(tmp_path / "a.mip", by=ANA, signer=KEY, issuer="ana", recipient="bo")
    with MemOS(InMemoryVault(), clock=lambda: NOW) as other:
        bo = Principal(tenant="other", user="bo")
        other.load(tmp_path / "a.mip", by=bo, trusted={KEY.key: "ana"}, recipient="bo")
        licence = other.find(CubeFilter(), by=bo)[0].governance.licence
        assert licence == memos.get(cube.id, by=ANA).governance.licence
        assert licence is not None
        assert len(licence.apart) == 2
