"""MemOS: the front hall, where the ports meet the parts that fill them.

Every door (LangChain, LangGraph, LlamaIndex, the command line) comes in here; the walk of a prompt is
`read -> plan -> execute`, and `recall` is the three in a row.
"""

from __future__ import annotations

from memos_integrations.memos.memos import MemOS
from memos_integrations.memos.walk import Walk, utc_now

__all__ = ["MemOS", "Walk", "utc_now"]
