"""Parameter memory on SmolLM2-135M, and the cost model over a log of uses: `make bench-lora`.

    python tests/benchmarks/lora.py [--seeds 3] [--steps N] [--json FILE]

Each seed invents ten people of its own, with a city and a pet each: 20 facts, one adapter. What is asked at the end is
in phrasings that stand here and nowhere else, and that the rules which make lessons do not know. A right answer holds
the value. Greedy, one thread, no memory in the prompt. The base is in bfloat16 where the processor multiplies that
faster than float32; many only emulate it. Training time is CPU time of this process, with the teacher's.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from memos_integrations.backends.lora.composed import How
from tests.benchmarks.meta import meta, single_threaded

FIRST = (
    "Mirela Tarik Ilse Bodo Yara Oskar Sunniva Dario Petra Emeka Lioba Anselm Chiara Joren Malika Ragna Tobin Vesna "
    "Wanda Ximena Zoltan Aleida Brice Corvin Delphi Eskil Fenna Goran Hedda Ivalo"
).split()
LAST = (
    "Vond Osei Marquand Lindqvist Nkemi Pell Crane Welk Halloway Strand Abend Birk Castellan Drury Eklund Farrow Gault "
    "Hext Ibarra Jessop Karsk Lund Morrow Naylor Orme Pruett Quist Rask Sorrel Thane"
).split()
CITIES = (
    "Porto Bergen Kyoto Lima Dublin Nairobi Montreal Jakarta Lisbon Warsaw Oslo Cairo Havana Prague Tunis Bogota "
    "Geneva Naples Manila Athens"
).split()
PETS = (
    "parrot tortoise ferret goat rabbit horse snake duck hamster donkey lizard pigeon squirrel turtle sheep goose "
    "mouse spider frog pig"
).split()

ASKED = {
    "city": (
        "Which city does {who} call home?",
        "In what city would I find {who}?",
        "If I wanted to visit {who}, which town would I travel to?",
    ),
    "pet": (
        "What kind of animal does {who} keep?",
        "Which animal does {who} take care of?",
        "Does {who} have an animal at home, and if so, which one?",
    ),
}
"""Never taught, and not made after the lessons: a test holds that no lesson asks one of them."""

Question = tuple[str, str]
HOW: tuple[How, ...] = ("sum", "ties")


def invented(seed: int) -> tuple[list[str], list[Question]]:
    """The facts of a seed, and what is asked about them with the right answers."""
    chance = random.Random(1_000 + seed)
    people = [" ".join(pair) for pair in zip(chance.sample(FIRST, 10), chance.sample(LAST, 10), strict=True)]
    cities, pets = chance.sample(CITIES, 10), chance.sample(PETS, 10)
    facts, questions = [], []
    for who, city, pet in zip(people, cities, pets, strict=True):
        facts += [f"{who} lives in {city}.", f"{who}'s pet is a {pet}."]
        questions += [(form.format(who=who), city) for form in ASKED["city"]]
        questions += [(form.format(who=who), pet) for form in ASKED["pet"]]
    return facts, questions


def faster_dtype() -> str:
    """Of float32 and bfloat16 the one in which this processor multiplies faster."""
    import torch

    def seconds(dtype: torch.dtype) -> float:
        some, other = torch.ones(256, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
        took = []
        for _ in range(5):
            began = time.process_time()
            some @ other
            took.append(time.process_time() - began)
        return statistics.median(took)

    return "bfloat16" if seconds(torch.bfloat16) < seconds(torch.float32) else "float32"


class Bench:
    """The model that serves, its adapters, and every measurement on them."""

    def __init__(self, folder: Path, kept: Path, steps: int | None) -> None:
        from memos_integrations import MemOS, Principal
        from memos_integrations.backends.huggingface import HuggingFaceModel
        from memos_integrations.backends.lora import AdapterStore, Gates, ParameterMemory, Recipe
        from memos_integrations.vaults.memory import InMemoryVault

        self.model = HuggingFaceModel(folder, dtype=faster_dtype())
        self.recipe = Recipe() if steps is None else Recipe(steps=steps)
        # All is measured and shown here, whether it would serve elsewhere or not; what the gates say stands beside it.
        everything = Gates(taught=0, probes=0, perplexity_pct=1e9, lost_pct=100, neighbours=0)
        self.memory = ParameterMemory(AdapterStore(self.model, kept), gates=everything)
        self.memos, self.by = MemOS(InMemoryVault()), Principal(tenant="bench", user="bench")

    def close(self) -> None:
        self.memory.close()
        self.memos.close()

    def recall(self, questions: Sequence[Question], adapter: str | None, context: str = "") -> float:
        """The share of the questions whose answer holds the value."""
        from memos_integrations.backends.lora.gates import holds

        chats = [[{"role": "user", "content": f"{context}\n{text}" if context else text}] for text, _ in questions]
        said = self.memory.answer_batch(chats, adapters=[adapter] * len(chats), max_new_tokens=20)
        return sum(holds(answer, (right,)) for answer, (_, right) in zip(said, questions, strict=True)) / len(questions)

    def logits(self) -> Any:
        """What the model says without any adapter."""
        from transformers import DynamicCache

        return self.model._forward(self.model.render([{"role": "user", "content": "Who are you?"}]), DynamicCache(), ())

    def one(self, seed: int) -> dict[str, Any]:
        """Train and measure one adapter."""
        from memos_integrations.backends.lora import Gates, lessons_of
        from memos_integrations.backends.lora.gates import _failed

        facts, questions = invented(seed)
        cubes = self.memos.remember_many(facts, by=self.by)
        self.memory.recipe = self.recipe.model_copy(update={"seed": seed})
        began = time.process_time()
        made = self.memory.learn(cubes, progress=_show(f"seed {seed}"))
        whole = time.process_time() - began
        taught = random.Random(seed).sample(list(lessons_of(cubes).taught), 100)
        row = {
            "name": made.name,
            "questions": questions,
            "steps": made.training["steps"],
            "train_cpu_s": made.training["cpu_s"],
            "with_gates_cpu_s": whole,
            "scale": made.training["scale"],
            "left": made.training["left"],
            "recall_by_scale": made.training["recall_by_scale"],
            "recall_train": self.recall([(lesson.question, lesson.value) for lesson in taught], made.name),
            "recall_heldout": self.recall(questions, made.name),
            "recall_probes": made.report.recall_probes,
            "recall_without": self.recall(questions, None) if seed == 0 else None,
            "perplexity_before": made.report.perplexity_before,
            "perplexity_change_pct": made.report.perplexity_change_pct,
            "general_lost_pct": made.report.lost_pct,
            "general_net_lost_pct": 100.0 * (made.report.lost - made.report.gained) / made.report.questions,
            "general_turned_wrong": made.report.lost,
            "general_turned_right": made.report.gained,
            "general_right_before": made.report.right_before,
            "adapter_bytes_fp16": made.size,
            "gates_failed": list(_failed(made.report, Gates())),
        }
        sys.stderr.write(json.dumps({key: value for key, value in row.items() if key != "questions"}) + "\n")
        return row

    def together(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        """Two adapters as one, by either way: what is left of each one's recall, and what the gates say of it."""
        from memos_integrations.backends.lora import Gates
        from memos_integrations.backends.lora.gates import _failed

        found: dict[str, Any] = {}
        for how in HOW:
            made = self.memory.compose(one["name"], other["name"], how=how)
            left = [self.recall(row["questions"], made.name) / max(row["recall_heldout"], 1e-9) for row in (one, other)]
            found |= {
                f"composed_{how}_recall_kept_pct": 100.0 * min(left),
                f"composed_{how}_perplexity_change_pct": made.report.perplexity_change_pct,
                f"composed_{how}_general_lost_pct": made.report.lost_pct,
                f"composed_{how}_gates_failed": list(_failed(made.report, Gates(taught=0.0))),
            }
        sys.stderr.write(json.dumps(found) + "\n")
        return found

    def run(self, seeds: int) -> dict[str, Any]:
        """Every seed, then all adapters side by side, then none."""
        import torch

        before = self.logits()
        rows = [self.one(seed) for seed in range(seeds)]
        kept = [self.recall(row["questions"], row["name"]) / max(row["recall_heldout"], 1e-9) for row in rows]
        together = self.together(rows[0], rows[1]) if len(rows) > 1 else {}
        for row in rows:
            self.memory.store.retire(row["name"], erase=True)
        told = {
            name: statistics.mean(row[name] for row in rows)
            for name in (
                "recall_train",
                "recall_heldout",
                "recall_probes",
                "perplexity_change_pct",
                "general_lost_pct",
                "general_net_lost_pct",
                "train_cpu_s",
                "with_gates_cpu_s",
                "adapter_bytes_fp16",
            )
        }
        return told | {
            **together,
            "routed_recall_kept_pct": 100.0 * min(kept) if len(rows) > 1 else 100.0,
            "retired_bit_identical": bool(torch.equal(self.logits(), before)) and not self.model.adapters,
            "recall_heldout_without_memory": rows[0]["recall_without"],
            "by_seed": [{key: value for key, value in row.items() if key not in {"name", "questions"}} for row in rows],
        }


