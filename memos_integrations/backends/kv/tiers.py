"""The forms in which a stored run of tokens can be kept: as computed, as float16, as int8. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch

from memos_integrations.backends.kv.layers import Part


class Precision(StrEnum):
    """How stored keys and values are written down. Only EXACT gives back what was computed."""

    EXACT = "exact"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Segment:
    """Keys and values of a run of tokens: per layer and kind one tensor, and with int8 one scale per token and head."""

    precision: Precision
    tensors: tuple[torch.Tensor, ...]
    scales: tuple[torch.Tensor, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.tensors, *self.scales))

    @property
    def tokens(self) -> int:
        """Length of the run."""
        return int(self.tensors[0].shape[-2])

    def parts(self, dtype: torch.dtype) -> tuple[Part, ...]:
        """Keys and values per layer, as the model computes: views where nothing was rounded, else copies."""
        whole = self.tensors
        if self.precision is Precision.INT8:
            whole = tuple(
                (tensor.float() * scale.float()).to(dtype)
                for tensor, scale in zip(self.tensors, self.scales, strict=True)
            )
        elif self.precision is Precision.FP16:
            whole = tuple(tensor.to(dtype) for tensor in self.tensors)
        return tuple(zip(whole[0::2], whole[1::2], strict=True))

    def between(self, start: int, end: int) -> Segment:
        """Tokens start..end of the run, copied."""
        cut = [
            tuple(tensor[..., start:end, :].clone(memory_format=torch.contiguous_format) for tensor in kind)
            for kind in (self.tensors, self.scales)
        ]
        return Segment(self.precision, *cut)


def exact(parts: Sequence[Part]) -> Segment:
    """A segment of what was computed, as it is."""
    return Segment(Precision.EXACT, tuple(tensor for part in parts for tensor in part))


def rounded(segment: Segment, precision: Precision) -> Segment:
    """The segment at a lower precision; one that is not exact any more stays as it is.

    int8 is symmetric, with one float16 scale per token and head, for keys and values alike: measured to lose least
    of the forms of that size.
    """
    if segment.precision is not Precision.EXACT or precision is Precision.EXACT:
        return segment
    if precision is Precision.FP16:
        limit = torch.finfo(torch.float16).max
        return Segment(precision, tuple(tensor.clamp(-limit, limit).half() for tensor in segment.tensors))
    tensors, scales = [], []
    for tensor in segment.tensors:
        real = tensor.float()
        # Rounded before it divides, so that what is multiplied by it later was divided by it.
        scale = (real.abs().amax(-1, keepdim=True) / 127).clamp_min(6e-5).half()
        tensors.append((real / scale.float()).round_().clamp_(-127, 127).to(torch.int8))
        scales.append(scale)
    return Segment(precision, tuple(tensors), tuple(scales))


def sound(segment: Segment) -> bool:
    """Whether there is no number in it that is none."""
    floats = [tensor for tensor in (*segment.tensors, *segment.scales) if tensor.is_floating_point()]
    return all(bool(tensor.float().sum().isfinite()) for tensor in floats)
