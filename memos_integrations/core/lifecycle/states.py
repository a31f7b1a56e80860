"""MemLifecycle: the states of a cube and the only ways between them. Pure.

Paper §5.4.3 names five states in the figure and a sixth (Frozen) in the text; all six are here. A transition that is
not in the table does not exist.
"""

from __future__ import annotations

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.errors import IllegalTransitionError, LegalHoldError

TRANSITIONS: dict[State, frozenset[State]] = {
    State.GENERATED: frozenset({State.ACTIVATED, State.MERGED, State.ARCHIVED, State.EXPIRED, State.FROZEN}),
    State.ACTIVATED: frozenset({State.MERGED, State.ARCHIVED, State.EXPIRED, State.FROZEN}),
    State.MERGED: frozenset({State.ACTIVATED, State.ARCHIVED, State.EXPIRED}),
    State.ARCHIVED: frozenset({State.ACTIVATED, State.EXPIRED, State.FROZEN}),
    State.EXPIRED: frozenset({State.ARCHIVED}),
    State.FROZEN: frozenset({State.ACTIVATED}),
}


def check_transition(cube: MemCube, after: State) -> None:
    """Refuse what the table does not allow.

    Raises:
        IllegalTransitionError: There is no way from the cube's state to *after*.
    """
    if after not in TRANSITIONS[cube.state]:
        ways = ", ".join(sorted(TRANSITIONS[cube.state]))
        raise IllegalTransitionError(f"A {cube.state} cube cannot become {after}; from there it can become: {ways}.")


def way(before: State, after: State) -> tuple[State, ...]:
    """The states that a cube passes on its shortest way from one state to another, *after* among them.

    No way leads through `FROZEN`: what is frozen is thawed first, by somebody.

    Raises:
        IllegalTransitionError: There is no way.
    """
    ways: list[tuple[State, ...]] = [(before,)]
    for path in ways:
        open_to = TRANSITIONS[path[-1]] - set(path)
        if after in open_to:
            return (*path[1:], after)
        if before is not State.FROZEN:
            ways += [(*path, then) for then in sorted(open_to - {State.FROZEN})]
    raise IllegalTransitionError(f"A {before} cube does not become {after} by any way.")


def check_change(cube: MemCube) -> None:
    """Refuse a new version of what may not change.

    Raises:
        LegalHoldError: The cube is under legal hold.
        IllegalTransitionError: The cube is frozen.
    """
    if cube.governance.legal_hold:
        raise LegalHoldError(f"Cube {cube.id!r} is under legal hold: it may be neither changed nor forgotten.")
    if cube.state is State.FROZEN:
        raise IllegalTransitionError(f"Cube {cube.id!r} is frozen and cannot change; thaw it first.")
