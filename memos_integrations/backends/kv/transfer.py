"""Stored prefixes on their way out of a store and back, and how they are held against a cold prefill."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.kv.prefix import StoredPrefix
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    from memos_integrations.backends.kv.layers import Part


def dump(prefix: StoredPrefix, into: IO[bytes]) -> None:
    """Write a whole prefix into a stream, as safetensors."""
    import torch

    from memos_integrations.backends.kv.spill import pour
    from memos_integrations.backends.kv.tiers import exact

    parts = [(torch.cat([p[0] for p in each], -2), torch.cat([p[1] for p in each], -2)) for each in prefix.layers]
    pour(into, exact(parts), prefix.token_ids, {}, b"")


def undump(model: HuggingFaceModel, content: bytearray, name: str) -> tuple[list[int], list[Part]]:
    """Tokens, and keys and values, of what `dump` wrote and somebody else vouched for; *content* is kept.

    Raises:
        ModelError: It is damaged, holds what is no number, or does not have this model's layers and sizes.
    """
    from memos_integrations.backends.kv.spill import parsed
    from memos_integrations.backends.kv.tiers import sound

    segment, tokens, _ = parsed(memoryview(content), b"", name, sealed=True)
    shapes = [(tuple(tensor.shape[:2]), tensor.shape[-1], tensor.dtype) for tensor in segment.tensors]
    long = all(tensor.shape[-2] == len(tokens) for tensor in segment.tensors)
    if shapes != _shapes(model) or not long or not sound(segment):
        raise ModelError(f"The keys and values of {name} are not whole, or not of {model.name}; they are not used.")
    return tokens, list(segment.parts(model.network.dtype))


def difference(model: HuggingFaceModel, prefix: StoredPrefix, adapters: tuple[str, ...]) -> float:
    """The largest difference of the next token's logits between a prefix and a cold prefill of its tokens."""
    import torch

    ids = list(prefix.token_ids)
    end = torch.tensor([ids[-1:]], device=model.network.device)
    with model.lock, torch.inference_mode():
        model._apply(adapters)
        cold = model.network(torch.tensor([ids], device=end.device), use_cache=False, logits_to_keep=1).logits
        fork = prefix.fork()
        fork.crop(-1)
        warm = (
            cold if len(ids) == 1 else model.network(end, past_key_values=fork, use_cache=True, logits_to_keep=1).logits
        )
    return float((cold - warm).abs().max())


def _shapes(model: HuggingFaceModel) -> list[tuple[tuple[int, ...], int, Any]]:
    """Rows and heads, head size and dtype of each tensor that the model computes: asked of it, with one token."""
    from transformers import DynamicCache

    cache = DynamicCache()
    model._forward([0], cache, ())
    pairs = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    return [(tuple(tensor.shape[:2]), tensor.shape[-1], tensor.dtype) for tensor in pairs]
