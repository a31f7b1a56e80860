"""Attention over a prefix that is stored once, for any number of rows and sessions, without copying it. Imports torch.

Softmax over the prefix and over what is new are computed apart and merged by their log-sum-exps, which is exact
(Hydragen, arXiv 2402.05099, §3). All rows, and all query heads of a KV head, are folded into the query axis over the
one copy of the prefix. Plugged into transformers through its attention interface.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from memos_integrations.backends.kv.fingerprint import has_windows
from memos_integrations.backends.kv.layers import cache_of, parts_of

NAME = "memos_shared_prefix"
TOLERANCE = 1e-3
"""Largest relative difference of hidden states that the trial accepts; a wrong mask or a lost prefix is far above."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def attention(  # noqa: PLR0917  # the interface's order
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """What `SharedLayer` gave is attended in two parts; everything else is transformers' own sdpa."""
    parts = getattr(key, "memos_parts", None)
    if not parts:
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **rest
        )
        return result
    rows, heads, new, size = query.shape
    shared = key.shape[1]
    group = heads // shared
    folded = query.view(rows, shared, group, new, size).transpose(0, 1).reshape(1, shared, rows * group * new, size)
    outs, sums = [], []
    for keys, values in parts:
        out, lse = _flash(folded, keys, values, 0.0, False, scale=scaling)
        outs.append(out.view(shared, rows, group, new, -1).transpose(0, 1).reshape(rows, heads, new, -1))
        sums.append(lse.view(shared, rows, group, new).transpose(0, 1).reshape(rows, heads, new))
    out, lse = _recent(query, key, value, attention_mask, scaling=scaling, group=group)
    merged = _merge([*outs, out], [*sums, lse])
    return merged.to(query.dtype).transpose(1, 2).contiguous(), None


def _recent(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    scaling: float | None,
    group: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention among what is new, with its log-sum-exp per query."""
    rows, heads, new, _ = query.shape
    known = key.shape[-2]
    if mask is None and new > 1 and known != new:  # transformers leaves the mask out where it could be inferred
        mask = torch.ones(new, known, dtype=torch.bool, device=query.device).tril(known - new)[None, None]
    if mask is not None and mask.dtype == torch.bool:
        # Not minus infinity: a pad sees nothing, and must still give numbers.
        least = torch.finfo(query.dtype).min / 4
        mask = torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(~mask, least)
    causal = mask is None and new > 1
    if new == 1:
        query = query.view(rows, heads // group, group, -1)
    else:
        key, value = repeat_kv(key, group), repeat_kv(value, group)
    out, lse = _flash(query, key, value, 0.0, causal, attn_mask=mask, scale=scaling)
    return out.reshape(rows, heads, new, -1), lse.reshape(rows, heads, new)


def _merge(outs: list[torch.Tensor], sums: list[torch.Tensor]) -> torch.Tensor:
    """Outputs of softmaxes over disjoint keys, as one softmax over all of them."""
    lse = torch.stack([each.float() for each in sums])
    weights = (lse - lse.amax(0)).exp_()
    weights /= weights.sum(0)
    total = outs[0].float() * weights[0].unsqueeze(-1)
    for out, weight in zip(outs[1:], weights[1:], strict=True):
        total += out.float() * weight.unsqueeze(-1)
    return total


def install(network: Any) -> bool:
    """Let *network* attend shared prefixes, if it can: tried on it, against its own way, before it is believed.

    False leaves the network as it was: its attention is not sdpa, slides, or does not pass through the interface.
    """
    config = network.config.get_text_config(decoder=True)
    own = config._attn_implementation
    if own == NAME:
        return True
    if own != "sdpa" or has_windows(network) or network.device.type != "cpu":
        return False
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    trial = torch.arange(12).remainder(config.vocab_size)[None]
    with torch.inference_mode():
        cache = DynamicCache()
        whole = network(trial, past_key_values=cache, use_cache=True).logits[:, 8:]
        stored = parts_of(cache, 0, 8)
        network.set_attn_implementation(NAME)
        try:
            forked = cache_of([[part] for part in stored], shared=True)
            split = network(trial[:, 8:10], past_key_values=forked, use_cache=True).logits
            rest = network(trial[:, 10:], past_key_values=forked, use_cache=True).logits
            off = (torch.cat([split, rest], 1) - whole).abs().max() / whole.abs().max().clamp_min(1e-6)
            right = bool(off < (TOLERANCE if whole.dtype == torch.float32 else 30 * TOLERANCE))
        except (RuntimeError, ValueError, TypeError, AttributeError):
            right = False
    if not right:
        network.set_attn_implementation(own)
    return right
