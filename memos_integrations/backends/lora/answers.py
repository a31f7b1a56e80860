"""Greedy answers to many prompts at once, each row with the adapter it asks for, or with none. Needs `hf`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch

BASE = "__base__"
"""PEFT's word for a row without an adapter."""
MOST_ROWS = 48
SHORTEST = 8
"""Tokens that several prompts must have in common for it to be worth reading them once."""


def greedy(
    network: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    ends: Collection[int],
    adapters: Sequence[str | None] | None = None,
) -> list[list[int]]:
    """The token ids of each answer, without what ended it.

    *adapters* names one per prompt, of those loaded on the network; None is the model as it is. Without the argument,
    whatever is active applies to all. Hold the model's lock, if others use the network.

    Raises:
        ModelError: A failure of torch.
    """
    answers: list[list[int]] = []
    for start in range(0, len(prompts), MOST_ROWS):
        rows = [list(each) for each in prompts[start : start + MOST_ROWS]]
        named = None if adapters is None else [each or BASE for each in adapters[start : start + MOST_ROWS]]
        try:
            alike = named is None or len(set(named)) == 1
            read, known = _begun(network, rows, named and named[:1]) if alike else (None, 0)
            with _per_row(network, named):
                answers += _answered(network, rows, max_new_tokens, ends, read=read, known=known)
        except (RuntimeError, IndexError, ValueError) as exc:
            raise ModelError(f"{len(rows)} prompts could not be answered together: {exc}") from exc
    return answers


def _begun(network: Any, rows: list[list[int]], adapter: Sequence[str] | None) -> tuple[Any, int]:
    """A cache of what all rows begin with, once for each of them, and how many tokens that is; each has more."""
    import torch
    from transformers import DynamicCache

    columns = list(zip(*(row[:-1] for row in rows), strict=False))
    known = next((at for at, tokens in enumerate(columns) if len(set(tokens)) > 1), len(columns))
    if known < SHORTEST or len(rows) == 1:
        return None, 0
    cache = DynamicCache(config=network.config)
    with _per_row(network, adapter), torch.inference_mode():
        ids = torch.tensor([rows[0][:known]], device=network.device)
        network(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    cache.batch_repeat_interleave(len(rows))
    return cache, known


def _answered(
    network: Any, rows: list[list[int]], limit: int, ends: Collection[int], *, read: Any, known: int
) -> list[list[int]]:
    """The answers, behind the first *known* tokens of each row, which a cache holds that was *read*."""
    import torch
    from transformers import DynamicCache

    width = max(map(len, rows))
    gaps = [width - len(row) for row in rows]
    # What fills a short row up stands between what was read and the rest of it.
    ids = torch.tensor([[0] * gap + row[known:] for gap, row in zip(gaps, rows, strict=True)], device=network.device)
    seen = [[1] * known + [0] * gap + [1] * (width - known - gap) for gap in gaps]
    mask = torch.tensor(seen, device=network.device)
    places = (mask.cumsum(1) - 1).clamp_min(0)[:, known:]
    cache = DynamicCache(config=network.config) if read is None else read
    answers: list[list[int]] = [[] for _ in rows]
    done = [False] * len(rows)
    for _ in range(limit):
        with torch.inference_mode(), _in_one_piece(network):
            logits = network(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        step: torch.Tensor = logits[:, -1].float().argmax(-1)
        for number, token in enumerate(step.tolist()):
            done[number] = done[number] or token in ends
            if not done[number]:
                answers[number].append(token)
        if all(done):
            break
        ids, places = step[:, None], places[:, -1:] + 1
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
    return answers


def _in_one_piece(network: Any) -> Any:
    """Lay the last states of the rows side by side before the output layer, while the context stands.

    Where they are not, torch multiplies row by row, each with a copy of the whole layer: most of the time of a prefill.
    """

    def side_by_side(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (given[0].contiguous(), *given[1:])

    return network.get_output_embeddings().register_forward_pre_hook(side_by_side)


@contextmanager
def _per_row(network: Any, adapters: Sequence[str] | None) -> Iterator[None]:
    """Let every adapted layer apply to each row the adapter that is named for it."""
    if adapters is None or not getattr(network, "peft_config", None):
        yield
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    def name(module: Any, args: Any, kwargs: dict[str, Any], *, adapters: list[str]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"adapter_names": adapters}

    hook = partial(name, adapters=list(adapters))
    layers = [each for each in network.modules() if isinstance(each, BaseTunerLayer)]
    network.enable_adapters()
    hooks = [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer in layers]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
