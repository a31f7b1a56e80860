"""In which state a memory was at an earlier time, as the audit log tells: every move but the first use is on record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.ports import AuditEntry, LogQuery, Outcome, Vault, VaultQuery

PAGE = 10_000

MOVES: dict[str, State] = {f"to_{state.value}": state for state in State if state is not State.GENERATED}
"""Operations, as the log names them, that passed a cube to a state."""

Moves = Mapping[str, Sequence[tuple[datetime, State]]]
"""By id of the cube: when it passed to which state, in order."""


def moves_in(entries: Iterable[AuditEntry]) -> Moves:
    """The moves that the entries, in their order, tell of; to activate what was in recall already is none."""
    found: dict[str, list[tuple[datetime, State]]] = defaultdict(list)
    for entry in entries:
        told = entry.record
        detail = told.detail if isinstance(told.detail, Mapping) else {}
        if detail.get("before") == State.GENERATED:
            continue
        if told.operation in MOVES and told.outcome is Outcome.ALLOWED and told.cube_id is not None:
            found[told.cube_id].append((told.at, MOVES[told.operation]))
    return found


def moves_for(query: VaultQuery, entries: Iterable[AuditEntry]) -> Moves:
    """`moves_in` where the query asks for a past; of the present they tell nothing new."""
    return {} if query.as_of is None else moves_in(entries)


def moves_over(vault: Vault, query: VaultQuery, tenant: str, entries: Sequence[AuditEntry]) -> Moves:
    """`moves_for` what a vault's log tells of a tenant, and then the entries."""
    told: list[AuditEntry] = []
    for operation in MOVES if query.as_of is not None else ():
        asked = LogQuery(tenant=tenant, operation=operation, limit=PAGE)
        while page := vault.log(asked):
            told += page
            asked = asked.model_copy(update={"after": page[-1].number})
    return moves_for(query, [*sorted(told, key=lambda entry: entry.number), *entries])


def moves_of(vault: Vault, tenant: str, ids: Sequence[str]) -> Moves:
    """The moves of these cubes, as the log of their vault tells."""
    told: list[AuditEntry] = []
    for operation in MOVES if ids else ():
        asked = LogQuery(tenant=tenant, cube_ids=tuple(ids), operation=operation, limit=PAGE)
        while page := vault.log(asked):
            told += page
            asked = asked.model_copy(update={"after": page[-1].number})
    return moves_in(sorted(told, key=lambda entry: entry.number))


def known_at(versions: Sequence[MemCube], moment: datetime | None) -> list[MemCube]:
    """Of the versions of a memory those that had been written down by a moment; None: all."""
    return [each for each in versions if moment is None or each.descriptive.recorded_at <= moment]


def state_then(now: State, moves: Sequence[tuple[datetime, State]], moment: datetime) -> State:
    """The state at a moment of a cube that is in the state *now* and made these moves.

    What has expired is out of reach in every time. Before its first move a cube was in recall; what came from elsewhere
    archived was so until it was activated.
    """
    if now is State.EXPIRED or not moves:
        return now
    before = [state for at, state in moves if at <= moment]
    if before:
        return before[-1]
    return State.ARCHIVED if moves[0][1] is State.ACTIVATED else State.GENERATED


def has_begun(cube: MemCube, by: datetime) -> bool:
    """Whether a version began to hold by a time; what held when it was written has, whatever a clock says since."""
    begins = cube.descriptive.valid_from
    return begins is None or begins <= max(by, cube.descriptive.recorded_at)


def held_at(versions: Sequence[MemCube], at: datetime) -> MemCube | None:
    """Of the versions of a memory, oldest first, the one that says what held in the world *at* a time.

    It is the newest, where that had begun. Before, it is what had said something else; what held no longer, held not.
    """
    rest = list(versions)
    while rest:
        newest = rest[-1]
        begins, ends = newest.descriptive.valid_from, newest.descriptive.valid_to
        if begins is None or begins <= at:
            return newest if ends is None or at < ends else None
        while rest and rest[-1].payload == newest.payload:
            rest.pop()
    return None
