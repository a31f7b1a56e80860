"""What is frozen or on legal hold stays as it is, whatever is done to it, its source, or what is derived from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.conflict import ConflictRules, Ruling
from memos_integrations.core.cube import CubeRef, MemCube, Provenance, State
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError, MemOSError
from memos_integrations.core.gate import WriteGate
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
SECRET = "The key of the shed is AKIAIOSFODNN7EXAMPLE."  # the example of a key in its maker's manual


class Clock:
    """A clock that moves on a minute with each look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    clock = Clock()
    if request.param == "memory":
        made = MemOS(InMemoryVault(), conflicts=ConflictRules(), clock=clock)
    else:
        made = MemOS.open(tmp_path, conflicts=ConflictRules(), clock=clock)
    with made:
        yield made
        assert made.verify_audit().ok


def within(memos: MemOS, cube_id: str) -> None:
    with memos.atomic(by=ANA) as memory:
        memory.append(cube_id, "More.", by=ANA)


def on_a_branch(memos: MemOS, cube_id: str) -> None:
    with memos.branch(by=ANA) as branch:
        branch.memos.forget(cube_id, by=ANA)
        branch.merge()


Verb = Callable[[MemOS, str], Any]
TAKES_AWAY: dict[str, Verb] = {
    "update": lambda m, i: m.update(i, by=ANA, text="Other."),
    "append": lambda m, i: m.append(i, "More.", by=ANA),
    "narrow": lambda m, i: m.update(i, by=ANA, purposes=["work"]),
    "end": lambda m, i: m.update(i, by=ANA, valid_to=START + 9 * DAY),
    "wrong": lambda m, i: m.feedback(i, "wrong", by=ANA),
    "outdated": lambda m, i: m.feedback(i, "outdated", by=ANA),
    "restore": lambda m, i: m.restore(i, 1, by=ANA),
    "roll back": lambda m, i: m.roll_back(START + timedelta(minutes=2), by=ANA),
    "forget": lambda m, i: m.forget(i, by=ANA),
    "forget_from": lambda m, i: m.forget_from([i], by=ANA, source="a letter"),
    "quarantine": lambda m, i: m.quarantine([i], by=ANA),
    "redact": lambda m, i: m.redact([i], by=ANA, gate=WriteGate()),
    "redact, erasing": lambda m, i: m.redact([i], by=ANA, gate=WriteGate(), erase=True),
    "expire": lambda m, i: m.move(i, "expired", by=ANA),
    "in a block": within,
    "on a branch": on_a_branch,
}
"""Verbs after which a memory says something else, or nothing, or what is derived from it is out of reach."""

LEAVES: dict[str, Verb] = {
    "relabel": lambda m, i: m.relabel(i, by=ANA, add=["x"]),
    "helpful": lambda m, i: m.feedback(i, "helpful", by=ANA),
    "verify": lambda m, i: m.verify([i], by=ADMIN),
    "release": lambda m, i: m.release([i], by=ADMIN),
    "merge": lambda m, i: m.merge([i, m.remember("Another.", by=ANA).id], by=ANA),
    "archive": lambda m, i: m.move(i, "archived", by=ANA),
    "freeze": lambda m, i: m.move(i, "frozen", by=ANA),
}
"""Verbs that leave the words as they are."""

FIXED: dict[str, Callable[[MemOS, str], Any]] = {
    "frozen": lambda m, i: m.move(i, "frozen", by=ANA),
    "held": lambda m, i: m.hold(i, by=ADMIN),
}


def three(memos: MemOS, by: Principal = ANA) -> tuple[MemCube, MemCube, MemCube]:
    """A source of two versions, what is derived from it, and what is derived from that."""
    told = Provenance(source="a letter", author="user:ana")
    source = memos.remember("Nothing yet.", by=by, provenance=told)
    source = memos.update(source.id, by=by, text=SECRET)
    drawn = Provenance(source="a letter", author="user:ana", derived_from=(source.ref,))
    middle = memos.remember(f"So far: {SECRET}", by=by, provenance=drawn)
    middle = memos.relabel(middle.id, by=by, add=["so far"])
    last = memos.remember("There is a shed.", by=by, provenance=Provenance(derived_from=(middle.ref,)))
    return source, middle, last


def stands(memos: MemOS, cube_id: str) -> tuple[CubeRef, State, str, int]:
    cube = memos.get(cube_id, by=ANA)
    return cube.ref, cube.state, cube.digest, len(memos.history(cube_id, by=ANA))


