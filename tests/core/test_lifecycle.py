"""The states of a cube: only the ways in the table exist, and holds hold."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from memos_integrations.core.cube import Descriptive, Governance, MemCube, PlaintextPayload, State, new_id
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError
from memos_integrations.core.lifecycle import TRANSITIONS, check_change, check_transition, way

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def cube(state: State, *, legal_hold: bool = False) -> MemCube:
    return MemCube(
        id=new_id(),
        namespace=("acme",),
        payload=PlaintextPayload(text="x"),
        descriptive=Descriptive(created_at=NOW, recorded_at=NOW),
        governance=Governance(owner="user:ana", legal_hold=legal_hold),
        state=state,
    )


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_only_the_table_decides(before: State, after: State) -> None:
    if after in TRANSITIONS[before]:
        check_transition(cube(before), after)
    else:
        with pytest.raises(IllegalTransitionError, match="can become"):
            check_transition(cube(before), after)


def test_every_state_is_in_the_table_and_none_leads_to_itself() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(state not in ways for state, ways in TRANSITIONS.items())


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_way_is_the_shortest_chain_of_the_table_and_none_leads_through_frozen(before: State, after: State) -> None:
    if after is State.GENERATED or after is before or (before is State.FROZEN and after is not State.ACTIVATED):
        with pytest.raises(IllegalTransitionError, match="any way"):
            way(before, after)
        return
    passed = way(before, after)
    assert passed[-1] is after
    assert State.FROZEN not in passed[:-1]
    assert all(then in TRANSITIONS[now] for now, then in pairwise((before, *passed)))
    assert len(passed) == 1 or after not in TRANSITIONS[before]


def test_nothing_returns_to_generated() -> None:
    assert all(State.GENERATED not in ways for ways in TRANSITIONS.values())


def test_frozen_and_held_cubes_do_not_change() -> None:
    check_change(cube(State.ACTIVATED))
    with pytest.raises(IllegalTransitionError):
        check_change(cube(State.FROZEN))
    with pytest.raises(LegalHoldError):
        check_change(cube(State.GENERATED, legal_hold=True))
