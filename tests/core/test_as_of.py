"""What was known at a time is what recall, get and lists gave then, whatever became of it since: told by a record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos_integrations.core.conflict import ConflictRules
from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import CubeNotFoundError, MemOSError
from memos_integrations.core.lifecycle import Ageing
from memos_integrations.core.ports import RECALLABLE, CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.lifetime import ANA, BEN, DAY, START, Clock

KINDS = ("memory", "sqlite", "branch")
WORDS, PLACES = ("red", "blue", "green"), ("Rome", "Oslo", "Kiel")
VERBS = (
    "say", "say until", "say from", "update", "merge", "merge otherwise", "archive", "activate", "freeze", "outdated",
    "wrong", "helpful", "tick", "undo", "restore", "summarise", "renew", "roll back", "relabel", "consolidate", "append",
)  # fmt: skip

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


def live(memos: MemOS, verb: str, ids: list[str], which: int, word: int, now: datetime) -> None:
    said = f"My {WORDS[which % 3]} umbrella is in {PLACES[word]}."
    cube_id, other = (ids[which % len(ids)], ids[(which + 1 + word) % len(ids)]) if ids else ("", "")
    match verb:
        case _ if verb.startswith("say") or not ids:
            times = {"say until": {"valid_to": now + (1 + word) * DAY}, "say from": {"valid_from": now + word * DAY}}
            readers = ["ben"] if which % 2 else []
            ids.append(memos.remember(said, by=ANA, readers=readers, **times.get(verb, {})).id)  # type: ignore[arg-type]
        case "update":
            memos.update(cube_id, by=ANA, text=said.replace("is", "was left"))
        case "append":
            memos.append(cube_id, "It is an umbrella.", by=ANA)
        case "relabel":
            memos.relabel(cube_id, by=ANA, add=[f"t{word}"])
        case "merge" | "merge otherwise":
            text = None if verb == "merge" else f"Umbrellas are in {PLACES[word]}."
            ids.append(memos.merge([cube_id, other], by=ANA, text=text).id)
        case "archive" | "activate" | "freeze":
            memos.move(cube_id, {"archive": "archived", "activate": "activated", "freeze": "frozen"}[verb], by=ANA)
        case "outdated" | "wrong" | "helpful":
            memos.feedback(cube_id, verb, by=ANA)
        case "tick":
            memos.tick(by=ANA, ageing=Ageing(budgets={"ana": 3}))
        case "undo":
            for decision in memos.decisions(cube_id, by=ANA)[-1:]:
                memos.undo(decision, by=ANA)
        case "restore":
            memos.restore(cube_id, 1, by=ANA)
        case "summarise":
            ids.append(memos.summarise([cube_id, other], by=ANA).id)
        case "renew":
            memos.renew_summaries(by=ANA)
        case "consolidate":
            memos.consolidate(by=ANA)
        case "roll back":
            memos.roll_back(now - (1 + word) * DAY, by=ANA)


def check(kind: str, steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    with memory_of(kind, clock) as memos:
        ids: list[str] = []
        times = [START - DAY, START + 2 * DAY, START + 5 * DAY]
        record = {}
        for verb, which, word in steps:
            clock.now += DAY
            with suppress(MemOSError):
                live(memos, verb, ids, which, word, clock.now)
            record[clock.now] = known(memos, ids, times)
        clock.now += DAY
        for at, found in record.items():
            assert known(memos, ids, times, as_of=at) == found, (at, steps)


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 8), st.integers(0, 2)), max_size=9),
    kind=st.sampled_from(KINDS),
)
def test_as_of_a_time_is_known_what_was_known_then(steps: list[tuple[str, int, int]], kind: str) -> None:
    check(kind, steps)
