"""The states of a cube: only the ways in the table exist, and holds hold."""

from datetime import UTC, datetime

import pytest

from memos_integrations.core.cube import Descriptive, Governance, MemCube, PlaintextPayload, State, new_id
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError
from memos_integrations.core.lifecycle import TRANSITIONS, check_change, check_transition

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


def test_nothing_returns_to_generated() -> None:
    assert all(State.GENERATED not in ways for ways in TRANSITIONS.values())


def test_frozen_and_held_cubes_do_not_change() -> None:
    check_change(cube(State.ACTIVATED))
    with pytest.raises(IllegalTransitionError):
        check_change(cube(State.FROZEN))
    with pytest.raises(LegalHoldError):
        check_change(cube(State.GENERATED, legal_hold=True))
