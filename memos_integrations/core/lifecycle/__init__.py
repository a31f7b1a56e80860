"""MemLifecycle: the states of a cube, the only ways between them, and what time does to it. Pure (paper §5.4.3)."""

from __future__ import annotations

from memos_integrations.core.lifecycle.ageing import Aged, Ageing, due, over_budget, weight
from memos_integrations.core.lifecycle.saying import says_the_same
from memos_integrations.core.lifecycle.states import TRANSITIONS, check_change, check_transition, way

__all__ = [
    "TRANSITIONS",
    "Aged",
    "Ageing",
    "check_change",
    "check_transition",
    "due",
    "over_budget",
    "says_the_same",
    "way",
    "weight",
]
