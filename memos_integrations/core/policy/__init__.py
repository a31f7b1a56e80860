"""Policies: who may do what with which memories, in which context and for how long, over a wall that always stands."""

from __future__ import annotations

from memos_integrations.core.policy.engine import Asker, Compiled, Engine, Part, without
from memos_integrations.core.policy.linting import lint
from memos_integrations.core.policy.rules import OWNER, Act, Memories, Policy, Rule, When
from memos_integrations.core.policy.several import Several

__all__ = [
    "OWNER",
    "Act",
    "Asker",
    "Compiled",
    "Engine",
    "Memories",
    "Part",
    "Policy",
    "Rule",
    "Several",
    "When",
    "lint",
    "without",
]
