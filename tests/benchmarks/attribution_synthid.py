"""SynthID-Text beside KGW: `python -m tests.benchmarks.attribution_synthid --json FILE`. Needs SmolLM2.

Why `Watermark` is KGW: the other mark of transformers (Dathathri et al., Nature 634, 2024), with the settings of its
paper (30 keys, n-grams of 5), on the same requests. Found: a mean of g-values with a chance of at most 0.001
(normal approximation of a binomial of 1/2), over n-grams that were not there before. `synthid_cpu_s`, `kgw_cpu_s`,
`plain_cpu_s`: CPU seconds of writing all answers. Texts are written once each and kept for all that is asked of them.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

from memos_integrations.backends.huggingface import HuggingFaceModel
from memos_integrations.backends.watermark import Watermark
from memos_integrations.backends.weights import model_folder
from tests.benchmarks.attribution_marks import LEVEL, answers, surprise


class SynthID:
    """The mark and its test."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.keys = [draw.randrange(1, 1 << 16) for _ in range(30)]

    def _processor(self, vocabulary: int, device: str) -> Any:
        from transformers import SynthIDTextWatermarkLogitsProcessor

        return SynthIDTextWatermarkLogitsProcessor(
            ngram_len=5, keys=self.keys, sampling_table_size=1 << 16, sampling_table_seed=0,
            context_history_size=1024, device=device,  # type: ignore[arg-type]
        )  # fmt: skip

    def chance(self, tokens: list[int]) -> float:
        """How likely such g-values are in a text without it."""
        import torch

        if len(tokens) < 6:
            return 1.0
        processor, ids = self._processor(0, "cpu"), torch.tensor([tokens])
        values = processor.compute_g_values(ids)[0]
        fresh = processor.compute_context_repetition_mask(ids)[0].bool()
        values = values[fresh].float()
        score = (float(values.mean()) - 0.5) * 2 * math.sqrt(values.numel())
        return 0.5 * math.erfc(score / math.sqrt(2))


def measured(model: HuggingFaceModel, tokens: int, requests: int) -> dict[str, Any]:
    """The keys that begin with `synthid_`, and what the same requests give with KGW and without a mark."""
    size, draw, kgw, mark = (
        model.network.config.vocab_size,
        random.Random(3),
        Watermark(b"a secret of 16 b"),
        SynthID(5),
    )
    written: dict[str, list[list[int]]] = {}
    told: dict[str, Any] = {}
    for name, each in (("plain", None), ("kgw", kgw), ("synthid", mark)):
        started = time.process_time()
        written[name] = answers(model, each, tokens, 1, requests)  # type: ignore[arg-type]
        told[f"{name}_cpu_s"] = round(time.process_time() - started, 1)
        print(name, told[f"{name}_cpu_s"], flush=True)
    plain, marked = written["plain"], written["synthid"]
    long = [each for each in marked if len(each) >= tokens - 1]
    words = [word for each in plain for word in model.decode(each).split()]

    def found(texts: list[list[int]]) -> float:
        return round(100 * sum(mark.chance(each) <= LEVEL for each in texts) / max(1, len(texts)), 1)

    def edited(each: list[int], share: float) -> list[int]:
        text = [draw.choice(words) if draw.random() < share else word for word in model.decode(each).split()]
        return model.encode(" ".join(text))

    told |= {"synthid_answers": len(marked), "synthid_full_length": len(long), "synthid_tokens": tokens}
    told |= {f"synthid_found_{n}_tokens_pct": found([each[:n] for each in long]) for n in (25, 50, tokens)}
    for share in (10, 20, 40, 60):
        told[f"synthid_found_{share}_pct_of_words_replaced_pct"] = found([edited(each, share / 100) for each in long])
    others = [SynthID(1000 + number) for number in range(40)]
    wrong = [each.chance(text) <= LEVEL for text in plain for each in others]
    told |= {"synthid_wrong_unmarked": sum(wrong), "synthid_wrong_unmarked_of": len(wrong)}
    means = {name: sum(surprise(model, each) for each in some) / len(some) for name, some in written.items()}
    for name in ("kgw", "synthid"):
        told[f"{name}_perplexity_ratio"] = round(math.exp(means[name] - means["plain"]), 3)
    full = [each for each in written["kgw"] if len(each) >= tokens - 1]
    hits = sum(kgw.look_at(each, vocabulary=size).chance <= LEVEL for each in full)
    return told | {f"kgw_found_{tokens}_tokens_pct": round(100 * hits / max(1, len(full)), 1)}


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    model = HuggingFaceModel(model_folder("smollm2"))
    text = json.dumps(measured(model, asked.tokens, asked.requests), indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
