"""Cache layers for transformers that begin with stored keys and values and never write to them. Imports torch.

Both kinds hold the stored beginning as a tuple of parts of one batch row each, and grow for any number of rows.
`CopiedLayer` joins the parts with what is new when the model asks for them, as transformers' own layer does.
`SharedLayer` gives the model only what is new, with the stored parts attached for `shared_prefix.attention`, which
reads them where they are: any number of rows and sessions share one copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from memos_integrations.core.errors import ModelError

Part = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of a run of tokens in one layer, each of shape (1, KV heads, tokens, head size)."""


def cut(parts: Sequence[Part], tokens: int) -> tuple[Part, ...]:
    """The first *tokens* tokens of the parts, as views."""
    kept: list[Part] = []
    for keys, values in parts:
        if tokens <= 0:
            break
        length = keys.shape[-2]
        kept.append((keys, values) if length <= tokens else (keys[..., :tokens, :], values[..., :tokens, :]))
        tokens -= length
    return tuple(kept)


def length_of(parts: Sequence[Part]) -> int:
    """How many tokens the parts hold."""
    return sum(keys.shape[-2] for keys, _ in parts)


class CopiedLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """Joins the stored parts and the new tokens in one copy, at the first use and not before."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts: tuple[Part, ...] = tuple(parts)
        self._joined: list[torch.Tensor | None] = [None, None]
        super().__init__()
        self.device, self.dtype = parts[0][0].device, parts[0][0].dtype
        self.is_initialized = True

    @property
    def keys(self) -> torch.Tensor | None:
        """All keys, joined."""
        return self._whole(0)

    @keys.setter
    def keys(self, tensor: torch.Tensor | None) -> None:
        self._put(0, tensor)

    @property
    def values(self) -> torch.Tensor | None:
        """All values, joined."""
        return self._whole(1)

    @values.setter
    def values(self, tensor: torch.Tensor | None) -> None:
        self._put(1, tensor)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Part:
        """Append, and give everything."""
        rows = key_states.shape[0]
        for place, new in enumerate((key_states, value_states)):
            known = self._joined[place]
            old = [part[place].expand(rows, -1, -1, -1) for part in self._parts] if known is None else [known]
            self._joined[place] = torch.cat([*old, new], dim=-2)
        self._parts = ()
        keys, values = self._joined
        assert keys is not None
        assert values is not None
        return keys, values

    def get_seq_length(self) -> int:
        """Tokens held."""
        known = self._joined[0]
        return length_of(self._parts) if known is None else int(known.shape[-2])

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the stored parts stay as they are."""
        if self._parts:
            self._parts = cut(self._parts, self.get_seq_length() - abs(tokens_to_remove))
        else:
            super().crop(tokens_to_remove)

    def _whole(self, place: int) -> torch.Tensor | None:
        if self._joined[place] is None and self._parts:
            parts = [part[place] for part in self._parts]
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)
        return self._joined[place]

    def _put(self, place: int, tensor: torch.Tensor | None) -> None:
        if tensor is not None:
            if self._parts:
                self._joined = [self._whole(0), self._whole(1)]
                self._parts = ()
            self._joined[place] = tensor


class SharedLayer(DynamicLayer):  # type: ignore[misc]
    """Keeps what is new apart from the stored parts, which nobody copies."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.is_initialized = False
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.parts: tuple[Part, ...] = tuple(parts)
        self.device, self.dtype = parts[0][0].device, parts[0][0].dtype

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Part:
        """Append, and give the new tokens, with the parts attached to the keys."""
        if self.keys is None or self.values is None:
            self.keys, self.values, self.is_initialized = key_states, value_states, True
        else:
            self.keys = torch.cat([self.keys, key_states], dim=-2)
            self.values = torch.cat([self.values, value_states], dim=-2)
        self.keys.memos_parts = self.parts  # type: ignore[attr-defined]  # read by `shared_prefix.attention`
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The mask covers what is new; everything stored is seen by all."""
        return super().get_seq_length() + query_length, length_of(self.parts)

    def get_seq_length(self) -> int:
        """Tokens held, stored ones included."""
        return length_of(self.parts) + int(super().get_seq_length())

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens."""
        new = int(super().get_seq_length())
        beyond = abs(tokens_to_remove) - new
        if beyond >= 0:
            self.keys = self.values = None
            self.is_initialized = False
            self.parts = cut(self.parts, length_of(self.parts) - beyond)
        else:
            super().crop(tokens_to_remove)


def cache_of(layers: Sequence[Sequence[Part]], *, shared: bool) -> DynamicCache:
    """A cache that begins with the stored parts of each layer: O(layers), whatever their length."""
    cache = DynamicCache()
    kind = SharedLayer if shared else CopiedLayer
    cache.layers = [kind(parts) for parts in layers]
    cache.layer_class_to_replicate = None
    return cache


def parts_of(cache: DynamicCache, start: int, end: int) -> list[Part]:
    """Tokens start..end of each layer of a cache of one row, copied, so that nothing else is kept alive.

    Raises:
        ModelError: A layer does not hold its keys and values for every token, or holds what is not finite.
    """
    found = []
    for number, layer in enumerate(cache.layers):
        stored = layer.parts if isinstance(layer, SharedLayer) else ()
        offset = length_of(stored)
        keys, values = layer.keys, layer.values
        whole = keys is not None and keys.ndim == 4 and keys.shape[-2] + offset >= end and start >= offset
        if not whole or keys.shape[0] != 1:
            raise ModelError(f"Layer {number} does not keep keys and values of every token; it cannot be stored.")
        part = tuple(
            tensor[..., start - offset : end - offset, :].clone(memory_format=torch.contiguous_format)
            for tensor in (keys, values)
        )
        # One pass and no temporary: a sum is finite unless a term is not (or overflows, which is refused as well).
        if not all(bool(tensor.float().sum().isfinite()) for tensor in part):
            raise ModelError(f"Layer {number} computed keys or values that are not finite; nothing was stored.")
        found.append((part[0], part[1]))
    return found


class ScatterLayer(DynamicLayer):  # type: ignore[misc]
    """Holds a fixed run of tokens, of which some are computed anew: they are put where they stand."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, places: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self._places = keys.clone(), values.clone(), places
        self.device, self.dtype, self.is_initialized = keys.device, keys.dtype, True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Part:
        """Replace, and give everything."""
        self.keys[..., self._places, :] = key_states
        self.values[..., self._places, :] = value_states
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """No token is added."""
        return int(self.keys.shape[-2]), 0
