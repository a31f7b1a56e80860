"""Messages of LangChain as memories: what is written of one, and how it is read as a turn."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from memos_integrations.core.reader import MAX_PROMPT, Turn
from memos_integrations.core.turns import PREAMBLE, Said, storable

MARK = "memos"
"""The key of `additional_kwargs` that says of a message that it holds recalled words."""


def words_of(message: BaseMessage) -> str:
    """The text of a message as a vault can store it: no NUL, no lone surrogates."""
    return storable(message.text)


def said_by(message: BaseMessage) -> Said:
    """The message as memory sees it."""
    return Said(words_of(message), message.type, message.id, message.name)


def is_recalled(message: BaseMessage) -> bool:
    """Whether the message holds recalled words, which are never remembered again."""
    return message.additional_kwargs.get(MARK) == "recalled"


def recalled_message(lines: Sequence[str], preamble: str = PREAMBLE) -> HumanMessage:
    """Recalled words as a message that says what they are, and is marked as such."""
    return HumanMessage("\n".join([preamble, *lines]), additional_kwargs={MARK: "recalled"})


def turns_of(messages: Sequence[BaseMessage]) -> list[Turn]:
    """What was said by people and models, for the reader."""
    return [
        Turn(role="user" if message.type == "human" else "assistant", speaker=message.name, text=words_of(message))
        for message in messages
        if isinstance(message, HumanMessage | AIMessage) and not is_recalled(message) and words_of(message)
    ]


def asked(messages: Sequence[BaseMessage]) -> tuple[str, list[Turn]]:
    """The last human message that has words, at most the reader's length of it, and the turns before it."""
    turns = turns_of(messages)
    while turns and turns[-1].role != "user":
        turns.pop()
    return (turns[-1].text[-MAX_PROMPT:], turns[:-1]) if turns else ("", [])
