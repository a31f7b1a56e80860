"""The port that a store of derived memory fills, so that what is derived dies with its sources."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from memos_integrations.core.cube import CubeRef


class Derivative(Protocol):
    """Holds what was computed from cubes outside the vault (keys and values, adapters); it can be lost, never stale."""

    def drop(self, cube_ids: Collection[str]) -> int:
        """Erase everything that was made from one of the cubes, and make nothing of them again; how many pieces."""
        ...

    def sources(self) -> set[tuple[str, CubeRef]]:
        """What the held pieces were made from, each with its tenant."""
        ...
