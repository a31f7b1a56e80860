"""What was recalled and is told again, by whatever way, adds nothing and is trusted no more for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import Channel, MemCube, MemOS, Principal, Provenance, Trust, TrustLabel, WriteGate
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
SAID = "The bridge over the Elbe is closed until May."
MODEL = Trust(channel=Channel.ASSISTANT, label=TrustLabel.UNVERIFIED)
OUTSIDE = Trust(channel=Channel.EXTERNAL, label=TrustLabel.UNTRUSTED)
TIMES = 1_000
FEW = 60


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    with (
        MemOS(InMemoryVault(), clock=lambda: NOW, gate=WriteGate())
        if request.param == "memory"
        else MemOS.open(tmp_path / "v", clock=lambda: NOW, gate=WriteGate())
    ) as made:
        yield made


def by_remember(memos: MemOS, hit: MemCube, number: int) -> None:
    memos.remember(hit.text, by=ANA, trust=MODEL)


def by_remember_with_a_key(memos: MemOS, hit: MemCube, number: int) -> None:
    memos.remember(hit.text, by=ANA, trust=MODEL, key=f"call {number}")


def by_remember_derived(memos: MemOS, hit: MemCube, number: int) -> None:
    memos.remember(hit.text, by=ANA, trust=MODEL, provenance=Provenance(derived_from=(hit.ref,)))


def by_remember_many(memos: MemOS, hit: MemCube, number: int) -> None:
    memos.remember_many([hit.text, f" {hit.text}\n"], by=ANA, trust=MODEL)


def by_remember_many_derived(memos: MemOS, hit: MemCube, number: int) -> None:
    told = ["Closed: the bridge.", "closed:  the BRIDGE."]
    memos.remember_many(told, by=ANA, trust=MODEL, provenance=Provenance(derived_from=(hit.ref,)))


def by_extract(memos: MemOS, hit: MemCube, number: int) -> None:
    """As a door writes an answer that restates what was recalled, and then draws memories from the turns."""

    def again(turns: Sequence[MemCube]) -> list[object]:
        return [{"text": hit.text, "sources": [place]} for place, _ in enumerate(turns)]

    if number < FEW:  # each is a turn of its own, and is kept as one
        told = Provenance(derived_from=(hit.ref,), thread_id="t", message_id=str(number))
        how: dict[str, Any] = {"semantic_type": "message", "trust": MODEL, "provenance": told}
        memos.remember(f"As you said: {hit.text}", by=ANA, key=f"turn {number}", **how)
    memos.extract(again, by=ANA, where=CubeFilter(semantic_types=("message",)))


WAYS = [
    by_remember,
    by_remember_with_a_key,
    by_remember_derived,
    by_remember_many,
    by_remember_many_derived,
    by_extract,
]


@pytest.mark.answers("ASI06 6", "poison 25")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trust", [Trust(), OUTSIDE], ids=["the user said it", "it came from outside"])
def test_what_was_recalled_and_told_again_a_thousand_times_adds_nothing(
    memos: MemOS, way: Callable[[MemOS, MemCube, int], None], trust: Trust
) -> None:
    source = memos.remember(SAID, by=ANA, trust=trust)
    order = list(TrustLabel)
    plain = way is by_remember and not isinstance(memos._governance._vault, SQLiteVault) and trust is OUTSIDE
    for number in range(TIMES if plain else FEW):
        if number < 5:
            [hit] = [h.cube for h in memos.recall("Is the bridge closed?", by=ANA, k=50).hits if h.text == SAID]
        way(memos, hit, number)
    there = [cube for cube in memos.find(CubeFilter(), by=ANA, k=10_000) if cube.descriptive.semantic_type != "message"]
    assert len(there) == (2 if way is by_remember_many_derived else 1)
    assert all(order.index(cube.trust.label) <= order.index(source.trust.label) for cube in there)
    assert all(cube.governance.expires_at == source.governance.expires_at for cube in there)


def test_what_only_looks_the_same_is_another_memory(memos: MemOS) -> None:
    one = memos.remember(SAID, by=ANA, trust=MODEL)
    others = [
        memos.remember(SAID, by=BEN, trust=MODEL),
        memos.remember(SAID, by=ANA, trust=MODEL, readers=["ben"]),
        memos.remember(SAID, by=ANA, trust=MODEL, namespace=("acme", "elsewhere")),
        memos.remember(SAID, by=ANA, trust=MODEL, tags=["traffic"]),
        memos.remember(SAID, by=ANA, trust=MODEL, value={"closed": True}),
        memos.remember(f"{SAID} Perhaps.", by=ANA, trust=MODEL),
        memos.remember(SAID, by=ANA),  # whoever says it themselves may say it twice
        memos.remember(SAID, by=ANA, trust=OUTSIDE),
        memos.remember(SAID, by=ANA, trust=MODEL, semantic_type="message"),
        memos.remember(SAID, by=ANA, trust=MODEL, semantic_type="preference"),
        memos.remember(SAID, by=ANA, trust=MODEL, occurred_at=NOW - timedelta(days=700)),
        memos.remember(SAID, by=ANA, trust=MODEL, provenance=Provenance(occurred_at=NOW - timedelta(days=9))),
    ]
    assert len({one.id, *(each.id for each in others)}) == len(others) + 1


def test_of_many_each_is_answered_for_in_its_place(memos: MemOS) -> None:
    first = memos.remember(SAID, by=ANA, trust=MODEL)
    told = memos.remember_many(["One thing.", SAID, "Another thing.", "one  thing."], by=ANA, trust=MODEL)
    assert [cube.text for cube in told] == ["One thing.", SAID, "Another thing.", "One thing."]
    assert told[1].id == first.id
    assert told[0].id == told[3].id
    assert len(memos.find(CubeFilter(), by=ANA)) == 3


def test_what_was_forgotten_can_be_told_again(memos: MemOS) -> None:
    first = memos.remember(SAID, by=ANA, trust=MODEL)
    memos.forget(first.id, by=ANA)
    assert memos.remember(SAID, by=ANA, trust=MODEL).id != first.id


def test_what_ended_and_is_told_again_holds_again() -> None:
    moments = iter(NOW + timedelta(hours=number) for number in range(100))
    with MemOS(InMemoryVault(), clock=lambda: next(moments), conflicts=ConflictRules()) as memos:
        how: dict[str, Any] = {"trust": MODEL, "provenance": Provenance(speaker="user:ana")}
        told = [memos.remember(f"I moved to {place}.", by=ANA, **how) for place in ("Rome", "Oslo", "Rome", "Rome")]
        assert len({cube.id for cube in told}) == 3
        ends = [memos.get(cube.id, by=ANA).descriptive.valid_to for cube in told]
        assert [end is None for end in ends] == [False, False, True, True]


def test_a_key_stands_for_what_was_written_with_it_whatever_is_told_now(memos: MemOS) -> None:
    memos.remember(SAID, by=ANA, trust=MODEL)
    other = memos.remember("The bridge is open.", by=ANA, trust=MODEL, key="call 1")
    assert memos.remember(SAID, by=ANA, trust=MODEL, key="call 1").id == other.id
