"""What a session could not write because the engine failed: kept in this process until it can. It is not durable."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from llama_index.core.base.llms.types import ChatMessage

History = list[ChatMessage] | None

# By vault, principal and session, so that a memory that was copied or restored finds it, and nobody else does.
_owed: dict[tuple[str, ...], tuple[History, list[ChatMessage]]] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Owed:
    """What is owed at one place: a history that was to be set (or None), and messages after it."""

    place: tuple[str, ...]

    def take(self) -> tuple[History, list[ChatMessage]]:
        """All of it, to be written now; it is owed no more."""
        with _lock:
            return _owed.pop(self.place, (None, []))

    def add(self, history: History, messages: Sequence[ChatMessage]) -> None:
        """Owe this, before what has come to be owed meanwhile; a history that was set meanwhile makes it void."""
        with _lock:
            later_history, later = _owed.get(self.place, (None, []))
            if later_history is None and (history is not None or messages):
                _owed[self.place] = (history, [*messages, *later])

    def now(self) -> tuple[History, list[ChatMessage]]:
        """Copies of all of it."""
        with _lock:
            history, messages = _owed.get(self.place, (None, []))
            copied = [message.model_copy(deep=True) for message in messages]
            return None if history is None else [each.model_copy(deep=True) for each in history], copied
