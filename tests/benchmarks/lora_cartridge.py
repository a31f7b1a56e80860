"""Beside an adapter: a trained prefix of keys and values (a cartridge, arXiv 2506.06266), by PEFT's own configuration.

    python tests/benchmarks/lora_cartridge.py [--seed 0] [--tokens 64] [--steps 48] [--json FILE]

The same twenty facts, lessons and questions as an adapter of `lora.py` gets, on the same base. What a prompt begins
with stays as the model computes it, and is frozen; behind it stand trained tokens, which at first are the facts
themselves, as the model reads them. 64 tokens take about as many bytes as an adapter does. Measured to say what a byte
of either recalls: this package serves no cartridge.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.lora import Question, faster_dtype, invented
from tests.benchmarks.meta import meta, single_threaded

RATE = 2e-2
LESSONS = 14
VALUE = 4.0


class Cartridge:
    """Trained keys and values behind *head*, on a body of its own over the weights of *model*."""

    def __init__(self, model: Any, head: Sequence[int], text: str, tokens: int, seed: int = 0) -> None:
        import torch
        from peft import CartridgeConfig, get_peft_model, initialize_kv_prefix_from_past_key_values

        from memos_integrations.backends.lora.beginning import Beginning
        from memos_integrations.backends.lora.student import bare_copy

        self.model, self.head = model, list(head)
        network = bare_copy(model, attention="eager")
        ids = [*head, *model.encode(text)]
        while len(ids) < len(head) + tokens:  # few facts: they are read again
            ids += model.encode(f" {text}")
        read = Beginning.read(network, ids[: len(head) + tokens])
        torch.manual_seed(seed)
        settings = CartridgeConfig(
            num_virtual_tokens=len(head) + tokens, num_frozen_tokens=len(head), task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():  # of transformers, about how PEFT asks it
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
            self.peft = get_peft_model(network, settings)
        initialize_kv_prefix_from_past_key_values(self.peft, past_key_values=[parts[0] for parts in read.layers])
        self.encoder = self.peft.prompt_encoder["default"].float()
        self.network, self.tokens = network, tokens

    @property
    def weights(self) -> Any:
        """What is trained, shape (tokens, layers x 2 x width)."""
        return self.encoder.trainable_embedding

    @property
    def bytes_fp16(self) -> int:
        """Of what was trained; what stands before it is the model's own."""
        return 2 * int(self.weights.numel())

    def cache(self) -> Any:
        """The head and what was trained, for one batch of any number of rows."""
        from memos_integrations.backends.kv.layers import cache_of

        layers = self.network.config.num_hidden_layers
        heads = self.network.config.num_key_value_heads
        whole = self.encoder.weight.view(len(self.head) + self.tokens, layers * 2, heads, -1).permute(1, 2, 0, 3)
        whole = whole.to(self.network.dtype)[:, None]
        return cache_of([((whole[2 * layer], whole[2 * layer + 1]),) for layer in range(layers)], shared=False)

    def predicted(self, rows: Sequence[Any]) -> tuple[Any, Any]:
        """Log-probabilities of the rows' targets, and the batch."""
        from memos_integrations.backends.lora.rows import pack, predicted

        shared = [0] * (len(self.head) + self.tokens)
        batch = pack(shared, rows, self.network.dtype, read=True)
        return predicted(self.network, batch, self.cache()), batch

    def learn(self, rows: Sequence[Any], steps: int, seed: int) -> list[float]:
        """Cross-entropy on the answers, as an adapter has it; the losses."""
        import torch

        from memos_integrations.backends.lora.rows import drawn

        optimiser = torch.optim.Adam([self.weights], lr=RATE, betas=(0.9, 0.98))
        losses = []
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1.0 - 0.8 * step / steps)
            some = [rows[each] for each in drawn(len(rows), LESSONS, step, seed=f"{seed}/cartridge")]
            logs, batch = self.predicted(some)
            weights = logs.new_tensor([weight for row in some for weight in row.weights(VALUE)])
            wrong = -logs.gather(-1, batch.targets[:, None])[:, 0]
            loss = (weights * wrong).sum() / weights.sum()
            losses.append(float(loss.detach()))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([self.weights], 1.0)
            optimiser.step()
            sys.stderr.write(f"\rcartridge: step {step + 1}/{steps}, loss {losses[-1]:.3f} ")
        sys.stderr.write("\n")
        return losses

    def recall(self, questions: Sequence[Question]) -> float:
        """The share of the questions whose answer holds the value."""
        import torch

        from memos_integrations.backends.lora.answers import _answered
        from memos_integrations.backends.lora.gates import holds

        known, right = len(self.head) + self.tokens, 0
        for at in range(0, len(questions), 20):
            some = questions[at : at + 20]
            prompts = [self.model.render([{"role": "user", "content": text}])[len(self.head) :] for text, _ in some]
            rows = [[0] * known + prompt for prompt in prompts]
            with torch.no_grad():
                said = _answered(self.network, rows, 20, self.model._ends, read=self.cache(), known=known)
            right += sum(holds(self.model.decode(ids), (v,)) for ids, (_, v) in zip(said, some, strict=True))
        return right / len(questions)

    def file_bytes(self) -> int:
        """Of PEFT's file, which holds the frozen tokens too, in float32."""
        with tempfile.TemporaryDirectory() as folder:
            self.peft.save_pretrained(folder)
            return (Path(folder) / "adapter_model.safetensors").stat().st_size


def measured(model: Any, seed: int, tokens: int, steps: int) -> dict[str, Any]:
    """One cartridge of the facts of a seed, trained and asked."""
    from memos_integrations import MemOS, Principal
    from memos_integrations.backends.lora import lessons_of
    from memos_integrations.backends.lora.wording import Wording
    from memos_integrations.vaults.memory import InMemoryVault

    facts, questions = invented(seed)
    with MemOS(InMemoryVault()) as memos:
        lessons = lessons_of(memos.remember_many(facts, by=Principal(tenant="bench", user="bench")), seed=seed).taught
    began = time.process_time()
    head, rows = Wording(model).rows(lessons)
    made = Cartridge(model, head, " ".join(facts), tokens, seed)
    before = made.recall(questions)
    losses = made.learn(rows, steps, seed)
    cpu_s = time.process_time() - began
    taught = [(lesson.question, lesson.value) for lesson in random.Random(seed).sample(list(lessons), 100)]
    heldout, size = made.recall(questions), made.bytes_fp16
    return {
        "cartridge_tokens": tokens,
        "cartridge_steps": steps,
        "cartridge_loss": sum(losses[-6:]) / len(losses[-6:]),
        "cartridge_train_cpu_s": cpu_s,
        "cartridge_bytes_fp16": size,
        "cartridge_file_bytes": made.file_bytes(),
        "cartridge_recall_untrained": before,
        "cartridge_recall_train": made.recall(taught),
        "cartridge_recall_heldout": heldout,
        "cartridge_recall_heldout_per_mb": heldout / (size / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    single_threaded()
    from memos_integrations.backends.huggingface import HuggingFaceModel
    from memos_integrations.backends.weights import model_folder

    found = measured(
        HuggingFaceModel(model_folder("smollm2"), dtype=faster_dtype()), chosen.seed, chosen.tokens, chosen.steps
    )
    print(json.dumps(found, indent=1))
    if chosen.json is not None:
        about = meta(chosen.json.resolve().parent, seed=chosen.seed)
        chosen.json.write_text(json.dumps({"meta": about, **found}, indent=1))


if __name__ == "__main__":
    main()
