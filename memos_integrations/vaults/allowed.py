"""Which cubes of a tenant a query may look at.

The typed columns of a tenant's cubes are held as arrays, so that visibility and filters cost microseconds. They are
valid for one change number of the tenant, which every search reads in its own read transaction: what another process
committed is taken in by number (`cubes.changed`, `gone`). A use changes nothing here and invalidates nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.cube import State, Tier
from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.ports import CubeFilter, ValueTest, Visibility
from memos_integrations.vaults.leaves import as_number
from memos_integrations.vaults.rules import micros, storable
from memos_integrations.vaults.sqlite_rows import Kind, Words

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Question = tuple[frozenset[str], str | None, str | None, CubeFilter]
"""Whose, for what, where, and which cubes."""

_NEVER = (1 << 63) - 1
_STATES = {state: number for number, state in enumerate(State)}
_TIERS = {tier: number for number, tier in enumerate(Tier)}

(SEQ, LENGTH, VECTOR, OCCURRED, EXPIRES, AUDIENCE, VALID_FROM, VALID_TO, RECORDED, STATE, TIER, FLAGS) = range(12)
"""What each column says. Flags: 1 quarantined, 2 names purposes, 4 names applications."""

WIDTH = 12

COLUMNS = """SELECT c.seq, c.length, ifnull(c.vector, 0), c.occurred_at, ifnull(c.expires_at, 9223372036854775807),
    c.audience, ifnull(c.valid_from, -9223372036854775808), ifnull(c.valid_to, 9223372036854775807), c.recorded_at,
    CASE c.state WHEN 'generated' THEN 0 WHEN 'activated' THEN 1 WHEN 'merged' THEN 2 WHEN 'archived' THEN 3
        WHEN 'expired' THEN 4 WHEN 'frozen' THEN 5 ELSE -1 END,
    CASE c.tier WHEN 'plaintext' THEN 0 WHEN 'activation' THEN 1 WHEN 'parameter' THEN 2 ELSE -1 END,
    c.quarantined + 2 * c.purposes + 4 * c.applications FROM cubes AS c WHERE """

HELD_BYTES = 256_000_000
"""How much of it is held at most; beyond, the tenants that were not asked for longest are let go."""

_MEMORIES, _LARGE = 8, 50_000
_BY_ID = 50


@dataclass(frozen=True, slots=True)
class Allowed:
    """The cubes that passed visibility and filter, by rising `seq`. `vector` is 0 where there is none."""

    seq: Numbers
    length: Numbers
    vector: Numbers
    occurred: Numbers

    @property
    def count(self) -> int:
        """How many."""
        return int(self.seq.size)


@dataclass(frozen=True, slots=True)
class Columns:
    """A tenant's cubes at one change number: `table[SEQ]` and so on, by rising `seq`; and what was asked of them.

    `states` stands apart and is what counts (`table[STATE]` is as old as the table): a first use changes it and nothing
    else, so that the table need not be copied for it.
    """

    changed: int
    table: Numbers
    states: npt.NDArray[np.int8]
    answers: dict[Question, Numbers] = field(default_factory=dict)

    @classmethod
    def of(cls, changed: int, table: Numbers) -> Columns:
        """Columns whose states are those of the table."""
        return cls(changed, table, table[STATE].astype(np.int8))

    def as_table(self) -> Numbers:
        """A copy of the table with the states that count."""
        table = self.table.copy()
        table[STATE] = self.states
        return table


def integers(rows: Sequence[tuple[int, ...]], width: int) -> Numbers:
    """One array per column.

    Raises:
        VaultCorruptError: A damaged row holds something else.
    """
    try:
        return np.ascontiguousarray(np.array(rows, dtype=np.int64).reshape(-1, width).T)
    except (TypeError, ValueError, OverflowError) as exc:
        raise VaultCorruptError("An index of the vault is damaged. Restore the vault from a backup.") from exc


class TenantColumns:
    """The columns of the tenants that were asked for last. Thread-safe; tables are shared and never changed.

    *sealed* gives a tenant's columns as they stood at an earlier change number, or None.
    """

    def __init__(self, sealed: Callable[[sqlite3.Connection, int], Columns | None]) -> None:
        self._sealed = sealed
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Columns] = OrderedDict()
        self._bytes = 0

    def at(self, connection: sqlite3.Connection, tenant: int, changed: int) -> Columns:
        """The tenant's columns as of the connection's transaction, in which its change number is *changed*."""
        with self._lock:
            held = self._held.get(tenant)
            if held is not None and held.changed == changed:
                self._held.move_to_end(tenant)
                return held
        before = held if held is not None and held.changed < changed else self._sealed(connection, tenant)
        if before is None or before.changed > changed:
            rows = connection.execute(COLUMNS + "c.tenant = ? ORDER BY c.seq", (tenant,)).fetchall()
            fresh = Columns.of(changed, integers(rows, WIDTH))
        else:
            fresh = _level(connection, tenant, before, changed)
        self._hold(tenant, fresh)
        return fresh

    def _hold(self, tenant: int, fresh: Columns) -> None:
        with self._lock:
            held = self._held.get(tenant)
            if held is not None and held.changed > fresh.changed:
                return  # this reader looks at an older moment
            self._bytes += fresh.table.nbytes - (held.table.nbytes if held is not None else 0)
            self._held[tenant] = fresh
            self._held.move_to_end(tenant)
            while self._bytes > HELD_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].table.nbytes


def _level(connection: sqlite3.Connection, tenant: int, before: Columns, changed: int) -> Columns:
    """The columns *before*, with everything that was committed since."""
    since = (tenant, before.changed)
    rows = connection.execute(COLUMNS + "c.tenant = ? AND c.changed > ? ORDER BY c.seq", since).fetchall()
    gone = connection.execute("SELECT cube FROM gone WHERE tenant = ? AND changed > ?", since).fetchall()
    if not rows and not gone:
        return Columns(changed, before.table, before.states, before.answers)
    fresh = integers(rows, WIDTH)
    stale = np.concatenate([fresh[SEQ], integers(gone, 1)[0]])
    table, seq = before.table, before.table[SEQ]
    places = np.minimum(np.searchsorted(seq, stale), max(seq.size - 1, 0))
    if fresh.shape[1] == stale.size and seq.size and (seq[places] == stale).all():  # nothing came or went
        if np.array_equal(np.delete(table[:, places], STATE, axis=0), np.delete(fresh, STATE, axis=0)):
            return _moved(before, changed, places, fresh[STATE])
        table = before.as_table()
        table[:, places] = fresh
        return Columns.of(changed, table)
    table = np.concatenate([before.as_table()[:, ~np.isin(seq, stale)], fresh], axis=1)
    return Columns.of(changed, np.ascontiguousarray(table[:, np.argsort(table[SEQ], kind="stable")]))


def _moved(before: Columns, changed: int, places: Numbers, after: Numbers) -> Columns:
    """The columns after nothing but states changed: most often a first use. What no such change touches stays known."""
    concerned, states = {*before.states[places].tolist(), *after.tolist()}, before.states.copy()
    states[places] = after
    answers = {}
    for question, table in list(before.answers.items()):
        wanted = {_STATES[state] for state in question[3].states}
        if not wanted or concerned <= wanted or not concerned & wanted:
            answers[question] = table
    return Columns(changed, before.table, states, answers)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one tenant, in one read transaction."""

    connection: sqlite3.Connection
    words: Words
    tenant: int
    visible: Visibility
    wanted: CubeFilter


