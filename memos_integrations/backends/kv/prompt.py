"""A prompt with memories in it, ready to be answered, and what of it was saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from memos_integrations.backends.huggingface import HuggingFaceModel, KVPrefix, Token
from memos_integrations.backends.kv.layout import lay_out, lines_of
from memos_integrations.core.access import Caller
from memos_integrations.core.operator import Recall

Chat = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class MemoryPrompt:
    """A prompt ready for `HuggingFaceModel.stream`: its ids, and the stored beginning, if there is one.

    `recomputed_tokens` of the memory were not in the store, or were computed again by a composition. `cubes` are the
    memories in it, and `caller` is who recalled them.
    """

    ids: list[int]
    prefix: KVPrefix | None
    memory_tokens: int
    recomputed_tokens: int
    approximate: bool = False
    tenant: str | None = None
    caller: Caller | None = None
    cubes: tuple[str, ...] = ()


def counted(token: Token, prompt: MemoryPrompt) -> Token:
    """The token; the last one's usage tells what was cached before this prompt from what was computed for it."""
    if token.usage is None or not prompt.memory_tokens:
        return token
    usage = replace(
        token.usage,
        # A composition computes its last memory with the question: it is in the prompt, and not in the prefix.
        cached_tokens=max(token.usage.cached_tokens, prompt.memory_tokens) - prompt.recomputed_tokens,
        recomputed_tokens=prompt.recomputed_tokens,
        approximate=prompt.approximate,
        memory_tokens=prompt.memory_tokens,
    )
    return replace(token, usage=usage)


def plain_prompt(
    model: HuggingFaceModel, messages: Chat, recall: Recall | None, prefix: KVPrefix | None = None
) -> MemoryPrompt:
    """The prompt that `ActivationMemory.prepare` gives, with nothing stored: every memory is computed."""
    lines = lines_of(recall)
    layout = lay_out(messages, lines, render_text=model.render_text, encode=model.encode)
    memory = len(layout.memory) if lines else 0
    return MemoryPrompt(layout.ids, prefix, memory, memory)
