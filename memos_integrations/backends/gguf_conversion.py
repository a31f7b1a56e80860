"""A GGUF checkpoint as a folder that transformers opens at once: safetensors in float32, tokenizer, configs.

    python -m memos_integrations.backends.gguf_conversion MODEL.gguf FOLDER

Run by `backends.weights` as a process of its own. Dequantised values are written as they are; nothing is
quantised again, and nothing is fetched.
"""

from __future__ import annotations

import sys
from pathlib import Path

from memos_integrations.core.extras import require


def convert(gguf: Path, folder: Path) -> None:
    """Write config, generation config, tokenizer with its chat template, and weights into *folder*.

    Raises:
        MissingExtraError: torch, transformers or gguf is not installed.
    """
    torch = require("torch", extra="hf")
    transformers = require("transformers", extra="hf")
    require("gguf", extra="hf")
    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
    model = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    # The weights are plain float32 now, but the model still calls itself quantised, and then refuses to be saved.
    for mark in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(mark, None)
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(folder)
    # Saved for its owner alone, against everybody's umask; a cache may be shared with other accounts.
    (folder / "model.safetensors").chmod(0o644)
    # The template inside tokenizer_config.json: one file says all about the tokenizer's use.
    tokenizer.save_pretrained(folder, save_jinja_files=False)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
