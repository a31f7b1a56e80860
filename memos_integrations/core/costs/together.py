"""Which memories are used together, and how often: what a computed form of several of them is worth. Pure.

One use is counted once: for the one computed form that would have served it. What is there already comes first, so that
nothing is made and unmade in turn; then what would have saved most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from memos_integrations.core.costs.model import HALF_LIFE_S

Together = frozenset[str]
MOST_SETS = 256
"""So many sets of memories, those that were used most, are considered."""


def heat_of(
    uses: Iterable[tuple[Together, datetime]], now: datetime, *, half_life_s: float = HALF_LIFE_S
) -> dict[Together, float]:
    """How warm each set of memories is that was handed out together: its uses, each halved every half-life."""
    found: dict[Together, float] = {}
    for ids, at in uses:
        if ids:
            age = max(0.0, (now - at).total_seconds())
            cooled: float = 0.5 ** (age / half_life_s)
            found[ids] = found.get(ids, 0.0) + cooled
    return found


def shared_out(
    heat: Mapping[Together, float],
    *,
    learnt: Sequence[Together],
    kept: Sequence[Together],
    worth: Callable[[Together], float],
) -> dict[Together, float]:
    """How often each set is expected to serve, of the sets that were used, and of single memories.

    An adapter (of *learnt*) serves what it knows a part of, as far as it knows it; stored keys and values (of *kept*)
    serve what holds all of theirs. *worth* is what one use of a set saves, to order those that are not made yet.
    """
    left = dict(heat)
    found: dict[Together, float] = {}
    for ids in learnt:
        served = [used for used in left if used & ids]
        found[ids] = sum(left[used] * len(used & ids) / len(used) for used in served)
        for used in served:
            del left[used]
    for ids in (*kept, *_candidates(heat, learnt, kept, worth)):
        served = [used for used in left if ids <= used]
        warmth = sum(left.pop(used) for used in served)
        if warmth or ids in kept:
            found[ids] = max(warmth, found.get(ids, 0.0))
    return found


def _candidates(
    heat: Mapping[Together, float],
    learnt: Sequence[Together],
    kept: Sequence[Together],
    worth: Callable[[Together], float],
) -> list[Together]:
    """The sets that were used and each of their memories, what saves most first; without those that are made."""
    hottest = sorted(heat, key=lambda used: (-heat[used], sorted(used)))[:MOST_SETS]
    singles: dict[Together, float] = {}
    for used in hottest:
        for each in used:
            one = frozenset({each})
            singles[one] = singles.get(one, 0.0) + heat[used]
    wanted = singles | {used: sum(heat[more] for more in hottest if used <= more) for used in hottest}
    fresh = [ids for ids in wanted if ids not in kept and not any(ids <= each for each in learnt)]
    return sorted(fresh, key=lambda ids: (-wanted[ids] * worth(ids), -len(ids), sorted(ids)))[:MOST_SETS]
