"""What stored keys and values depend on, as one key: a difference in any of it is another key, hence a miss."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from typing import Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.core.cube import ModelFingerprint, canonical_json
from memos_integrations.core.errors import ModelError

STATEFUL = "keeps a running state instead of keys and values for every token"


def check_family(network: Any) -> None:
    """Refuse a model of which no prefix can be kept, before anything is computed with it.

    Raises:
        ModelError: It mixes attention with a recurrent state (hybrid, linear attention, state space), has an encoder,
            or a kind of attention that is not known to be exact here.
    """
    config = network.config.get_text_config(decoder=True)
    name = type(network).__name__
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    other = sorted(kinds - {"full_attention", "sliding_attention"})
    if other or getattr(network, "_is_stateful", False):
        what = f"has layers of {', '.join(other)}" if other else STATEFUL
        raise ModelError(
            f"{name} {what}: its state after a prefix is not the keys and values of the prefix, so activation memory "
            "cannot be exact. Use it without a KV store; memories are then read as text."
        )
    if getattr(network.config, "is_encoder_decoder", False):
        raise ModelError(f"{name} has an encoder; activation memory is for decoders.")


def has_windows(network: Any) -> bool:
    """Whether a layer sees only the last tokens, so that what stands between two tokens counts."""
    config = network.config.get_text_config(decoder=True)
    kinds = getattr(config, "layer_types", None) or ("sliding_attention",)
    return getattr(config, "sliding_window", None) is not None and "sliding_attention" in kinds


def fingerprint_of(model: HuggingFaceModel, adapters: Sequence[str] = ()) -> ModelFingerprint:
    """The model's fingerprint with the adapters that are active, each as `name:digest of its weights`.

    Raises:
        ModelError: An adapter is not loaded.
    """
    named = tuple(f"{name}:{_adapter_digest(model, name)}" for name in adapters)
    return model.fingerprint.model_copy(update={"adapters": named})


def root_key(fingerprint: ModelFingerprint, tenant: str, secret: bytes) -> bytes:
    """The key under which one tenant's prefixes for one model stand. Without *secret* nobody can compute it."""
    said = canonical_json([tenant, fingerprint.model_dump(mode="json", exclude={"model"})])
    return hmac.new(secret, said, hashlib.sha256).digest()


def path_key(root: bytes, tokens: Sequence[int]) -> str:
    """The key of a prefix: its tokens from the first on, under a root."""
    return hmac.new(root, struct.pack(f"<{len(tokens)}I", *tokens), hashlib.sha256).hexdigest()


def _adapter_digest(model: HuggingFaceModel, name: str) -> str:
    if name not in model.adapters:
        raise ModelError(f"Adapter {name!r} is not loaded on {model.name}; loaded are {list(model.adapters)}.")
    import torch

    digest = hashlib.sha256(repr(model.network.peft_config[name]).encode())
    for place, weights in sorted(model.network.named_parameters()):
        if f".{name}." in place:
            digest.update(place.encode())
            digest.update(weights.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return digest.hexdigest()
