"""The typed columns of a tenant's cubes, held as arrays, so that visibility and filters cost microseconds.

They are valid for one change number of the tenant, which every search reads in its own read transaction: what another
process committed is taken in by number (`cubes.changed`, `gone`). A use changes nothing here and invalidates nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from memos_integrations.core.cube import State, Tier
from memos_integrations.core.errors import VaultCorruptError
from memos_integrations.core.ports import CubeFilter, Limit

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Question = tuple[frozenset[str], str | None, str | None, tuple[CubeFilter, ...], tuple[Limit, ...], bool, CubeFilter]
"""Whose, for what, where, and which cubes."""

NEVER = (1 << 63) - 1
STATES = {state: number for number, state in enumerate(State)}
TIERS = {tier: number for number, tier in enumerate(Tier)}

(SEQ, LENGTH, VECTOR, OCCURRED, EXPIRES, AUDIENCE, VALID_FROM, VALID_TO, RECORDED, STATE, TIER, FLAGS) = range(12)
"""What each column says. Flags: 1 quarantined, 2 names purposes, 4 names applications.

Of cubes that were read because they changed, 8 times the number of changes stands there too: what tags, values or
contexts say stands in no column, and a clock that was set back writes the time that stood there.
"""

WIDTH = 12

COLUMNS = """SELECT c.seq, c.length, ifnull(c.vector, 0), c.occurred_at, ifnull(c.expires_at, 9223372036854775807),
    c.audience, ifnull(c.valid_from, -9223372036854775808), ifnull(c.valid_to, 9223372036854775807), c.recorded_at,
    CASE c.state WHEN 'generated' THEN 0 WHEN 'activated' THEN 1 WHEN 'merged' THEN 2 WHEN 'archived' THEN 3
        WHEN 'expired' THEN 4 WHEN 'frozen' THEN 5 ELSE -1 END,
    CASE c.tier WHEN 'plaintext' THEN 0 WHEN 'activation' THEN 1 WHEN 'parameter' THEN 2 ELSE -1 END,
    c.quarantined + 2 * c.purposes + 4 * c.applications FROM cubes AS c WHERE """

_CHANGED = COLUMNS.replace("4 * c.applications", "4 * c.applications + 8 * (c.version - 1)")

HELD_BYTES = 256_000_000
"""How much of it is held at most; beyond, the tenants that were not asked for longest are let go."""

BATCH = 20_000
"""So many rows are Python's numbers at a time."""

MEMORIES, LARGE = 8, 50_000
"""How many answers are kept of a tenant; of one with so many cubes only two."""


@dataclass(frozen=True)
class Allowed:
    """The cubes that passed visibility and filter, by rising `seq`. `vector` is 0 where there is none.

    One object answers the same question many times, so what takes a look at every row is kept.
    """

    seq: Numbers
    length: Numbers
    vector: Numbers
    occurred: Numbers
    expires: Numbers

    @property
    def count(self) -> int:
        """How many."""
        return int(self.seq.size)

    @cached_property
    def average(self) -> float:
        """How many words they have on average."""
        return int(self.length.sum()) / max(1, self.count)

    @cached_property
    def soonest(self) -> int:
        """When the first of them expires."""
        return int(self.expires.min()) if self.count else NEVER

    @cached_property
    def numbered(self) -> tuple[Numbers, Numbers]:
        """The numbers of their vectors, rising, and whose each is; those without one are left out."""
        numbers, seqs = self.vector, self.seq
        if numbers.size and (not numbers[0] > 0 or (np.diff(numbers) <= 0).any()):  # some without one, or given later
            order = np.argsort(numbers, kind="stable")
            order = order[numbers[order] > 0]
            numbers, seqs = numbers[order], seqs[order]
        return np.ascontiguousarray(numbers), seqs

    def at(self, now: int) -> Allowed:
        """Those that have not expired."""
        if self.soonest >= now:
            return self
        keep = self.expires >= now
        columns = (self.seq, self.length, self.vector, self.occurred, self.expires)
        return Allowed(*(column[keep] for column in columns))


@dataclass(frozen=True, slots=True)
class Columns:
    """A tenant's cubes at one change number: `table[SEQ]` and so on, by rising `seq`; and what was asked of them.

    `states` stands apart and is what counts (`table[STATE]` is as old as the table): a first use changes it and nothing
    else, so that the table need not be copied for it. `beside` holds what was read of all these cubes from other
    tables, in the table's order.
    """

    changed: int
    table: Numbers
    states: npt.NDArray[np.int8]
    answers: dict[Question, Allowed] = field(default_factory=dict)
    beside: dict[str, Numbers] = field(default_factory=dict)

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

    *known* gives a tenant's columns as they stood at an earlier change number, or None.
    """

    def __init__(self, known: Callable[[sqlite3.Connection, int], Columns | None]) -> None:
        self._known = known
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
        before = held if held is not None and held.changed < changed else self._known(connection, tenant)
        if before is None or before.changed > changed:
            fresh = Columns.of(changed, _read_all(connection, tenant))
        else:
            fresh = _level(connection, tenant, before, changed)
        self._hold(tenant, fresh)
        return fresh

    def known_at(self, connection: sqlite3.Connection, tenant: int, changed: int) -> Columns | None:
        """As `at`; None where every row would have to be read for it."""
        with self._lock:
            held = tenant in self._held
        return self.at(connection, tenant, changed) if held or self._known(connection, tenant) is not None else None

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


def _read_all(connection: sqlite3.Connection, tenant: int) -> Numbers:
    """The columns of all cubes of a tenant. As Python's numbers a batch is seven times as large."""
    rows = connection.execute(COLUMNS + "c.tenant = ? ORDER BY c.seq", (tenant,))
    batches = [integers((), WIDTH)]
    while batch := rows.fetchmany(BATCH):
        batches.append(integers(batch, WIDTH))
    return np.concatenate(batches, axis=1)


def _level(connection: sqlite3.Connection, tenant: int, before: Columns, changed: int) -> Columns:
    """The columns *before*, with everything that was committed since."""
    since = (tenant, before.changed)
    rows = connection.execute(_CHANGED + "c.tenant = ? AND c.changed > ? ORDER BY c.seq", since).fetchall()
    gone = connection.execute("SELECT cube FROM gone WHERE tenant = ? AND changed > ?", since).fetchall()
    if not rows and not gone:
        return Columns(changed, before.table, before.states, before.answers, before.beside)
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
    for question, found in list(before.answers.items()):
        wanted = {STATES[state] for state in question[-1].states}
        if not wanted or concerned <= wanted or not concerned & wanted:
            answers[question] = found
    return Columns(changed, before.table, states, answers, before.beside)
