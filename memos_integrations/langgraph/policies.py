"""When a node of memory is run again, and when what it found may be used again: never for somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.types import CachePolicy, RetryPolicy

from memos_integrations.core.access import CallContext, Principal
from memos_integrations.core.cube import canonical_json, sha256
from memos_integrations.core.errors import EmbeddingError, RerankError, TooSlowError, VaultBusyError
from memos_integrations.memos import MemOS

PASSING = (VaultBusyError, TooSlowError, EmbeddingError, RerankError, ConnectionError)
"""Faults that may be gone the next time. Who asks, what they may, and what is damaged do not get better by trying."""


def is_passing(fault: Exception) -> bool:
    """Whether a fault may be gone the next time."""
    return isinstance(fault, PASSING)


RETRY = RetryPolicy(max_attempts=3, initial_interval=0.2, retry_on=is_passing)
"""Tries three times when the engine is busy; what is denied or invalid raises at once."""


def asker(memos: MemOS, by: Principal, context: CallContext | None) -> str:
    """Who asks, of which vault, from where, as one fingerprint: everything that decides what may be seen."""
    seen = [memos.uri, by.tenant, by.user, sorted(by.groups), sorted(by.roles)]
    return sha256(canonical_json([*seen, None if context is None else context.model_dump(mode="json")]))


def kept_for(seconds: float) -> CachePolicy[Any]:
    """A policy for the tasks of `memory_subgraph`: what a scope found may be found again in the graph's cache.

    Its key holds who asks, and the generation of what they may see, besides the question: what was found for one is
    never found for another, nor after anything was written, changed or forgotten. What is kept are ids and scores;
    the words are read as whoever asks, each time.
    """
    return CachePolicy(key_func=_key, ttl=max(1, int(seconds)))


def _key(task: Mapping[str, Any]) -> str:
    return sha256(canonical_json(dict(task)))
