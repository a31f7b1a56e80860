"""What was said and never retracted can be recalled, whatever else was done: a small model against `MemOS`.

The model is a lower bound. A saying must be in recall unless it was forgotten, changed, archived, set apart or said to
be outdated, itself or in the same words; it is over; or another value of the same thing was said for good. What was
merged, by hand or as a repeat, must be found in what it was merged into.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules, Ruling
from memos_integrations.core.conflict.forms import ends_of
from memos_integrations.core.cube import MemCube, Relation, State
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
FOREVER = Ageing(idle=None)
ANYTHING = CubeFilter(states=frozenset(State))
THINGS = {
    "home": [f"I live in {place}." for place in ("Lisbon", "Oslo", "Kiel")],
    "colour": [f"My favourite colour is {colour}." for colour in ("teal", "red", "ochre")],
    "dentist": [f"My dentist is Dr. {name}." for name in ("Abreu", "Berg", "Costa")],
    "sister": [f"My sister is called {name}." for name in ("Mira", "Ida", "Vera")],
    **{text: [text] for text in (
        "I play the cello.", "The boiler was serviced in May.", "My bicycle has a green saddle.", "I collect old maps.",
        "The cellar has a second door.", "I was born on a ferry.",
    )},
}  # fmt: skip
TEXTS = {text: thing for thing, texts in THINGS.items() for text in texts}
WHICH = st.integers(0, 10_000)


@dataclass
class Said:
    """What one memory was told, or was merged from; `off` says why it need not be recalled.

    Given other words it is no merge any more, but still goes with what it was `made_of`.
    """

    text: str
    end: datetime | None = None
    sources: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()
    off: set[str] = field(default_factory=set)


class NeverLost(RuleBasedStateMachine):
    """Sayings, and what is done to them."""

    folder: str | None = None

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.room = tempfile.TemporaryDirectory()
        over: dict[str, Any] = {"conflicts": ConflictRules(), "clock": lambda: self.now}
        self.memos = MemOS.open(Path(self.room.name), **over) if self.folder else MemOS(InMemoryVault(), **over)
        self.said: dict[str, Said] = {}
        self.undone: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        if hasattr(self, "memos"):
            self.memos.close()
            self.room.cleanup()

    # --- doing

    def do(self, way: str, act: Callable[[MemOS], Any]) -> Any:
        """What an act gives, done straight, in a block or on a branch; None where it is refused: then it is nothing."""
        self.now += timedelta(minutes=1)
        with suppress(MemOSError):
            if way == "straight":
                return act(self.memos) or True
            if way == "block":
                with self.memos.atomic(by=ANA) as memory:
                    return act(memory) or True
            with self.memos.branch(by=ANA) as branch:
                done = act(branch.memos) or True
                branch.merge()
                return done
        return None

    def one(self, which: int) -> str | None:
        """One of those that were not forgotten."""
        there = sorted(each for each, told in self.said.items() if "forgotten" not in told.off)
        return there[which % len(there)] if there else None

    def goes_with(self, told: Said) -> set[str]:
        """What a memory was made of, however far."""
        return {each for of in told.made_of for each in (of, *self.goes_with(self.said[of]))}

    def with_its_sources(self, reason: str) -> None:
        """What was made of what is off for a reason is off for it, too."""
        for told in self.said.values():
            if any(reason in self.said[each].off for each in self.goes_with(told)):
                told.off.add(reason)

    def texts_in(self, told: Said) -> set[str]:
        """What a memory says, with what was merged into it, however far."""
        return {told.text}.union(*(self.texts_in(self.said[each]) for each in told.sources))

    def alike(self, cube_id: str, reason: str) -> None:
        """What says the same as a memory, or was merged into it, need not be recalled from now on."""
        told = self.said[cube_id]
        texts = self.texts_in(told)
        for other in self.said.values():
            if other.text in texts:
                other.off.add(reason)

    WAYS = st.sampled_from(["straight", "straight", "block", "branch"])

    @rule(text=st.sampled_from(sorted(TEXTS)), end=st.sampled_from([None, None, None, "ttl", "valid_to"]), way=WAYS)
    def say(self, text: str, end: str | None, way: str) -> None:
        self.now += 2 * DAY
        ends = self.now + 5 * DAY
        how: dict[str, Any] = {} if end is None else {"ttl": 5 * DAY} if end == "ttl" else {"valid_to": ends}
        cube = self.do(way, lambda m: m.remember(text, by=ANA, **how))
        assert isinstance(cube, MemCube)
        self.said[cube.id] = Said(text, ends if end else None)

    @rule(first=WHICH, second=WHICH, way=WAYS)
    def merge(self, first: int, second: int, way: str) -> None:
        there = {cube.id for cube in self.memos.find(CubeFilter(), by=ANA, k=1_000)}
        live = sorted(there & self.said.keys())
        if len(live) < 2:
            return
        ids = [live.pop(first % len(live)), live[second % len(live)]]
        made = self.do(way, lambda m: m.merge(ids, by=ANA))
        if made is not None:
            self.said[made.id] = Said(made.text, None, tuple(ids), tuple(ids))

    @rule(which=WHICH, way=WAYS)
    def forget(self, which: int, way: str) -> None:
        cube_id = self.one(which)
        if cube_id is None or self.do(way, lambda m: m.forget(cube_id, by=ANA)) is None:
            return
        told = self.said[cube_id]
        for each in self.said.values():
            if each.text == told.text:
                each.off.add("forgotten")
        told.off.add("forgotten")
        self.with_its_sources("forgotten")
        self.merged_off()

    def merged_off(self) -> None:
        """What was merged from what is not as it was is no saying of its own any more."""
        for told in self.said.values():
            if told.sources:
                told.off.add("a merge")

    @rule(which=WHICH, text=st.sampled_from(sorted(TEXTS)), way=WAYS)
    def update(self, which: int, text: str, way: str) -> None:
        cube_id = self.one(which)
        if cube_id is None or self.do(way, lambda m: m.update(cube_id, by=ANA, text=text)) is None:
            return
        self.alike(cube_id, "as outdated as what it was merged into")
        told = self.said[cube_id]
        told.off -= {"as outdated as what it was merged into"}
        told.text, told.sources = text, ()
        for each in self.said.values():
            if cube_id in self.goes_with(each):  # given other words by hand or not, it goes with what it was made of
                each.off.add("made of what was changed")

    @rule(which=WHICH, said=st.sampled_from(["helpful", "wrong", "outdated"]))
    def feedback(self, which: int, said: str) -> None:
        cube_id = self.one(which)
        if cube_id and self.do("straight", lambda m: m.feedback(cube_id, said, by=ANA)) and said == "outdated":
            self.alike(cube_id, "outdated")

    @rule(which=WHICH, days=st.integers(1, 9), how=st.sampled_from(["valid_to", "expires_at"]))
    def give_an_end(self, which: int, days: int, how: str) -> None:
        cube_id, ends = self.one(which), self.now + days * DAY
        change: dict[str, Any] = {how: ends}
        cube = self.do("straight", lambda m: m.update(cube_id, by=ANA, **change)) if cube_id else None
        if cube is None or cube_id is None:
            return
        self.said[cube_id].end = ends_of(cube)
        if how == "valid_to":
            self.alike(cube_id, "as outdated as what it was merged into")
            self.said[cube_id].off -= {"as outdated as what it was merged into"}

    @rule(which=WHICH, version=st.integers(1, 4))
    def restore(self, which: int, version: int) -> None:
        cube_id = self.one(which)
        back = self.do("straight", lambda m: m.restore(cube_id, version, by=ANA)) if cube_id else None
        if back is None or cube_id is None:
            return
        told = self.said[cube_id]
        if told.sources:
            return
        if back.text != told.text:
            self.alike(cube_id, "as outdated as what it was merged into")
        told.text, told.end, told.off = back.text, ends_of(back), told.off & {"apart", "forgotten"}
        self.undone |= {(other, cube_id) for other in self.said}  # what it had taken the place of stays as it is

    @rule(which=WHICH, way=WAYS)
    def archive(self, which: int, way: str) -> None:
        cube_id = self.one(which)
        if cube_id and self.do(way, lambda m: m.move(cube_id, "archived", by=ANA)):
            self.alike(cube_id, "archived")

    @rule(which=WHICH)
    def set_apart(self, which: int) -> None:
        cube_id = self.one(which)
        if cube_id and self.do("straight", lambda m: m.quarantine([cube_id], by=ANA)):
            text = self.said[cube_id].text
            for each in self.said.values():
                if each.text == text:
                    each.off.add("apart")
            self.with_its_sources("apart")

    @rule(which=WHICH)
    def undo(self, which: int) -> None:
        cube_id = self.one(which)
        with suppress(MemOSError):
            for decision in self.memos.decisions(cube_id or "", by=ANA):
                if not decision.undone and self.do("straight", lambda m, d=decision: m.undo(d, by=ANA)):
                    self.undone |= {(decision.newer, decision.older)} if decision.ruling is Ruling.SUPERSEDE else set()

    @rule(days=st.integers(1, 12))
    def time_goes_by(self, days: int) -> None:
        self.now += days * DAY
        self.memos.tick(by=ANA, ageing=FOREVER)

    @rule()
    def consolidate(self) -> None:
        self.memos.consolidate(by=ANA)

    # --- holding

    def must_be_recalled(self, cube_id: str, told: Said) -> bool:
        ends = [told.end, *(self.said[each].end for each in self.goes_with(told))]
        if told.off or told.sources or any(end is not None and end <= self.now for end in ends):
            return False
        return not any(
            other.text != told.text
            and TEXTS.get(other.text) == TEXTS[told.text]
            and other.end is None
            and (each, cube_id) not in self.undone
            for each, other in self.said.items()
        )

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "memos"):
            return
        if any(told.end is not None and told.end <= self.now for told in self.said.values()):
            self.memos.tick(by=ANA, ageing=FOREVER)  # what ended gives back what was merged with it
        found = [cube.text for cube in self.memos.find(CubeFilter(), by=ANA, k=1_000)]
        for cube_id, told in self.said.items():
            if self.must_be_recalled(cube_id, told):
                assert any(told.text in text for text in found), told.text

    @invariant()
    def nothing_is_merged_into_what_is_gone(self) -> None:
        if not hasattr(self, "memos"):
            return
        there = {cube.id: cube for cube in self.memos.find(ANYTHING, by=ANA, k=1_000)}
        for cube in there.values():
            if cube.state is State.MERGED:
                into = [link.target for link in cube.provenance.links if link.relation is Relation.MERGED_INTO]
                told = [each for each in into[-1:] if each in there or self.is_over(each)]
                assert told, f"{cube.text} is merged into what is gone"

    def is_over(self, cube_id: str) -> bool:
        """Whether a memory, or a source of it, is past its time; the next tick gives back what was merged into it."""
        held = self.memos._governance._vault.get("acme", [cube_id])
        return any(
            cube.governance.is_expired(self.now) or any(self.is_over(ref.id) for ref in cube.provenance.derived_from)
            for cube in held
        )


class NeverLostInAFile(NeverLost):
    """The same over SQLite."""

    folder = "yes"


HOW: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("machine", [NeverLost, NeverLostInAFile])
def test_what_was_said_and_never_retracted_can_be_recalled(machine: type[NeverLost]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=8, stateful_step_count=20, **HOW))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("machine", "examples"), [(NeverLost, 400), (NeverLostInAFile, 60)])
def test_many_more_of_them(machine: type[NeverLost], examples: int) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30, **HOW))
