"""MemReader: what does this prompt ask of memory?

First step of the walk of a prompt (MemOS, arXiv 2507.03724, §5.3): prompt + recent turns + now become a `MemoryCall`
with intent, scope, time window and entities, and with pronouns resolved. Rules only; an LLM-backed parser can be
passed in, and the rules stand behind it. Reads no vault and decides no tier: that is the scheduler's work.
"""

from __future__ import annotations

from memos_integrations.core.reader.call import MAX_PROMPT, Intent, MemoryCall, QuestionType, Slots, Turn
from memos_integrations.core.reader.rules import MemReader, Parser, read_by_rules

__all__ = [
    "MAX_PROMPT",
    "Intent",
    "MemReader",
    "MemoryCall",
    "Parser",
    "QuestionType",
    "Slots",
    "Turn",
    "read_by_rules",
]
