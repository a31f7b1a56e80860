"""What is handed out: a cube's row, body, behaviour and seal, read in one statement and held against the key.

Whoever gets a cube gets it from here, or through `Witness.check_cubes`. A row that is to the byte one that was checked
lately in this process is known to be good, and what it says too: to check it again would give the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from memos_integrations.core.cube import Behaviour, MemCube, PlaintextPayload, State
from memos_integrations.core.errors import IntegrityError
from memos_integrations.vaults.integrity import Sealed
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.sealing import unseal
from memos_integrations.vaults.seals import MARKS, Sealer

KEPT = 2048
"""How many rows that were checked are kept: of a kilobyte each, and the cube."""

# As in `integrity.py`; the plus keeps SQLite from walking the whole tenant by its index.
_HANDED = """SELECT v.body, t.name, s.mac, s.digest, s.history, s.labels, s.words, s.links, s.vector, s.keys, s.past,
        s.used, b.body, v.digest, c.*
    FROM json_each(?) AS asked CROSS JOIN cubes AS c ON {} = asked.value
    LEFT JOIN tenants AS t ON t.number = c.tenant LEFT JOIN seals AS s ON s.cube = c.seq
    LEFT JOIN behaviour AS b ON b.cube = c.seq
    LEFT JOIN versions AS v ON v.cube = c.seq AND v.version = c.version WHERE +t.name = ?"""
_BY_SEQ, _BY_ID = _HANDED.format("c.seq"), _HANDED.format("c.id")

MAC, SEQ, CUBE_ID, CHANGED = 2, 14, 15, -1
_VERSION, _STATE = 17, 18
"""Where these columns stand in such a row."""
_VECTOR_MARK = 5 + MARKS.index("vector")

_STATES = {state.value: state for state in State}

Handed = list[tuple[int, MemCube]]
Row = tuple[Any, ...]
"""A row as it was read here: see the statement."""

Trusted = Callable[[sqlite3.Connection, str, Sequence[tuple[int, str, int, bytes]], Sequence[str]], None]
"""Refuses rows `(number, id, change number, seal)` of a tenant, and ids that were not found, where it knows better."""


def with_beside(cube: MemCube, state: str, behaviour: str) -> MemCube:
    """A stored version with the state and behaviour that stand beside it.

    Raises:
        IntegrityError: They are damaged.
    """
    try:
        said = {"state": _STATES[state], "behaviour": _behaviour(behaviour or "")}
    except (ValueError, KeyError) as exc:
        raise IntegrityError(f"The state or behaviour of cube {cube.id!r} is damaged", cube.id) from exc
    # What the digest covers is as it was, so what was computed of it holds; `model_copy` costs ten times as much.
    made = cube.with_checked(**said)
    made.__dict__.update([(name, cube.__dict__[name]) for name in ("_canonical", "digest") if name in cube.__dict__])
    return made


@lru_cache(KEPT)
def _behaviour(text: str) -> Behaviour:
    return Behaviour.model_validate_json(text)


def _outline(row: Row) -> tuple[int, str, int, bytes]:
    return row[SEQ], row[CUBE_ID], row[CHANGED], row[MAC]


class Handing:
    """Reads cubes and holds each against its seal."""

    def __init__(self, sealer: Sealer, trusted: Trusted) -> None:
        self._sealer, self._trusted = sealer, trusted
        self._known = lru_cache(KEPT)(self._checked)

    def by_number(
        self,
        connection: sqlite3.Connection,
        tenant: str,
        seqs: Iterable[int],
        vectors: Mapping[int, bytes] | None = None,
    ) -> Handed:
        """The current versions of the cubes with these numbers that stand in *tenant*, in no order.

        *vectors* are the vectors of those that have one, when the answer depends on them: each is checked as well.

        Raises:
            IntegrityError: A cube or its vector is not what was sealed; it is named.
        """
        rows = connection.execute(_BY_SEQ, (json.dumps(list(seqs)), tenant)).fetchall()
        self._trusted(connection, tenant, [_outline(row) for row in rows], ())
        return [self._handed(row, tenant, vectors) for row in rows]

    def by_id(self, connection: sqlite3.Connection, tenant: str, ids: Iterable[str]) -> Handed:
        """As `by_number`, by id; ids that do not exist in *tenant* are left out.

        Raises:
            IntegrityError: A cube is not what was sealed; it is named.
        """
        asked = [cube_id for cube_id in ids if storable(cube_id)]
        if not asked or not storable(tenant):
            return []
        rows = connection.execute(_BY_ID, (json.dumps(asked), tenant)).fetchall()
        lost = list({*asked}.difference(row[CUBE_ID] for row in rows)) if len(rows) < len(asked) else []
        self._trusted(connection, tenant, [_outline(row) for row in rows], lost)
        return [self._handed(row, tenant, None) for row in rows]

    def check_vector(self, row: Sealed, vector: bytes | None) -> None:
        """Refuse a vector that is not the one of the row.

        Raises:
            IntegrityError: It is not.
        """
        if self._sealer.vector(vector) != row.marks[MARKS.index("vector")]:
            raise IntegrityError(f"The vector of cube {row.cube_id!r} does not match its seal", row.cube_id)

    def _handed(self, row: Row, tenant: str, vectors: Mapping[int, bytes] | None) -> tuple[int, MemCube]:
        seq, cube = self._known(row)
        if cube.tenant != tenant:
            raise IntegrityError(f"Cube {cube.id!r} stands in a tenant that its body does not name", cube.id)
        if vectors is not None and self._sealer.vector(vectors.get(seq)) != row[_VECTOR_MARK]:
            raise IntegrityError(f"The vector of cube {cube.id!r} does not match its seal", cube.id)
        if not isinstance(cube.payload, PlaintextPayload) or cube.payload.value is not None:
            cube = self._checked(row)[1]  # holds what a caller could change: everyone gets their own
        return seq, cube

    def _checked(self, row: Row) -> tuple[int, MemCube]:
        cube = unseal(row[0], row[13], cube_id=row[CUBE_ID], version=row[_VERSION])
        made = with_beside(cube, row[_STATE], row[12])
        tenant, mac, digest, history = row[1:5]
        Sealed(tenant, mac, digest, history, row[5:11], row[11], row[12], row[13], row[14:]).check(self._sealer)
        return int(row[SEQ]), made