def _show(label: str) -> Any:
    def report(step: int, steps: int) -> None:
        sys.stderr.write(f"\r{label}: step {step}/{steps} " + ("\n" if step == steps else ""))

    return report


# --- the cost model -------------------------------------------------------------------------------------------------

DISK_RENT = 3.2e-12
"""Seconds of one core for keeping one byte for one second: a gigabyte of cloud disk at 0.08 a month, a core at 25."""


def figures(memories: int, seed: int) -> list[Any]:
    """What memories of 64 to 2,048 tokens cost in each form, as measured on SmolLM2-135M (one thread, float32)."""
    from memos_integrations.core.costs import FormCosts
    from memos_integrations.core.cube import Tier

    chance, found = random.Random(seed), []
    for _ in range(memories):
        tokens = chance.choice([64, 128, 256, 512, 1024, 2048])
        full = 0.1 + 0.0036 * tokens
        found.append(
            {
                Tier.PLAINTEXT: FormCosts(use_seconds=full),
                Tier.ACTIVATION: FormCosts(
                    use_seconds=0.13 + 0.00007 * tokens, build_seconds=full, size=46_080 * tokens
                ),
                Tier.PARAMETER: FormCosts(use_seconds=0.13, build_seconds=0.35 * tokens, size=12_000 * tokens),
            }
        )
    return found


