"""A mark in generated text: whoever has the secret can tell later that a model with this mark wrote it. Extra `hf`.

KGW (Kirchenbauer et al., "A Watermark for Large Language Models", 2023), with the processor of transformers: each token
and the secret choose a part of the vocabulary, whose logits are raised before the next token is picked. A text of
another origin holds tokens of those parts as often as chance has it; the test is a binomial one, over different pairs
of tokens, as pairs that are repeated say nothing new.

What defeats it: paraphrase, translation, every second word exchanged; texts of fewer than about fifty tokens; answers
that can only be worded in one way (names, code, numbers), where there is nothing to choose. Whoever has the secret can
mark a text of their own, and whoever can ask the model very often can learn the parts without it: a mark is a hint for
an inquiry, no proof against somebody. It costs quality: figures in `docs/attribution.md`. Only what a model writes is
marked, never the words of memories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from memos_integrations.core.errors import ModelError
from memos_integrations.core.extras import require

if TYPE_CHECKING:
    import torch

SHORTEST = 16
"""Of fewer different pairs of tokens nothing is said."""


class ReadsTokens(Protocol):
    """What a text is looked at with: `HuggingFaceModel` is such a one."""

    network: Any

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...


@dataclass(frozen=True, slots=True)
class Marked:
    """What was found in a text: so many of its `pairs` of tokens fit to the mark.

    `chance`: how likely so many or more would be in a text without it; 1.0 for a text that is too short to tell.
    """

    pairs: int
    fitting: int
    chance: float


class Watermark:
    """A mark that depends on *secret* (at least 16 bytes).

    Args:
        secret: Keep it from whoever reads the answers.
        bias: What is added to the logits. More is found more surely, and costs more quality; 0 is no mark.
        share: How much of the vocabulary is raised, between 0 and 1.

    Raises:
        ModelError: A setting has no sense.
        MissingExtraError: The extra `hf` is not installed.
    """

    def __init__(self, secret: bytes, *, bias: float = 2.0, share: float = 0.25) -> None:
        require("transformers", extra="hf")
        if len(secret) < 16 or not 0 <= bias <= 20 or not 0.01 <= share <= 0.9:
            raise ModelError("A watermark needs a secret of 16 bytes, a bias of 0 to 20 and a share of 0.01 to 0.9.")
        self.bias, self.share = bias, share
        self._key = int.from_bytes(blake2b(secret, digest_size=8, person=b"memos mark").digest()) >> 1 | 1
        self._made: dict[tuple[int, str], Any] = {}
        self._one = Lock()

    def marked(self, logits: torch.Tensor, before: Sequence[int]) -> torch.Tensor:
        """The logits of the next token, shape (vocabulary,), with the part that follows *before* raised."""
        import torch

        if not before or self.bias == 0:
            return logits
        last = torch.tensor([[before[-1]]], device=logits.device)
        with self._one:  # the processor has one source of chance, which it sets anew for each token
            raised: torch.Tensor = self._processor(logits.shape[-1], str(logits.device))(last, logits[None])
        return raised[0]

    def look(self, text: str, model: ReadsTokens) -> Marked:
        """What a text shows of this mark, in the tokens of *model*; of another model's tokens it shows nothing.

        Give the answer alone: what a person wrote around it dilutes what is found.
        """
        vocabulary = model.network.config.get_text_config(decoder=True).vocab_size
        return self.look_at(model.encode(text), vocabulary=int(vocabulary))

    def look_at(self, tokens: Sequence[int], *, vocabulary: int) -> Marked:
        """As `look`, of token ids; *vocabulary* is the length of the model's logits."""
        pairs = set(pairwise(tokens))
        if len(pairs) < SHORTEST:
            return Marked(len(pairs), 0, 1.0)
        parts = {one: self._part(one, vocabulary) for one in {one for one, _ in pairs}}
        fitting = sum(bool(parts[one][two]) for one, two in pairs)
        return Marked(len(pairs), fitting, at_least(fitting, len(pairs), self.share))

    def _part(self, token: int, vocabulary: int) -> torch.Tensor:
        import torch

        part = torch.zeros(vocabulary, dtype=torch.bool)
        with self._one:
            part[self._processor(vocabulary, "cpu")._get_greenlist_ids(torch.tensor([token]))] = True
        return part

    def _processor(self, vocabulary: int, device: str) -> Any:
        found = self._made.get((vocabulary, device))
        if found is None:
            from transformers import WatermarkLogitsProcessor

            found = WatermarkLogitsProcessor(
                vocabulary, device, greenlist_ratio=self.share, bias=self.bias, hashing_key=self._key
            )
            self._made[vocabulary, device] = found
        return found


def at_least(count: int, of: int, chance: float) -> float:
    """How likely *count* or more of so many are, if each is so by *chance*, on its own (a binomial tail)."""
    logs = [
        math.lgamma(of + 1)
        - math.lgamma(n + 1)
        - math.lgamma(of - n + 1)
        + n * math.log(chance)
        + (of - n) * math.log1p(-chance)
        for n in range(count, of + 1)
    ]
    return min(1.0, math.fsum(math.exp(each) for each in logs))
