"""Policies: who may do what with which memories, in which context and for how long, over a wall that always stands."""

from __future__ import annotations

from memos_integrations.core.policy.conditions import Memories, When
from memos_integrations.core.policy.engine import Asker, Compiled, Engine, Part, Slip, without
from memos_integrations.core.policy.linting import lint
from memos_integrations.core.policy.matching import unknown_words
from memos_integrations.core.policy.rules import OWNER, Act, Policy, Rule
from memos_integrations.core.policy.several import Several
from memos_integrations.core.policy.terms import Terms

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
    "Slip",
    "Terms",
    "When",
    "lint",
    "unknown_words",
    "without",
]
