"""The Time Machine: versions brought back, the past recalled, and whole scopes rolled back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import CubeRef, Provenance, State
from memos_integrations.core.errors import (
    AccessDeniedError,
    AlreadyUndoneError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    SourceGoneError,
)
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ADMIN, ANA, BEN, DAY, START, Clock, judging


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    with judging(request.param, tmp_path, clock) as made:
        yield made
        assert made.verify_audit().ok


class Held:
    """A store of derived memory that remembers what it was told to drop."""

    def __init__(self) -> None:
        self.dropped: set[str] = set()

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        self.dropped.update(cube_ids)
        return len(cube_ids)

    def sources(self) -> set[tuple[str, CubeRef]]:
        return set()


def test_a_version_comes_back_exactly_and_what_was_computed_since_goes(memos: MemOS, clock: Clock) -> None:
    first = memos.remember("The code is 4711.", by=ANA, tags=["door"], value={"code": 4711})
    held = Held()
    memos.attach(held)
    clock.now += DAY
    second = memos.update(first.id, by=ANA, text="The code is 0815.", tags=["new"], readers=["ben"])
    derived = memos.remember("A summary.", by=ANA, provenance=Provenance(derived_from=(second.ref,)))
    clock.now += DAY
    held.dropped.clear()
    back = memos.restore(first.id, 1, by=ANA)
    assert back.version == 3
    assert back.payload == first.payload
    assert back.descriptive.model_copy(update={"recorded_at": START}) == first.descriptive
    assert back.governance == second.governance  # who may read it is decided today
    assert held.dropped == {first.id}
    with pytest.raises(CubeNotFoundError):
        memos.get(derived.id, by=ANA)
    assert [hit.cube.ref for hit in memos.recall("What is the code 4711?", by=ANA).hits] == [back.ref]
    assert [each.version for each in memos.history(first.id, by=ANA)] == [1, 2, 3]


THEN_RULES = {"priority": 40, "half_life": timedelta(days=3), "sensitivity": ["medical"], "tags": ["pill"]}
THEN_TIMES = {"topic": "health", "concept": "dose", "valid_from": START - DAY, "valid_to": START + 90 * DAY}
NOW_RULES = {"priority": -5, "half_life": None, "sensitivity": [], "tags": [], "topic": None, "concept": None}
NOW_TIMES = {"valid_from": None, "valid_to": None, "semantic_type": "note", "expires_at": START + 50 * DAY}


@pytest.mark.parametrize("way", ["restore", "roll_back"])
def test_every_field_that_an_update_can_change_comes_back_but_who_may_use_it(
    memos: MemOS, clock: Clock, way: str
) -> None:
    care = CallContext(purpose="care", application="app")
    first = memos.remember("Two pills a day.", by=ANA, semantic_type="fact", **THEN_RULES, **THEN_TIMES)  # type: ignore[arg-type]
    clock.now += DAY
    since = clock.now
    now = memos.update(
        first.id, by=ANA, text="Three pills.", purposes=["care"], applications=["app"], readers=["ben"],
        **NOW_RULES, **NOW_TIMES,  # type: ignore[arg-type]
    )  # fmt: skip
    clock.now += DAY
    if way == "restore":
        back = memos.restore(first.id, 1, by=ANA, context=care)
    else:
        memos.roll_back(since, by=ANA, context=care)
        back = memos.history(first.id, by=ANA, context=care)[-1]
    assert back.descriptive.model_copy(update={"recorded_at": START}) == first.descriptive
    returned = {
        name: getattr(first.governance, name) for name in ("priority", "half_life", "sensitivity", "expires_at")
    }
    assert back.governance == now.governance.model_copy(update=returned)


def test_what_is_derived_comes_back_as_sensitive_and_short_lived_as_its_sources(memos: MemOS, clock: Clock) -> None:
    source = memos.remember("A source.", by=ANA, sensitivity=["medical"], ttl=9 * DAY)
    drawn = memos.remember("Drawn.", by=ANA, provenance=Provenance(derived_from=(source.ref,)))
    memos.update(drawn.id, by=ANA, text="Otherwise drawn.", expires_at=START + 2 * DAY, sensitivity=["x"])
    back = memos.restore(drawn.id, 1, by=ANA)
    assert back.governance.sensitivity == ("medical",)
    assert back.governance.expires_at == START + 9 * DAY


def test_who_may_only_write_brings_words_and_priority_back_and_no_rules(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The code is 4711.", by=ANA, readers=["ben"], writers=["ben"], half_life=DAY)
    memos.update(cube.id, by=BEN, text="The code is 0815.", priority=7)
    assert memos.restore(cube.id, 1, by=BEN).governance.priority == 0
    memos.update(cube.id, by=ANA, half_life=None)
    with pytest.raises(AccessDeniedError):
        memos.restore(cube.id, 1, by=BEN)
    assert memos.restore(cube.id, 1, by=ANA).governance.half_life == DAY


def test_restoring_is_refused_where_it_must_be(memos: MemOS) -> None:
    source = memos.remember("A source.", by=ANA)
    cube = memos.remember("Drawn.", by=ANA, provenance=Provenance(derived_from=(source.ref,)))
    with pytest.raises(InvalidMemoryError, match="versions 1 to 1"):
        memos.restore(cube.id, 2, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.restore(cube.id, 1, by=Principal(tenant="globex", user="ana"))
    plain = memos.remember("Shared.", by=ANA, readers=["ben"])
    with pytest.raises(AccessDeniedError):
        memos.restore(plain.id, 1, by=BEN)
    memos.hold(plain.id, by=ADMIN)
    with pytest.raises(LegalHoldError):
        memos.restore(plain.id, 1, by=ANA)


def test_a_version_whose_source_changed_stays_away(memos: MemOS, clock: Clock) -> None:
    source = memos.remember("A source.", by=ANA)
    cube = memos.remember("Drawn from it.", by=ANA, provenance=Provenance(derived_from=(source.ref,)))
    clock.now += DAY
    memos.update(source.id, by=ANA, text="Another source.")
    with pytest.raises(SourceGoneError, match="changed since"):
        memos.restore(cube.id, 1, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.restore(cube.id, 1, by=BEN)
    memos.restore(source.id, 1, by=ANA)  # its words are back, as a third version: what was drawn from them stands
    assert memos.get(cube.id, by=ANA).text == cube.text
    assert memos.restore(cube.id, 1, by=ANA).version == 2
    memos.update(source.id, by=ANA, text="A third source.")
    with pytest.raises(SourceGoneError):
        memos.restore(cube.id, 1, by=ANA)
    memos.forget(source.id, by=ANA)
    with pytest.raises(CubeNotFoundError, match="forgotten"):
        memos.restore(cube.id, 1, by=ANA)


def test_the_past_is_recalled_and_read(memos: MemOS, clock: Clock) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    clock.now += 30 * DAY
    new = memos.remember("I moved to Porto.", by=ANA)
    clock.now += 30 * DAY
    then = START + 10 * DAY

    def recalled(**when: datetime) -> list[str]:
        return [hit.cube.id for hit in memos.recall("Lisbon or Porto?", by=ANA, needed=True, **when).hits]

    assert recalled() == [new.id]
    assert recalled(valid_at=then) == [old.id]
    assert recalled(valid_at=clock.now) == [new.id]
    assert recalled(as_of=then) == [old.id]
    assert recalled(as_of=START - DAY) == []
    assert memos.get(old.id, by=ANA, valid_at=then).text == "I live in Lisbon."
    assert memos.get(old.id, by=ANA, as_of=then).version == 1
    with pytest.raises(CubeNotFoundError):
        memos.get(old.id, by=ANA, valid_at=clock.now)
    with pytest.raises(CubeNotFoundError):
        memos.get(new.id, by=ANA, as_of=then)
    with pytest.raises(InvalidMemoryError, match="time zone"):
        memos.get(old.id, by=ANA, as_of=datetime(2026, 3, 3))


def test_a_question_about_the_past_finds_what_is_archived(memos: MemOS, clock: Clock) -> None:
    memos.remember("I live in Lisbon.", by=ANA)
    clock.now += DAY
    memos.remember("I moved to Porto.", by=ANA)
    texts = [hit.text for hit in memos.recall("Where did I use to live before Porto, in Lisbon?", by=ANA).hits]
    assert "I live in Lisbon." in texts
    only = CubeFilter(states=frozenset({State.ACTIVATED}))
    asked = memos.recall("Where did I use to live before Porto, in Lisbon?", by=ANA, where=only)
    assert {hit.cube.state for hit in asked.hits} <= {State.ACTIVATED}


def test_validity_cannot_end_before_it_begins(memos: MemOS) -> None:
    with pytest.raises(InvalidMemoryError, match="valid_to is before valid_from"):
        memos.remember("x y z", by=ANA, valid_from=START, valid_to=START - DAY)


def test_a_bad_source_is_rolled_back_with_what_it_did(memos: MemOS, clock: Clock) -> None:
    kept = memos.remember("I live in Lisbon.", by=ANA)
    other = memos.remember("The gate code is 1.", by=ANA)
    clock.now += DAY
    since = clock.now
    bad = memos.remember("I moved to Porto.", by=ANA, provenance=Provenance(source="feed"))
    memos.update(other.id, by=ANA, text="The gate code is 2.")
    assert memos.get(kept.id, by=ANA).state is State.ARCHIVED
    clock.now += DAY
    done = memos.roll_back(since, by=ANA, source="feed")
    assert (done.restored, done.archived) == ((kept.id,), (bad.id,))
    back = memos.get(kept.id, by=ANA)
    assert back.state is State.ACTIVATED
    assert back.descriptive.valid_to is None
    assert memos.get(other.id, by=ANA).text == "The gate code is 2."
    assert memos.roll_back(since, by=ANA, namespace=("acme", "ana")).restored == (*sorted((kept.id, other.id)),)
    assert memos.get(other.id, by=ANA).text == "The gate code is 1."


def test_what_one_principal_changed_is_rolled_back_and_what_others_did_stays(memos: MemOS, clock: Clock) -> None:
    code = memos.remember("The gate code is 1.", by=ANA, readers=[BEN.subject], writers=[BEN.subject], layer="shared")
    bell = memos.remember("The bell is loud.", by=ANA)
    read = memos.remember("The key hangs left.", by=ANA, readers=[BEN.subject], layer="shared")
    clock.now += DAY
    since = clock.now
    memos.update(code.id, by=BEN, text="The gate code is 2.")
    memos.update(bell.id, by=ANA, text="The bell is mute.")
    memos.get(read.id, by=BEN)
    memos.update(read.id, by=ANA, text="The key hangs right.")
    clock.now += DAY
    assert memos.roll_back(since, by=ANA, principal=BEN.subject).restored == (code.id,)
    told = [memos.get(each.id, by=ANA).text for each in (code, bell, read)]
    assert told == ["The gate code is 1.", "The bell is mute.", "The key hangs right."]
    mine = memos.roll_back(since, by=ANA, principal=ANA.subject).restored  # she is the author of the three
    assert mine == (*sorted((code.id, bell.id, read.id)),)


def test_a_roll_back_is_all_or_nothing(memos: MemOS, clock: Clock) -> None:
    cubes = [memos.remember(f"Fact number {n} of mine.", by=ANA) for n in range(3)]
    clock.now += DAY
    since = clock.now
    for cube in cubes:
        memos.update(cube.id, by=ANA, text=f"Changed {cube.id}.")
    memos.move(cubes[1].id, State.FROZEN, by=ANA)
    with pytest.raises(IllegalTransitionError):
        memos.roll_back(since, by=ANA)
    assert [memos.get(cube.id, by=ANA).text for cube in cubes] == [f"Changed {cube.id}." for cube in cubes]
    with pytest.raises(InvalidMemoryError, match="tenant"):
        memos.roll_back(since, by=ANA, namespace=("globex",))
    assert memos.roll_back(since, by=BEN).restored == ()


def test_a_clock_that_jumps_back_keeps_the_versions_in_order(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("One.", by=ANA)
    clock.now -= timedelta(days=365)
    memos.update(cube.id, by=ANA, text="Two.")
    times = [each.descriptive.recorded_at for each in memos.history(cube.id, by=ANA)]
    assert times == sorted(times)


WORDS = ("red", "blue", "green")
PLACES = ("Rome", "Oslo", "Kiel")
VERBS = ("say", "update", "archive", "activate", "freeze", "outdated", "tick", "undo", "restore")


def _in_recall(memos: MemOS, as_of: datetime | None = None) -> set[tuple[str, int, str]]:
    """What a recall gives, or gave: ids, versions and words."""
    found = memos.recall("Where is the umbrella?", by=ANA, k=50, needed=True, as_of=as_of).hits
    return {(hit.cube.id, hit.cube.version, hit.cube.text) for hit in found}


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 8), st.integers(0, 2)), max_size=12),
    in_a_file=st.booleans(),
)
def test_a_recall_as_of_a_time_gives_what_a_recall_gave_then(
    steps: list[tuple[str, int, int]], in_a_file: bool
) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        vault = SQLiteVault(folder, durability="process") if in_a_file else InMemoryVault()
        with MemOS(vault, clock=clock, conflicts=ConflictRules()) as memos:
            ids: list[str] = []
            seen = {clock.now: _in_recall(memos)}
            for verb, which, word in steps:
                clock.now += DAY
                with suppress(IllegalTransitionError, CubeNotFoundError, AlreadyUndoneError, SourceGoneError):
                    _live(memos, verb, ids, which, word)
                seen[clock.now] = _in_recall(memos)
            clock.now += DAY
            for at, found in seen.items():
                assert _in_recall(memos, at) == found
                listed = memos.find(CubeFilter(holding=True), by=ANA, as_of=at)
                assert {(cube.id, cube.version, cube.text) for cube in listed} == found
                for cube in listed:
                    got = memos.get(cube.id, by=ANA, as_of=at)
                    assert (got.version, got.state) == (cube.version, cube.state)


def _live(memos: MemOS, verb: str, ids: list[str], which: int, word: int) -> None:
    if verb == "say" or not ids:
        ids.append(memos.remember(f"My {WORDS[which % 3]} umbrella is in {PLACES[word]}.", by=ANA).id)
        return
    cube_id = ids[which % len(ids)]
    match verb:
        case "update":
            memos.update(cube_id, by=ANA, text=f"My {WORDS[which % 3]} umbrella was left in {PLACES[word]}.")
        case "archive" | "activate" | "freeze":
            memos.move(cube_id, {"archive": "archived", "activate": "activated", "freeze": "frozen"}[verb], by=ANA)
        case "outdated":
            memos.feedback(cube_id, "outdated", by=ANA)
        case "tick":
            memos.tick(by=ANA, ageing=Ageing(budgets={"ana": 2}))
        case "undo":
            for decision in memos.decisions(cube_id, by=ANA)[-1:]:
                memos.undo(decision, by=ANA)
        case "restore":
            memos.restore(cube_id, 1, by=ANA)


def test_to_activate_what_was_in_recall_changes_nothing_in_the_past(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The gate is green.", by=ANA)
    clock.now += DAY
    then = clock.now
    clock.now += DAY
    memos.move(cube.id, "activated", by=ANA)
    assert [hit.text for hit in memos.recall("gate", by=ANA, needed=True, as_of=then).hits] == [cube.text]
    assert memos.get(cube.id, by=ANA, as_of=then).state is not State.ARCHIVED
    assert memos.roll_back(then, by=ANA).restored == ()
    assert memos.may_read([cube.id], by=ANA) == {cube.id}
    assert memos.get(cube.id, by=ANA).state is State.ACTIVATED
