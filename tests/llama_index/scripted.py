"""Function-calling models of the framework's own mock kind that say what a test wrote for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM

Reply = Callable[[Sequence[ChatMessage]], ChatMessage]


def says(text: str) -> ChatMessage:
    return ChatMessage(role=MessageRole.ASSISTANT, content=text)


def calls(tool: str, call_id: str = "call-1", **arguments: Any) -> ChatMessage:
    block = ToolCallBlock(tool_call_id=call_id, tool_name=tool, tool_kwargs=arguments)
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=[block])


def scripted(reply: Reply, shown: list[list[ChatMessage]] | None = None) -> MockFunctionCallingLLM:
    """A model that answers with *reply*, and keeps in *shown* what it was shown."""

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        if shown is not None:
            shown.append(list(messages))
        return reply(messages)

    return MockFunctionCallingLLM(response_generator=answer)


def last_words(messages: Sequence[ChatMessage]) -> str:
    return str(messages[-1].content)
