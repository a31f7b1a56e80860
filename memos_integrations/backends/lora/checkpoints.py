"""Where a training stands, on disk: weights and optimiser as safetensors, and a journal that names them. Needs `hf`.

The journal is written last, by a rename. A crash at any moment leaves the state before or the state after, and files
that no journal names are swept away. What does not fit to the training that asks is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.lora.files import IN_CLEAR, Files

if TYPE_CHECKING:
    import torch

JOURNAL = "journal.json"


_KEPT = ("exp_avg", "exp_avg_sq", "step")


def tensors_of(weights: Sequence[torch.Tensor], optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What is trained, and what the optimiser keeps of each, by their places."""
    found: dict[str, torch.Tensor] = {}
    for number, weight in enumerate(weights):
        kept = optimiser.state.get(weight, {})
        found[f"weight.{number}"] = weight.detach()
        found |= {f"{name}.{number}": kept[name] for name in _KEPT if name in kept}
    return found


def put_back(
    weights: Sequence[torch.Tensor], optimiser: torch.optim.Optimizer, found: Mapping[str, torch.Tensor]
) -> None:
    """Undo `tensors_of`."""
    for number, weight in enumerate(weights):
        weight.data.copy_(found[f"weight.{number}"])
        kept = {name: found[f"{name}.{number}"] for name in _KEPT if f"{name}.{number}" in found}
        if kept:
            optimiser.state[weight] = kept


def write_state(
    folder: Path,
    key: str,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    said: Mapping[str, Any],
    *,
    files: Files = IN_CLEAR,
) -> None:
    """Make *step* the state that a resumed training goes on from.

    Raises:
        OSError: The disk is full or cannot be written; the state before stands.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"step-{step}.safetensors"
    files.put_tensors(folder / name, tensors)
    journal = {**said, "key": key, "step": step, "file": name, "sha256": files.digest(folder / name)}
    files.put(folder / JOURNAL, json.dumps(journal, indent=1).encode())
    for other in folder.glob("step-*.safetensors"):
        if other.name != name:
            with contextlib.suppress(OSError):
                other.unlink()


def read_state(
    folder: Path, key: str, *, files: Files = IN_CLEAR
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The tensors and the journal of a training with this key; None where there is none that is whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        journal = json.loads(files.get(folder / JOURNAL))
        content = files.get(folder / Path(journal["file"]).name)
        if journal["key"] != key or hashlib.sha256(content).hexdigest() != journal["sha256"]:
            return None
        return load(content), journal
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def clear_state(folder: Path) -> None:
    """Remove the state: the training has ended."""
    for each in (folder / JOURNAL, *folder.glob("step-*.safetensors"), *folder.glob(".new-*")):
        with contextlib.suppress(OSError):
            each.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
