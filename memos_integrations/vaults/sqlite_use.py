"""Uses and moves of many cubes at once: what every recall writes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence

from pydantic import ValidationError

from memos_integrations.core.cube import Behaviour
from memos_integrations.core.errors import CubeNotFoundError, IntegrityError
from memos_integrations.core.ports import Move, Room, Use
from memos_integrations.vaults.behaviours import behaviour_of
from memos_integrations.vaults.integrity import sealed
from memos_integrations.vaults.rules import check_room, given_of, micros, state_conflict, used
from memos_integrations.vaults.seals import Sealer
from memos_integrations.vaults.sqlite_insert import insert_rows

AT_ONCE = 16
"""So many cubes are counted before whoever waits gets a turn."""

_ASKED = " FROM json_each(?) AS asked CROSS JOIN cubes AS c ON c.id = asked.value "


def use_all(connection: sqlite3.Connection, uses: Sequence[Use]) -> None:
    """Count uses, in their order; those of cubes that are gone are ignored.

    Raises:
        IntegrityError: The behaviour of a cube is damaged.
    """
    rows = connection.execute(
        f"SELECT c.id, b.cube, b.body {_ASKED} CROSS JOIN behaviour AS b ON b.cube = c.seq",
        (json.dumps(list(dict.fromkeys(use.cube_id for use in uses))),),
    ).fetchall()
    counted: dict[str, Behaviour] = {}
    for cube_id, _, body in rows:
        try:
            counted[cube_id] = Behaviour.model_validate_json(body)
        except ValidationError as exc:
            raise IntegrityError(f"The behaviour of cube {cube_id!r} is damaged", cube_id) from exc
    for use in uses:
        if use.cube_id in counted:
            counted[use.cube_id] = used(counted[use.cube_id], use)
    insert_rows(
        connection,
        "behaviour",
        [(seq, counted[cube_id].model_dump_json()) for cube_id, seq, _ in rows],
        "ON CONFLICT (cube) DO UPDATE SET body = excluded.body",
    )


def use_sealed(connection: sqlite3.Connection, sealer: Sealer, uses: Sequence[Use]) -> None:
    """As `use_all`, sealed: each cube is read and written once, however often it was used.

    Raises:
        IntegrityError: A cube or its behaviour is not what was sealed; it is named.
    """
    of_each: dict[str, list[Use]] = {}
    for use in uses:
        of_each.setdefault(use.cube_id, []).append(use)
    bodies, seals = list[tuple[str, int]](), list[tuple[bytes, int]]()
    asked = (json.dumps([*of_each]),)
    for place, row in enumerate(sealed(connection, "c.id IN (SELECT value FROM json_each(?))", asked)):
        if place % AT_ONCE == 0:
            time.sleep(0)  # hands the interpreter to a search that waits for it, which else waits 5 ms
        row.check(sealer)
        after = behaviour_of(row.behaviour)
        for use in of_each.get(row.cube_id, ()):
            after = used(after, use)
        said = after.model_dump_json()
        bodies.append((said, row.seq))
        seals.append((sealer.used(row.cube_id, said), row.seq))
    connection.executemany("UPDATE behaviour SET body = ? WHERE cube = ?", bodies)
    connection.executemany("UPDATE seals SET used = ? WHERE cube = ?", seals)


def move_all(connection: sqlite3.Connection, commit: int, moves: Sequence[Move]) -> None:
    """Pass cubes to other states, in the order of the moves.

    Raises:
        CubeNotFoundError: One is not there.
        VersionConflictError: One is no longer in the state that its move starts from.
    """
    asked = json.dumps(list(dict.fromkeys(move.cube_id for move in moves)))
    found = {
        row[0]: row[1:]
        for row in connection.execute(f"SELECT c.id, c.seq, c.tenant, c.version, c.state {_ASKED}", (asked,))
    }
    states = {cube_id: row[3] for cube_id, row in found.items()}
    for move in moves:
        if move.cube_id not in found:
            raise CubeNotFoundError(move.cube_id)
        if states[move.cube_id] != move.before:
            raise state_conflict(move.cube_id, found[move.cube_id][2], move.before, states[move.cube_id])
        states[move.cube_id] = move.after.value
    for state in set(states.values()):
        seqs = json.dumps([found[cube_id][0] for cube_id, ends in states.items() if ends == state])
        connection.execute(
            "UPDATE cubes SET state = ?, changed = ? WHERE seq IN (SELECT value FROM json_each(?))",
            (state, commit, seqs),
        )
    tenants = {row[1] for row in found.values()}
    connection.executemany("UPDATE tenants SET changed = ? WHERE number = ?", [(commit, each) for each in tenants])


def check_given(connection: sqlite3.Connection, room: Room) -> None:
    """Refuse to go on when a cube was given as often as a rate allows; see `Room`.

    Raises:
        RateSpentError: It was.
    """
    asked = given_of(room)
    # The plus keeps SQLite from walking the tenant's whole log by its index.
    rows = connection.execute(
        """SELECT record FROM audit WHERE cube_id = ? AND +tenant = ? AND actor = ? AND operation = ? AND outcome = ?
            AND at >= ? ORDER BY number DESC LIMIT ?""",
        (room.cube_id, room.tenant, room.actor, room.operation, asked.outcome, micros(room.since), asked.limit),
    )
    check_room(room, (json.loads(record)["version"] for (record,) in rows))
