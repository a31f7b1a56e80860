"""MemBranch: memory as it would be. Written to, recalled from, compared, then merged in one transaction or dropped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Generic, Self, TypeVar

from memos_integrations.core.access import Caller
from memos_integrations.core.cube import CubeRef, Label, Moment, Value
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.pipeline.report import CubeChange, changes_in
from memos_integrations.core.ports import Expect, Stage

_Memory = TypeVar("_Memory")


class Snapshot(Value):
    """A moment with a name, to go back to: `as_of=snapshot.at` recalls what was known then.

    It copies nothing and costs one entry of the audit log: every version is kept anyhow, and what was forgotten since
    stays forgotten.
    """

    name: Label
    at: Moment
    by: Label


class MemBranch(Generic[_Memory]):
    """A what-if branch of a principal's tenant (paper §5.4.3). `memos` is a `MemOS` over it; a context manager.

    It lies over the vault and holds what differs: it is there at once, whatever the vault's size, nobody else sees it,
    and it is gone with the process that made it. What others write below is seen in it, save where it differs; what
    they erase is gone here, too.
    Leaving the block without `merge` drops it.
    """

    def __init__(
        self,
        memos: _Memory,
        stage: Stage,
        caller: Caller,
        room: ExitStack,
        *,
        merge: Callable[[], int | None],
        dropped: Callable[[], None],
        current: Callable[[list[CubeRef]], set[CubeRef]],
    ) -> None:
        self.memos = memos
        self._stage, self._caller, self._room = stage, caller, room
        self._merge, self._dropped, self._current = merge, dropped, current
        self._ended = False

    @property
    def changes(self) -> tuple[CubeChange, ...]:
        """What differs from the vault below, cube by cube, as far as the branch's principal may see it."""
        self._check_open()
        return changes_in(self._stage, self._stage.changed(), self._caller)[0]

    @property
    def overtaken(self) -> tuple[str, ...]:
        """The ids of cubes that were given or changed here and, meanwhile, changed below: with one, `merge` is refused.

        Not among them is what others wrote with the same key, or derived from what was erased here.
        """
        self._check_open()
        expected = [each for each in self._stage.pending().changes if isinstance(each, Expect)]
        refs = [CubeRef(id=each.cube_id, version=each.version) for each in expected]
        current = self._current(refs)
        return tuple(ref.id for ref in refs if ref not in current)

    def merge(self) -> int | None:
        """Make everything in the branch true, in one transaction; its commit number (None: nothing differed).

        The branch ends. Where it is refused nothing was changed, and the branch is as it was.

        Raises:
            VersionConflictError, CubeNotFoundError, AlreadyRememberedError, StillDerivedError: Somebody else changed
                the same memories meanwhile; `overtaken` names them.
            LegalHoldError, AccessDeniedError: Already when it was written in the branch.
        """
        self._check_open()
        commit = self._merge()
        self._close()
        return commit

    def drop(self) -> None:
        """Let go of what differs; what was read in it stays on record. Safe to call twice, and after `merge`."""
        if not self._ended:
            try:
                self._dropped()
            finally:
                self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def _check_open(self) -> None:
        if self._ended:
            raise InvalidMemoryError("This branch was merged or dropped; make another one.")

    def _close(self) -> None:
        self._ended = True
        self._room.close()
