"""MemStore: memories offered to an audience, and news of them for subscribers."""

from __future__ import annotations

from memos_integrations.core.cube import Rate
from memos_integrations.core.memstore.store import MOST_AT_ONCE, MemStore
from memos_integrations.core.memstore.values import (
    KINDS,
    Batch,
    DeadLetter,
    Delivery,
    Kind,
    Publication,
    Subscription,
    Wants,
)

__all__ = [
    "KINDS",
    "MOST_AT_ONCE",
    "Batch",
    "DeadLetter",
    "Delivery",
    "Kind",
    "MemStore",
    "Publication",
    "Rate",
    "Subscription",
    "Wants",
]
