"""Ageing: what is due and what stays, by hand and by the clock; and a model that holds the whole life to its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import (
    AccessDeniedError,
    ClockError,
    CubeNotFoundError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    PipelineError,
)
from memos_integrations.core.formats import FORMS
from memos_integrations.core.item import Address, ItemQuery, ItemWrite
from memos_integrations.core.lifecycle import TRANSITIONS, Ageing
from memos_integrations.core.pipeline import MemPipeline, PipelineRun
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ADMIN, ANA, BEN, DAY, START, Clock


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MemOS]:
    vault: Any = {"clock": clock}
    with MemOS(InMemoryVault(), **vault) if request.param == "memory" else MemOS.open(tmp_path, **vault) as made:
        yield made
        assert made.verify_audit().ok


def test_what_expired_goes_and_is_collected_later(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("A code for a day.", by=ANA, ttl=DAY)
    other = memos.remember("A fact.", by=ANA)
    clock.now += 2 * DAY
    done = memos.tick(by=ANA)
    assert done.expired == {cube.id: "its time is over"}
    assert memos.tick(by=ANA).expired == {}
    clock.now += 40 * DAY
    assert memos.tick(by=ANA).collected == (cube.id,)
    assert memos.history(other.id, by=ANA)[0].text == "A fact."
    assert memos.audit(by=ADMIN, cube_id=cube.id, operation="forget")
    assert memos.audit(by=ADMIN, cube_id=cube.id, operation="to_expired")


def test_decay_archives_what_fades_and_not_what_matters(memos: MemOS, clock: Clock) -> None:
    fading = memos.remember("Where I parked.", by=ANA, half_life=DAY)
    kept = memos.remember("My blood type is A.", by=ANA, half_life=DAY, priority=100)
    used = memos.remember("The umbrella is in the hall.", by=ANA, half_life=DAY)
    clock.now += 3 * DAY + timedelta(hours=12)
    memos.recall("Where is the umbrella?", by=ANA, k=1)
    done = memos.tick(by=ANA)
    assert done.archived == {fading.id: "decay"}
    assert memos.get(kept.id, by=ANA).state is State.GENERATED
    assert memos.get(used.id, by=ANA).state is State.ACTIVATED
    clock.now += 4 * DAY
    assert memos.tick(by=ANA).expired == {fading.id: "decay"}


def test_a_memory_used_today_is_never_archived_tonight(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The umbrella is in the hall.", by=ANA, half_life=timedelta(minutes=1))
    clock.now += 400 * DAY
    memos.recall("Where is the umbrella?", by=ANA)
    clock.now += timedelta(hours=20)
    strict = Ageing(idle=timedelta(seconds=1), budgets={"ana": 0})
    assert memos.tick(by=ANA, ageing=strict).archived == {}
    clock.now += timedelta(hours=10)
    assert memos.tick(by=ANA, ageing=strict).archived == {cube.id: "decay"}


def _got(memos: MemOS, cube: MemCube) -> list[str]:
    return [memos.get(cube.id, by=ANA).id]


def _got_at_a_time(memos: MemOS, cube: MemCube) -> list[str]:
    return [memos.get(cube.id, by=ANA, as_of=cube.descriptive.recorded_at).id]


def _got_among_many(memos: MemOS, cube: MemCube) -> list[str]:
    return [each.id for each in memos.get_many([cube.id], by=ANA)]


def _found(memos: MemOS, cube: MemCube) -> list[str]:
    return [each.id for each in memos.find(CubeFilter(ids=(cube.id,)), by=ANA)]


def _recalled(memos: MemOS, cube: MemCube) -> list[str]:
    return [hit.cube.id for hit in memos.recall(cube.text, by=ANA, k=1, where=CubeFilter(ids=(cube.id,))).hits]


def _read_back(memos: MemOS, cube: MemCube) -> list[str]:
    return [each.id for each in memos.history(cube.id, by=ANA)]


def _opened(memos: MemOS, cube: MemCube) -> list[str]:
    with memos.read_blob(cube.id, by=ANA) as stream:
        return [cube.id] if stream.read() else []


def _summed_up(memos: MemOS, cube: MemCube) -> list[str]:
    return [ref.id for ref in memos.summarise([cube.id], by=BEN).provenance.derived_from]


READING: dict[str, Callable[[MemOS, MemCube], list[str]]] = {
    "get": _got, "get as of": _got_at_a_time, "get_many": _got_among_many, "find": _found, "recall": _recalled,
    "history": _read_back, "read_blob": _opened, "summarise": _summed_up,
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    uses=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(READING)), st.integers(0, 30)), max_size=6),
    wait=st.integers(0, 23 * 60 + 56),  # with six uses of 30 s, less than a day
    in_a_file=st.booleans(),
)
def test_whatever_verb_gave_a_memory_today_tonight_leaves_it(
    uses: list[tuple[int, str, int]], wait: int, in_a_file: bool
) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        vault = SQLiteVault(folder, durability="process") if in_a_file else InMemoryVault()
        with MemOS(vault, clock=clock) as memos:
            told = ("The umbrella is green.", "Ink comes from Graz.", "Two drawers stick.", "The spade is new.")
            cubes = [
                memos.remember(
                    text,
                    by=ANA,
                    half_life=timedelta(minutes=1),
                    readers=["ben"],
                    blob=text.encode(),
                    media_type="text/plain",
                )
                for text in told
            ]
            clock.now += 400 * DAY
            used = set[str]()
            for which, verb, minutes in uses:
                clock.now += timedelta(seconds=minutes)
                used.update(READING[verb](memos, cubes[which]))
            clock.now += timedelta(minutes=wait)
            done = memos.tick(by=ANA, ageing=Ageing(idle=timedelta(seconds=1), budgets={"ana": 0}))
            assert done.archived.keys() == {cube.id for cube in cubes} - used
            assert not done.expired


def test_looking_memories_over_is_no_use(memos: MemOS, clock: Clock, tmp_path: Path) -> None:
    cube = memos.remember("The umbrella is green.", by=ANA, half_life=timedelta(minutes=1), readers=["ben"])
    clock.now += 400 * DAY
    assert memos.find(CubeFilter(), by=ANA, counts=False) == [cube]
    assert memos.get_many([cube.id], by=ANA, counts=False) == [cube]
    assert memos.may_read([cube.id], by=ANA) == {cube.id}
    assert memos.audit(by=ANA)
    assert memos.provenance(cube.id, by=ANA).reads == 0
    assert not memos.decisions(cube.id, by=ANA)
    assert memos.export_file(tmp_path / "all.csv", FORMS["csv"], by=ANA) == 1
    assert memos.tick(by=ANA).archived == {cube.id: "decay"}


def test_a_look_up_neither_warms_nor_counts_as_a_recall(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The umbrella is green.", by=ANA)
    memos.recall("Where is the green umbrella?", by=ANA)
    clock.now += 7 * DAY
    memos.get(cube.id, by=ANA)
    assert memos.tick(by=ANA, ageing=Ageing(idle=timedelta(seconds=1))).archived == {}
    seen = memos.get(cube.id, by=ANA).behaviour
    assert (seen.reads, seen.last_read, seen.heat) == (1, clock.now, pytest.approx(0.5))


def test_disuse_archives_and_asking_brings_back(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The cellar key hangs behind the door.", by=ANA)
    clock.now += 400 * DAY
    assert memos.tick(by=ANA).archived == {cube.id: "disuse"}
    assert not memos.recall("Where is the cellar key?", by=ANA).hits
    assert memos.move(cube.id, State.ACTIVATED, by=ANA).state is State.ACTIVATED
    assert memos.recall("Where is the cellar key?", by=ANA).hits


def test_a_budget_keeps_the_weightiest(memos: MemOS, clock: Clock) -> None:
    cubes = [memos.remember(f"Fact {n} of many.", by=ANA, priority=n * 10) for n in range(5)]
    clock.now += 2 * DAY
    done = memos.tick(by=ANA, ageing=Ageing(budgets={"ana": 3}))
    assert done.archived == {cubes[0].id: "budget", cubes[1].id: "budget"}


def test_a_budget_is_of_its_namespace_and_spares_what_was_used_today(memos: MemOS, clock: Clock) -> None:
    desk = ("acme", "ana", "desk")
    told = ("The stapler is blue.", "Ink comes from Graz.", "Two drawers stick.")
    inside = [memos.remember(text, by=ANA, namespace=desk) for text in told]
    memos.remember("The spade is new.", by=ANA, namespace=("acme", "ana", "shed"))
    assert memos.tick(by=ANA, ageing=Ageing(budgets={"desk": 1})).archived == {}  # all were written today
    clock.now += 2 * DAY
    assert [hit.cube.id for hit in memos.recall("Which stapler is blue?", by=ANA, needed=True).hits] == [inside[0].id]
    gone = memos.tick(by=ANA, ageing=Ageing(budgets={"desk": 1})).archived
    assert gone == {inside[1].id: "budget", inside[2].id: "budget"}
    assert memos.move(inside[1].id, State.ACTIVATED, by=ANA).state is State.ACTIVATED
    assert memos.tick(by=ANA, ageing=Ageing(budgets={"desk": 1})).archived == {}  # it was asked for today


def test_validity_that_ended_archives(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("Staying in Rome.", by=ANA, valid_to=START + DAY)
    clock.now += timedelta(hours=25)
    assert memos.tick(by=ANA).archived == {cube.id: "it holds no longer"}


def test_a_pass_is_bounded_and_goes_on_where_it_stopped(memos: MemOS, clock: Clock) -> None:
    for n in range(7):
        memos.remember(f"Code {n}.", by=ANA, ttl=DAY)
    clock.now += 2 * DAY
    first = memos.tick(by=ANA, limit=3)
    assert (len(first.expired), first.more) == (3, True)
    assert len(memos.tick(by=ANA, limit=100).expired) == 4
    assert not memos.tick(by=ANA).more
    with pytest.raises(InvalidMemoryError):
        memos.tick(by=ANA, limit=0)


@pytest.mark.answers("fault 34")
def test_a_clock_that_jumps_back_a_year_changes_nothing(memos: MemOS, clock: Clock) -> None:
    memos.remember("A code.", by=ANA, ttl=DAY)
    with pytest.raises(ClockError, match="set the clock right"):
        memos.tick(by=ANA, now=START - timedelta(days=365))
    assert not memos.audit(by=ADMIN, operation="to_expired")


@pytest.mark.parametrize("how", ["written", "read"])
def test_a_clock_that_was_wrong_for_a_day_stops_no_ageing_of_the_rest(memos: MemOS, clock: Clock, how: str) -> None:
    short = memos.remember("A code.", by=ANA, ttl=5 * DAY)
    over = memos.remember("An offer.", by=ANA, valid_to=START + 5 * DAY)
    fading = memos.remember("A rumour.", by=ANA, half_life=2 * DAY)
    idle = memos.remember("An old note.", by=ANA)
    wrong = memos.remember("A pledge.", by=ANA, ttl=700 * DAY)
    clock.now += 600 * DAY
    if how == "read":
        memos.get(wrong.id, by=ANA)
        memos.recall("pledge", by=ANA, k=1, needed=True, where=CubeFilter(ids=(wrong.id,)))
    else:
        memos.append(wrong.id, "Signed.", by=ANA)
    clock.now = START + 30 * DAY
    first = memos.tick(by=ANA)
    assert first.ahead == (wrong.id,)
    assert (set(first.expired), set(first.archived)) == ({short.id}, {over.id, fading.id})
    clock.now = START + 400 * DAY
    done = memos.tick(by=ANA)
    assert done.ahead == (wrong.id,)
    assert set(done.archived) == {idle.id}
    assert short.id in done.collected
    clock.now = START + 650 * DAY
    assert memos.tick(by=ANA).ahead == ()
    clock.now = START + 701 * DAY
    assert wrong.id in memos.tick(by=ANA).expired


def test_frozen_means_no_change_on_any_path(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The contract was signed.", by=ANA, ttl=DAY, half_life=timedelta(minutes=1))
    memos.move(cube.id, "frozen", by=ANA)
    for change in (
        lambda: memos.update(cube.id, by=ANA, text="No."),
        lambda: memos.restore(cube.id, 1, by=ANA),
        lambda: memos.forget(cube.id, by=ANA),
        lambda: memos.move(cube.id, State.ARCHIVED, by=ANA),
    ):
        with pytest.raises(IllegalTransitionError):
            change()
    clock.now += 30 * DAY
    assert memos.tick(by=ANA) == memos.tick(by=BEN)
    memos.move(cube.id, State.ACTIVATED, by=ANA)
    assert memos.tick(by=ANA).expired == {cube.id: "its time is over"}


def test_a_hold_stops_every_move(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("Evidence.", by=ANA, ttl=DAY)
    memos.hold(cube.id, by=ADMIN)
    clock.now += 90 * DAY
    assert memos.tick(by=ANA).expired == {}
    with pytest.raises(LegalHoldError):
        memos.move(cube.id, State.ARCHIVED, by=ANA)


def test_only_the_owner_and_admins_move(memos: MemOS) -> None:
    cube = memos.remember("Mine.", by=ANA, readers=["ben"])
    with pytest.raises(AccessDeniedError):
        memos.move(cube.id, State.ARCHIVED, by=BEN)
    with pytest.raises(CubeNotFoundError):
        memos.move(cube.id, State.ARCHIVED, by=Principal(tenant="globex", user="ana"))
    with pytest.raises(InvalidMemoryError, match="state"):
        memos.move(cube.id, "sleeping", by=ANA)
    assert memos.move(cube.id, State.ARCHIVED, by=ADMIN).state is State.ARCHIVED


class Life(RuleBasedStateMachine):
    """A vault against a dictionary: every move that the table allows happens, every other one is refused."""

    cubes = Bundle("cubes")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.memos = MemOS(InMemoryVault(), clock=self.clock)
        self.states: dict[str, State] = {}
        self.versions: dict[str, int] = {}
        self.held: set[str] = set()
        self.ends: dict[str, datetime | None] = {}
        self.used: dict[str, datetime] = {}

    @rule(target=cubes, ttl=st.sampled_from([None, 3, 30]))
    def remember(self, ttl: int | None) -> str:
        options: Any = {} if ttl is None else {"ttl": ttl * DAY}
        cube = self.memos.remember(f"Memory {len(self.states)}.", by=ANA, **options)
        self.states[cube.id], self.versions[cube.id] = State.GENERATED, 1
        self.ends[cube.id] = cube.governance.expires_at
        self.used[cube.id] = self.clock.now
        return cube.id

    @rule(cube=cubes, after=st.sampled_from(sorted(State)))
    def move(self, cube: str, after: State) -> None:
        if cube in self.held:
            with pytest.raises(LegalHoldError):
                self.memos.move(cube, after, by=ANA)
        elif after not in TRANSITIONS[self.states[cube]]:
            with pytest.raises(IllegalTransitionError):
                self.memos.move(cube, after, by=ANA)
        else:
            self.memos.move(cube, after, by=ANA)
            if after is State.ACTIVATED and self.states[cube] in {State.ARCHIVED, State.MERGED}:
                self.used[cube] = self.clock.now  # to bring it back is to use it
            self.states[cube] = after
            if after is State.FROZEN:
                self.versions[cube] += 1
                self.used[cube] = self.clock.now

    @rule(cube=cubes)
    def change(self, cube: str) -> None:
        if self._unreadable(cube):
            with pytest.raises(CubeNotFoundError):
                self.memos.update(cube, by=ANA, text="Changed.")
        elif cube in self.held:
            with pytest.raises(LegalHoldError):
                self.memos.update(cube, by=ANA, text="Changed.")
        elif self.states[cube] is State.FROZEN:
            with pytest.raises(IllegalTransitionError):
                self.memos.update(cube, by=ANA, text="Changed.")
        else:
            self.memos.update(cube, by=ANA, text=f"Changed {self.versions[cube]}.")
            self.versions[cube] += 1
            self.used[cube] = self.clock.now
            if self.states[cube] is State.MERGED:  # with other words it is no repeat any more
                self.states[cube] = State.ACTIVATED

    @rule(cube=cubes, held=st.booleans())
    def hold(self, cube: str, held: bool) -> None:
        self.memos.hold(cube, by=ADMIN, held=held)
        (self.held.add if held else self.held.discard)(cube)
        self.versions[cube] += 1
        self.used[cube] = self.clock.now

    @rule(days=st.sampled_from([1, 10, 200]))
    def age(self, days: int) -> None:
        self.clock.now += days * DAY
        self.memos.tick(by=ANA, ageing=Ageing(idle=100 * DAY, keep_expired=10_000 * DAY))
        for cube, state in self.states.items():
            if cube in self.held or state in {State.FROZEN, State.EXPIRED}:
                continue
            ends = self.ends[cube]
            if ends is not None and self.clock.now > ends:
                self.states[cube] = State.EXPIRED
            elif self.clock.now - self.used[cube] > 100 * DAY and state in {State.GENERATED, State.ACTIVATED}:
                self.states[cube] = State.ARCHIVED

    @rule(cube=consumes(cubes))
    def forget(self, cube: str) -> None:
        if cube in self.held:
            with pytest.raises(LegalHoldError):
                self.memos.forget(cube, by=ANA)
        elif self.states[cube] is State.FROZEN:
            with pytest.raises(IllegalTransitionError):
                self.memos.forget(cube, by=ANA)
        else:
            self.memos.forget(cube, by=ANA)
            for kept in (self.states, self.versions, self.ends, self.used):
                kept.pop(cube)

    def _unreadable(self, cube: str) -> bool:
        ends = self.ends[cube]
        return self.states[cube] is State.EXPIRED or (ends is not None and self.clock.now > ends)

    @invariant()
    def it_stands_as_the_model_says(self) -> None:
        for cube, state in self.states.items():
            if self._unreadable(cube):
                with pytest.raises(CubeNotFoundError):
                    self.memos.get(cube, by=ANA)
            else:
                found = self.memos.get(cube, by=ANA)
                assert (found.state, found.version) == (state, self.versions[cube])

    def teardown(self) -> None:
        assert self.memos.verify_audit().ok
        self.memos.close()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_look_long_ago_counts_from_when_it_was(memos: MemOS, clock: Clock) -> None:
    cube = memos.remember("The umbrella is green.", by=ANA)
    clock.now += 300 * DAY
    memos.get(cube.id, by=ANA)
    clock.now += 300 * DAY
    assert memos.tick(by=ANA).archived == {}
    clock.now += 100 * DAY
    assert memos.tick(by=ANA).archived == {cube.id: "disuse"}


def test_an_item_that_was_read_or_found_today_stays(memos: MemOS, clock: Clock) -> None:
    place = [Address(("notes",), name) for name in ("read", "searched", "listed", "neither")]
    memos.items.write([ItemWrite(at, {"text": f"{at.key} here"}, text=f"{at.key} here") for at in place], by=ANA)
    clock.now += 10 * DAY
    memos.items.read(place[:1], by=ANA)
    memos.items.search(ItemQuery(("notes",), text="searched", limit=1), by=ANA)
    memos.items.search(
        ItemQuery(("notes",), limit=1, exact=False, keep=lambda value: value["text"] == "listed here"), by=ANA
    )
    clock.now += timedelta(hours=23)
    gone = memos.tick(by=ANA, ageing=Ageing(budgets={"notes": 0})).archived
    assert len(gone) == 1
    clock.now += 2 * DAY
    assert len(memos.tick(by=ANA, ageing=Ageing(budgets={"notes": 0})).archived) == 3


@pytest.mark.parametrize("ends", ["dropped", "dry run", "failed"])
def test_what_was_recalled_in_what_never_became_true_is_not_archived_tonight(
    memos: MemOS, clock: Clock, ends: str
) -> None:
    read, unread = (memos.remember(f"The code of {place} is 4711.", by=ANA) for place in ("the door", "my bike"))
    clock.now += 400 * DAY

    def recalling(run: PipelineRun) -> None:
        run.memory.remember("Looked up.", by=ANA)
        assert run.memory.recall("What is the code of the door?", by=ANA, k=1).hits[0].cube.id == read.id

    if ends == "dropped":
        with memos.branch(by=ANA) as branch:
            branch.memos.recall("What is the code of the door?", by=ANA, k=1)
    elif ends == "dry run":
        memos.run(MemPipeline("look", [recalling]), by=ANA, dry_run=True)
    else:
        with pytest.raises(PipelineError):
            memos.run(MemPipeline("look", [recalling], most_changes=0), by=ANA)
    clock.now += timedelta(hours=3)
    assert memos.tick(by=ANA).archived == {unread.id: "disuse"}
    assert memos.get(read.id, by=ANA).behaviour.reads == 0
