"""A folder of a causal language model: what must be in it, how it is opened, what tells it from others.

Nothing is fetched, no code of the folder is run, and pickled weights are refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memos_integrations.core.errors import ModelError, ModelFolderError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def complete(folder: Path) -> Path:
    """The folder itself, when it holds all that a model needs.

    Raises:
        ModelFolderError: A file is missing; the message names it.
    """
    missing = [file for file in FILES if not (folder / file).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("model.safetensors")
    if not missing:
        return folder
    pickled = " Its weights are pickled, which can run code when opened: save them as safetensors first." * any(
        folder.glob("pytorch_model*.bin")
    )
    raise ModelFolderError(
        f"{folder} has no {', '.join(missing)}.{pickled} Get SmolLM2 with `python -m "
        "memos_integrations.backends.weights --only smollm2` (or `make models`), or name a folder that "
        "`save_pretrained` wrote."
    )


def load(folder: Path, dtype: torch.dtype, device: str) -> tuple[PreTrainedTokenizerFast, PreTrainedModel]:
    """Tokenizer and network, ready to answer, with every weight that the network has.

    Raises:
        ModelError: The files are damaged, incomplete, or need code that is not part of transformers.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        network, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
        )
        network = network.to(device).eval()
    except Exception as exc:  # each library has its own classes, and tokenizers raises Exception itself
        raise ModelError(f"{folder} could not be opened as a causal language model: {exc}") from exc
    finally:
        if bars:
            logging.enable_progress_bar()
    if lost := sorted(report["missing_keys"]) + sorted(report["mismatched_keys"]):
        # transformers would fill them with random numbers and only warn.
        raise ModelError(f"{folder} lacks {len(lost)} weights that the model needs, {lost[0]} among them.")
    return tokenizer, network


def digest(*files: Path) -> str:
    """SHA-256 of one file; of several, SHA-256 over their digests in order."""
    found = []
    for file in files:
        with open(file, "rb") as opened:
            found.append(hashlib.file_digest(opened, "sha256"))
    if len(found) == 1:
        return found[0].hexdigest()
    return hashlib.sha256(b"".join(one.digest() for one in found)).hexdigest()
