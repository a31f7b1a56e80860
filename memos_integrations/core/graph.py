"""Personalised PageRank over memories and the words and names they share: the idea of HippoRAG (2405.14831). Pure.

The graph has two kinds of nodes: memories, and what is in them. It is made anew for each question out of the memories
given, which are those that whoever asks may see: nothing else lends an edge or a weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from memos_integrations.core.ranking import Floats

STEPS = 10
STAYS = 0.5
"""How often the walk begins anew at what was found first: near things count, far ones fade by half a step."""

MOST_SHARED = 0.1
"""What stands in more than this share of the memories connects everything, and so nothing."""

SEEDS = 5
"""So many of the best memories the walk begins at."""


def spread(features: Sequence[Collection[str]], scores: Floats) -> Floats:
    """How near each memory is to the best-scored ones by way of what they share: 0..1, the square root of its rank.

    *features* are the words and names of each memory, *scores* its score so far; both of length N.
    """
    seeds = _seeds(scores)
    counts = Counter(name for each in features for name in set(each))
    size = len(features)
    places = {name: at for at, name in enumerate(n for n, c in counts.items() if 2 <= c <= max(2, MOST_SHARED * size))}
    pairs = [(at, places[name]) for at, each in enumerate(features) for name in sorted(set(each)) if name in places]
    if not pairs or not seeds.any():
        return np.zeros(size)
    rows, columns = np.array(pairs).T
    rarity = np.array([np.log1p((size - counts[name] + 0.5) / (counts[name] + 0.5)) for name in places])
    weights = rarity[columns]
    out, back = np.bincount(rows, weights, size), np.bincount(columns, weights, len(places))
    rank = seeds
    for _ in range(STEPS):
        held = np.bincount(columns, weights * rank[rows] / out[rows], len(places))
        rank = STAYS * seeds + (1.0 - STAYS) * np.bincount(rows, weights * held[columns] / back[columns], size)
    near: Floats = np.sqrt(rank / rank.max())
    return near


def _seeds(scores: Floats) -> Floats:
    """Where the walk begins: the best memories by how far they stand above the next, in all 1."""
    best = np.argsort(-scores, kind="stable")
    above = np.zeros(len(scores))
    floor = scores[best[SEEDS]] if len(best) > SEEDS else 0.0
    above[best[:SEEDS]] = np.maximum(scores[best[:SEEDS]] - floor, 0.0)
    total = above.sum()
    return above / total if total > 0.0 else above


def sources_first(root: str, made: Iterable[tuple[str, str]]) -> list[str]:
    """Of pairs `(source, derived from it)` all that stems from *root*, each after all that it was made from."""
    below: dict[str, list[str]] = {}
    for source, derived in made:
        below.setdefault(source, []).append(derived)
    seen, done = {root}, list[str]()
    path = [(root, iter(below.get(root, ())))]
    while path:
        at, rest = path[-1]
        following = next((each for each in rest if each not in seen), None)
        if following is None:
            done.append(at)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(below.get(following, ()))))
    return done[-2::-1]
