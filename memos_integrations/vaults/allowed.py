"""Which cubes of a tenant a query may look at: visibility and filters over the columns that are held of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from memos_integrations.core.errors import IntegrityError
from memos_integrations.core.ports import CubeFilter, ValueTest, Visibility
from memos_integrations.core.text import folded_label
from memos_integrations.vaults.columns import (
    AUDIENCE,
    EXPIRES,
    FLAGS,
    LARGE,
    MEMORIES,
    NEVER,
    OCCURRED,
    RECORDED,
    SEQ,
    STATES,
    TIER,
    TIERS,
    VALID_FROM,
    VALID_TO,
    Allowed,
    Columns,
    Mask,
    Numbers,
    integers,
)
from memos_integrations.vaults.leaves import as_number
from memos_integrations.vaults.numbering import Kind, Words
from memos_integrations.vaults.rules import micros, storable

_FEW = 50
_BY_ID = """SELECT c.seq, c.id FROM json_each(?) AS asked CROSS JOIN cubes AS i ON i.id = asked.value
    CROSS JOIN cubes AS c ON c.seq = i.seq"""

_NEXT = """SELECT seq FROM cubes WHERE tenant = ? AND seq > ? AND seq <= ? AND audience IN (
    SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?"""

_ON_FEW = """SELECT cube FROM labels WHERE cube IN (SELECT value FROM json_each(?)) AND kind = ?
    AND value IN (SELECT value FROM json_each(?))"""

_ON_ANY = """SELECT l.cube FROM json_each(?) AS asked CROSS JOIN cubes AS c CROSS JOIN labels AS l
    ON l.cube = c.seq AND l.kind = ? AND l.value = asked.value WHERE c.tenant = ?"""

MERGED = """SELECT m.cube FROM json_each(?) AS asked CROSS JOIN links AS m CROSS JOIN links AS d
    ON m.cube = asked.value AND m.relation = 'merged_from'
    AND d.cube = m.cube AND d.relation = 'derived_from' AND d.target = m.target"""
"""Which of these were merged by hand."""


CheckIds = Callable[[sqlite3.Connection, str, Mapping[int, str]], None]
"""Refuses ids of a tenant's cubes, by number, that are not those that were sealed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one tenant, in one read transaction."""

    connection: sqlite3.Connection
    words: Words
    tenant: int
    visible: Visibility
    wanted: CubeFilter
    check_ids: CheckIds


def allowed(asked: Asked, columns: Columns) -> Allowed:
    """The cubes that pass visibility and filter."""
    visible, wanted = asked.visible, asked.wanted
    who, context = visible.subjects, (visible.purpose, visible.application)
    key = (who, *context, visible.hidden, visible.limits, visible.anywhere, wanted)
    found = columns.answers.get(key)
    if found is None:
        keep = _visible(asked, columns)
        keep = _wanted(asked, columns, keep)
        head = _holding(asked, columns.table, keep) if wanted.holding else columns.table[: EXPIRES + 1]
        table = head if keep.all() else np.ascontiguousarray(head[:, keep])
        if len(columns.answers) >= (MEMORIES if columns.table.shape[1] < LARGE else 2):
            columns.answers.clear()
        found = columns.answers[key] = Allowed(*table)
    # Time alone takes cubes away: so it is looked at last, and what was remembered holds for every moment.
    return found.at(micros(visible.now))


def _visible(asked: Asked, columns: Columns) -> Mask:
    words, visible, table = asked.words, asked.visible, columns.table
    keep = among(table[AUDIENCE], audiences_of(asked))
    keep &= table[FLAGS] & 1 == 0
    contexts = ((Kind.PURPOSE, 2, visible.purpose), (Kind.APPLICATION, 4, visible.application))
    for kind, flag, said in () if visible.anywhere else contexts:
        limited = table[FLAGS] & flag != 0
        if limited.any():
            named = [] if said is None else [words.label(kind, said)]
            keep &= ~limited | _labelled(asked, table, keep & limited, kind, named)
    for hidden in visible.hidden:
        keep &= ~_passing(asked, columns, keep, hidden)
    for limit in visible.limits:
        away = keep.copy()
        for each in limit.of:
            away = _passing(asked, columns, away, each)
        for each in limit.to:
            away &= ~_passing(asked, columns, away, each)
        keep &= ~away
    return keep


def _passing(asked: Asked, columns: Columns, keep: Mask, wanted: CubeFilter) -> Mask:
    """Those of what is to keep that pass a filter of a visibility."""
    asked, table = replace(asked, wanted=wanted), columns.table
    found = keep & _typed(wanted, table) & _begun(asked, columns)
    if wanted.ids:
        found &= among(table[SEQ], _numbered(asked))
    for kind, numbers in _labels(asked):
        if found.any():
            found &= _labelled(asked, table, found, kind, numbers) | _spelled(asked, columns, numbers)
    return found


def audiences_of(asked: Asked) -> list[int]:
    """The sets of readers that the asker is in."""
    rows: list[int] = []
    for subject in sorted(asked.visible.subjects):
        found = asked.connection.execute(
            "SELECT audience FROM audiences WHERE subject = ?", (asked.words.subject(subject),)
        )
        rows += [row[0] for row in found]
    return integers([(row,) for row in set(rows)], 1)[0].tolist()  # type: ignore[no-any-return]


def readable_after(asked: Asked, table: Numbers, after: int, until: int, most: int) -> list[int]:
    """The next cubes above *after* and up to *until* that the asker is a reader of."""
    part = slice(*table[SEQ].searchsorted([after + 1, until + 1]))
    seen: list[int] = table[SEQ, part][among(table[AUDIENCE, part], audiences_of(asked))][:most].tolist()
    return seen


def last_of(asked: Asked) -> int:
    """The number of the tenant's last cube, read from the rows."""
    (last,) = asked.connection.execute(
        "SELECT ifnull(max(seq), 0) FROM cubes WHERE tenant = ?", (asked.tenant,)
    ).fetchone()
    return int(last)


def next_readable(asked: Asked, after: int, until: int, most: int) -> list[int]:
    """As `readable_after`, read from the rows: of a tenant too large to be read as columns for it."""
    audiences = json.dumps(list(audiences_of(asked)))
    return [seq for (seq,) in asked.connection.execute(_NEXT, (asked.tenant, after, until, audiences, most))]


def _wanted(asked: Asked, columns: Columns, keep: Mask) -> Mask:
    table = columns.table
    keep = keep & _typed(asked.wanted, table) & _begun(asked, columns)
    if asked.wanted.states:
        keep &= among(columns.states, [STATES[state] for state in asked.wanted.states])
    if asked.wanted.ids:
        keep &= among(table[SEQ], _numbered(asked))
    for kind, numbers in _labels(asked):
        if keep.any():
            keep &= _labelled(asked, table, keep, kind, numbers) | _spelled(asked, columns, numbers)
    for test in asked.wanted.value:
        if keep.any():
            keep &= _tested(asked, table, test)
    return keep


def _typed(wanted: CubeFilter, table: Numbers) -> Mask:
    """What the columns alone say."""
    keep = np.ones(table.shape[1], dtype=np.bool_)
    if wanted.tiers:
        keep &= among(table[TIER], [TIERS[tier] for tier in wanted.tiers])
    for column, window in ((OCCURRED, wanted.occurred), (RECORDED, wanted.recorded)):
        if window is not None:
            keep &= (table[column] >= micros(window[0])) & (table[column] < micros(window[1]))
    if wanted.valid_at is not None:
        at = micros(wanted.valid_at)
        keep &= (table[VALID_FROM] <= at) & (table[VALID_TO] > at)
    if wanted.begins_after is not None:
        keep &= table[VALID_FROM] > micros(wanted.begins_after)
    return keep


def _holding(asked: Asked, table: Numbers, keep: Mask) -> Numbers:
    """The columns, in which what stops holding goes as what expires does."""
    ends = keep & (table[VALID_TO] < NEVER)
    head = table[: EXPIRES + 1]
    if not ends.any():
        return head
    ends &= ~_there(table, asked.connection.execute(MERGED, (json.dumps(table[SEQ][ends].tolist()),)))
    head = head.copy()
    # One microsecond before: a memory still counts at the instant at which it expires, but not at its `valid_to`.
    head[EXPIRES, ends] = np.minimum(head[EXPIRES, ends], table[VALID_TO, ends] - 1)
    return head


def _begun(asked: Asked, columns: Columns) -> Mask:
    """Which cubes were first written down when it is wanted."""
    table, window = columns.table, asked.wanted.created
    if window is None:
        return np.ones(table.shape[1], dtype=np.bool_)
    if (first := columns.beside.get("created")) is None:
        seqs, kinds, moments = columns.for_rules(asked.connection, asked.tenant)
        known = (kinds == Kind.CREATED) & np.isin(seqs, table[SEQ])
        first = table[RECORDED].copy()
        first[np.searchsorted(table[SEQ], seqs[known])] = moments[known]
        columns.beside["created"] = first
    return (first >= micros(window[0])) & (first < micros(window[1]))


def _labels(asked: Asked) -> Iterable[tuple[Kind, list[int]]]:
    """The labels wanted, kind by kind: one of each kind must be there."""
    words, wanted = asked.words, asked.wanted
    same, caseless = (folded_label, folded_label) if wanted.folded else (str, str.casefold)
    place, tenant = tuple(map(same, wanted.namespace)), same(asked.visible.tenant)
    if place and place != (tenant,):  # the tenant alone holds for all of them
        yield Kind.NAMESPACE, [words.namespace(place)]
    as_written = (
        (Kind.THREAD, () if wanted.thread_id is None else (wanted.thread_id,)),
        (Kind.SESSION, () if wanted.session_id is None else (wanted.session_id,)),
        (Kind.SESSION, wanted.sessions),
    )
    for kind, values in ((Kind.SEMANTIC_TYPE, wanted.semantic_types), (Kind.TAG, wanted.tags)):
        if values:
            yield kind, [words.label(kind, same(value)) for value in values]
    for kind, values in ((Kind.ENTITY, wanted.entities), (Kind.SPEAKER, wanted.speakers)):
        if values:
            yield kind, [words.label(kind, caseless(value)) for value in values]
    for kind, values in as_written:
        if values:
            yield kind, [words.label(kind, value) for value in values]


def _spelled(asked: Asked, columns: Columns, numbers: Iterable[int]) -> Mask:
    """Which cubes have one of these labels when it is folded; one that is so written has no other."""
    if not asked.wanted.folded:
        return np.zeros(columns.table.shape[1], dtype=np.bool_)
    seqs, kinds, values = columns.for_rules(asked.connection, asked.tenant)
    return np.isin(columns.table[SEQ], seqs[(kinds == Kind.SPELLED) & among(values, [*numbers])])


def among(column: npt.NDArray[np.integer[Any]], values: Collection[int]) -> Mask:
    """Where the column has one of the values."""
    if len(values) > 6:
        return np.isin(column, np.fromiter(values, dtype=np.int64, count=len(values)))
    keep = np.zeros(column.size, dtype=np.bool_)
    for value in values:
        keep |= column == value
    return keep


def _numbered(asked: Asked) -> list[int]:
    """The numbers of the cubes wanted by id: found by the index, named by the table."""
    wanted = {cube_id for cube_id in asked.wanted.ids if storable(cube_id)}
    found = dict(asked.connection.execute(_BY_ID, (json.dumps([*wanted]),)).fetchall())
    if strange := {*found.values()}.difference(wanted):
        cube_id = str(min(strange, key=str))
        raise IntegrityError(f"The index of ids leads to cube {cube_id!r}, which was not asked for", cube_id)
    asked.check_ids(asked.connection, asked.visible.tenant, found)
    return [*found]


def _labelled(asked: Asked, table: Numbers, among: Mask, kind: Kind, numbers: Iterable[int]) -> Mask:
    """Which cubes carry one of these labels; only those *among* are looked at where they are few."""
    values = json.dumps(sorted(numbers))
    seqs = table[SEQ][among]
    if seqs.size <= _FEW:
        found = asked.connection.execute(_ON_FEW, (json.dumps(seqs.tolist()), int(kind), values))
    else:
        found = asked.connection.execute(_ON_ANY, (values, int(kind), asked.tenant))
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
