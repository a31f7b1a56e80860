"""The next token of an answer: the best, or a sample; marked where the model marks its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from memos_integrations.backends.watermark import Watermark


class Choice:
    """Picks the next token from logits: the best one at temperature 0, else a sample."""

    def __init__(
        self, temperature: float, seed: int | None, device: torch.device, watermark: Watermark | None = None
    ) -> None:
        import torch

        self._temperature, self._watermark = temperature, watermark
        self._random = torch.Generator(device)
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)

    def __call__(self, logits: torch.Tensor, before: Sequence[int]) -> int:
        """The token after *before*; *logits* are of shape (vocabulary,)."""
        if self._watermark is not None:
            logits = self._watermark.marked(logits, before)
        if self._temperature == 0:
            return int(logits.argmax())
        chances = (logits / self._temperature).softmax(-1)
        return int(chances.multinomial(1, generator=self._random))
