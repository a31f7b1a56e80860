"""Where an adapter may listen: directions of a layer's input that other text uses little. Needs the extra `hf`.

An adapter adds B·A·x to what a layer gives for its input x. Whatever A does to inputs that general text gives, too,
changes what the model says of everything. So A is kept as R·P: R is learnt, and P, which is not, weakens each direction
by how much general text spreads along it. For C, the mean of x·xᵀ over unit inputs of general text, of mean spread m:

    P = c · (1 + C / (apart · m))⁻¹

with c such that inputs of lessons stay as long as they were. Facts of people whom no text mentions are told apart by
the directions that are left, much as in editing within the null space of what is to be kept (AlphaEdit, arXiv
2410.02355); but P is soft, and rules while the adapter is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.lora.rows import Packed, predicted, real_tokens
from memos_integrations.backends.lora.student import Student

if TYPE_CHECKING:
    import torch

_A = ".lora_A."


class Spread:
    """How the unit inputs of a student's adapted layers spread while it reads: sums of x·xᵀ, by layer."""

    def __init__(self, student: Student) -> None:
        self._student = student
        self.sums: dict[str, torch.Tensor] = {}
        self.same: dict[str, str] = {}
        """Layers that have another's input, and whose."""

    def listening(self) -> AbstractContextManager[None]:
        """While this stands, what the network reads is added."""
        return _listening(self._student, lambda layer, x: _add(self.sums, layer, x.t() @ x), self.same)

    def of(self, layer: str) -> torch.Tensor:
        """Of one adapted layer."""
        return self.sums[self.same.get(layer, layer)]


class Apart:
    """The weights of a student's adapter, as they are to be optimised while A stays apart from general text.

    Args:
        student: Whose adapter is trained; its A is replaced by R·P at once, with R what A was.
        general: What text to keep apart from makes of the inputs.
        lessons: Batches of what is to be learnt.
        apart: The spread, as a share of the mean one, at which a direction is halved; 0 keeps every direction.
    """

    def __init__(self, student: Student, general: Spread, lessons: Iterable[Packed], *, apart: float) -> None:
        named = student.parameters()
        through = _through(student, general, lessons, apart) if apart else {}
        self.weights: list[torch.Tensor] = []
        """What an optimiser steps, in a fixed order: R where an A is kept apart, else the weight itself."""
        self._held: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for name, weight in named.items():
            layer = name.partition(_A)[0]
            if _A in name and layer in through:
                learnt = weight.detach().clone().requires_grad_()
                self._held.append((learnt, weight, through[layer]))
                self.weights.append(learnt)
            else:
                self.weights.append(weight)
        self.apply()

    def gather(self) -> None:
        """Turn the gradients of every A into those of its R."""
        for learnt, weight, through in self._held:
            learnt.grad = None if weight.grad is None else weight.grad @ through
            weight.grad = None

    def apply(self) -> None:
        """Make every A what its R says, after a step."""
        for learnt, weight, through in self._held:
            weight.data.copy_(learnt.detach() @ through)


def _through(student: Student, general: Spread, lessons: Iterable[Packed], apart: float) -> dict[str, torch.Tensor]:
    """P of every adapted layer; layers with the same input share one."""
    import torch

    found: dict[str, torch.Tensor] = {}
    for layer, each in general.sums.items():
        whole = torch.eye(len(each)) + each * (len(each) / (apart * each.trace()))
        found[layer] = torch.cholesky_inverse(torch.linalg.cholesky(whole))
    lengths: dict[str, torch.Tensor] = {}
    with (
        torch.no_grad(),
        student.without(),
        _listening(student, lambda layer, x: _add(lengths, layer, _squares(x @ found[layer])), {}),
    ):
        for batch in lessons:
            predicted(student.network, batch)
    for layer, (squares, count) in lengths.items():
        found[layer] = found[layer] * (count / squares.clamp_min(1e-6)).sqrt()
    return found | {layer: found[first] for layer, first in general.same.items()}


def _squares(rows: torch.Tensor) -> torch.Tensor:
    """The sum of the squared lengths of some rows, and how many there are."""
    return rows.new_tensor([float(rows.square().sum()), float(len(rows))])


def _add(sums: dict[str, torch.Tensor], layer: str, more: torch.Tensor) -> None:
    sums[layer] = sums[layer] + more if layer in sums else more


@contextmanager
def _listening(student: Student, see: Callable[[str, torch.Tensor], None], same: dict[str, str]) -> Iterator[None]:
    """Show *see* the unit inputs (n, width) of the adapted layers; *same* gets the layers that have another's input."""
    from peft.tuners.lora import LoraLayer

    last: list[Any] = [None, ""]
    real: list[torch.Tensor] = []

    def begin(_: Any, __: tuple[Any, ...], given: dict[str, Any]) -> None:
        real[:] = [real_tokens(given["position_ids"]).flatten()]

    def hook(layer: str) -> Callable[[Any, tuple[torch.Tensor, ...]], None]:
        def look(_: Any, given: tuple[torch.Tensor, ...]) -> None:
            if given[0] is last[0]:
                same[layer] = last[1]
                return
            last[:] = given[0], layer
            rows = given[0].detach().flatten(0, -2)[real[0]].float()
            see(layer, rows / rows.norm(dim=-1, keepdim=True).clamp_min(1e-6))

        return look

    layers = [(name, each) for name, each in student.network.named_modules() if isinstance(each, LoraLayer)]
    hooks = [student.network.register_forward_pre_hook(begin, with_kwargs=True)]
    hooks += [each.register_forward_pre_hook(hook(name)) for name, each in layers]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