def scheduler(requests: int = 10_000, memories: int = 1_000, seed: int = 0) -> dict[str, Any]:
    """What deciding by cost costs over a log, beside fixed rules; and how that changes with the price of a byte."""
    from memos_integrations.core.costs import Always, ByCost, Never, Recent, replay, zipf_log
    from memos_integrations.core.cube import Tier

    log, costs = zipf_log(requests, memories, seed=seed), figures(memories, seed)
    told: dict[str, Any] = {"scheduler_by_rent": {}}
    for rent in (DISK_RENT / 10, DISK_RENT):
        fixed: dict[str, Any] = {"never": Never(), "always": Always(Tier.ACTIVATION)}
        fixed |= {f"lru_{most}": Recent(Tier.ACTIVATION, most) for most in (5, 10, 30, 100, 300)}
        bills = {name: replay(log, costs, rule, rent=rent).total for name, rule in fixed.items()}
        ours = replay(log, costs, ByCost(rent=rent), rent=rent)
        best = min(bills, key=lambda name: bills[name])
        told["scheduler_by_rent"][f"{rent:.1e}"] = {
            "best_baseline": best,
            "ratio": ours.total / bills[best],
            "total_s": ours.total,
            "baselines_s": bills,
        }
        told["scheduler_cost_vs_best_baseline"] = ours.total / bills[best]
    return told


ROWS = (
    ("recall, phrasings of the training", "recall_train", "{:.2f}"),
    ("recall, phrasings never taught", "recall_heldout", "{:.2f}"),
    ("recall without memory", "recall_heldout_without_memory", "{:.2f}"),
    ("perplexity on unrelated text", "perplexity_change_pct", "{:+.1f} %"),
    ("general questions turned wrong (of 48)", "general_lost_pct", "{:.1f} %"),
    ("general questions lost less those gained", "general_net_lost_pct", "{:.1f} %"),
    ("training, CPU seconds", "train_cpu_s", "{:.0f}"),
    ("adapter, bytes (fp16)", "adapter_bytes_fp16", "{:,.0f}"),
    ("side by side, routed: recall kept", "routed_recall_kept_pct", "{:.0f} %"),
    ("composed by sum: recall kept", "composed_sum_recall_kept_pct", "{:.0f} %"),
    ("composed by TIES: recall kept", "composed_ties_recall_kept_pct", "{:.0f} %"),
    ("retired: logits are the base's, bit by bit", "retired_bit_identical", "{}"),
    ("scheduler: cost beside the best fixed rule", "scheduler_cost_vs_best_baseline", "{:.2f}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--only", choices=["adapters", "scheduler"], default=None)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    single_threaded()
    from memos_integrations.backends.weights import model_folder

    found: dict[str, Any] = {}
    not_run: dict[str, str] = {}
    if chosen.only != "scheduler":
        with tempfile.TemporaryDirectory() as kept:
            bench = Bench(model_folder("smollm2"), Path(kept), chosen.steps)
            found |= bench.run(chosen.seeds) | {"dtype": str(bench.model.network.dtype).removeprefix("torch.")}
            bench.close()
    if chosen.only != "adapters":
        found |= scheduler()
    for label, name, form in ROWS:
        if name in found:
            print(f"{label:<45}{form.format(found[name]):>14}")
        elif name not in found:
            not_run[name] = "not asked for (--only)"
    if chosen.json is not None:
        about = meta(chosen.json.resolve().parent, seeds=chosen.seeds, steps=chosen.steps, facts=20, requests=10_000)
        chosen.json.write_text(json.dumps({"meta": about, "not_run": not_run, **found}, indent=1))


if __name__ == "__main__":
    main()
