"""Which messages of a history a model is shown: the newest that fit, whole turns, no call without its answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
    VideoBlock,
)

from memos_integrations.llama_index.transcript import OWN_BLOCKS, RECALLED, Entry

OPENING = (MessageRole.USER, MessageRole.SYSTEM, MessageRole.DEVELOPER)
TOKENS_OF_MEDIA = {ImageBlock: 256, AudioBlock: 256, VideoBlock: 256, DocumentBlock: 2_048}
"""What LlamaIndex's own `Memory` takes them for: a model is not sent their bytes as text."""


def token_count(message: ChatMessage, count: Callable[[str], int]) -> int:
    """Tokens of a message, with its tool calls and everything else in it that a model is sent."""
    media = [TOKENS_OF_MEDIA.get(type(block)) for block in message.blocks]
    rest = [
        block.model_dump_json()
        for block, size in zip(message.blocks, media, strict=True)
        if size is None and not isinstance(block, TextBlock)
    ]
    extra = [str(message.additional_kwargs)] if message.additional_kwargs else []
    return count("\n".join([message.content or "", *rest, *extra])) + sum(size or 0 for size in media) + 4


def newest(entries: Sequence[Entry], budget: int, count: Callable[[str], int]) -> list[Entry]:
    """The newest entries within *budget* tokens, from the beginning of a turn on; the last turn always.

    Raises nothing and loses nothing: what is not shown stays in the history.
    """
    starts = [place for place, entry in enumerate(entries) if entry.message.role in OPENING]
    spent, first = 0, len(entries)
    for place in range(len(entries) - 1, -1, -1):
        spent += token_count(entries[place].message, count)
        if spent > budget:
            break
        first = place
    last_turn = starts[-1] if starts else max(0, len(entries) - 1)
    begin = next((start for start in starts if start >= first), last_turn)
    return whole(entries[min(begin, last_turn) if first > last_turn else begin :])


def is_full(entries: Sequence[Entry], budget: int, count: Callable[[str], int]) -> bool:
    """Whether nothing older than *entries* could be shown: they exceed the budget, and begin before the last turn."""
    if not any(entry.message.role in OPENING for entry in entries):
        return False
    spent = 0
    for entry in reversed(entries):
        spent += token_count(entry.message, count)
        if spent > budget:
            return True
    return False


def whole(entries: Sequence[Entry]) -> list[Entry]:
    """Without tool results whose call is not there, and without calls that were never answered (a crash between)."""
    answered = {_answers(entry.message) for entry in entries} - {None}
    called: set[str] = set()
    kept = []
    for entry in entries:
        message = entry.message
        calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
        open_calls = [block for block in calls if block.tool_call_id not in answered]
        if open_calls:
            rest = [block for block in message.blocks if block not in open_calls]
            if not rest:
                continue
            entry = Entry(message.model_copy(update={"blocks": rest}), entry.cube_id)  # noqa: PLW2901
        called |= {str(block.tool_call_id) for block in calls} | _called_otherwise(message)
        if message.role is MessageRole.TOOL and (answers := _answers(message)) is not None and answers not in called:
            continue
        kept.append(entry)
    return kept


def placed(history: Sequence[ChatMessage], block: ChatMessage, question: str | None, insert: str) -> list[ChatMessage]:
    """The history with the recalled block: before the message it is for, or at the end when that is still to come.

    `message`: as a message of its own; `into_user`: at the head of the message it is for (templates that want roles
    to alternate); `system`: in the first system message, for those who ask for it.
    """
    shown = list(history)
    users = [place for place, message in enumerate(shown) if message.role is MessageRole.USER]
    there = bool(users) and (question is None or (shown[users[-1]].content or "").strip() == question.strip())
    place = users[-1] if there else len(shown)
    if insert == "into_user" and there:
        shown[place] = _joined(shown[place], before=block.blocks)
    elif insert == "system" and shown and shown[0].role in (MessageRole.SYSTEM, MessageRole.DEVELOPER):
        shown[0] = _joined(shown[0], after=block.blocks)
    elif insert == "system":
        shown.insert(0, block.model_copy(update={"role": MessageRole.SYSTEM}))
    else:
        shown.insert(place, block)
    return shown


def _joined(message: ChatMessage, before: Sequence[Any] = (), after: Sequence[Any] = ()) -> ChatMessage:
    """The message with recalled blocks before or after its own, and a mark of which are its own."""
    between = [TextBlock(text="\n\n")]
    first = [*before, *between] if before else []
    blocks = [*first, *message.blocks, *between, *after] if after else [*first, *message.blocks]
    own = {OWN_BLOCKS: [len(first), len(first) + len(message.blocks)]}
    marked = {**message.additional_kwargs, **RECALLED, **own}
    return message.model_copy(update={"blocks": blocks, "additional_kwargs": marked})


def _answers(message: ChatMessage) -> str | None:
    answers = message.additional_kwargs.get("tool_call_id")
    return None if answers is None else str(answers)


def _called_otherwise(message: ChatMessage) -> set[str]:
    """Calls in the older form, in `additional_kwargs`."""
    calls = message.additional_kwargs.get("tool_calls")
    found = set()
    for call in calls if isinstance(calls, list) else ():
        call_id = call.get("id") if isinstance(call, dict) else getattr(call, "id", None)
        found |= {str(call_id)} if call_id else set()
    return found
