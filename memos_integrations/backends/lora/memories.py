"""What parameter cubes use of a `MemOS`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Protocol

from memos_integrations.core.access import CallContext, Principal, Verb
from memos_integrations.core.cube import MemCube, ModelFingerprint
from memos_integrations.core.operator import Learner
from memos_integrations.core.operator.tiering import Former
from memos_integrations.core.ports import Derivative


class Memories(Protocol):
    """What is used of a `MemOS`."""

    def attach(self, derivative: Derivative, *, learner: Learner | None = None, former: Former | None = None) -> None:
        """See `MemOS.attach`."""
        ...

    def get_many(
        self,
        cube_ids: Iterable[str],
        *,
        by: Principal,
        verb: Verb | str,
        context: CallContext | None,
        holding: bool = False,
    ) -> list[MemCube]:
        """See `MemOS.get_many`."""
        ...

    def read_blob(self, cube_id: str, *, by: Principal, context: CallContext | None) -> BinaryIO:
        """See `MemOS.read_blob`."""
        ...

    def keep_parameter(
        self,
        content: bytes | BinaryIO,
        sources: Sequence[MemCube],
        *,
        base: ModelFingerprint,
        training: Any,
        by: Principal,
        replaces: str | None = None,
        trigger: str | None = None,
        context: CallContext | None = None,
    ) -> MemCube:
        """See `MemOS.keep_parameter`."""
        ...
