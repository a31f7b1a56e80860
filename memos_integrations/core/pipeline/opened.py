"""A run of a pipeline that is taken step by step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from memos_integrations.core.access import Caller
from memos_integrations.core.pipeline.later import LaterDrops
from memos_integrations.core.pipeline.pipeline import PipelineRun
from memos_integrations.core.pipeline.report import CubeChange, changes_in
from memos_integrations.core.ports import Stage


@dataclass(slots=True)
class OpenRun:
    """A run that is taken step by step (`MemOS.begin`): `changes` is what would change so far. Close it in the end."""

    run: PipelineRun
    stage: Stage
    later: LaterDrops
    caller: Caller
    number: str
    _room: ExitStack
    _dropped: Callable[[], None]
    taken: int = 0
    ended: bool = False

    @property
    def changes(self) -> tuple[CubeChange, ...]:
        """What would change, as far as the principal may see it."""
        return changes_in(self.stage, self.stage.changed(), self.caller)[0]

    def close(self) -> None:
        """Let go of what is staged; what was read stays on record. Safe to call twice."""
        ended, self.ended = self.ended, True
        try:
            if not ended:
                self._dropped()
        finally:
            self._room.close()
