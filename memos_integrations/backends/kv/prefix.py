"""A stored prefix as it is handed out, and what a store counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import DynamicCache

    from memos_integrations.backends.kv.layers import Part


@dataclass(frozen=True, slots=True)
class KVStatistics:
    """What a store has done: tokens and seconds are those of the prefixes that it was asked for."""

    hits: int = 0
    misses: int = 0
    hit_tokens: int = 0
    built_tokens: int = 0
    saved_seconds: float = 0.0
    built_seconds: float = 0.0
    loads: int = 0
    load_seconds: float = 0.0
    loaded_bytes: int = 0
    spills: int = 0
    evictions: int = 0
    refused_files: int = 0
    failed_spills: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    prefixes: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class StoredPrefix:
    """The stored beginning of a prompt; it stays whole while somebody holds it, whatever the store evicts.

    `exact` is False when it was rounded (fp16, int8) on its way. `key` names its content, model and tenant.
    """

    token_ids: Sequence[int]
    key: str
    exact: bool
    seconds: float
    layers: tuple[tuple[Part, ...], ...]
    shared: bool

    def fork(self, *, shared: bool | None = None) -> DynamicCache:
        """A cache of these tokens for one answer, or one batch: O(layers), and nothing stored is ever written.

        *shared* leaves the prefix where it is (see `shared_prefix`); False joins it with what is new, as transformers
        does, for code that reads the cache's tensors itself. The default is what the model can do.
        """
        from memos_integrations.backends.kv.layers import cache_of

        return cache_of(self.layers, shared=self.shared if shared is None else shared and self.shared)

    def __repr__(self) -> str:
        return f"StoredPrefix({self.key[:16]}, {len(self.token_ids)} tokens{'' if self.exact else ', rounded'})"
