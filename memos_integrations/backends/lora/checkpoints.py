"""Where a training stands, on disk: weights and optimiser as safetensors, and a journal that names them. Needs `hf`.

The journal is written last, by a rename. A crash at any moment leaves the state before or the state after, and files
that no journal names are swept away. What does not fit to the training that asks is not used.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos_integrations.backends.checkpoint import digest

if TYPE_CHECKING:
    import torch

JOURNAL = "journal.json"


def write_state(
    folder: Path, key: str, step: int, tensors: Mapping[str, torch.Tensor], said: Mapping[str, Any]
) -> None:
    """Make *step* the state that a resumed training goes on from.

    Raises:
        OSError: The disk is full or cannot be written; the state before stands.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"step-{step}.safetensors"
    write_tensors(folder / name, tensors)
    journal = {**said, "key": key, "step": step, "file": name, "sha256": digest(folder / name)}
    replace_text(folder / JOURNAL, json.dumps(journal, indent=1))
    for other in folder.glob("step-*.safetensors"):
        if other.name != name:
            with contextlib.suppress(OSError):
                other.unlink()


def read_state(folder: Path, key: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The tensors and the journal of a training with this key; None where there is none that is whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        journal = json.loads((folder / JOURNAL).read_text("utf-8"))
        file = folder / Path(journal["file"]).name
        if journal["key"] != key or digest(file) != journal["sha256"]:
            return None
        return load_file(file), journal
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def clear_state(folder: Path) -> None:
    """Remove the state: the training has ended."""
    for each in (folder / JOURNAL, *folder.glob("step-*.safetensors"), *folder.glob(".new-*")):
        with contextlib.suppress(OSError):
            each.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_tensors(file: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """A safetensors file, whole or not at all.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    new = file.with_name(f".new-{os.getpid()}-{file.name}")
    try:
        content = save({name: each.contiguous() for name, each in tensors.items()}, dict(metadata or {"format": "pt"}))
        with open(new, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(new, file)
    except SafetensorError as exc:
        raise OSError(str(exc)) from exc
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def replace_text(file: Path, text: str) -> None:
    """The file with this text, or as it was."""
    new = file.with_name(f".new-{os.getpid()}-{file.name}")
    try:
        with open(new, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(new, file)
    finally:
        with contextlib.suppress(OSError):
            new.unlink()
