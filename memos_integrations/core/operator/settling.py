"""Memories that were written in bulk are held against what is there, one by one, once they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from memos_integrations.core.access import Caller
from memos_integrations.core.conflict import ConflictJudge, Decided
from memos_integrations.core.conflict import Ruling as Decision
from memos_integrations.core.cube import CubeRef, MemCube
from memos_integrations.core.gate import Ruling
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator.admission import source_of
from memos_integrations.core.operator.embedding import Embedding
from memos_integrations.core.operator.quarantine import Quarantine
from memos_integrations.core.operator.resolver import Resolver


class Settling:
    """Decides about memories after they were written, and watches how often their sources contradict."""

    def __init__(
        self,
        governance: MemGovernance,
        embedding: Embedding,
        judge: ConflictJudge,
        resolver: Resolver,
        dropped: Callable[[Collection[str], Collection[CubeRef]], None],
    ) -> None:
        self._governance, self._resolver = governance, resolver
        self._quarantine = Quarantine(governance, embedding, dropped)
        self._types = getattr(judge, "types", None)

    def run(self, cubes: Sequence[MemCube], caller: Caller) -> None:
        """Decide; each decision is durable on return."""
        for cube in cubes:
            # Most of a conversation are messages, which rules leave alone: nothing is looked up for them.
            if self._types is None or cube.descriptive.semantic_type in self._types:
                for now in self._resolver.standing([cube.id], caller):
                    made = self._resolver.settle(now, caller)
                    self._watch(now, [each for each in made if each.ruling is not Decision.MERGE], caller)

    def _watch(self, cube: MemCube, made: Sequence[Decided], caller: Caller) -> None:
        """Raise the alarm for a source that contradicts very much; what is not let through is set apart again."""
        gate = self._governance.gate
        pace = None if gate is None or not made else gate.contradicted(source_of(cube), cube.trust.channel, caller.now)
        if pace is None:
            return
        if pace.alarm:
            self._governance.note_alarm(cube, caller, pace.for_audit() | {"alarm": True})
        if pace.ruling in {Ruling.QUARANTINE, Ruling.REFUSE}:  # it is stored: what is refused is set apart
            for decision in made:
                if decision.ruling is Decision.SUPERSEDE and decision.newer == cube.id:
                    self._resolver.undo(decision.id, caller)
            self._quarantine.set_apart([cube.id], caller, reason=pace.reason)
