"""Messages in a graph's state, as memory reads and keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages

from memos_integrations.core.reader import MAX_PROMPT, Turn
from memos_integrations.core.turns import Said, storable

MARK = "memos"
"""The key of `additional_kwargs` that says of a message that it holds recalled words."""


def question_in(given: Any) -> tuple[str, list[Turn]]:
    """What is asked: a text as it is; of messages, the last human one that has words, and the turns before it."""
    if isinstance(given, str):
        return storable(given[-MAX_PROMPT:]), []
    spoken = [each for each in spoken_in(given) if storable(each.text)]
    while spoken and not isinstance(spoken[-1], HumanMessage):
        spoken.pop()
    return (storable(spoken[-1].text[-MAX_PROMPT:]) if spoken else ""), [_turn(message) for message in spoken[:-1]]


def spoken_in(messages: Sequence[Any]) -> list[BaseMessage]:
    """What people and models said; recalled words that stand in a message are nobody's."""
    return [
        message
        for message in convert_to_messages(messages)
        if isinstance(message, HumanMessage | AIMessage) and message.additional_kwargs.get(MARK) != "recalled"
    ]


def last_turn(messages: Sequence[Any]) -> tuple[list[Said], list[Said]]:
    """What people said since the model last answered them, and what the model answered.

    What a model said on the way to a tool is no answer.
    """
    spoken = spoken_in(messages)
    asked = max((n for n, each in enumerate(spoken) if isinstance(each, HumanMessage)), default=-1)
    before = max((n for n, each in enumerate(spoken[: max(asked, 0)]) if isinstance(each, AIMessage)), default=-1)
    answers = [each for each in spoken[asked + 1 :] if isinstance(each, AIMessage) and not each.tool_calls]
    return [_said(each) for each in spoken[before + 1 : asked + 1]], [_said(each) for each in answers]


def _said(message: BaseMessage) -> Said:
    return Said(storable(message.text), message.type, message.id, message.name)


def _turn(message: BaseMessage) -> Turn:
    return Turn(
        role="user" if isinstance(message, HumanMessage) else "assistant", speaker=message.name, text=message.text
    )
