"""What may be used for other purposes only stays behind by name; that time went by is no change to carry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.backends.signing import Ed25519Signer
from memos_integrations.core.cube import Licence, Rate
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

ANA, BEN = (Principal(tenant="acme", user=user) for user in ("ana", "ben"))
TERMS: dict[str, Any] = {
    "by": ANA, "signer": Ed25519Signer(bytes(range(32))), "issuer": "A", "recipient": "B",
}  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    with MemOS(InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "v")) as engine:
        yield engine


def test_what_is_for_another_purpose_stays_behind_by_name(memos: MemOS, tmp_path: Path) -> None:
    memos.remember("Ana keeps bees.", by=ANA)
    memos.remember("The dose is 5 mg.", by=ANA, purposes=["care"], tags=["dose"])
    memos.remember("Ben's dose is 7 mg.", by=BEN, readers=["ana"], purposes=["care"])
    memos.remember("The ward is full.", by=ANA, applications=["ward"], purposes=["care", "transfer"])
    made = memos.dump(tmp_path / "all", **TERMS)
    assert (made.cubes, made.declined) == (1, {"not_shared": 2})
    made = memos.dump(tmp_path / "dose", where=CubeFilter(tags=("dose",)), **TERMS)
    assert (made.cubes, made.declined) == (0, {"not_shared": 1})
    made = memos.dump(tmp_path / "since", since=0, **TERMS)
    assert (made.cubes, made.declined) == (1, {"not_shared": 2})
    care = CallContext(purpose="care", application="ward")
    assert memos.dump(tmp_path / "care", context=care, **TERMS).cubes == 3


def test_what_is_offered_for_a_purpose_goes_with_its_owner(memos: MemOS, tmp_path: Path) -> None:
    memos.remember("Ana keeps bees.", by=ANA, tags=["bees"])
    memos.store.publish("bees", by=ANA, to=["ben"], tags=["bees"], purposes=["study"])
    made = memos.dump(tmp_path / "all", **TERMS)
    assert (made.cubes, made.declined) == (1, {})


def test_that_a_licence_ended_is_no_change_to_carry(tmp_path: Path) -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    with MemOS(SQLiteVault(tmp_path / "v"), clock=lambda: now[0]) as memos:
        memos.store.subscribe("news", by=BEN)
        memos.remember("Ana keeps bees.", by=ANA, readers=["ben"], licence=Licence(until=now[0] + timedelta(hours=1)))
        assert memos.dump_next(tmp_path, "s", **TERMS) is not None
        now[0] += timedelta(hours=2)
        memos.tick(by=ANA)
        assert memos.dump_next(tmp_path, "s", **TERMS) is None


def test_a_span_of_more_digits_than_readers_take_stays_behind_by_name(memos: MemOS, tmp_path: Path) -> None:
    memos.remember('Ana says: "half_life":"P9999999D" is long.', by=ANA, value={"half_life": "P9999999D"})
    memos.remember("The hive is blue.", by=ANA, half_life=timedelta(days=999_999 * 365))
    memos.remember("The hive is red.", by=ANA, half_life=timedelta.max)
    memos.remember("The hive is green.", by=ANA, licence=Licence(rate=Rate(count=1, per=timedelta.max)))
    made = memos.dump(tmp_path / "all", **TERMS)
    assert (made.cubes, made.declined) == (2, {"beyond_limits": 2})