def allowed(asked: Asked, columns: Columns) -> Allowed:
    """The cubes that pass visibility and filter."""
    visible, wanted = asked.visible, asked.wanted
    key = (visible.subjects, visible.purpose, visible.application, wanted)
    table = columns.answers.get(key)
    if table is None:
        keep = _visible(asked, columns.table)
        keep = _wanted(asked, columns, keep)
        head = columns.table[: EXPIRES + 1]
        table = head if keep.all() else np.ascontiguousarray(head[:, keep])
        if len(columns.answers) >= (_MEMORIES if columns.table.shape[1] < _LARGE else 2):
            columns.answers.clear()
        columns.answers[key] = table
    # Time alone takes cubes away: so it is looked at last, and what was remembered holds for every moment.
    now = micros(visible.now)
    if table.shape[1] and int(table[EXPIRES].min()) < now:
        table = table[:, table[EXPIRES] >= now]
    return Allowed(*table[:EXPIRES])


def _visible(asked: Asked, table: Numbers) -> Mask:
    words, visible = asked.words, asked.visible
    keep = _among(table[AUDIENCE], audiences_of(asked))
    keep &= table[FLAGS] & 1 == 0
    for kind, flag, said in ((Kind.PURPOSE, 2, visible.purpose), (Kind.APPLICATION, 4, visible.application)):
        limited = table[FLAGS] & flag != 0
        if limited.any():
            named = [] if said is None else [words.label(kind, said)]
            keep &= ~limited | _labelled(asked, table, keep & limited, kind, named)
    return keep


def audiences_of(asked: Asked) -> list[int]:
    """The sets of readers that the asker is in."""
    rows: list[int] = []
    for subject in sorted(asked.visible.subjects):
        found = asked.connection.execute(
            "SELECT audience FROM audiences WHERE subject = ?", (asked.words.subject(subject),)
        )
        rows += [row[0] for row in found]
    return integers([(row,) for row in set(rows)], 1)[0].tolist()  # type: ignore[no-any-return]


