"""What an adapter makes of prompts that only its owner knows: whether a model serves it can be told from outside.

Prompts are drawn from a secret; kept are those on which the adapter most clearly changes the next token. A model that
gives the same next tokens has this adapter, or one that was made from it; one without it gives none of them, as only
prompts are kept where the model alone says something else. Nothing is built into the adapter, and its owner needs its
weights once, to write the expectation down.

What defeats it: training on for long, or stacking other adapters on it; merging at a small part of its strength.
Adapters of other origin on the same model agree on many prompts too, as training on any such texts moves it alike: see
the figures in `docs/attribution.md`, and give some of them as *others*. Who sees the prompts can answer them otherwise:
use each secret once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING

from memos_integrations.backends.watermark import at_least
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch

    from memos_integrations.backends.huggingface import HuggingFaceModel

UNRELATED = 0.7
"""An adapter of another origin is held to agree so often: up to 0.63 were measured, see `docs/attribution.md`."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How many of the expected tokens a model gave, and how likely as many are from an adapter of another origin."""

    agreed: int
    of: int
    chance: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Prompts (token ids) and the next token that an adapter gives to each. Keep it secret."""

    prompts: tuple[tuple[int, ...], ...]
    expected: tuple[int, ...]

    def likeness(self, next_token: Callable[[Sequence[int]], int]) -> Likeness:
        """Hold a model against it; *next_token* gives the model's best next token after a prompt."""
        agreed = sum(next_token(prompt) == token for prompt, token in zip(self.prompts, self.expected, strict=True))
        return Likeness(agreed, len(self.prompts), at_least(agreed, len(self.prompts), UNRELATED))


def behaviour_of(
    model: HuggingFaceModel,
    adapters: Sequence[str],
    *,
    secret: bytes,
    prompts: int = 64,
    tried: int = 320,
    others: Sequence[str] = (),
) -> Behaviour:
    """What loaded adapters, together, make of *prompts* prompts, the clearest of as many as are *tried*.

    *others* are loaded adapters of another origin: no prompt is kept on which one of them, alone, says the same.

    Raises:
        ModelError: The secret is shorter than 16 bytes, or they change too few of the tokens to be told by.
    """
    if len(secret) < 16 or not 1 <= prompts <= tried:
        raise ModelError("A behaviour needs a secret of 16 bytes, and as many tries as prompts.")
    draw = Random(blake2b(secret, digest_size=16, person=b"memos behaviour").digest())  # not what must stay hidden
    words = [token for token in range(model.network.config.vocab_size) if model.decode([token]).strip().isalpha()]
    found: list[tuple[float, tuple[int, ...], int]] = []
    drawn = [tuple(draw.choices(words, k=10)) for _ in range(tried)]
    before = [_logits(model, prompt, ()) for prompt in drawn]  # first all without: adapters are slow to change
    for prompt, alone in zip(drawn, before, strict=True):
        with_it = _logits(model, prompt, tuple(adapters))
        here, there = int(alone.argmax()), int(with_it.argmax())
        if here != there:
            clear = min(float(with_it[there] - with_it[here]), float(alone[here] - alone[there]))
            found.append((clear, prompt, there))
    if len(found) < prompts:
        raise ModelError(f"These adapters change the next token of {len(found)} of {tried} prompts only: try more.")
    for other in others:
        found = [each for each in found if int(_logits(model, each[1], (other,)).argmax()) != each[2]]
    if len(found) < prompts:
        raise ModelError(f"On {len(found)} of {tried} prompts only they say what no other one says: try more.")
    best = sorted(found, reverse=True)[:prompts]
    return Behaviour(tuple(prompt for _, prompt, _ in best), tuple(token for _, _, token in best))


def next_token_of(model: HuggingFaceModel, adapters: Sequence[str] = ()) -> Callable[[Sequence[int]], int]:
    """What `Behaviour.likeness` asks, of a model that runs here."""
    return lambda prompt: int(_logits(model, prompt, tuple(adapters)).argmax())


def _logits(model: HuggingFaceModel, prompt: Sequence[int], adapters: tuple[str, ...]) -> torch.Tensor:
    from transformers import DynamicCache

    return model._forward(list(prompt), DynamicCache(), adapters)
