"""The port that a store of derived memory fills, so that what is derived dies with its sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from memos_integrations.core.cube import CubeRef


def least_allowed(cube_ids: Collection[str], now: Collection[CubeRef], before: Mapping[str, float]) -> dict[str, float]:
    """What `Derivative.drop` has to remember of each cube: the first version of which something may be made again.

    A late writer may still bring an older one. *before* is what was remembered so far; it only ever grows.
    """
    found = dict.fromkeys(cube_ids, float("inf"))
    for ref in sorted(now, key=lambda ref: ref.version):
        found[ref.id] = ref.version
    return {cube_id: max(version, before.get(cube_id, 0)) for cube_id, version in found.items() if cube_id in cube_ids}


class Derivative(Protocol):
    """Holds what was computed from cubes outside the vault (keys and values, adapters); it can be lost, never stale."""

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Erase everything that was made from one of the cubes, and make nothing of them again; how many pieces.

        *now* are those that were changed, as they stand: of these versions, and later ones, something may be made.
        """
        ...

    def sources(self) -> set[tuple[str, CubeRef]]:
        """What the held pieces were made from, each with its tenant."""
        ...
