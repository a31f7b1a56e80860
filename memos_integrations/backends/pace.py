"""How fast a model reads on this machine: measured when it is first asked for. Needs the extra `hf`."""

from __future__ import annotations

import time

from memos_integrations.backends.huggingface import HuggingFaceModel

MEASURED = 96
"""Tokens that are read to measure it."""


class Pace:
    """Seconds that a model takes to read, and to change its adapter, on this machine as it is now."""

    def __init__(self, model: HuggingFaceModel) -> None:
        self._model = model
        self._read: tuple[float, float] | None = None
        self._to_adapter: float | None = None

    @property
    def per_token(self) -> float:
        """Seconds to read one token of a prompt; of two readings of 96 tokens the shorter, remembered."""
        return self._measured()[0]

    @property
    def bytes_per_token(self) -> float:
        """Bytes of the keys and values of one token."""
        return self._measured()[1]

    def _measured(self) -> tuple[float, float]:
        if self._read is None:
            from transformers import DynamicCache

            from memos_integrations.backends.kv.layers import parts_of

            ids = (self._model.encode("Memory is what remains. ") * MEASURED)[:MEASURED][: self._model.context_tokens]
            self._model._forward(ids[:8], DynamicCache(), ())  # what is set up once is not the pace
            taken, cache = [], DynamicCache()
            for _ in range(2):
                cache, started = DynamicCache(), time.perf_counter()
                self._model._forward(ids, cache, ())
                taken.append(time.perf_counter() - started)
            held = [tensor for part in parts_of(cache, 0, len(ids)) for tensor in part]
            size = sum(tensor.numel() * tensor.element_size() for tensor in held)
            self._read = min(taken) / len(ids), size / len(ids)
        return self._read

    @property
    def to_adapter(self) -> float:
        """Seconds to change to an adapter that is loaded, and back, remembered; 0 as long as none is."""
        names = self._model.adapters
        if self._to_adapter is None and names:
            with self._model.lock:
                started = time.perf_counter()
                self._model._apply((names[0],))
                self._model._apply(())
                self._to_adapter = time.perf_counter() - started
        return self._to_adapter or 0.0
