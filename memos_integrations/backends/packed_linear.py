"""Linear layers whose weights are laid out once for few rows: decoding and short questions. Imports torch.

A matrix product with few rows spends most of its time rearranging the weights, which never change. oneDNN can be
given them rearranged. With many rows it makes no difference, and the layer does what it always did.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

MOST_ROWS = 64


class PackedLinear:
    """The forward of a `torch.nn.Linear`, with its weights rearranged; used as the layer's own `forward`."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        self._layer = layer
        self._packed: torch.Tensor | None = None
        self._seen: tuple[int, int] = (0, -1)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """The product, as the layer would give it up to the order of its sums."""
        weight, bias = self._layer.weight, self._layer.bias
        if rows.numel() > MOST_ROWS * rows.shape[-1] or torch.is_grad_enabled() or rows.dtype != weight.dtype:
            return functional.linear(rows, weight, bias)
        seen = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if self._packed is None or seen != self._seen:  # an adapter was merged into it, or it was moved
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
            self._seen = seen
        packed: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, bias, "none", [], "")
        return packed


def pack(network: Any) -> int:
    """Give every linear layer of *network* a packed forward; how many. None where oneDNN or a CPU is missing.

    The rearranged weights take as much memory again as the linear layers have.
    """
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or network.device.type != "cpu":
        return 0
    layers = [layer for layer in network.modules() if type(layer) is torch.nn.Linear]
    for layer in layers:
        layer.forward = PackedLinear(layer)  # type: ignore[method-assign, assignment]
    return len(layers)
