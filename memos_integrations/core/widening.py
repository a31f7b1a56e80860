"""A short answer is widened: where some of the best may not be given after all, the next best come in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import is_

from memos_integrations.core.cube import MemCube
from memos_integrations.core.ports import Found, Match, VaultQuery


def allowed(
    query: VaultQuery, search: Callable[[VaultQuery], Found], shown: Callable[[Sequence[MemCube]], list[MemCube]]
) -> Found:
    """What *search* finds of what is *shown*: as many as are asked for, if there are. A later page is left as it is."""
    k = query.k
    while True:
        found = search(query if k == query.k else replace(query, k=k))
        given = {cube.id: cube for cube in shown([match.cube for match in found.matches])}
        matches = tuple(_as_given(match, given) for match in found.matches if match.cube.id in given)
        lost = len(found.matches) - len(matches)
        if not lost or query.skip or len(matches) >= query.k or len(found.matches) < k:
            break
        k = 2 * (k + lost)
    is_list = not query.terms and query.vector is None
    if not lost and not is_list and all(map(is_, matches, found.matches)):
        return found  # most often so
    return replace(found, matches=matches[: query.k] if is_list else matches, visible=found.visible - lost)


def _as_given(match: Match, given: Mapping[str, MemCube]) -> Match:
    cube = given[match.cube.id]
    return match if cube is match.cube else replace(match, cube=cube)
