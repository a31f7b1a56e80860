"""What was known at a time is what recall, get and lists gave then, whatever became of it since: told by a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import MemCube, Provenance, State
from memos_integrations.core.errors import CubeNotFoundError, MemOSError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import RECALLABLE, CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ANA, BEN, DAY, START, Clock

KINDS = ("memory", "sqlite", "branch")
WORDS, PLACES = ("red", "blue", "green"), ("Rome", "Oslo", "Kiel")
Deed = Callable[[MemOS, str, str, str, datetime, int], MemCube | None]
"""What is done with a memory (and another one), in these words, at a time, by a number of days."""


def say(memos: MemOS, said: str, **times: datetime) -> MemCube:
    return memos.remember(said, by=ANA, readers=["ben"] if "blue" in said else [], **times)


def undo(memos: MemOS, cube_id: str) -> None:
    for decision in memos.decisions(cube_id, by=ANA)[-1:]:
        memos.undo(decision, by=ANA)


def idle(_: object) -> None:
    """For what gives back something else than a memory."""


DEEDS: dict[str, Deed] = {
    "say": lambda m, _, __, said, now, days: say(m, said),
    "say until": lambda m, _, __, said, now, days: say(m, said, valid_to=now + (1 + days) * DAY),
    "say from": lambda m, _, __, said, now, days: say(m, said, valid_from=now + days * DAY),
    "update": lambda m, i, _, said, now, days: m.update(i, by=ANA, text=said.replace("is", "was left")),
    "append": lambda m, i, _, said, now, days: m.append(i, "It is an umbrella.", by=ANA),
    "relabel": lambda m, i, _, said, now, days: m.relabel(i, by=ANA, add=[f"t{days}"]),
    "merge": lambda m, i, other, said, now, days: m.merge([i, other], by=ANA),
    "merge otherwise": lambda m, i, other, said, now, days: m.merge([i, other], by=ANA, text=f"Umbrellas. {said}"),
    "archive": lambda m, i, _, said, now, days: m.move(i, "archived", by=ANA),
    "activate": lambda m, i, _, said, now, days: m.move(i, "activated", by=ANA),
    "freeze": lambda m, i, _, said, now, days: m.move(i, "frozen", by=ANA),
    "outdated": lambda m, i, _, said, now, days: m.feedback(i, "outdated", by=ANA),
    "wrong": lambda m, i, _, said, now, days: m.feedback(i, "wrong", by=ANA),
    "helpful": lambda m, i, _, said, now, days: m.feedback(i, "helpful", by=ANA),
    "tick": lambda m, _, __, said, now, days: idle(m.tick(by=ANA, ageing=Ageing(budgets={"ana": 3}))),
    "undo": lambda m, i, _, said, now, days: undo(m, i),
    "restore": lambda m, i, _, said, now, days: m.restore(i, 1, by=ANA),
    "summarise": lambda m, i, other, said, now, days: m.summarise([i, other], by=ANA),
    "renew": lambda m, _, __, said, now, days: idle(m.renew_summaries(by=ANA)),
    "consolidate": lambda m, _, __, said, now, days: idle(m.consolidate(by=ANA)),
    "roll back": lambda m, _, __, said, now, days: idle(m.roll_back(now - (1 + days) * DAY, by=ANA)),
}
VERBS = tuple(DEEDS)

Told = tuple[str, int, str, str]


@contextmanager
def memory_of(kind: str, clock: Clock) -> Iterator[MemOS]:
    with TemporaryDirectory() as folder, ExitStack() as room:
        vault = SQLiteVault(folder, durability="process") if kind == "sqlite" else InMemoryVault()
        memos = room.enter_context(MemOS(vault, clock=clock, conflicts=ConflictRules()))
        yield room.enter_context(memos.branch(by=ANA)).memos if kind == "branch" else memos


def told(cube: MemCube) -> Told:
    # The first use is not on record: what was in recall is told as such.
    state = "in recall" if cube.state in RECALLABLE - {State.FROZEN} else cube.state.value
    return cube.id, cube.version, cube.text, state


def known(memos: MemOS, ids: list[str], times: list[datetime], **when: datetime) -> dict[str, set[Told]]:
    """What every way of reading gives, now or as of a time, and at times in the world."""
    ask = "Where is the umbrella?"
    found = {"recall": {told(hit.cube) for hit in memos.recall(ask, by=ANA, k=99, needed=True, **when).hits}}
    found["find"] = {told(cube) for cube in memos.find(CubeFilter(), by=ANA, **when)}
    found["any state"] = {told(cube) for cube in memos.find(CubeFilter(states=frozenset(State)), by=ANA, **when)}
    found["get_many"] = {told(cube) for cube in memos.get_many(ids, by=ANA, **when)}
    found["get"] = {told(cube) for each in ids if (cube := got(memos, each, **when)) is not None}
    found["of another"] = {told(hit.cube) for hit in memos.recall(ask, by=BEN, k=99, needed=True, **when).hits}
    for at in times:
        both = {**when, "valid_at": at}
        found[f"recall {at}"] = {told(h.cube) for h in memos.recall(ask, by=ANA, k=99, needed=True, **both).hits}
        found[f"find {at}"] = {told(cube) for cube in memos.find(CubeFilter(), by=ANA, **both)}
        found[f"get {at}"] = {told(cube) for each in ids if (cube := got(memos, each, **both)) is not None}
    return found


def got(memos: MemOS, cube_id: str, **when: datetime) -> MemCube | None:
    try:
        return memos.get(cube_id, by=ANA, **when)
    except CubeNotFoundError:
        return None


def live(memos: MemOS, verb: str, ids: list[str], which: int, days: int, now: datetime) -> None:
    said = f"My {WORDS[which % 3]} umbrella is in {PLACES[days]}."
    one, other = (ids[which % len(ids)], ids[(which + 1 + days) % len(ids)]) if ids else ("", "")
    made = DEEDS[verb if ids else "say"](memos, one, other, said, now, days)
    if made is not None and made.id not in ids:
        ids.append(made.id)


def check(kind: str, steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    with memory_of(kind, clock) as memos:
        ids: list[str] = []
        times = [START - DAY, START + 2 * DAY, START + 5 * DAY]
        record = {}
        for verb, which, days in steps:
            clock.now += DAY
            with suppress(MemOSError):
                live(memos, verb, ids, which, days, clock.now)
            record[clock.now] = known(memos, ids, times)
        clock.now += DAY
        for at, found in record.items():
            assert known(memos, ids, times, as_of=at) == found, (at, steps)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 8), st.integers(0, 2)), max_size=8),
    kind=st.sampled_from(KINDS),
)
def test_as_of_a_time_is_known_what_was_known_then(steps: list[tuple[str, int, int]], kind: str) -> None:
    check(kind, steps)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_merged_of_what_changed_since_is_given_as_it_stood(kind: str) -> None:
    clock = Clock()
    with memory_of(kind, clock) as memos:
        one, two = (memos.remember(f"Kim {does}.", by=ANA, readers=["ben"]) for does in ("plays chess", "swims"))
        clock.now += DAY
        both, then = memos.merge([one.id, two.id], by=ANA), clock.now
        clock.now += DAY
        memos.update(one.id, by=ANA, text="Kim plays go.")
        clock.now += DAY

        def given(by: Principal) -> list[list[str]]:
            asked = {"by": by, "as_of": then}
            hits = [hit.cube.id for hit in memos.recall("Kim", needed=True, **asked).hits]  # type: ignore[arg-type]
            return [hits, [each.id for each in memos.get_many([both.id], **asked)]]  # type: ignore[arg-type]

        assert given(ANA) == given(BEN) == [[both.id], [both.id]]
        assert memos.get(both.id, by=BEN, as_of=then).text == "Kim plays chess.\nKim swims."
        with pytest.raises(CubeNotFoundError):
            memos.get(both.id, by=ANA)
        memos.update(one.id, by=ANA, readers=[])  # who may read it is decided now
        assert given(ANA) == [[both.id], [both.id]]
        assert both.id not in {each for found in given(BEN) for each in found}
        with pytest.raises(CubeNotFoundError):
            memos.get(both.id, by=BEN, as_of=then)
        memos.forget(one.id, by=ANA)
        assert both.id not in {each for found in given(ANA) for each in found}


def in_recall(memos: MemOS) -> set[tuple[str, str]]:
    hits = memos.recall("Where is the umbrella?", by=ANA, k=99, needed=True).hits
    return {(hit.cube.id, hit.cube.text) for hit in hits}


# What a feedback took of trust no roll-back gives back, and what ended by its own time has ended.
TAKEN_BACK = tuple(verb for verb in VERBS if verb not in {"wrong", "say until", "say from", "roll back"})


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(TAKEN_BACK), st.integers(0, 8), st.integers(0, 2)), max_size=8),
    upto=st.integers(0, 7),
    kind=st.sampled_from(KINDS),
)
def test_a_roll_back_gives_what_a_recall_gave_then_or_is_refused_whole(
    steps: list[tuple[str, int, int]], upto: int, kind: str
) -> None:
    clock, ids = Clock(), list[str]()
    with memory_of(kind, clock) as memos:
        record = [(clock.now, in_recall(memos))]
        for verb, which, days in [("say", 0, 0), ("say", 1, 1), ("say", 2, 2), *steps]:
            clock.now += DAY
            with suppress(MemOSError):
                live(memos, verb, ids, which, days, clock.now)
            record.append((clock.now, in_recall(memos)))
        clock.now += DAY
        at, then = record[upto % len(record)]
        try:
            memos.roll_back(at + DAY / 2, by=ANA)
        except MemOSError:
            then = record[-1][1]
        assert in_recall(memos) == then


@pytest.mark.parametrize("kind", KINDS)
def test_a_roll_back_merges_and_archives_again_what_was_merged_and_archived(kind: str) -> None:
    clock = Clock()
    with memory_of(kind, clock) as memos:
        one, two, three = (memos.remember(f"Kim {does}.", by=ANA) for does in ("plays chess", "swims", "sings"))
        both = memos.merge([one.id, two.id], by=ANA)
        memos.move(three.id, "archived", by=ANA)
        clock.now += DAY
        since = clock.now
        memos.restore(three.id, 1, by=ANA)
        memos.update(one.id, by=ANA, text="Kim plays go.")
        memos.append(two.id, "A lot.", by=ANA)
        clock.now += DAY
        memos.roll_back(since, by=ANA)
        assert [hit.cube.id for hit in memos.recall("Kim", by=ANA, needed=True).hits] == [both.id]
        states = [memos.get(each.id, by=ANA).state for each in (one, two, three)]
        assert states == [State.MERGED, State.MERGED, State.ARCHIVED]
        assert memos.tick(by=ANA).returned == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_roll_back_of_a_part_merges_nothing_into_what_does_not_stand(kind: str) -> None:
    clock = Clock()
    with memory_of(kind, clock) as memos:
        one = memos.remember("Kim plays chess.", by=ANA)
        two = memos.remember("Kim swims.", by=ANA, provenance=Provenance(source="feed"))
        memos.merge([one.id, two.id], by=ANA)
        clock.now += DAY
        since = clock.now
        memos.update(one.id, by=ANA, text="Kim plays go.")
        memos.append(two.id, "A lot.", by=ANA)
        clock.now += DAY
        memos.roll_back(since, by=ANA, source="feed")
        hits = memos.recall("Kim", by=ANA, needed=True).hits
        assert {hit.text for hit in hits} == {"Kim plays go.", "Kim swims."}
