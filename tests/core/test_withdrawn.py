"""A source that is not believed any more: all of it goes, in every state, and what it had replaced holds again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memos_integrations import Channel, ConflictRules, MemOS, Principal, Trust
from memos_integrations.core.cube import Provenance, State
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
ALL = CubeFilter(states=frozenset(State))
START = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.fixture
def memos() -> MemOS:
    days = iter(range(1000))
    return MemOS(InMemoryVault(), clock=lambda: START + timedelta(days=next(days)), conflicts=ConflictRules())


def said(memos: MemOS, text: str, source: str | None = None) -> str:
    return memos.remember(text, by=ANA, provenance=Provenance(source=source)).id


def lives(memos: MemOS) -> list[str]:
    return [hit.text for hit in memos.recall("Where do I live?", by=ANA, needed=True).hits]


def told_by_a_source(memos: MemOS) -> list[str]:
    said(memos, "I live in Porto.")
    return [said(memos, f"I live in {town} now.", "crm") for town in ("Madrid", "Rome")]


@pytest.mark.answers("ASI06 7")
def test_what_a_source_replaced_holds_again_when_it_is_set_apart(memos: MemOS) -> None:
    theirs = told_by_a_source(memos)
    assert lives(memos) == ["I live in Rome now."]
    assert sorted(memos.quarantine(CubeFilter(), by=ANA, source="crm")) == sorted(theirs)
    assert lives(memos) == ["I live in Porto."]
    assert {cube.id for cube in memos.quarantined(by=ANA)} == {*theirs}


@pytest.mark.answers("ASI06 7")
@pytest.mark.parametrize("apart", [False, True])
def test_nothing_of_a_source_is_left_archived_or_apart(memos: MemOS, apart: bool) -> None:
    theirs = told_by_a_source(memos)
    if apart:
        memos.quarantine(theirs[:1], by=ANA)
    gone = {receipt.cube_id for receipt in memos.forget_from(by=ANA, source="crm")}
    assert gone == {*theirs}
    assert [cube.text for cube in memos.find(ALL, by=ANA)] == ["I live in Porto."]
    assert lives(memos) == ["I live in Porto."]
    assert memos.quarantined(by=ANA) == []


def test_what_the_filter_names_is_what_goes(memos: MemOS) -> None:
    theirs = told_by_a_source(memos)
    gone = memos.forget_from(CubeFilter(states=frozenset({State.ARCHIVED})), by=ANA, source="crm")
    assert [receipt.cube_id for receipt in gone] == theirs[:1]


def test_the_channel_that_it_came_through_is_asked_of_what_is_apart_too(memos: MemOS) -> None:
    page = Trust(channel=Channel.EXTERNAL)
    one, two = (memos.remember(f"The ferry {word}.", by=ANA, trust=page).id for word in ("leaves", "waits"))
    mine = said(memos, "I like ferries.")
    memos.quarantine([one, mine], by=ANA)
    gone = {receipt.cube_id for receipt in memos.forget_from(by=ANA, channel="external")}
    assert gone == {one, two}
    assert [cube.id for cube in memos.quarantined(by=ANA)] == [mine]
