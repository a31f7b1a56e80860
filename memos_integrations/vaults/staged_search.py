"""Searching what is staged over a vault: the vault's answer, without what was changed since, joined by what was."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from memos_integrations.core.cube import MemCube, State
from memos_integrations.core.lifecycle.then import Moves, moves_over, state_then
from memos_integrations.core.operator import finished
from memos_integrations.core.ports import AuditEntry, Found, Match, Vault, VaultQuery, Vectors, Visibility
from memos_integrations.vaults.memory_search import Row, bm25_scores, search, top
from memos_integrations.vaults.rules import occurred_at


@dataclass(frozen=True, slots=True)
class Below:
    """The vault below, and what is no longer as it says.

    `before` are the cubes that were loaded from it, `as_below` those of them that have the words and vector of there
    still, `gone` what was erased; `chain` what is on record here.
    """

    vault: Vault
    before: Mapping[str, MemCube]
    as_below: Collection[str]
    gone: Collection[str]
    chain: Sequence[AuditEntry]


def search_over(
    below: Below, rows: Mapping[str, Row], query: VaultQuery, asked: Vectors | None, visible: Visibility
) -> Found:
    """The best k by each signal among what is visible; *rows* are the cubes that were changed, moved or used."""
    hidden = {*below.before, *below.gone}
    moves = moves_over(below.vault, query, visible.tenant, below.chain)
    stand = {cube_id: _state(row, moves, query) for cube_id, row in rows.items()}
    wide = replace(query, k=min(sys.maxsize, query.k + query.skip + len(hidden)), skip=0)
    found = below.vault.search(wide, visible)
    theirs = [each for match in found.matches if (each := _as_staged(match, below, rows, query, stand)) is not None]
    known = {match.cube.id for match in theirs}
    own = {cube_id: row for cube_id, row in rows.items() if cube_id not in below.as_below}
    ours = list(search(own.values(), wide, asked, visible, moves).matches)
    back = [cube_id for cube_id in below.as_below if cube_id not in known and _came_back(cube_id, below, query, stand)]
    now = {each: {"state": stand[each], "behaviour": rows[each].behaviour} for each in back}
    ours += _brought_back(now, below, wide, visible)
    count = found.visible - _counted(hidden, below, query, visible)
    scope = VaultQuery(1, filter=query.filter, as_of=query.as_of)
    count += search(rows.values(), scope, None, visible, moves).visible
    how = f"{found.how}; {len(own)} staged beside them"
    return Found(_best(theirs, _scaled(ours, theirs, rows, query), query), count, how, found.matching)


def _state(row: Row, moves: Moves, query: VaultQuery) -> State:
    """The state of a cube at the time that is asked for."""
    return row.state if query.as_of is None else state_then(row.state, moves.get(row.cube.id, ()), query.as_of)


def _as_staged(
    match: Match, below: Below, rows: Mapping[str, Row], query: VaultQuery, stand: Mapping[str, State]
) -> Match | None:
    """A match from below as it stands here; None where it was rewritten or erased, or is in a state not asked for."""
    cube_id = match.cube.id
    if cube_id not in below.before and cube_id not in below.gone:
        return match
    row = rows.get(cube_id)
    if row is None or cube_id not in below.as_below:
        return None
    state = stand[cube_id]
    if query.filter.states and state not in query.filter.states:
        return None
    return replace(match, cube=match.cube.model_copy(update={"state": state, "behaviour": row.behaviour}))


def _came_back(cube_id: str, below: Below, query: VaultQuery, stand: Mapping[str, State]) -> bool:
    """Whether a move has brought a cube into the states that are asked for."""
    wanted, was = query.filter.states, below.before[cube_id].state
    return bool(wanted) and stand[cube_id] in wanted and (query.as_of is not None or was not in wanted)


def _brought_back(
    now: Mapping[str, dict[str, object]], below: Below, wide: VaultQuery, visible: Visibility
) -> list[Match]:
    ids = [cube_id for cube_id in now if not wide.filter.ids or cube_id in wide.filter.ids]
    if not ids:
        return []
    anywhere = replace(wide.filter, ids=tuple(ids), states=frozenset(State))
    found = below.vault.search(replace(wide, k=len(ids), filter=anywhere), visible).matches
    return [replace(match, cube=match.cube.model_copy(update=now[match.cube.id]), around={}) for match in found]


def _counted(hidden: Collection[str], below: Below, query: VaultQuery, visible: Visibility) -> int:
    """How many of the cubes that were changed the vault below counted."""
    ids = [cube_id for cube_id in hidden if not query.filter.ids or cube_id in query.filter.ids]
    if not ids:
        return 0
    scope = replace(query.filter, ids=tuple(ids))
    return below.vault.search(VaultQuery(k=1, filter=scope, as_of=query.as_of), visible).visible


def _scaled(ours: list[Match], theirs: list[Match], rows: Mapping[str, Row], query: VaultQuery) -> list[Match]:
    """BM25 of what is staged, in the measure of the scores from below."""
    if not query.terms or not ours or not any(match.bm25 for match in theirs):
        return ours
    beside = {match.cube.id: _candidate(match.cube) for match in theirs if match.bm25}
    joint = bm25_scores(beside | {match.cube.id: rows[match.cube.id] for match in ours}, query.terms)
    there = sum(match.bm25 or 0.0 for match in theirs)
    here = sum(joint.get(cube_id, 0.0) for cube_id in beside)
    scale = there / here if here else 1.0
    return [replace(match, bm25=scale * joint.get(match.cube.id, 0.0)) for match in ours]


def _candidate(cube: MemCube) -> Row:
    return Row(cube, (), frozenset(), finished(cube).terms, None, cube.state, cube.behaviour)


def _best(theirs: list[Match], ours: list[Match], query: VaultQuery) -> tuple[Match, ...]:
    matches = {match.cube.id: match for match in [*theirs, *ours]}
    if not query.terms and query.vector is None:
        order = sorted(matches)
        order.sort(key=lambda cube_id: occurred_at(matches[cube_id].cube), reverse=True)
        return tuple(matches[cube_id] for cube_id in order[query.skip : query.skip + max(0, query.k)])
    signals = [
        {cube_id: match.bm25 for cube_id, match in matches.items() if match.bm25},
        {cube_id: match.cosine for cube_id, match in matches.items() if match.cosine is not None},
        {cube_id: match.around["context"] for cube_id, match in matches.items() if "context" in match.around},
    ]
    best = {cube_id for scores in signals for cube_id in top(scores, query.k)}
    return tuple(matches[cube_id] for cube_id in sorted(best))