def _wanted(asked: Asked, columns: Columns, keep: Mask) -> Mask:
    table = columns.table
    keep = keep & _typed(asked.wanted, table)
    if asked.wanted.states:
        keep &= _among(columns.states, [_STATES[state] for state in asked.wanted.states])
    if asked.wanted.ids:
        keep &= _among(table[SEQ], _numbered(asked))
    for kind, numbers in _labels(asked):
        if keep.any():
            keep &= _labelled(asked, table, keep, kind, numbers)
    for test in asked.wanted.value:
        if keep.any():
            keep &= _tested(asked, table, test)
    return keep


def _typed(wanted: CubeFilter, table: Numbers) -> Mask:
    """What the columns alone say."""
    keep = np.ones(table.shape[1], dtype=np.bool_)
    if wanted.tiers:
        keep &= _among(table[TIER], [_TIERS[tier] for tier in wanted.tiers])
    for column, window in ((OCCURRED, wanted.occurred), (RECORDED, wanted.recorded)):
        if window is not None:
            keep &= (table[column] >= micros(window[0])) & (table[column] < micros(window[1]))
    if wanted.valid_at is not None:
        at = micros(wanted.valid_at)
        keep &= (table[VALID_FROM] <= at) & (table[VALID_TO] > at)
    return keep


def _labels(asked: Asked) -> Iterable[tuple[Kind, list[int]]]:
    """The labels wanted, kind by kind: one of each kind must be there."""
    words, wanted = asked.words, asked.wanted
    if wanted.namespace and wanted.namespace != (asked.visible.tenant,):  # the tenant alone holds for all of them
        yield Kind.NAMESPACE, [words.namespace(wanted.namespace)]
    exact = (
        (Kind.SEMANTIC_TYPE, wanted.semantic_types),
        (Kind.TAG, wanted.tags),
        (Kind.THREAD, () if wanted.thread_id is None else (wanted.thread_id,)),
        (Kind.SESSION, () if wanted.session_id is None else (wanted.session_id,)),
        (Kind.SESSION, wanted.sessions),
    )
    for kind, values in exact:
        if values:
            yield kind, [words.label(kind, value) for value in values]
    for kind, values in ((Kind.ENTITY, wanted.entities), (Kind.SPEAKER, wanted.speakers)):
        if values:
            yield kind, [words.folded(kind, value) for value in values]


def _among(column: npt.NDArray[np.integer[Any]], values: Collection[int]) -> Mask:
    if len(values) > 6:
        return np.isin(column, np.fromiter(values, dtype=np.int64, count=len(values)))
    keep = np.zeros(column.size, dtype=np.bool_)
    for value in values:
        keep |= column == value
    return keep


def _numbered(asked: Asked) -> list[int]:
    ids = json.dumps([cube_id for cube_id in asked.wanted.ids if storable(cube_id)])
    found = asked.connection.execute("SELECT seq FROM cubes WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return [row[0] for row in found]


def _labelled(asked: Asked, table: Numbers, among: Mask, kind: Kind, numbers: Iterable[int]) -> Mask:
    """Which cubes carry one of these labels; only those *among* are looked at where they are few."""
    values = json.dumps(sorted(numbers))
    seqs = table[SEQ][among]
    if seqs.size <= _BY_ID:
        found = asked.connection.execute(
            """SELECT cube FROM labels WHERE cube IN (SELECT value FROM json_each(?)) AND kind = ?
            AND value IN (SELECT value FROM json_each(?))""",
            (json.dumps(seqs.tolist()), int(kind), values),
        )
    else:
        found = asked.connection.execute(
            """SELECT l.cube FROM json_each(?) AS asked CROSS JOIN cubes AS c CROSS JOIN labels AS l
            ON l.cube = c.seq AND l.kind = ? AND l.value = asked.value WHERE c.tenant = ?""",
            (values, int(kind), asked.tenant),
        )
    return _there(table, found)


_TESTS = {
    "exists": "1",
    "eq": "v.content IN (SELECT value FROM json_each(?))",
    "in": "v.content IN (SELECT value FROM json_each(?))",
    "ne": "v.content IS NOT (SELECT value FROM json_each(?))",
    "gt": "v.number > ?",
    "gte": "v.number >= ?",
    "lt": "v.number < ?",
    "lte": "v.number <= ?",
}


def _tested(asked: Asked, table: Numbers, test: ValueTest) -> Mask:
    values: list[Any] = [asked.words.path(test.path), asked.tenant]
    if test.op in {"eq", "in", "ne"}:
        operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
        values.append(json.dumps([asked.words.leaf(operand) for operand in operands]))
    elif test.op != "exists":
        values.append(as_number(test.number))
    where = ["c.tenant = ?", _TESTS[test.op]]
    found = asked.connection.execute(
        "SELECT v.cube FROM cubes AS c CROSS JOIN leaves AS v ON v.cube = c.seq AND v.path = ? WHERE "
        + " AND ".join(where),
        values,
    )
    return _there(table, found)


def _there(table: Numbers, found: Iterable[tuple[int]]) -> Mask:
    return np.isin(table[SEQ], integers(list(found), 1)[0])
