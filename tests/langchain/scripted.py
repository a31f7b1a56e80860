"""Chat models that say what a test wrote for them, and keep what they were shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

Line = str | AIMessage | BaseException | Callable[[list[BaseMessage]], AIMessage]


class ScriptedModel(BaseChatModel):
    """Answers line by line, the last one again and again."""

    lines: list[Any] = Field(default_factory=lambda: ["Understood."])
    shown: list[list[BaseMessage]] = Field(default_factory=list)
    settings: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        self.shown.append(list(messages))
        self.settings.append(kwargs)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, BaseException):
            raise line
        if callable(line):
            line = line(messages)
        message = AIMessage(line) if isinstance(line, str) else line.model_copy()
        return ChatResult(generations=[ChatGeneration(message=message)])

    @property
    def texts(self) -> list[list[str]]:
        return [[str(message.text) for message in messages] for messages in self.shown]


class LocalModel(ScriptedModel):
    """One that reads the ids of memories among its settings, as a local model does."""

    reads_memory_ids: bool = True


def call(name: str, id: str = "call-1", **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": id}])
