"""What stores of derived memory are to erase once that is true which is staged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from memos_integrations.core.cube import CubeRef
from memos_integrations.core.ports import Derivative


@dataclass(slots=True)
class LaterDrops:
    """Stands for the stores of derived memory while nothing is true yet: notes what they are to erase."""

    stores: Sequence[Derivative]
    noted: list[tuple[tuple[str, ...], tuple[CubeRef, ...]]] = field(default_factory=list)

    def drop(self, cube_ids: Collection[str], now: Collection[CubeRef] = ()) -> int:
        """Note it; how many pieces will go."""
        self.noted.append((tuple(cube_ids), tuple(now)))
        return sum(ref.id in set(cube_ids) for store in self.stores for _, ref in store.sources())

    def sources(self) -> set[tuple[str, CubeRef]]:
        """What will be left."""
        gone = {cube_id for ids, _ in self.noted for cube_id in ids}
        return {each for store in self.stores for each in store.sources() if each[1].id not in gone}
