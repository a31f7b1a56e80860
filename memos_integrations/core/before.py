"""What held before a memory was given other words: found in its history when a time in the world is asked for.

A vault finds the newest version of each memory. Where that began only after the time asked for, what held then is said
by an earlier version, or by what it was merged of. Such memories are few: those rewritten since. Each is read with its
history, and scored beside the others by its words of then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from memos_integrations.core.aftermath import was_merged_by_hand
from memos_integrations.core.cube import MemCube, Relation, State, unique
from memos_integrations.core.lifecycle.then import has_begun, held_at
from memos_integrations.core.ports import Found, Match, VaultQuery
from memos_integrations.core.ranking import bm25, idf
from memos_integrations.core.text import terms as terms_of

MOST_REWRITTEN = 1_000
"""So many memories that began after the time asked for are looked at, the latest."""


def with_before(
    query: VaultQuery,
    found: Found,
    search: Callable[[VaultQuery], Found],
    versions: Callable[[str], Sequence[MemCube]],
) -> Found:
    """What was found, and what earlier versions of other memories say of the time asked for.

    *versions* are those known at the time of the query, in the state of then.
    """
    at = query.filter.valid_at
    if at is None:
        return found
    since = replace(query.filter, valid_at=None, holding=False, begins_after=at, occurred=None, recorded=None)
    later = search(VaultQuery(k=MOST_REWRITTEN, filter=since, as_of=query.as_of)).matches
    then: list[MemCube] = []
    for cube in (match.cube for match in later if match.cube.version > 1):
        told = held_at(versions(cube.id), at)
        if told is not None and told.version < cube.version:
            then.append(told.model_copy(update={"state": cube.state}))
    known_ids = {match.cube.id for match in found.matches}
    for cube_id in unique(each for match in later for each in _made_of(match.cube)):
        if cube_id in known_ids:
            continue
        known = versions(cube_id)
        if known and known[-1].state is State.MERGED and (told := held_at(known, at)) is not None:
            then.append(told)
    if not then:
        return found
    matches = (*found.matches, *_scored(then, query, found))
    if not query.terms and query.vector is None:
        matches = tuple(sorted(matches, key=lambda each: _occurred(each.cube), reverse=True)[: query.k])
    return replace(found, matches=matches, visible=found.visible + len(then))


def begun(cube: MemCube, by: datetime, versions: Callable[[str], Sequence[MemCube]]) -> list[MemCube]:
    """The cube if it began to hold by a time, else what it said before, if anything.

    What was merged by hand stands for its sources, as soon as one of them holds.
    """
    if has_begun(cube, by):
        return [cube]
    if was_merged_by_hand(cube):
        return [cube] if any(held_at(versions(each), by) for each in _made_of(cube)) else []
    told = held_at(versions(cube.id), by) if cube.version > 1 else None
    return [] if told is None else [told.model_copy(update={"state": cube.state})]


def _made_of(cube: MemCube) -> Sequence[str]:
    """What a memory was merged of by hand: it is given in their place only since all of them hold."""
    merged = {link.target for link in cube.provenance.links if link.relation is Relation.MERGED_FROM}
    return [ref.id for ref in cube.provenance.derived_from if ref.id in merged]


def _scored(cubes: Sequence[MemCube], query: VaultQuery, found: Found) -> list[Match]:
    """The matches of those that hold one of the query's words; of all, where it has none. Without a cosine: 0."""
    cosine = None if query.vector is None else 0.0
    if not query.terms:
        return [Match(cube, cosine=cosine) for cube in cubes]
    words = [Counter(terms_of(cube.text)) for cube in cubes]
    lengths = [float(sum(each.values())) for each in words]
    beside = [len(terms_of(match.cube.text)) for match in found.matches]
    average = float(np.mean([*lengths, *beside]))
    scores = np.zeros(len(cubes))
    count = found.visible + len(cubes)
    for term in dict.fromkeys(query.terms):
        tf = np.array([float(each[term]) for each in words])
        holding = found.matching.get(term, 0) + int((tf > 0).sum())
        if holding:
            scores += bm25(tf, np.array(lengths), weight=idf(count, holding), average=average)
    return [
        Match(cube, bm25=score, cosine=cosine)
        for cube, score in zip(cubes, scores.tolist(), strict=True)
        if score > 0.0
    ]


def _occurred(cube: MemCube) -> tuple[float, str]:
    said = cube.provenance.occurred_at or cube.descriptive.created_at
    return said.timestamp(), cube.id
