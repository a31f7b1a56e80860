"""What is handed out: a cube's row, body, behaviour and seal, read in one statement and held against the key.

Whoever gets a cube gets it from here, or through `Witness.check_cubes`. A row that is to the byte one that was checked
lately in this process, or that it wrote and sealed itself, is known to be good, and what it says too: to check it again
would give the same. While nobody else changed the file since, it is not even read again: its seals alone say whether
this process wrote it anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from memos_integrations.core.cube import Behaviour, MemCube, State
from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.unswept import Unswept
from memos_integrations.vaults.behaviours import behaviour_of
from memos_integrations.vaults.integrity import Sealed
from memos_integrations.vaults.rules import storable
from memos_integrations.vaults.sealing import opened
from memos_integrations.vaults.seals import MARKS, Sealer
from memos_integrations.vaults.verified import Verified
from memos_integrations.vaults.vouched import Outline, Vouched

KEPT = 8192
"""How many rows that were checked are kept: about 8 kB each, with the cube."""

# As in `integrity.py`; the plus keeps SQLite from walking the whole tenant by its index.
_HANDED = """SELECT v.body, t.name, s.mac, s.digest, s.history, s.labels, s.words, s.links, s.vector, s.keys, s.past,
        s.used, b.body, v.digest, c.*
    FROM json_each(?) AS asked {}
    LEFT JOIN tenants AS t ON t.number = c.tenant LEFT JOIN seals AS s ON s.cube = c.seq
    LEFT JOIN behaviour AS b ON b.cube = c.seq
    LEFT JOIN versions AS v ON v.cube = c.seq AND v.version = c.version WHERE +t.name = ?"""
_BY_SEQ = _HANDED.format("CROSS JOIN cubes AS c ON c.seq = asked.value")
_WITH_VECTOR = _BY_SEQ.replace("SELECT ", "SELECT x.row, ").replace(
    " WHERE ", " LEFT JOIN vectors AS x ON x.number = c.vector WHERE "
)
# Found by the index, read from the table: else SQLite takes the id from the index, where an edited row has the old one.
_BY_ID = _HANDED.format("CROSS JOIN cubes AS i ON i.id = asked.value CROSS JOIN cubes AS c ON c.seq = i.seq")
_USES = "SELECT b.cube, b.body FROM json_each(?) AS asked CROSS JOIN behaviour AS b ON b.cube = asked.value"
_SEALS = "SELECT s.cube, s.mac, s.used FROM json_each(?) AS asked CROSS JOIN seals AS s ON s.cube = asked.value"

_TENANT, MAC, SEQ, CUBE_ID, CHANGED = 1, 2, 14, 15, -1
_USED, _BEHAVIOUR, _VERSION, _STATE = 11, 12, 17, 18
"""Where these columns stand in such a row."""
_VECTOR_MARK = 5 + MARKS.index("vector")

_STATES = {state.value: state for state in State}

Handed = list[tuple[int, MemCube]]
Row = tuple[Any, ...]
"""A row as it was read here: see the statement."""

Stored = Callable[[Sequence[int]], Mapping[int, bytes]]
"""The stored vectors of cubes; those without one are left out."""


def with_beside(cube: MemCube, state: str, behaviour: str) -> MemCube:
    """A stored version with the state and behaviour that stand beside it.

    Raises:
        IntegrityError: They are damaged.
    """
    stands, used = _beside(cube.id, state, behaviour)
    # What the digest covers is as it was, so what was computed of it holds; `model_copy` costs ten times as much.
    made = cube.with_checked(state=stands, behaviour=used)
    made.__dict__.update([(name, cube.__dict__[name]) for name in ("_canonical", "digest") if name in cube.__dict__])
    return made


def _beside(cube_id: str, state: str, behaviour: str) -> tuple[State, Behaviour]:
    try:
        return _STATES[state], behaviour_of(behaviour or "")
    except (ValueError, TypeError, KeyError) as exc:
        raise IntegrityError(f"The state or behaviour of cube {cube_id!r} is damaged", cube_id) from exc


def _outline(row: Row) -> Outline:
    return row[SEQ], row[CUBE_ID], row[CHANGED], row[MAC]


@dataclass(slots=True)
class Known:
    """A row that was checked, and what it says; `vector` once that was checked as well, empty when it has none.

    Good without being read again for as long as its seals are the same and nobody else changed the file (`epoch`).
    `by` is what it was held against that is known of its tenant: the same says the same again.
    """

    row: Row
    epoch: int
    said: MemCube | None = None
    vector: bytes | None = None
    by: Verified | None = None

    @property
    def cube(self) -> MemCube:
        """What the row says; of what was just written it is made when somebody reads it."""
        if self.said is None:
            self.said = _said(self.row)
        return self.said


def _said(row: Row) -> MemCube:
    state, behaviour = _beside(row[CUBE_ID], row[_STATE], row[_BEHAVIOUR])
    return opened(row[0], row[13], state, behaviour, cube_id=row[CUBE_ID], version=row[_VERSION])


class Handing:
    """Reads cubes and holds each against its seal. *epoch* counts how often somebody else was seen to change the file.

    Thread-safe.
    """

    def __init__(self, sealer: Sealer, vouched: Vouched, epoch: Callable[[], int]) -> None:
        self._sealer, self._vouched, self._epoch = sealer, vouched, epoch
        self._held: OrderedDict[int, Known] = OrderedDict()
        self._numbers = dict[str, int]()  # of those that are held, by id
        self._lock = Lock()

    def by_number(
        self, connection: sqlite3.Connection, tenant: str, seqs: Iterable[int], *, keep: bool = True
    ) -> Handed:
        """The current versions of the cubes with these numbers that stand in *tenant*, in no order.

        Without *keep* nothing of them stays in memory: for who comes by all of them once.

        Raises:
            IntegrityError: A cube is not what was sealed; it is named.
        """
        return [(seq, each.cube) for seq, each in self._known(connection, tenant, list(seqs), keep).items()]

    def with_vectors(
        self, connection: sqlite3.Connection, tenant: str, seqs: Iterable[int], stored: Stored
    ) -> tuple[Handed, dict[int, bytes]]:
        """As `by_number`, and the vectors of those that have one; *stored* reads them.

        Raises:
            IntegrityError: A cube or its vector is not what was sealed; it is named.
        """
        found = dict[int, bytes | None]()
        known = self._known(connection, tenant, list(seqs), vectors=found)
        unread = [seq for seq, each in known.items() if each.vector is None]
        if missing := [seq for seq in unread if seq not in found]:
            found |= stored(missing)
        for seq in unread:
            each, vector = known[seq], found.get(seq) or b""
            if self._sealer.vector(vector) != each.row[_VECTOR_MARK]:
                raise IntegrityError(f"The vector of cube {each.cube.id!r} does not match its seal", each.cube.id)
            each.vector = vector
        vectors = {seq: each.vector for seq, each in known.items() if each.vector}
        return [(seq, each.cube) for seq, each in known.items()], vectors

    def by_id(self, connection: sqlite3.Connection, tenant: str, ids: Iterable[str]) -> Handed:
        """As `by_number`, by id; ids that do not exist in *tenant* are left out.

        Raises:
            IntegrityError: A cube is not what was sealed; it is named.
        """
        asked = [cube_id for cube_id in ids if storable(cube_id)]
        if not asked or not storable(tenant):
            return []
        with self._lock:
            seqs = [seq for seq in map(self._numbers.get, asked) if seq is not None]
        known = self._as_before(connection, tenant, seqs) if seqs else {}
        there = {each.cube.id for each in known.values()}
        missing = [cube_id for cube_id in asked if cube_id not in there]
        rows = connection.execute(_BY_ID, (json.dumps(missing), tenant)).fetchall() if missing else []
        given = {row[CUBE_ID] for row in rows}
        if strange := given.difference(missing):
            cube_id = str(min(strange, key=str))
            raise IntegrityError(f"The index of ids leads to cube {cube_id!r}, which was not asked for", cube_id)
        lost = [each for each in missing if each not in given] if len(given) < len(missing) else []
        known |= self._vouched_for(connection, tenant, known, rows, lost)
        return [(seq, each.cube) for seq, each in known.items()]

    def written(self, fresh: Sequence[tuple[Row, MemCube | None]]) -> None:
        """Keep what this process wrote and sealed a moment ago: who reads it next holds it against its seals alone.

        None: the row alone says what it is; without the keys an encrypted one does not.
        """
        epoch = self._epoch()
        with self._lock:
            self._keep([Known(row, epoch, cube) for row, cube in fresh[-KEPT:]])

    def forget(self) -> None:
        """Keep nothing any more: the keys to it are gone."""
        with self._lock:
            self._held.clear()
            self._numbers.clear()

    def check_vector(self, row: Sealed, vector: bytes | None) -> None:
        """Refuse a vector that is not the one of the row.

        Raises:
            IntegrityError: It is not.
        """
        if self._sealer.vector(vector) != row.marks[MARKS.index("vector")]:
            raise IntegrityError(f"The vector of cube {row.cube_id!r} does not match its seal", row.cube_id)

    def _known(
        self,
        connection: sqlite3.Connection,
        tenant: str,
        seqs: Sequence[int],
        keep: bool = True,
        vectors: dict[int, bytes | None] | None = None,
    ) -> dict[int, Known]:
        """Those of these cubes that stand in the tenant; *vectors* is given those of the rows that are read for it."""
        known = self._as_before(connection, tenant, seqs)
        missing = [seq for seq in seqs if seq not in known] if len(known) < len(seqs) else []
        read = _BY_SEQ if vectors is None else _WITH_VECTOR
        rows = connection.execute(read, (str(missing), tenant)).fetchall() if missing else []
        if vectors is not None:
            vectors |= {row[1 + SEQ]: row[0] for row in rows}
            rows = [row[1:] for row in rows]
        return self._vouched_for(connection, tenant, known, rows, keep=keep)

    def _vouched_for(
        self,
        connection: sqlite3.Connection,
        tenant: str,
        known: dict[int, Known],
        rows: Sequence[Row],
        lost: Sequence[str] = (),
        *,
        keep: bool = True,
    ) -> dict[int, Known]:
        """All of them, held against what is known of their tenant, if that was not done before."""
        by = self._vouched.of(tenant)
        outlines = [_outline(each.row) for each in known.values() if each.by is not by]
        outlines += map(_outline, rows)
        if outlines or lost:
            self._vouched.check(connection, tenant, outlines, lost)
            known |= self._met(rows, tenant, keep)
            for each in known.values():
                each.by = by
        return known

    def _as_before(self, connection: sqlite3.Connection, tenant: str, seqs: Sequence[int]) -> dict[int, Known]:
        """Those of these cubes that were checked before and, as this read has it, are still sealed alike."""
        epoch = self._epoch()
        with self._lock:
            get = self._held.get
            held = {seq: each for seq in seqs if (each := get(seq)) is not None and each.epoch == epoch}
        if not held:
            return {}
        same, uses = dict[int, Known](), dict[int, Any]()
        for seq, mac, used in connection.execute(_SEALS, (str([*held]),)).fetchall():
            known = held[seq]
            if mac == known.row[MAC] and known.row[_TENANT] == tenant:
                if used == known.row[_USED]:
                    same[seq] = known
                else:
                    uses[seq] = used
        return same | self._used(connection, {seq: held[seq] for seq in uses}, uses) if uses else same

    def _used(
        self, connection: sqlite3.Connection, held: Mapping[int, Known], uses: Mapping[int, Any]
    ) -> dict[int, Known]:
        """Cubes that were used since they were checked: only what stands beside their row is another one."""
        made = dict[int, Known]()
        for seq, body in connection.execute(_USES, (str([*held]),)):
            known = held[seq]
            if isinstance(body, str) and self._sealer.used(known.cube.id, body) == uses[seq]:
                row = (*known.row[:_USED], uses[seq], body, *known.row[_BEHAVIOUR + 1 :])
                made[seq] = Known(row, known.epoch, with_beside(known.cube, row[_STATE], body), known.vector, known.by)
        with self._lock:
            self._held.update(made)
        return made

    def _met(self, rows: Sequence[Row], tenant: str, keep: bool = True) -> dict[int, Known]:
        """Rows that were just read, each held against its seal unless it is to the byte one that is known."""
        epoch, met = self._epoch(), dict[int, Known]()
        with self._lock:
            before = {row[SEQ]: self._held.get(row[SEQ]) for row in rows}
        with Unswept() as sweeping:  # hundreds at once would set off a search each time, and none is in a cycle
            for row in rows:
                known = before[row[SEQ]]
                if known is None or known.row != row:
                    known = Known(row, epoch, self._checked(row))
                cube = known.cube
                if cube.tenant != tenant:
                    raise IntegrityError(f"Cube {cube.id!r} stands in a tenant that its body does not name", cube.id)
                # The vector beside the row is not in the row: after somebody else's change it is read again.
                met[row[SEQ]] = known if known.epoch == epoch else Known(row, epoch, cube)
            sweeping.made(len(rows))
        if keep:
            with self._lock:
                self._keep([*met.values()])
        return met

    def _keep(self, fresh: Sequence[Known]) -> None:
        held, numbers = self._held, self._numbers
        for known in fresh:
            seq = known.row[SEQ]
            held[seq] = known
            held.move_to_end(seq)
            numbers[known.row[CUBE_ID]] = seq
        while len(held) > KEPT:
            _, least = held.popitem(last=False)
            numbers.pop(least.row[CUBE_ID], None)

    def _checked(self, row: Row) -> MemCube:
        cube = _said(row)
        tenant, mac, digest, history = row[1:5]
        if (
            mac is None
            or tenant is None
            or row[13] != digest
            or self._sealer.cube((tenant, digest, history, *row[5:_USED], *row[SEQ:])) != mac
            or self._sealer.used(row[CUBE_ID], row[_BEHAVIOUR]) != row[_USED]
        ):
            Sealed(tenant, mac, digest, history, row[5:_USED], row[_USED], row[_BEHAVIOUR], row[13], row[SEQ:]).check(
                self._sealer
            )
        return cube
