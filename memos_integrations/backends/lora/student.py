"""A second body over the same weights, which learns while the first one answers. Imports torch.

The served network is never touched: the copy shares its weights, which stay frozen, and carries the one adapter that
is being trained, so that nobody can be served half an adapter.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.core.errors import ModelError
from memos_integrations.core.extras import require

if TYPE_CHECKING:
    import torch

NAME = "learning"
_FEED_FORWARD = frozenset("mlp feed_forward ffn ff".split())


class Student:
    """A model's network with one trainable adapter; its weights are the model's own.

    Args:
        model: Whose weights are read. Adapters that it serves have no part in this.
        targets: Names of the linear layers that are adapted; None are those of the feed-forward parts, where facts are
            kept (Meng et al., arXiv 2202.05262); empty is every one but the output.
        layers: Numbers of the blocks that are adapted; None are those in the middle; empty is all of them.

    Raises:
        ModelError: PEFT cannot adapt this architecture so.
    """

    def __init__(
        self,
        model: HuggingFaceModel,
        *,
        rank: int,
        alpha: float,
        targets: Sequence[str] | None = None,
        layers: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        torch = require("torch", extra="hf")
        require("peft", extra="hf")
        from peft import LoraConfig

        # torch's fused attention takes much longer backwards than forwards, with a mask and so few tokens.
        self.network = bare_copy(model, attention="eager")
        settings = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            bias="none",
            fan_in_fan_out=has_conv1d(self.network),
            target_modules=adapted_names(self.network, targets),
            layers_to_transform=adapted_blocks(self.network, layers),
            task_type="CAUSAL_LM",
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.network.add_adapter(settings, adapter_name=NAME)
            except (ValueError, TypeError) as exc:
                raise ModelError(f"{model.name} cannot be given an adapter: {exc}") from exc
        self.settings = settings
        for name, weight in self.parameters().items():
            if weight.dtype != torch.float32:  # steps of 1e-3 are lost in 8 bits of mantissa
                holder, _, last = name.rpartition(".")
                setattr(self.network.get_submodule(holder), last, torch.nn.Parameter(weight.detach().float()))
        self.network.eval()

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by its place in the network, in a fixed order."""
        named = {name: weight for name, weight in self.network.named_parameters() if f".{NAME}." in name}
        return dict(sorted(named.items()))

    def weights(self) -> dict[str, torch.Tensor]:
        """The adapter as it is now."""
        return {name: weight.detach().clone() for name, weight in self.parameters().items()}

    def check_finite(self) -> None:
        """Refuse an adapter that went astray.

        Raises:
            ModelError: A weight is no number.
        """
        if any(not bool(weight.isfinite().all()) for weight in self.parameters().values()):
            raise ModelError("The training went astray: its weights are no numbers. Lower the recipe's `rate`.")

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Put an adapter's weights in place of what was learnt."""
        import torch

        with torch.no_grad():
            for name, weight in self.parameters().items():
                weight.copy_(weights[name])

    def weaken(self, scale: float) -> None:
        """Keep the adapter at a part of its strength from now on: it is in the weights."""
        import torch

        with torch.no_grad():
            for name, weight in self.parameters().items():
                if ".lora_B." in name:
                    weight.mul_(scale)

    @contextmanager
    def scaled(self, scale: float) -> Iterator[None]:
        """The adapter at a part of its strength: 0 is the model without it."""
        from peft.tuners.lora import LoraLayer

        layers = [each for each in self.network.modules() if isinstance(each, LoraLayer)]
        before = [each.scaling[NAME] for each in layers]
        try:
            for each in layers:
                each.scaling[NAME] *= scale
            yield
        finally:
            for each, value in zip(layers, before, strict=True):
                each.scaling[NAME] = value

    @contextmanager
    def without(self) -> Iterator[None]:
        """The model as it is without the adapter."""
        self.network.disable_adapters()
        try:
            yield
        finally:
            self.network.enable_adapters()


def bare_copy(model: HuggingFaceModel, *, attention: str = "sdpa") -> Any:
    """The network again, over the very same weights, with its own modules and none of the served adapters."""
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(model.network.config)
    served = model.network
    import torch

    with model.lock, torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=served.dtype)
    weights = {
        name.replace(".base_layer.", "."): weight
        for name, weight in [*served.named_parameters(remove_duplicate=False), *served.named_buffers()]
        if ".lora_" not in name
    }
    for name, _ in [*made.named_parameters(remove_duplicate=False), *made.named_buffers()]:
        holder, _, last = name.rpartition(".")
        place = made.get_submodule(holder)
        if last in place._parameters:
            place._parameters[last] = torch.nn.Parameter(weights[name].detach(), requires_grad=False)
        else:
            place._buffers[last] = weights[name]
    made.generation_config = served.generation_config
    return made.eval()


def has_conv1d(network: Any) -> bool:
    """Whether the layers keep their weights transposed, as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in network.modules())


def linear_names(network: Any) -> list[str]:
    """The last names of the linear layers inside the blocks of a network."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    output = network.get_output_embeddings()
    found = {
        name.rpartition(".")[2]
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output
    }
    return sorted(found)


def feed_forward_names(network: Any) -> list[str]:
    """The names of the linear layers in the feed-forward parts, with their part's where others have the same."""
    linear = set(linear_names(network))
    places = [name.split(".") for name, _ in network.named_modules() if name.rpartition(".")[2] in linear]
    inside = [place for place in places if len(place) > 1 and place[-2] in _FEED_FORWARD]
    elsewhere = {place[-1] for place in places if place not in inside}
    return sorted({".".join(place[-2:]) if place[-1] in elsewhere else place[-1] for place in inside})


def adapted_names(network: Any, targets: Sequence[str] | None) -> list[str]:
    """The names of the linear layers that *targets* means; where no feed-forward part is known by its name, all."""
    return list(targets or (targets is None and feed_forward_names(network)) or linear_names(network))


def adapted_blocks(network: Any, layers: Sequence[int] | None) -> list[int] | None:
    """The numbers of the blocks that *layers* means; None is every one."""
    count = int(network.config.get_text_config().num_hidden_layers)
    middle = range(2 * count // 15, max(2 * count // 3, 1))
    return list(middle if layers is None else layers) or None


def parameters_of(network: Any, rank: int, targets: Sequence[str] | None, layers: Sequence[int] | None) -> int:
    """How many numbers an adapter of this rank has."""
    names, blocks = adapted_names(network, targets), adapted_blocks(network, layers)
    found = [
        module
        for name, module in network.named_modules()
        if any(f".{name}".endswith(f".{each}") for each in names)
        and (blocks is None or any(f".{block}." in name for block in blocks))
    ]
    return sum(rank * sum(layer.weight.shape) for layer in found if hasattr(layer, "weight"))
