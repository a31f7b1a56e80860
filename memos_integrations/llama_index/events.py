"""What memory did, as events for LlamaIndex's instrumentation. They name memories and count; they never quote.

A question is told by its digest, so that a trace can be joined to the audit log without holding what was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Literal

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events.base import BaseEvent  # type: ignore[attr-defined]

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import sha256
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError
from memos_integrations.core.fence import Fence as EngineFence
from memos_integrations.core.operator import Recall

dispatcher = get_dispatcher("memos_integrations.llama_index")

Policy = Literal["continue", "raise"]
"""What happens when the engine fails in the middle of a turn: it goes on without memory, or it raises."""


class MemoryRecallStartEvent(BaseEvent):
    """A recall begins: by which part, for whom, and the SHA-256 of what was asked."""

    part: str
    principal: str
    query_digest: str

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryRecallStartEvent"


class MemoryRecallEndEvent(BaseEvent):
    """A recall ended: its id (the one in the audit log), which memories, their scores, tokens and milliseconds."""

    part: str
    principal: str
    recall_id: str
    cube_ids: list[str]
    scores: list[float]
    tokens: int
    milliseconds: float

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryRecallEndEvent"


class MemoryWriteEvent(BaseEvent):
    """Memories were written, changed or forgotten; it is durable."""

    part: str
    principal: str
    operation: str
    cube_ids: list[str]

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryWriteEvent"


class MemoryAccessDeniedEvent(BaseEvent):
    """Nodes or memories were withheld: how many, and for which reasons. It does not tell whether they exist."""

    part: str
    principal: str
    withheld: int
    reasons: dict[str, int]

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryAccessDeniedEvent"


class MemoryRankEvent(BaseEvent):
    """Nodes were ordered by memory: for each node, in the new order, its score and the signals behind it."""

    part: str
    principal: str
    node_ids: list[str]
    scores: list[float]
    signals: list[dict[str, float]]

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryRankEvent"


class MemoryFaultEvent(BaseEvent):
    """The engine failed, and the turn went on without it, as the policy says."""

    part: str
    operation: str
    error: str

    @classmethod
    def class_name(cls) -> str:
        """The name of the event."""
        return "MemoryFaultEvent"


def recalling(part: str, by: Principal, query: str) -> None:
    """Tell that a recall begins."""
    digest = sha256(query.encode("utf-8", "replace"))
    dispatcher.event(MemoryRecallStartEvent(part=part, principal=by.subject, query_digest=digest))


def recalled(part: str, by: Principal, recall: Recall) -> None:
    """Tell what a recall found."""
    dispatcher.event(
        MemoryRecallEndEvent(
            part=part,
            principal=by.subject,
            recall_id=recall.id,
            cube_ids=[hit.cube.id for hit in recall.hits],
            scores=[hit.score for hit in recall.hits],
            tokens=recall.token_count,
            milliseconds=recall.cost.total_ms,
        )
    )


def wrote(part: str, by: Principal, operation: str, cube_ids: list[str]) -> None:
    """Tell what was written."""
    dispatcher.event(MemoryWriteEvent(part=part, principal=by.subject, operation=operation, cube_ids=cube_ids))


def denied(part: str, by: Principal, reasons: Mapping[str, int]) -> None:
    """Tell what was withheld, if anything was."""
    if reasons:
        event = MemoryAccessDeniedEvent(
            part=part, principal=by.subject, withheld=sum(reasons.values()), reasons=dict(reasons)
        )
        dispatcher.event(event)


@contextmanager
def telling_refusals(part: str, by: Principal) -> Iterator[None]:
    """Within it, what is refused to the principal is told, and raised as ever."""
    try:
        yield
    except (AccessDeniedError, CubeNotFoundError):
        denied(part, by, {"refused": 1})
        raise


class Fence(EngineFence):
    """Keeps a fault of the engine from ending a turn, where the policy is to continue; it is told as an event, too.

    What the caller did wrong (no identity, no right, an invalid memory) is not a fault, and is raised always.
    """

    def __init__(self, part: str, operation: str, policy: Policy) -> None:
        super().__init__("open" if policy == "continue" else "closed", f"{operation} ({part})")
        self._part, self._operation = part, operation

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        ended = super().__exit__(kind, exc, trace)
        if ended:
            event = MemoryFaultEvent(part=self._part, operation=self._operation, error=type(exc).__name__)
            dispatcher.event(event)
        return ended
