"""An adapter in PEFT's format: `adapter_model.safetensors` and `adapter_config.json`, as vLLM and SGLang read them.

The weights are halved to fp16, and the strength that calibration chose is in them, so that every reader applies it.
Only safetensors, only LoRA, only the layers that the model has: anything else is refused before a tensor is believed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.lora.files import IN_CLEAR, Files
from memos_integrations.backends.lora.student import NAME, Student
from memos_integrations.core.errors import ModelError

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_LARGEST = 1 << 30
_READ = ("r", "lora_alpha", "target_modules", "layers_to_transform", "fan_in_fan_out")


def write_adapter(student: Student, folder: Path, *, base: str, files: Files = IN_CLEAR) -> None:
    """Save a student's adapter in *folder*, which is made.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    weights = student.weights()
    tensors = {_PREFIX + name.replace(f".{NAME}.", "."): weight.half() for name, weight in weights.items()}
    settings = student.settings
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": settings.r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": settings.fan_in_fan_out,
        "inference_mode": True,
        "target_modules": sorted(settings.target_modules),
        "layers_to_transform": settings.layers_to_transform,
        "modules_to_save": None,
        "use_rslora": False,
        "use_dora": False,
    }
    files.put_tensors(folder / WEIGHTS, tensors)
    files.put(folder / CONFIG, json.dumps(said, indent=1).encode())


def read_adapter(folder: Path, *, files: Files = IN_CLEAR) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and settings of an adapter in PEFT's format.

    Raises:
        ModelError: It is not one, is damaged, or is of another kind than plain LoRA.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        said = json.loads(files.get(folder / CONFIG))
        if (folder / WEIGHTS).stat().st_size > _LARGEST:
            raise ModelError(f"{folder} is larger than an adapter is.")
        tensors = load(files.get(folder / WEIGHTS))
    except (OSError, ValueError, SafetensorError) as exc:
        raise ModelError(f"{folder} holds no adapter in PEFT's format: {exc}") from exc
    odd = [
        name
        for name in ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern")
        if said.get(name)
    ]
    if said.get("peft_type") != "LORA" or odd or said.get("bias", "none") != "none":
        raise ModelError(f"{folder} is not a plain LoRA adapter ({said.get('peft_type')}, {odd}); it is not loaded.")
    return tensors, said


def attach_adapter(network: Any, name: str, tensors: Mapping[str, torch.Tensor], said: Mapping[str, Any]) -> None:
    """Load an adapter's weights on a network under a name; hold the model's lock if others use it.

    Raises:
        ModelError: It does not fit to this network, or holds what is no number. Nothing of it stays.
    """
    import torch
    from peft import LoraConfig

    if name in getattr(network, "peft_config", {}):
        raise ModelError(f"An adapter {name!r} is loaded already.")
    settings = LoraConfig(
        **{key: said[key] for key in _READ if said.get(key) is not None}, lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    active = list(network.active_adapters()) if getattr(network, "peft_config", None) else []
    with torch.random.fork_rng(devices=[]):
        try:
            with warnings.catch_warnings():  # that there is more than one is what we want
                warnings.filterwarnings("ignore", message="Already found a `peft_config`")
                network.add_adapter(settings, adapter_name=name)
        except (ValueError, TypeError) as exc:
            raise ModelError(f"The adapter {name!r} does not fit to this model: {exc}") from exc
    try:
        _fill(network, name, tensors)
    except ModelError:
        network.delete_adapter(name)
        raise
    finally:
        if active:
            network.set_adapter(active)
        elif name in getattr(network, "peft_config", {}):
            network.disable_adapters()


def _fill(network: Any, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    import torch

    places = {
        _PREFIX + place.replace(f".{name}.", "."): place
        for place, _ in network.named_parameters()
        if f".{name}." in place
    }
    if places.keys() != tensors.keys():
        odd = sorted(places.keys() ^ tensors.keys())
        raise ModelError(f"The adapter {name!r} has other layers than this model: {len(odd)} differ, such as {odd[0]}.")
    for key, place in places.items():
        found, (holder, _, last) = tensors[key], place.rpartition(".")
        module = network.get_submodule(holder)
        if found.shape != getattr(module, last).shape or not bool(torch.isfinite(found).all()):
            raise ModelError(f"The adapter {name!r} holds what is no number, or of another size, at {key}.")
        setattr(module, last, torch.nn.Parameter(found.float(), requires_grad=False))


def detach_adapter(model: HuggingFaceModel, name: str) -> None:
    """Take an adapter off a model; the model's own weights were never touched."""
    with model.lock:
        if name in model.adapters:
            others = [other for other in model.adapters if other != name]
            if others:  # what is deleted must not be what is active
                model.network.set_adapter(others[0])
            model.network.delete_adapter(name)
