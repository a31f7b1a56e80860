"""A roll-back of one source, or of one place, takes back what that did and leaves what others said as they said it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memos_integrations.core.cube import MemCube, Provenance, State
from memos_integrations.core.errors import LegalHoldError
from memos_integrations.memos import MemOS
from tests.lifetime import ADMIN, ANA, DAY, Clock, judging

CHAT, FORGED = Provenance(source="chat"), Provenance(source="forged")


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS, clock: Clock, text: str, provenance: Provenance = CHAT) -> MemCube:
    clock.now += DAY
    return memos.remember(text, by=ANA, provenance=provenance)


def recalled(memos: MemOS, asked: str = "Where do I live?") -> list[str]:
    return [hit.text for hit in memos.recall(asked, by=ANA, needed=True).hits]


def state_of(memos: MemOS, cube: MemCube) -> State:
    return memos.get(cube.id, by=ANA).state


def test_what_a_bad_source_retired_comes_back_though_it_was_told_since(memos: MemOS, clock: Clock) -> None:
    since = clock.now
    home = told(memos, clock, "I live in Lisbon.")
    forged = told(memos, clock, "I moved to Moscow.", FORGED)
    assert state_of(memos, home) is State.ARCHIVED
    clock.now += DAY
    done = memos.roll_back(since, by=ANA, source="forged")
    assert (done.restored, done.archived) == ((home.id,), (forged.id,))
    assert recalled(memos) == ["I live in Lisbon."]
    assert memos.get(home.id, by=ANA).descriptive.valid_to is None
    assert [each.undone for each in memos.decisions(home.id, by=ANA)] == [True]
    assert memos.consolidate(by=ANA) == []


def test_it_comes_back_in_the_words_that_its_owner_gave_it_since(memos: MemOS, clock: Clock) -> None:
    home = told(memos, clock, "I live in Lisbon.")
    clock.now += DAY
    since = clock.now
    clock.now += DAY
    memos.update(home.id, by=ANA, text="I live in Porto.")
    told(memos, clock, "I moved to Moscow.", FORGED)
    clock.now += DAY
    memos.roll_back(since, by=ANA, source="forged")
    assert recalled(memos) == ["I live in Porto."]


def test_what_somebody_else_retired_later_stays_retired(memos: MemOS, clock: Clock) -> None:
    since = clock.now
    home = told(memos, clock, "I live in Lisbon.")
    told(memos, clock, "I moved to Moscow.", FORGED)
    told(memos, clock, "I moved to Bergen.")
    clock.now += DAY
    memos.roll_back(since, by=ANA, source="forged")
    assert recalled(memos, "Is it Lisbon, Moscow or Bergen?") == ["I moved to Bergen."]
    assert state_of(memos, home) is State.ARCHIVED


def test_what_was_archived_by_hand_meanwhile_is_rolled_back_too(memos: MemOS, clock: Clock) -> None:
    since = clock.now
    home = told(memos, clock, "I live in Lisbon.")
    forged = told(memos, clock, "I moved to Moscow.", FORGED)
    memos.move(forged.id, "archived", by=ANA)
    clock.now += DAY
    assert memos.roll_back(since, by=ANA, source="forged").restored == (home.id,)
    assert recalled(memos) == ["I live in Lisbon."]


def test_what_is_on_hold_lets_nothing_be_rolled_back(memos: MemOS, clock: Clock) -> None:
    since = clock.now
    home = told(memos, clock, "I live in Lisbon.")
    forged = told(memos, clock, "I moved to Moscow.", FORGED)
    memos.hold(home.id, by=ADMIN)
    clock.now += DAY
    with pytest.raises(LegalHoldError):
        memos.roll_back(since, by=ANA, source="forged")
    assert state_of(memos, forged) is State.GENERATED


def test_a_merge_that_is_rolled_back_gives_its_sources_back_wherever_they_are(memos: MemOS, clock: Clock) -> None:
    since = clock.now
    screws = told(memos, clock, "Shelf A holds screws.")
    clock.now += DAY
    nails = memos.remember("Shelf B holds nails.", by=ANA, namespace=("acme", "cellar"))
    clock.now += DAY
    both = memos.merge([screws.id, nails.id], by=ANA)
    clock.now += DAY
    assert memos.roll_back(since, by=ANA, source="memos.merge").archived == (both.id,)
    assert sorted(recalled(memos, "What do the shelves hold?")) == ["Shelf A holds screws.", "Shelf B holds nails."]


def test_a_merge_gives_back_what_lies_outside_the_place_that_is_rolled_back(memos: MemOS, clock: Clock) -> None:
    screws = told(memos, clock, "Shelf A holds screws.")
    nails = memos.remember("Shelf B holds nails.", by=ANA, namespace=("acme", "cellar"))
    clock.now += DAY
    since = clock.now
    clock.now += DAY
    both = memos.merge([screws.id, nails.id], by=ANA)
    clock.now += DAY
    done = memos.roll_back(since, by=ANA, namespace=("acme", "ana"))
    assert (set(done.restored), done.archived) == ({screws.id, nails.id}, (both.id,))
    assert sorted(recalled(memos, "What do the shelves hold?")) == ["Shelf A holds screws.", "Shelf B holds nails."]
    assert memos.audit(by=ADMIN, cube_id=nails.id, operation="unmerge")
