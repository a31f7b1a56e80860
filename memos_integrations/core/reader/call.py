"""`MemoryCall`, what the reader hands to the scheduler, and `Turn`, what it reads besides the prompt."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from memos_integrations.core.when import TimeWindow

MAX_PROMPT = 100_000
"""Longest prompt, in characters, that the reader takes."""


class Intent(StrEnum):
    """What the prompt wants done with memory."""

    RECALL = "recall"
    SUMMARISE = "summarise"
    COMPARE = "compare"
    UPDATE = "update"
    FORGET = "forget"
    NONE = "none"


class Turn(BaseModel):
    """One message of the conversation so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["user", "assistant", "tool", "system"]
    text: str
    speaker: str | None = None
    at: AwareDatetime | None = None


class MemoryCall(BaseModel):
    """A prompt as memory understands it. Every field after `is_memory_needed` may be empty: it then restricts nothing.

    - `prompt` is what was asked, word for word; `query` is what to search for: pronouns resolved, greetings, politeness
      and the command itself removed.
    - `why_not` says why no memory is needed; None when it is.
    - `topic` is the noun phrase that the prompt is mostly about, `concept` the most telling name or word beside it.
    - `entities` and `keywords` stand as in the query, `terms` as full-text search compares them, without repeats.
    - `semantic_types` are the kinds of memory that fit best ("preference", "event", "procedure", "document", …).
    - `speakers` are the known speakers whom the prompt names: whose statements it most likely asks for.
    - `resolved` pairs each pronoun that was replaced in `query` with what it stands for.
    - `asks_when`: the answer is a time or a length of time. `about_past`: it asks for what used to be true.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    query: str
    intent: Intent
    is_memory_needed: bool
    why_not: str | None = None
    topic: str | None = None
    concept: str | None = None
    entities: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    window: TimeWindow | None = None
    semantic_types: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    resolved: tuple[tuple[str, str], ...] = ()
    asks_when: bool = False
    about_past: bool = False
