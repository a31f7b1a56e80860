"""Search a SQLite vault as it stood at an earlier time: version by version, by the rules of `memory_search`.

What was replaced keeps its body and who could read it, but neither vector nor postings; so the versions of that time
are read one by one and scored as the in-memory vault scores them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np

from memos_integrations.core.lifecycle.then import Moves, moves_in, state_then
from memos_integrations.core.ports import CubeFilter, Found, VaultQuery
from memos_integrations.core.text import terms as terms_of
from memos_integrations.vaults.allowed import Asked, allowed, audiences_of
from memos_integrations.vaults.columns import RECORDED, SEQ, Columns
from memos_integrations.vaults.memory_search import Row, held_then, search
from memos_integrations.vaults.rules import micros
from memos_integrations.vaults.sqlite_audit import read_moves
from memos_integrations.vaults.sqlite_search import check_tenant, read_cube

_VERSION = """SELECT c.id, v.version, c.state, v.digest, v.body, b.body, CASE WHEN v.version = c.version THEN x.row END
    FROM cubes AS c JOIN versions AS v ON v.cube = c.seq AND v.version = ifnull(?, c.version)
    LEFT JOIN behaviour AS b ON b.cube = c.seq LEFT JOIN vectors AS x ON x.cube = c.seq WHERE c.seq = ?"""


def search_past(asked: Asked, columns: Columns, query: VaultQuery, moment: datetime) -> Found:
    """The answer to a query with `as_of`; see `VaultQuery`."""
    moves = moves_in(read_moves(asked.connection, asked.visible.tenant))
    rows = [_then(_row(asked, *each), moves, moment) for each in _versions(asked, columns, moment)]
    rows = held_then(rows, query.filter, moment)
    then = replace(query, as_of=None, filter=replace(query.filter, holding=False))
    found = search(rows, then, query.vector, asked.visible, {})
    how = f"{found.how.removesuffix(', in memory')}, as of {moment.isoformat()}"
    return replace(found, how=how)


def _versions(asked: Asked, columns: Columns, moment: datetime) -> Iterator[tuple[int, int | None]]:
    """Of each cube that may be seen now, the version of that time, if the asker could read it; None: the newest."""
    everything = CubeFilter(states=frozenset(), tiers=frozenset())
    seqs = allowed(replace(asked, wanted=everything), columns).seq
    table = columns.table[:, np.searchsorted(columns.table[SEQ], seqs)]
    mine = set(audiences_of(asked))
    newest = table[RECORDED] <= micros(moment)
    yield from ((seq, None) for seq in table[SEQ][newest].tolist())
    older = set(table[SEQ][~newest].tolist())
    then: dict[int, tuple[int, int]] = {}
    for seq, version, audience in asked.connection.execute(
        """SELECT p.cube, p.version, p.audience FROM cubes AS c CROSS JOIN past AS p ON p.cube = c.seq
        WHERE c.tenant = ? AND p.recorded_at <= ? ORDER BY p.version""",
        (asked.tenant, micros(moment)),
    ):
        then[seq] = version, audience
    yield from ((seq, version) for seq, (version, audience) in then.items() if seq in older and audience in mine)


def _then(row: Row, moves: Moves, moment: datetime) -> Row:
    state = state_then(row.state, moves.get(row.cube.id, ()), moment)
    return replace(row, cube=row.cube.model_copy(update={"state": state}), state=state)


def _row(asked: Asked, seq: int, version: int | None) -> Row:
    *stored, vector = asked.connection.execute(_VERSION, (version, seq)).fetchone()
    cube = read_cube(tuple(stored))
    check_tenant(cube, asked.visible.tenant)
    return Row(
        cube=cube,
        bodies=(b"",) * (cube.version - 1) + (stored[4],),
        readers=asked.visible.subjects,  # decided by number above
        terms=tuple(terms_of(cube.text)),
        vector=None if vector is None else np.frombuffer(vector, dtype="<f4"),
        state=cube.state,
        behaviour=cube.behaviour,
    )
