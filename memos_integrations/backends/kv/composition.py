"""Memories computed apart, joined into one prefix: approximate, opt-in, and gated by a calibration of the model.

Each memory is computed once after the prompt's own head (the anchor: its attention sink is the one that it will have in
the prompt). To join them, keys are turned to their new positions (RoPE is a rotation, so a shift is one more), and the
best-scored memory stands last, where it is computed anew together with the question: it sees all the others. *link*
tokens at the start of each memory can be computed anew as well (EPIC, arXiv 2410.15332). Needs `hf`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from memos_integrations.backends.kv.fingerprint import fingerprint_of, has_windows
from memos_integrations.backends.kv.layout import Layout, MemoryLine, lay_out
from memos_integrations.backends.kv.prefix import StoredPrefix
from memos_integrations.backends.kv.store import KVStore
from memos_integrations.core.cube import ModelFingerprint, Value
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch

    from memos_integrations.backends.kv.layers import Part

SHIFTABLE = frozenset({"default", "linear", "llama3"})
LINKS = (0, 8)
"""How many link tokens a calibration tries, cheapest first."""


class Calibration(Value):
    """How far joined memories are from exact ones, for one model; keep it, it is JSON.

    `kl` is the mean divergence of the exact next-token distribution from the joined one, in nats; `agreement` the share
    of greedy answer tokens that are the same. `memories` is the most that a sample joined: of more, it says nothing.
    """

    fingerprint: ModelFingerprint
    samples: int = Field(ge=1)
    memories: int = Field(ge=2)
    kl: float
    agreement: float
    link: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Joined:
    """A prompt whose beginning was joined: its ids in the order used, the prefix, and how much was computed anew."""

    ids: list[int]
    prefix: StoredPrefix
    recomputed: int


class Composition:
    """Joins memories from a store, where a calibration of this very model says that it is close enough.

    Args:
        store: Where each memory's own keys and values are kept.
        calibration: What `calibrate` found before; of another model it is ignored, and prompts are exact.
        max_kl, min_agreement: The gate. Outside of it, `allowed` is False and every prompt is computed exactly.

    Raises:
        ModelError: The model's positions cannot be shifted (absolute positions, unknown kinds of RoPE, windows).
    """

    def __init__(
        self,
        store: KVStore,
        *,
        calibration: Calibration | None = None,
        max_kl: float = 0.5,
        min_agreement: float = 0.6,
    ) -> None:
        self.store, self.calibration = store, calibration
        self.max_kl, self.min_agreement = max_kl, min_agreement
        self._frequencies = _frequencies(store)

    def allowed(self, adapters: Sequence[str] = (), *, memories: int = 2) -> bool:
        """Whether the calibration is of this model with these adapters and of so many memories, and within the gate."""
        found = self.calibration
        if found is None or memories > found.memories:
            return False
        if found.fingerprint != fingerprint_of(self.store.model, adapters):
            return False
        return found.kl <= self.max_kl and found.agreement >= self.min_agreement

    def join(
        self, layout: Layout, lines: Sequence[MemoryLine], *, adapters: Sequence[str] = (), link: int | None = None
    ) -> Joined:
        """The prompt with all memories but the best joined from the store; what is missing there is computed alone."""
        best = max(range(len(lines)), key=lambda n: (lines[n].score, -n))
        others = [n for n in range(len(lines)) if n != best]
        tenant, head = lines[best].tenant, list(layout.head)
        computed = len(layout.lines[best]) + len(head) - self.store.holds(head, tenant=tenant, adapters=adapters)
        anchored = []
        for n in others:
            ids = [*head, *layout.lines[n]]
            computed += len(ids) - max(len(head), self.store.holds(ids, tenant=tenant, adapters=adapters))
            found = self.store.put(
                ids, tenant=tenant, sources=[lines[n].ref], ends=[len(head), len(ids)], adapters=adapters
            )
            anchored.append(found)
        if not anchored:
            anchored = [self.store.put(head, tenant=tenant, adapters=adapters)]
        ids = [*head, *(token for n in others for token in layout.lines[n])]
        parts = self._shifted(anchored, len(head))
        if link is None:
            link = self.calibration.link if self.calibration is not None else 0
        if link and others:
            starts = _starts(len(head), [layout.lines[n] for n in others])
            chosen = [
                at for start, n in zip(starts, others, strict=True) for at in _first(start, layout.lines[n], link)
            ]
            parts = self._linked(parts, ids, chosen, tuple(adapters))
            computed += len(chosen)
        prefix = StoredPrefix(
            tuple(ids),
            "joined:" + self.store.key(ids, tenant=tenant, adapters=adapters),
            False,
            0.0,
            tuple((part,) for part in parts),
            anchored[0].shared,
        )
        # Link tokens of a memory that was not stored either were counted with it.
        return Joined([*ids, *layout.lines[best], *layout.tail], prefix, min(computed, len(layout.memory)))

    def calibrate(
        self,
        samples: Sequence[tuple[Sequence[Mapping[str, str]], Sequence[MemoryLine]]],
        *,
        tokens: int = 6,
        adapters: Sequence[str] = (),
    ) -> Calibration:
        """Measure joined against exact prompts, on chats with the memories that one would give them; sets the gate.

        Tries without and with link tokens and takes the cheaper one that passes (else the better one). Costs two
        prefills and *tokens* steps a sample.

        Raises:
            ModelError: No samples, or one without at least two memories.
        """
        if not samples or any(len(lines) < 2 for _, lines in samples):
            raise ModelError("A calibration needs samples of at least two memories each.")
        fingerprint = fingerprint_of(self.store.model, adapters)
        found = []
        for link in LINKS:
            measured = [
                self.compare(chat, lines, link=link, tokens=tokens, adapters=adapters) for chat, lines in samples
            ]
            kl = sum(each[0] for each in measured) / len(measured)
            agreement = sum(each[1] for each in measured) / len(measured)
            found.append(
                Calibration(
                    fingerprint=fingerprint,
                    samples=len(samples),
                    memories=max(len(lines) for _, lines in samples),
                    kl=kl,
                    agreement=agreement,
                    link=link,
                )
            )
            if kl <= self.max_kl and agreement >= self.min_agreement:
                break
        passed = [each for each in found if each.kl <= self.max_kl and each.agreement >= self.min_agreement]
        self.calibration = passed[0] if passed else min(found, key=lambda each: each.kl)
        return self.calibration

    def compare(
        self,
        chat: Sequence[Mapping[str, str]],
        lines: Sequence[MemoryLine],
        *,
        link: int = 0,
        tokens: int = 6,
        adapters: Sequence[str] = (),
    ) -> tuple[float, float]:
        """KL of the next token, and the share of the exact greedy answer's tokens that the joined prefix also picks."""
        import torch

        model = self.store.model
        layout = lay_out(chat, lines, render_text=model.render_text, encode=model.encode)
        joined = self.join(layout, lines, adapters=adapters, link=link)
        answer = [t.id for t in model.stream(joined.ids, max_new_tokens=tokens, adapters=adapters)]
        ids = [*joined.ids, *answer[:-1]]
        known = len(joined.prefix.token_ids)
        with model.lock, torch.inference_mode():
            model._apply(tuple(adapters))
            keep = len(answer)
            exact = self._logits(ids, None, keep)
            close = self._logits(ids[known:], joined.prefix, keep)
        kl = torch.nn.functional.kl_div(close[0].log_softmax(-1), exact[0].softmax(-1), reduction="sum")
        return float(kl), float((close.argmax(-1) == exact.argmax(-1)).float().mean())

    def _logits(self, ids: Sequence[int], prefix: StoredPrefix | None, keep: int) -> torch.Tensor:
        import torch
        from transformers import DynamicCache

        network = self.store.model.network
        cache = DynamicCache() if prefix is None else prefix.fork()
        batch = torch.tensor([list(ids)], device=network.device)
        logits: torch.Tensor = network(batch, past_key_values=cache, use_cache=True, logits_to_keep=keep).logits[0]
        return logits.float()

    def _shifted(self, anchored: Sequence[StoredPrefix], head: int) -> list[Part]:
        """Per layer, the head once, then each memory's keys turned to where it now stands."""
        import torch

        turns, at = [torch.zeros(head)], 0
        for each in anchored:
            own = len(each.token_ids) - head
            turns.append(torch.full((own,), float(at)))
            at += own
        angles = _angles(torch.cat(turns), self._frequencies)
        found: list[Part] = []
        for layer in zip(*(each.layers for each in anchored), strict=True):
            keys, values = [], []
            for number, (k, v) in enumerate(map(_whole, layer)):
                start = head if number else 0
                keys.append(k[..., start:, :])
                values.append(v[..., start:, :])
            found.append((_turned(torch.cat(keys, -2), angles), torch.cat(values, -2)))
        return found

    def _linked(
        self, parts: Sequence[Part], ids: Sequence[int], chosen: list[int], adapters: tuple[str, ...]
    ) -> list[Part]:
        """The parts with the *chosen* tokens computed anew, each seeing all that is before it."""
        import torch
        from transformers import DynamicCache

        from memos_integrations.backends.kv.layers import ScatterLayer

        model, places = self.store.model, torch.tensor(chosen)
        cache = DynamicCache()
        cache.layers = [ScatterLayer(keys, values, places) for keys, values in parts]
        cache.layer_class_to_replicate = None
        seen = (torch.arange(len(ids))[None] <= places[:, None])[None, None]
        with model.lock, torch.inference_mode():
            model._apply(adapters)
            model.network(
                torch.tensor([[ids[at] for at in chosen]]),
                attention_mask=seen,
                position_ids=places[None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return [(layer.keys, layer.values) for layer in cache.layers]


def _whole(parts: Sequence[Part]) -> Part:
    import torch

    if len(parts) == 1:
        return parts[0]
    return torch.cat([keys for keys, _ in parts], -2), torch.cat([values for _, values in parts], -2)


def _starts(head: int, pieces: Sequence[Sequence[int]]) -> list[int]:
    starts = []
    for piece in pieces:
        starts.append(head)
        head += len(piece)
    return starts


def _first(start: int, piece: Sequence[int], link: int) -> range:
    return range(start, start + min(link, len(piece)))


def _angles(by: torch.Tensor, frequencies: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, per token and place, of moving each token *by* so many positions."""
    import torch

    turned = by[:, None] * torch.cat([frequencies, frequencies])
    return turned.cos(), turned.sin()


def _turned(keys: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Keys moved to other positions: their rotation, turned on (RoFormer, arXiv 2104.09864, §3.2)."""
    import torch

    whole = keys.float()
    one, two = whole.chunk(2, -1)
    turned: torch.Tensor = whole * angles[0] + torch.cat([-two, one], -1) * angles[1]
    return turned.to(keys.dtype)


def _frequencies(store: KVStore) -> Any:
    """The rotation per position of a model whose keys can be shifted; tried on it before it is believed.

    Raises:
        ModelError: They cannot.
    """
    import torch
    from transformers import DynamicCache

    network = store.model.network
    config = network.config.get_text_config(decoder=True)
    rotary = getattr(getattr(network, "model", None), "rotary_emb", None)
    kind = (getattr(config, "rope_parameters", None) or {}).get("rope_type")
    refusal = ModelError(
        f"The positions of {store.model.name} cannot be shifted exactly (it has {kind or 'no'} RoPE); memories that "
        "were computed apart cannot be joined for it. Leave `compose` out: prompts are then exact."
    )
    if (
        rotary is None
        or has_windows(network)
        or kind not in SHIFTABLE
        or not isinstance(getattr(rotary, "inv_freq", None), torch.Tensor)
    ):
        raise refusal
    frequencies = rotary.inv_freq.float()
    trial = torch.arange(1, 5).remainder(config.vocab_size)[None]
    keys = []
    with store.model.lock, torch.inference_mode():
        for start in (0, 37):
            cache = DynamicCache()
            network(trial, position_ids=torch.arange(start, start + 4)[None], past_key_values=cache, use_cache=True)
            keys.append(cache.layers[0].keys)  # of the first layer: what comes later has seen positions, too
    if keys[0].shape[-1] != 2 * len(frequencies):
        raise refusal
    angles = _angles(torch.full((4,), 37.0), frequencies)
    off = (_turned(keys[0], angles) - keys[1]).abs().max() / keys[1].abs().max().clamp_min(1e-6)
    if float(off) > (1e-4 if keys[0].dtype == torch.float32 else 3e-2):
        raise refusal
    return frequencies
