"""`MemoryCall`, what the reader hands to the scheduler, and `Turn`, what it reads besides the prompt."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from memos_integrations.core.reader.emphasis import OfHeader
from memos_integrations.core.when import TimeWindow

MAX_PROMPT = 100_000
"""Longest prompt, in characters, that the reader takes."""


HAVE_NAMES = frozenset(
    "artist author album band book brand city company country film game library magazine movie museum name novel place"
    " play poem restaurant school series shop show singer song store street team title town university village".split()
)
"""What is asked for by these words has a name of its own."""


class Intent(StrEnum):
    """What the prompt wants done with memory."""

    RECALL = "recall"
    SUMMARISE = "summarise"
    COMPARE = "compare"
    UPDATE = "update"
    FORGET = "forget"
    NONE = "none"


class QuestionType(StrEnum):
    """What kind of thing would answer."""

    WHEN = "when"
    HOW_LONG = "how_long"
    WHO = "who"
    WHERE = "where"
    HOW_MANY = "how_many"
    YES_NO = "yes_no"
    WHY = "why"
    HOW = "how"
    WHAT = "what"
    LIST = "list"
    SUMMARY = "summary"


class Slots(BaseModel):
    """What an answer has to fill in: `asked_for` (a book, a colour, a date), `of` whom, `about` what, in which `time`.

    Each stands as in the query; None where the question does not say. "Which book did Melanie read last summer?" asks
    for a "book", of "Melanie", about "read", in the time "last summer".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked_for: str | None = None
    of: str | None = None
    about: str | None = None
    time: str | None = None


NO_SLOTS = Slots()


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
    - `asks_when`: the answer is a time or a length of time. `about_past`: it asks for what used to be true,
      `about_future` for what is to come.
    - `question_type` is what kind of thing would answer, None when nothing is asked; `slots` what is asked for, of
      whom, about what, in which time.
    - `asks_for` says what of a memory's header counts: "recency" (the latest is asked for), "importance", "trust" (what
      is confirmed), "heat" (what is often asked). `statement_of` is whose words are asked for in a chat with an
      assistant: "What did you recommend?", "What did I tell you?".
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
    about_future: bool = False
    question_type: QuestionType | None = None
    slots: Slots = NO_SLOTS
    asks_for: tuple[OfHeader, ...] = ()
    statement_of: Literal["user", "assistant"] | None = None

    @property
    def asks_name(self) -> bool:
        """Whether somebody, a place, or something else that has a name would answer."""
        asked_for = (self.slots.asked_for or "").casefold().split()
        return self.question_type in {QuestionType.WHO, QuestionType.WHERE} or any(
            word.removesuffix("s") in HAVE_NAMES for word in asked_for
        )
