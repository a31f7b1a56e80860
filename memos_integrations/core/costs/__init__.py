"""What memory costs: which form pays for itself, what a policy would have cost, and what was spent. Pure."""

from __future__ import annotations

from memos_integrations.core.costs.ledger import Deeds, Holdings, Ledger, build_seconds, ledger_of
from memos_integrations.core.costs.model import (
    Costing,
    FormCosts,
    FormDecision,
    decide_form,
    expected_uses,
    may_train,
    refusals,
)
from memos_integrations.core.costs.replay import Always, Bill, ByCost, Never, Recent, Use, replay, zipf_log

__all__ = [
    "Always",
    "Bill",
    "ByCost",
    "Costing",
    "Deeds",
    "FormCosts",
    "FormDecision",
    "Holdings",
    "Ledger",
    "Never",
    "Recent",
    "Use",
    "build_seconds",
    "decide_form",
    "expected_uses",
    "ledger_of",
    "may_train",
    "refusals",
    "replay",
    "zipf_log",
]
