"""A KV prefix made by hand from transformers' parts, to test what takes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memos_integrations.backends.huggingface import HuggingFaceModel


class Prefix:
    """One forward pass over *token_ids*, and a cache that shares its tensors with every fork."""

    def __init__(self, model: HuggingFaceModel, token_ids: Sequence[int]) -> None:
        import torch
        from transformers import DynamicCache

        self.token_ids = list(token_ids)
        self._kept = DynamicCache(config=model.network.config)
        with torch.inference_mode():
            model.network(torch.tensor([self.token_ids]), past_key_values=self._kept, use_cache=True)

    def fork(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache([(keys, values) for keys, values, _ in self._kept])

    def tensors(self) -> list[Any]:
        return [tensor.clone() for layer in self._kept for tensor in layer[:2]]
