"""A beginning that was read once, for all that stands behind it: its keys and values, forked. Needs the extra `hf`.

What a fork is asked to read never changes what was read: a layer joins the stored tensors with new ones in a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import DynamicCache

    from memos_integrations.backends.kv.layers import Part


@dataclass(frozen=True, slots=True, repr=False)
class Beginning:
    """Tokens that a network has read, as it was then: with the adapter that was active, or without.

    `layers` are the keys and values of each layer, shape (1, KV heads, tokens, head size).
    """

    ids: tuple[int, ...]
    layers: tuple[tuple[Part, ...], ...]

    @classmethod
    def read(cls, network: Any, ids: Sequence[int], *, after: Beginning | None = None) -> Beginning:
        """Read *ids*; with *after*, which must be what they begin with, only the rest of them."""
        import torch
        from transformers import DynamicCache

        from memos_integrations.backends.kv.layers import parts_of

        cache, known = (DynamicCache(), 0) if after is None else (after.fork(), len(after.ids))
        rest = torch.tensor([list(ids[known:])], device=network.device)
        with torch.no_grad():
            network(input_ids=rest, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cls(tuple(ids), tuple((part,) for part in parts_of(cache, 0, len(ids))))

    def fork(self) -> DynamicCache:
        """A cache that begins with these tokens, for one batch of any number of rows."""
        from memos_integrations.backends.kv.layers import cache_of

        return cache_of(self.layers, shared=False)
