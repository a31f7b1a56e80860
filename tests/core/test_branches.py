"""What-if branches and named moments: the vault is as it was until a branch is merged, and can be brought back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations import MemOS, Principal, State
from memos_integrations.core.cube import Provenance
from memos_integrations.core.errors import (
    AccessDeniedError,
    ClockError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    VaultClosedError,
    VersionConflictError,
)
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.words_embedder import WordsEmbedder

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
EVE = Principal(tenant="other", user="eve")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "sqlite with vectors"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    embedder = WordsEmbedder() if request.param == "sqlite with vectors" else None
    with MemOS(vault, embedder=embedder, clock=clock) as made:
        yield made
        assert made.verify_audit().ok


def told(memos: MemOS, question: str, by: Principal = ANA) -> list[str]:
    return [hit.cube.text for hit in memos.recall(question, by=by, needed=True).hits]


def test_a_branch_is_seen_by_nobody_else_and_leaves_the_vault_as_it_was(memos: MemOS) -> None:
    kept = memos.remember("The meeting is in Oslo.", by=ANA)
    gone = memos.remember("The hotel in Oslo is booked.", by=ANA)
    entries = len(memos.audit(by=ADMIN, limit=1_000))
    before = memos.generation(by=ANA)
    with memos.branch(by=ANA) as branch:
        branch.memos.update(kept.id, text="The meeting is in Bergen.", by=ANA)
        branch.memos.forget(gone.id, by=ANA)
        branch.memos.remember("The ferry to Bergen leaves at noon.", by=ANA)
        assert set(told(branch.memos, "Bergen meeting ferry hotel")) == {
            "The meeting is in Bergen.",
            "The ferry to Bergen leaves at noon.",
        }
        assert {change.what for change in branch.changes} == {"new", "changed", "erased"}
        assert memos.generation(by=ANA) == before
        assert memos.get(kept.id, by=ANA).text == "The meeting is in Oslo."
        assert memos.get(gone.id, by=ANA).text == gone.text
    assert sorted(told(memos, "meeting hotel Oslo")) == sorted([kept.text, gone.text])
    written = [e.record.operation for e in memos.audit(by=ADMIN, limit=1_000)[entries:]]
    assert not {"remember", "update", "forget", "branch"} & set(written)


def test_what_is_merged_is_true_in_one_transaction(memos: MemOS) -> None:
    cube = memos.remember("The budget is 40,000 euros.", by=ANA, readers=["ben"])
    old = memos.remember("The draft is due on Friday.", by=ANA)
    branch = memos.branch(by=ANA)
    branch.memos.update(cube.id, text="The budget is 55,000 euros.", by=ANA)
    branch.memos.move(old.id, "archived", by=ANA)
    assert "55,000" not in str(told(memos, "budget", BEN))
    commit = branch.merge()
    assert commit is not None
    assert told(memos, "budget", BEN) == ["The budget is 55,000 euros."]
    assert [each.version for each in memos.history(cube.id, by=ANA)] == [1, 2]
    assert memos.get(old.id, by=ANA).state is State.ARCHIVED
    (entry,) = memos.audit(by=ADMIN, operation="branch")
    assert set(entry.record.detail["cubes"]) == {cube.id, old.id}


def test_ranking_in_a_branch_is_that_after_the_merge(memos: MemOS) -> None:
    for number in range(12):
        memos.remember(f"Train {number} to Lyon leaves from platform {number}.", by=ANA)
    branch = memos.branch(by=ANA)
    branch.memos.remember("The train to Lyon leaves from platform ninety.", by=ANA)
    within = [hit.cube.text for hit in branch.memos.recall("platform of the train to Lyon", by=ANA, k=5).hits]
    branch.merge()
    after = [hit.cube.text for hit in memos.recall("platform of the train to Lyon", by=ANA, k=5).hits]
    assert within[0] == after[0]
    assert set(within) == set(after)


def test_a_merge_that_was_overtaken_is_refused_and_says_by_what(memos: MemOS) -> None:
    cube = memos.remember("The door code is 4711.", by=ANA)
    other = memos.remember("The alarm is off.", by=ANA)
    branch = memos.branch(by=ANA)
    branch.memos.update(cube.id, text="The door code is 1234.", by=ANA)
    branch.memos.update(other.id, text="The alarm is on.", by=ANA)
    assert branch.overtaken == ()
    memos.update(cube.id, text="The door code is 9999.", by=ANA)
    assert branch.overtaken == (cube.id,)
    with pytest.raises(VersionConflictError):
        branch.merge()
    assert memos.get(other.id, by=ANA).text == "The alarm is off."
    assert branch.memos.get(other.id, by=ANA).text == "The alarm is on."
    branch.drop()
    assert memos.get(cube.id, by=ANA).text == "The door code is 9999."


def test_what_others_write_meanwhile_is_in_the_branch_too(memos: MemOS) -> None:
    with memos.branch(by=ANA) as branch:
        branch.memos.remember("The parrot is called Kiwi.", by=ANA)
        memos.remember("The cat is called Miso.", by=ANA)
        assert set(told(branch.memos, "called parrot cat")) == {"The parrot is called Kiwi.", "The cat is called Miso."}


def test_a_branch_obeys_access_and_holds(memos: MemOS) -> None:
    bens = memos.remember("Ben's salary is 50,000.", by=BEN)
    shared = memos.remember("The office closes at six.", by=BEN, readers=["ana"])
    held = memos.remember("The contract of the merger.", by=ANA)
    memos.hold(held.id, by=ADMIN)
    with memos.branch(by=ANA) as branch:
        assert not {bens.text} & set(told(branch.memos, "salary office"))
        assert shared.text in told(branch.memos, "office closes")
        with pytest.raises(CubeNotFoundError):
            branch.memos.get(bens.id, by=ANA)
        with pytest.raises(AccessDeniedError):
            branch.memos.update(shared.id, text="The office never closes.", by=ANA)
        with pytest.raises(LegalHoldError):
            branch.memos.forget(held.id, by=ANA)
        assert told(branch.memos, "salary office contract", EVE) == []
        branch.memos.update(bens.id, text="Ben's salary is 60,000.", by=BEN)
        assert bens.id not in {change.cube_id for change in branch.changes}


def test_a_branch_ends_once(memos: MemOS) -> None:
    branch = memos.branch(by=ANA)
    inner = branch.memos
    assert branch.merge() is None
    branch.drop()
    with pytest.raises(InvalidMemoryError, match="merged or dropped"):
        branch.merge()
    with pytest.raises(InvalidMemoryError):
        _ = branch.changes
    with pytest.raises(VaultClosedError):
        inner.remember("Too late.", by=ANA)
    assert told(memos, "late") == []


def test_a_derived_memory_in_a_branch_obeys_its_sources(memos: MemOS) -> None:
    first = memos.remember("The pump was serviced in May.", by=ANA)
    second = memos.remember("The pump was serviced in June.", by=ANA)
    with memos.branch(by=ANA) as branch:
        merged = branch.memos.merge([first.id, second.id], by=ANA)
        branch.merge()
    assert memos.get(merged.id, by=ANA).provenance.derived_from
    memos.forget(second.id, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(merged.id, by=ANA)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "change", "archive", "forget"]), st.integers(0, 5), st.booleans()),
        max_size=14,
    ),
    st.booleans(),
)
def test_a_branch_merged_is_what_the_same_acts_without_one_give(acts: list[tuple[str, int, bool]], keep: bool) -> None:
    """Whatever is done in a branch: dropped it is nothing, merged it is what doing it straight away would be."""
    with MemOS(InMemoryVault(), clock=lambda: START) as straight, MemOS(InMemoryVault(), clock=lambda: START) as over:
        ids = {
            memory: [memory.remember(f"Fact number {n}.", by=ANA).id for n in range(3)] for memory in (straight, over)
        }
        branch = over.branch(by=ANA)
        untouched = _all(over)
        for act, which, _ in acts:
            _do(straight, ids[straight], act, which)
            _do(branch.memos, ids[over], act, which)
        assert _all(branch.memos) == _all(straight)
        assert _all(over) == untouched
        if keep:
            branch.merge()
            assert _all(over) == _all(straight)
        else:
            branch.drop()
            assert _all(over) == untouched


def _do(memory: MemOS, ids: list[str], act: str, which: int) -> None:
    if act == "add":
        ids.append(memory.remember(f"Fact number {len(ids)}, added.", by=ANA).id)
        return
    cube_id = ids[which % len(ids)]
    try:
        if act == "change":
            memory.append(cube_id, "More.", by=ANA)
        elif act == "archive":
            memory.move(cube_id, "archived", by=ANA)
        else:
            memory.forget(cube_id, by=ANA)
    except (CubeNotFoundError, IllegalTransitionError):
        pass  # gone already, or archived twice: refused in both worlds


def _all(memory: MemOS) -> list[tuple[str, int, str]]:
    from memos_integrations.core.ports import CubeFilter

    cubes = memory.find(CubeFilter(states=frozenset(State)), by=ANA, k=1_000)
    return sorted((cube.text, cube.version, cube.state.value) for cube in cubes)


# --- snapshots


def test_a_snapshot_is_a_moment_to_recall_from_and_to_go_back_to(memos: MemOS, clock: Clock) -> None:
    address = memos.remember("The office is in Kiel.", by=ANA)
    quiet = memos.remember("The archive is in the cellar.", by=ANA)
    snap = memos.snapshot("before the move", by=ANA)
    clock.now += HOUR
    memos.update(address.id, text="The office is in Lübeck.", by=ANA)
    new = memos.remember("The new desk is white.", by=ANA)
    memos.move(quiet.id, "archived", by=ANA)
    assert memos.get(address.id, by=ANA, as_of=snap.at).text == "The office is in Kiel."
    clock.now += HOUR
    done = memos.roll_back("before the move", by=ANA)
    assert set(done.restored) == {address.id, quiet.id}
    assert done.archived == (new.id,)
    assert memos.get(address.id, by=ANA).text == "The office is in Kiel."
    assert memos.get(quiet.id, by=ANA).state is State.ACTIVATED
    assert [each.version for each in memos.history(address.id, by=ANA)] == [1, 2, 3]


def test_what_was_forgotten_since_a_snapshot_stays_forgotten(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The password of the old router.", by=ANA)
    memos.snapshot("monday", by=ANA)
    clock.now += HOUR
    memos.forget(cube.id, by=ANA)
    memos.roll_back("monday", by=ANA)
    assert told(memos, "password router") == []
    assert memos.recall("password router", by=ANA, needed=True, as_of=START).hits == ()


def test_snapshots_are_each_principals_own(memos: MemOS) -> None:
    made = memos.snapshot("release", by=ANA)
    memos.snapshot("release", by=BEN)
    assert memos.snapshots(by=ANA) == [made]
    assert memos.snapshots(by=EVE) == []
    with pytest.raises(InvalidMemoryError, match="already"):
        memos.snapshot("release", by=ANA)
    with pytest.raises(InvalidMemoryError, match="no snapshot"):
        memos.roll_back("nothing", by=ANA)
    for name in ("", "  ", "x" * 201):
        with pytest.raises(InvalidMemoryError):
            memos.snapshot(name, by=ANA)


@pytest.mark.answers("ASI06 7")
def test_rolling_back_brings_only_ones_own_back(memos: MemOS, clock: Clock) -> None:
    bens = memos.remember("Ben's desk is by the window.", by=BEN, readers=["ana"], writers=["ana"])
    memos.snapshot("now", by=ANA)
    clock.now += HOUR
    memos.update(bens.id, text="Ben's desk is in the corridor.", by=BEN)
    memos.move(bens.id, "archived", by=BEN)
    assert memos.roll_back("now", by=ANA).restored == ()
    assert memos.get(bens.id, by=BEN).text == "Ben's desk is in the corridor."


def test_what_had_been_archived_before_a_snapshot_stays_so(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The old logo was green.", by=ANA)
    memos.move(cube.id, "archived", by=ANA)
    clock.now += HOUR
    memos.snapshot("later", by=ANA)
    clock.now += HOUR
    assert memos.roll_back("later", by=ANA).restored == ()
    assert memos.get(cube.id, by=ANA).state is State.ARCHIVED


# --- a clock that goes back, and names given at once


def test_a_snapshot_after_the_clock_went_back_holds_what_was_there(memos: MemOS, clock: Clock) -> None:
    memos.remember("The kiln is cold.", by=ANA)
    clock.now -= 2 * HOUR
    snap = memos.snapshot("before firing", by=ANA)
    assert snap.at >= START
    assert [hit.cube.text for hit in memos.recall("kiln", by=ANA, needed=True, as_of=snap.at).hits] == [
        "The kiln is cold."
    ]
    assert memos.snapshots(by=ANA) == [snap]
    clock.now = START + HOUR
    memos.remember("The kiln is hot.", by=ANA)
    memos.roll_back("before firing", by=ANA)
    assert told(memos, "kiln") == ["The kiln is cold."]


def test_a_snapshot_long_before_what_is_on_record_is_refused(memos: MemOS, clock: Clock) -> None:
    memos.remember("The kiln is cold.", by=ANA)
    clock.now -= timedelta(days=366)
    with pytest.raises(ClockError, match="until 2026-03-02"):
        memos.snapshot("a year ago", by=ANA)
    assert memos.snapshots(by=ANA) == []


def test_of_two_that_give_one_name_at_once_one_has_it(memos: MemOS) -> None:
    start, taken = threading.Barrier(4), list[object]()

    def give() -> None:
        start.wait()
        try:
            taken.append(memos.snapshot("release", by=ANA))
        except InvalidMemoryError:
            taken.append(None)

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each for each in taken if each is not None] == memos.snapshots(by=ANA)
    assert len(memos.snapshots(by=ANA)) == 1


def test_what_a_search_would_have_found_meanwhile_is_not_noticed_what_was_fetched_is(memos: MemOS) -> None:
    note = memos.remember("The kiln is cold.", by=ANA)
    with memos.branch(by=ANA) as branch:
        branch.memos.recall("kiln", by=ANA, needed=True)
        branch.memos.remember("Nothing burns.", by=ANA)
        memos.remember("The kiln burns.", by=ANA)
        branch.merge()
    with memos.branch(by=ANA) as branch:
        branch.memos.get(note.id, by=ANA)
        branch.memos.remember("It may be opened.", by=ANA)
        memos.update(note.id, text="The kiln is hot.", by=ANA)
        with pytest.raises(VersionConflictError):
            branch.merge()


def test_what_is_withdrawn_or_erased_below_is_not_given_in_a_branch_that_recalled_it(memos: MemOS) -> None:
    shown = memos.remember("The plan for Oslo is to sail.", by=BEN, readers=["ana"])
    gone = memos.remember("The hotel in Oslo is the Aurora.", by=BEN, readers=["ana"])
    own = memos.remember("My ticket to Oslo is in seat 4.", by=ANA)
    with memos.branch(by=ANA) as branch:
        assert len(told(branch.memos, "Oslo plan hotel ticket seat")) == 3
        memos.update(shown.id, readers=[], by=BEN)
        memos.forget(gone.id, by=BEN)
        memos.update(own.id, text="My ticket to Oslo is in seat 9.", by=ANA)
        for cube in (shown, gone):
            for read in (branch.memos.get, branch.memos.history):
                with pytest.raises(CubeNotFoundError):
                    read(cube.id, by=ANA)
        assert branch.memos.may_read([shown.id, gone.id], by=ANA) == set()
        assert branch.memos.get(own.id, by=ANA).text == "My ticket to Oslo is in seat 9."
        assert told(branch.memos, "Oslo plan hotel ticket seat") == ["My ticket to Oslo is in seat 9."]


def test_what_is_erased_below_is_not_given_where_a_branch_rewrote_it(memos: MemOS) -> None:
    cube = memos.remember("The hotel in Oslo is the Aurora.", by=ANA)
    with memos.branch(by=ANA) as branch:
        branch.memos.append(cube.id, "Room 12.", by=ANA)
        memos.forget(cube.id, by=ANA)
        with pytest.raises(CubeNotFoundError):
            branch.memos.get(cube.id, by=ANA)
        assert told(branch.memos, "Oslo hotel room") == []
        assert branch.overtaken == (cube.id,)


@pytest.mark.parametrize("how", ["hold", "relabel", "given"])
def test_whatever_overtakes_a_branch_is_named(memos: MemOS, how: str) -> None:
    cube = memos.remember("The hotel in Oslo is the Aurora.", by=ANA)
    with memos.branch(by=ANA) as branch:
        if how == "given":
            branch.memos.get(cube.id, by=ANA)
            branch.memos.remember("The hotel is booked.", by=ANA)
        else:
            branch.memos.append(cube.id, "Room 12.", by=ANA)
        if how == "hold":
            memos.hold(cube.id, by=ADMIN)
        else:
            memos.relabel(cube.id, by=ANA, add=["seen"])
        assert branch.overtaken == (cube.id,)
        with pytest.raises(VersionConflictError):
            branch.merge()


def test_a_clock_that_was_wrong_for_others_or_for_a_look_stops_no_snapshot(memos: MemOS, clock: Clock) -> None:
    mine = memos.remember("The gate is green.", by=ANA)
    memos.remember("The fence is blue.", by=BEN)
    memos.tick(by=BEN, now=START + timedelta(days=1_000))
    clock.now += timedelta(days=500)
    memos.recall("gate", by=ANA)
    clock.now = START + HOUR
    assert memos.snapshot("before", by=ANA).at == START + HOUR
    memos.move(mine.id, "archived", by=ANA)
    clock.now += timedelta(days=3)
    memos.move(mine.id, "activated", by=ANA)
    clock.now -= timedelta(days=2)
    with pytest.raises(ClockError, match="your memories were changed"):
        memos.snapshot("after", by=ANA)


def test_a_roll_back_brings_states_back_that_were_changed_by_hand(memos: MemOS, clock: Clock) -> None:
    kept = [memos.remember(f"The {name} is in the attic.", by=ANA) for name in ("drum", "flute", "harp", "lute")]
    drum, flute, harp, lute = (cube.id for cube in kept)
    memos.move(flute, "archived", by=ANA)
    memos.move(lute, "archived", by=ANA)
    clock.now += HOUR
    memos.snapshot("before", by=ANA)
    clock.now += HOUR
    memos.move(drum, "expired", by=ANA)
    memos.move(flute, "activated", by=ANA)
    memos.move(lute, "expired", by=ANA)
    memos.recall("harp", by=ANA)
    done = memos.roll_back("before", by=ANA)
    assert set(done.restored) == {drum, flute, lute}
    states = [memos.get(each, by=ANA).state for each in (drum, flute, harp, lute)]
    assert states == [State.ACTIVATED, State.ARCHIVED, State.ACTIVATED, State.ARCHIVED]
    assert memos.roll_back("before", by=ANA).restored == ()


def test_a_roll_back_brings_nothing_back_whose_time_is_over(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The pass is 99.", by=ANA, ttl=HOUR)
    since = clock.now = clock.now + HOUR / 2
    memos.move(cube.id, "expired", by=ANA)
    clock.now += HOUR
    assert memos.roll_back(since, by=ANA).restored == ()
    assert memos.may_read([cube.id], by=ANA) == set()


def test_what_a_branch_rewrote_obeys_who_may_read_it_by_now(memos: MemOS) -> None:
    narrowed, gone, mine = (
        memos.remember(text, by=ANA, readers=["ben"], writers=["ben"])
        for text in ("The vault code is 4711.", "The vault key hangs left.", "The vault door is green.")
    )
    with memos.branch(by=BEN) as branch:
        inner = branch.memos
        for cube in (narrowed, gone, mine):
            inner.append(cube.id, "Checked.", by=BEN)
        drawn = inner.remember("A note.", by=BEN, provenance=Provenance(derived_from=(inner.get(gone.id, by=BEN).ref,)))
        both = inner.merge([narrowed.id, mine.id], by=BEN)
        assert inner.may_read([narrowed.id, drawn.id, both.id], by=BEN) == {narrowed.id, drawn.id, both.id}
        memos.update(narrowed.id, by=ANA, readers=[], writers=[])
        memos.forget(gone.id, by=ANA)
        assert inner.may_read([narrowed.id, gone.id, drawn.id, both.id], by=BEN) == set()
        with pytest.raises(CubeNotFoundError):
            inner.history(narrowed.id, by=BEN)
        assert not [text for text in told(inner, "vault code key door note", BEN) if "4711" in text or "left" in text]
        assert not [each for each in branch.changes if "4711" in str(each) or "left" in str(each)]
        assert {each.cube_id for each in branch.changes} >= {both.id, mine.id}
        with inner.atomic(by=BEN) as innermost:
            assert innermost.may_read([narrowed.id, gone.id, both.id], by=BEN) == set()
        assert inner.may_read([mine.id], by=BEN) == {mine.id}


def test_whom_a_branch_lets_read_may_read_in_it(memos: MemOS) -> None:
    cube = memos.remember("The vault code is 4711.", by=ANA)
    with memos.branch(by=ANA) as branch:
        branch.memos.update(cube.id, by=ANA, readers=["ben"])
        assert branch.memos.get(cube.id, by=BEN).text == cube.text
        memos.update(cube.id, by=ANA, text="The vault code is 0815.")
        assert branch.memos.get(cube.id, by=BEN).text == cube.text
