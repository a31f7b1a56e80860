"""What memory costs: which form pays for itself, what a policy would have cost, and what was spent. Pure."""

from __future__ import annotations

from memos_integrations.core.costs.ledger import (
    Deeds,
    Figures,
    Holdings,
    Ledger,
    Touched,
    build_seconds,
    ledger_of,
)
from memos_integrations.core.costs.model import (
    HALF_LIFE_S,
    LONGEST,
    Costing,
    FormCosts,
    FormDecision,
    decide_form,
    expected_uses,
    may_train,
    refusals,
)
from memos_integrations.core.costs.replay import Always, Bill, ByCost, Never, Recent, Use, replay, zipf_log
from memos_integrations.core.costs.spent import COUNTED, Spent, figures_in

__all__ = [
    "COUNTED",
    "HALF_LIFE_S",
    "LONGEST",
    "Always",
    "Bill",
    "ByCost",
    "Costing",
    "Deeds",
    "Figures",
    "FormCosts",
    "FormDecision",
    "Holdings",
    "Ledger",
    "Never",
    "Recent",
    "Spent",
    "Touched",
    "Use",
    "build_seconds",
    "decide_form",
    "expected_uses",
    "figures_in",
    "ledger_of",
    "may_train",
    "refusals",
    "replay",
    "zipf_log",
]