@pytest.mark.parametrize("how", FIXED)
@pytest.mark.parametrize("verb", TAKES_AWAY | LEAVES)
def test_it_is_not_changed_itself(memos: MemOS, verb: str, how: str) -> None:
    _, middle, _ = three(memos)
    FIXED[how](memos, middle.id)
    before = stands(memos, middle.id)
    with pytest.raises((LegalHoldError, IllegalTransitionError)):
        (TAKES_AWAY | LEAVES)[verb](memos, middle.id)
    assert stands(memos, middle.id) == before


@pytest.mark.parametrize("how", FIXED)
@pytest.mark.parametrize("verb", TAKES_AWAY)
def test_it_does_not_go_with_its_source(memos: MemOS, verb: str, how: str) -> None:
    source, middle, _ = three(memos)
    FIXED[how](memos, middle.id)
    before = stands(memos, middle.id), stands(memos, source.id)
    with pytest.raises((LegalHoldError, IllegalTransitionError), match=middle.id):
        TAKES_AWAY[verb](memos, source.id)
    assert (stands(memos, middle.id), stands(memos, source.id)) == before


@pytest.mark.parametrize("how", FIXED)
@pytest.mark.parametrize("verb", LEAVES)
def test_it_stays_when_its_source_keeps_its_words(memos: MemOS, verb: str, how: str) -> None:
    source, middle, _ = three(memos)
    FIXED[how](memos, middle.id)
    before = memos._governance._vault.get("acme", [middle.id])
    LEAVES[verb](memos, source.id)
    assert memos._governance._vault.get("acme", [middle.id]) == before
    assert memos.get(middle.id, by=ANA).text == middle.text


@pytest.mark.parametrize("how", FIXED)
@pytest.mark.parametrize("verb", TAKES_AWAY | LEAVES)
def test_it_stays_whatever_is_done_to_what_is_derived_from_it(memos: MemOS, verb: str, how: str) -> None:
    _, middle, last = three(memos)
    FIXED[how](memos, middle.id)
    before = stands(memos, middle.id)
    try:
        (TAKES_AWAY | LEAVES)[verb](memos, last.id)
    except MemOSError:
        assert verb in {"roll back", "merge"}  # they reach it too
    assert stands(memos, middle.id) == before


@pytest.mark.parametrize("how", FIXED)
def test_what_is_derived_further_on_is_kept_too(memos: MemOS, how: str) -> None:
    source, _, last = three(memos)
    FIXED[how](memos, last.id)
    for verb in ("forget", "update", "quarantine"):
        with pytest.raises((LegalHoldError, IllegalTransitionError), match=last.id):
            TAKES_AWAY[verb](memos, source.id)
    assert memos.get(last.id, by=ANA).text == last.text


def test_a_hold_may_always_be_set_and_lifted_and_changes_nothing_else(memos: MemOS) -> None:
    cubes = three(memos)
    for cube in cubes:
        memos.move(cube.id, "frozen", by=ANA)
        memos.hold(cube.id, by=ADMIN)
    assert [memos.get(cube.id, by=ANA).text for cube in cubes] == [cube.text for cube in cubes]
    for cube in cubes:
        memos.hold(cube.id, by=ADMIN, held=False)
        memos.move(cube.id, "activated", by=ANA)
    memos.forget(cubes[0].id, by=ANA)


def test_what_somebody_else_froze_goes_with_its_source_and_what_is_held_does_not(memos: MemOS) -> None:
    source = memos.remember("The office closes at six.", by=ANA, readers=["ben"])
    drawn = memos.remember("Closed at seven.", by=BEN, provenance=Provenance(derived_from=(source.ref,)))
    memos.move(drawn.id, "frozen", by=BEN)
    memos.hold(drawn.id, by=ADMIN)
    with pytest.raises(LegalHoldError) as refused:
        memos.forget(source.id, by=ANA)
    assert drawn.id not in str(refused.value)  # Ana may not know of it
    memos.hold(drawn.id, by=ADMIN, held=False)
    memos.forget(source.id, by=ANA)
    assert memos._governance._vault.get("acme", [drawn.id]) == []


@pytest.mark.parametrize("how", FIXED)
def test_what_would_take_it_away_is_only_flagged_by_the_engine(memos: MemOS, how: str) -> None:
    old = memos.remember("I live in Lisbon.", by=ANA)
    drawn = memos.remember("Ana is a neighbour.", by=ANA, provenance=Provenance(derived_from=(old.ref,)))
    FIXED[how](memos, drawn.id)
    new = memos.remember("I moved to Porto.", by=ANA)
    assert memos.decisions(new.id, by=ANA)[0].ruling is Ruling.FLAG
    assert memos.get(drawn.id, by=ANA).text == drawn.text
    assert memos.get(old.id, by=ANA).state is State.GENERATED
