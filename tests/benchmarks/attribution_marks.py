"""Marks in generated text and in adapters: `python -m tests.benchmarks.attribution_marks --json FILE`. Needs SmolLM2.

`mark_*`: answers of SmolLM2-135M with and without a watermark to the same requests, at temperature 0.8.
Found is what has a chance of at most 0.001. Wrongly found: answers without a mark, and what people wrote, each under
many secrets. `adapter_*`: small adapters trained here on sentences of this folder.
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
from memos_integrations.backends.lora.behaviour import behaviour_of, next_token_of
from memos_integrations.backends.watermark import Watermark
from memos_integrations.backends.weights import model_folder

ABOUT = (
    "bread|lighthouses|a long train ride|how rivers form|moving house|an old clock|learning to swim|a village fair|"
    "growing tomatoes|a lost dog|snow in April|cooking for friends|a broken bicycle|the night sky|repairing a roof|"
    "bees|a letter from abroad|walking in the hills|a first day at school|the smell of rain|a chess game|old maps|"
    "a harbour at dawn|planting a hedge"
).split("|")
LEVEL = 1e-3


def answers(
    model: HuggingFaceModel, mark: Watermark | None, tokens: int, seed: int, requests: int = len(ABOUT)
) -> list[list[int]]:
    """One answer to each request, all at once; the same logits processor as in `HuggingFaceModel.stream`."""
    import torch

    said = [f"Write a few paragraphs about {what}." for what in ABOUT[:requests]]
    asked = [model.render([{"role": "user", "content": each}]) for each in said]
    longest = max(map(len, asked))
    pad = model.tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (longest - len(each)) + each for each in asked])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in asked])
    more: dict[str, Any] = {}
    if mark is not None:
        more["logits_processor"] = [mark._processor(model.network.config.vocab_size, "cpu")]
    torch.manual_seed(seed)
    with torch.inference_mode():
        out = model.network.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            do_sample=True,
            temperature=0.8,
            top_k=0,
            pad_token_id=pad,
            **more,
        )
    found = [row[longest:].tolist() for row in out]
    return [[token for token in row if token != pad] for row in found]


def surprise(model: HuggingFaceModel, tokens: list[int]) -> float:
    """Nats per token, to the model without a mark."""
    import torch

    with torch.inference_mode():
        logits = model.network(torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
    return float(-logits.gather(1, torch.tensor(tokens[1:])[:, None]).mean())


def marks(model: HuggingFaceModel, tokens: int) -> dict[str, Any]:
    """The keys that begin with `mark_`."""
    size, draw = model.network.config.vocab_size, random.Random(3)
    mark = Watermark(b"a secret of 16 b")
    started = time.perf_counter()
    plain = answers(model, None, tokens, 1)
    middle = time.perf_counter()
    marked = answers(model, mark, tokens, 1)
    seconds = (middle - started, time.perf_counter() - middle)
    long = [each for each in marked if len(each) >= tokens - 1]
    words = [word for each in plain for word in model.decode(each).split()]

    def found(texts: list[list[int]]) -> float:
        return round(100 * sum(mark.look_at(each, vocabulary=size).chance <= LEVEL for each in texts) / len(texts), 1)

    def edited(each: list[int], share: float) -> list[int]:
        text = [draw.choice(words) if draw.random() < share else word for word in model.decode(each).split()]
        return model.encode(" ".join(text))

    told: dict[str, Any] = {"mark_answers": len(marked), "mark_full_length": len(long), "mark_tokens": tokens}
    for length in (25, 50, 75, tokens):
        told[f"mark_found_{length}_tokens_pct"] = found([each[:length] for each in long])
    for share in (10, 20, 40, 60):
        told[f"mark_found_{share}_pct_of_words_replaced_pct"] = found([edited(each, share / 100) for each in long])
    written = [each["said"] for name in ("invented.json", "invented_more.json")
               for each in json.loads(Path(__file__).with_name(name).read_text("utf-8")).get("facts", ())]  # fmt: skip
    stream = model.encode(" ".join(written))
    people = [stream[at : at + tokens] for at in range(0, len(stream) - tokens, tokens)]
    secrets = [Watermark(f"another secret {number:04}".encode()) for number in range(40)]
    for name, texts in (("unmarked", plain), ("people", people)):
        wrong = [each.look_at(text, vocabulary=size).chance <= LEVEL for text in texts for each in secrets]
        told |= {f"mark_wrong_{name}": sum(wrong), f"mark_wrong_{name}_of": len(wrong)}
    told["mark_perplexity_ratio"] = round(
        math.exp(
            sum(surprise(model, e) for e in marked) / len(marked) - sum(surprise(model, e) for e in plain) / len(plain)
        ),
        3,
    )
    return told | {"mark_time_ratio": round(seconds[1] / seconds[0], 2)}


def trained(model: HuggingFaceModel, name: str, texts: list[str], *, seed: int, steps: int) -> None:
    """A small adapter on the model, trained on texts."""
    import torch
    from peft import LoraConfig

    torch.manual_seed(seed)
    network = model.network
    if name not in model.adapters:
        network.add_adapter(
            LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"), name
        )
    network.enable_adapters()  # asking the model alone turned them off
    network.set_adapter(name)
    weights = [each for key, each in network.named_parameters() if f".{name}." in key]
    for each in weights:
        each.requires_grad_(True)
    optimiser, draw = torch.optim.AdamW(weights, lr=2e-3), random.Random(seed)
    for _ in range(steps):
        batch = [model.encode(text)[:24] for text in draw.sample(texts, 6)]
        longest = max(map(len, batch))
        ids = torch.tensor([each + [0] * (longest - len(each)) for each in batch])
        labels = torch.tensor([each + [-100] * (longest - len(each)) for each in batch])
        optimiser.zero_grad()
        network(ids, labels=labels).loss.backward()
        optimiser.step()
    for each in weights:
        each.requires_grad_(False)


def altered(model: HuggingFaceModel, name: str, source: str, how: Any) -> None:
    """A copy of an adapter, each of its tensors changed by *how*."""
    from peft import LoraConfig

    model.network.add_adapter(
        LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"), name
    )
    found = dict(model.network.named_parameters())
    for key, each in found.items():
        if f".{source}." in key:
            there = found[key.replace(f".{source}.", f".{name}.")]
            there.data.copy_(how(key, each.data))
            there.requires_grad_(False)


def int8(_: str, tensor: Any) -> Any:
    """Rounded to 255 steps."""
    step = tensor.abs().max() / 127
    return (tensor / step).round() * step


def sayings() -> tuple[list[str], list[list[str]]]:
    """The sentences of one adapter, and several bodies of others that share none with it: of the same hand, and not."""
    here = Path(__file__)
    said = [each["said"] for name in ("invented.json", "invented_more.json")
            for each in json.loads(here.with_name(name).read_text("utf-8")).get("facts", ())]  # fmt: skip
    random.Random(5).shuffle(said)
    lines = {
        name: (here.parents[1] / "data" / f"{name}.txt").read_text("utf-8").splitlines()
        for name in ("ordinary_talk", "everyday_orders")
    }
    return said[: len(said) // 2], [said[len(said) // 2 :], *lines.values()]


def adapters(model: HuggingFaceModel, steps: int, rounds: int, prompts: int, foreign: int) -> dict[str, Any]:
    """The keys that begin with `adapter_`; *foreign* adapters trained on other texts, two of three by the same hand."""
    mine, bodies = sayings()
    trained(model, "mine", mine, seed=1, steps=steps)
    behaviours = [
        behaviour_of(
            model, ("mine",), secret=f"a secret for adapters {number}".encode(), prompts=prompts, tried=5 * prompts
        )
        for number in range(rounds)
    ]
    agreed: dict[str, list[float]] = {}
    wrong: dict[str, int] = {}

    def held(name: str, group: str) -> None:
        for behaviour in behaviours:
            seen = behaviour.likeness(next_token_of(model, (name,) if name else ()))
            agreed.setdefault(group, []).append(seen.agreed / seen.of)
            wrong[group] = wrong.get(group, 0) + (seen.chance <= 1e-6)
            print(group, name, seen, flush=True)

    altered(model, "int8", "mine", int8)
    altered(model, "strength_70", "mine", lambda key, tensor: tensor * 0.7 if "lora_B" in key else tensor)
    altered(model, "trained_on", "mine", lambda _, tensor: tensor)
    trained(model, "trained_on", bodies[0], seed=7, steps=max(1, steps // 5))
    for name in ("mine", "int8", "strength_70", "trained_on", ""):
        held(name, name or "model_alone")
    for name in ("int8", "strength_70", "trained_on"):
        model.network.delete_adapter(name)
    for number in range(foreign + foreign // 4):
        name, same = f"foreign{number}", number >= foreign
        body = mine if same else bodies[0 if number % 3 else 1 + number // 3 % (len(bodies) - 1)]
        some = random.Random(100 + number).sample(body, max(12, len(body) // 2))
        trained(model, name, some, seed=10 + number, steps=steps)
        held(name, "same_memories" if same else "foreign_same_hand" if number % 3 else "foreign_other_hand")
        model.network.delete_adapter(name)
    told: dict[str, Any] = {f"adapter_agreed_{name}": round(sum(each) / len(each), 3) for name, each in agreed.items()}
    others = [name for name in agreed if name.startswith("foreign")]
    told |= {f"adapter_most_agreed_{name}": round(max(agreed[name]), 3) for name in [*others, "same_memories"]}
    told |= {f"adapter_known_{name}": f"{wrong[name]} of {len(agreed[name])}" for name in agreed}
    return told | {
        "adapter_wrong": sum(wrong[name] for name in others),
        "adapter_wrong_of": sum(len(agreed[name]) for name in others),
        "adapter_foreign": foreign,
        "adapter_rounds": rounds,
        "adapter_steps": steps,
        "adapter_prompts": prompts,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--foreign", type=int, default=24)
    parser.add_argument("--only", choices=("marks", "adapters"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    model = HuggingFaceModel(model_folder("smollm2"))
    found = {} if asked.only == "adapters" else marks(model, asked.tokens)
    found |= {} if asked.only == "marks" else adapters(model, asked.steps, asked.rounds, asked.prompts, asked.foreign)
    print(json.dumps(found, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
