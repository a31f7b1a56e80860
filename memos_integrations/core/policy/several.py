"""Rules from several places, all of which hold: each of them narrows, none takes back what another forbids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from memos_integrations.core.cube import Governance, MemCube, sha256
from memos_integrations.core.policy.engine import Asker, Compiled, Engine, Part, Slip
from memos_integrations.core.ports.query import CubeFilter


class Several:
    """One engine of several. What one refuses, or keeps back, is refused and kept back."""

    def __init__(self, *engines: Engine) -> None:
        self._engines = engines

    @property
    def revision(self) -> str:
        """SHA-256 of what they say, in their order."""
        return sha256(" ".join(each.revision for each in self._engines).encode())

    @property
    def says(self) -> list[str]:
        """The names of all rules."""
        return [name for each in self._engines for name in each.says]

    @property
    def subjects(self) -> frozenset[str]:
        """Who is named by any."""
        return frozenset().union(*(each.subjects for each in self._engines))

    @property
    def hides_fields(self) -> bool:
        """Whether any keeps parts of memories back."""
        return any(each.hides_fields for each in self._engines)

    @property
    def kept(self) -> None:
        """None: each is kept where it came from."""
        return None

    def refusal(self, cube: MemCube, verb: str, caller: Asker) -> str | None:
        """Why the first that refuses does."""
        return next((said for each in self._engines if (said := each.refusal(cube, verb, caller)) is not None), None)

    def hidden_fields(self, cube: MemCube, caller: Asker) -> frozenset[Part]:
        """The parts that any keeps back."""
        return frozenset().union(*(each.hidden_fields(cube, caller) for each in self._engines))

    def compiled(self, caller: Asker) -> Compiled:
        """All that is hidden; whole where all of them are."""
        said = [each.compiled(caller) for each in self._engines]
        hidden = tuple(one for each in said for one in each.hidden)
        limits = tuple(one for each in said for one in each.limits)
        return Compiled(hidden, all(each.is_whole for each in said), limits)

    def partly(self, caller: Asker, wanted: CubeFilter) -> tuple[CubeFilter, ...]:
        """What any leaves out of such a look."""
        return tuple(one for each in self._engines for one in each.partly(caller, wanted))

    def holds_until(self, cubes: Sequence[MemCube], now: datetime) -> datetime | None:
        """The first moment at which one of them may decide otherwise."""
        ends = (each.holds_until(cubes, now) for each in self._engines)
        return min((end for end in ends if end is not None), default=None)

    def governed(self, cube: MemCube) -> Governance:
        """What a memory says of itself, on the terms of all."""
        for each in self._engines:
            cube = cube.model_copy(update={"governance": each.governed(cube)})
        return cube.governance

    def unmatched(self, cubes: Sequence[MemCube], tenant: str, now: datetime) -> list[Slip]:
        """What any is about, and no memory has."""
        return [slip for each in self._engines for slip in each.unmatched(cubes, tenant, now)]

    def faults(self) -> list[str]:
        """What any could not decide."""
        return [fault for each in self._engines for fault in each.faults()]
