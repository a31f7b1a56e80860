"""A trained adapter made quieter: what it does to lessons stays, what it does to other text goes. Needs `hf`.

Training finds one of many adapters that know the same. Of those that are near it in what they do to inputs of lessons,
the one that does least to inputs of general text is found at once, layer by layer: with L and C the means of x·xᵀ over
unit inputs of lessons and of general text, each of trace 1,

    A' = A · L · (L + quiet · C + e)⁻¹

is what makes |(A' - A)x|² over the lessons, and `quiet` times |A'x|² over the general text, least together. MEMIT
(arXiv 2210.07229) weighs what a layer is to do against general text in the same way, to write facts without training.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from memos_integrations.backends.lora.apart import Spread
from memos_integrations.backends.lora.rows import Packed, predicted

if TYPE_CHECKING:
    import torch

    from memos_integrations.backends.lora.student import Student

EVEN = 0.01
"""e, as a share of the mean spread: what neither the lessons nor the general text use is left out."""


def quieten(student: Student, general: Spread, lessons: Iterable[Packed], *, quiet: float) -> None:
    """Change every A of a student's adapter so.

    Args:
        student: Whose adapter it is.
        general: How the inputs spread without the adapter.
        lessons: Batches of what was learnt; read with the adapter as it is.
        quiet: What a change of general text weighs beside a change of the lessons, above 0.
    """
    import torch

    heard = Spread(student)
    with torch.no_grad(), heard.listening():
        for batch in lessons:
            predicted(student.network, batch)
    named = student.parameters()
    kept = {layer: _kept(each, general.of(layer), quiet) for layer, each in heard.sums.items()}
    for name, weight in named.items():
        layer, inward, _ = name.partition(".lora_A.")
        if inward:
            weight.data.copy_(weight.detach() @ kept[heard.same.get(layer, layer)])


def _kept(lessons: torch.Tensor, general: torch.Tensor, quiet: float) -> torch.Tensor:
    """What A is multiplied by, from sums of x·xᵀ."""
    import torch

    told, other = lessons / lessons.trace(), general / general.trace()
    both = told + quiet * other + torch.eye(len(told)) * (EVEN / len(told))
    return torch.cholesky_solve(told, torch.linalg.cholesky(both)).t()
