"""Time to first token with and without activation memory, on SmolLM2-135M: `make bench-ttft`.

    python tests/benchmarks/ttft.py [--lengths 256,1024] [--prompts 24] [--parts all] [--json FILE]

CPU time of one thread beside wall time; ratios are of CPU time, in one process, arms turn by turn. Every arm uses the
same model and forwards the logits of the last position only. The stock model (weights as transformers lays them out)
is a baseline of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.meta import meta, single_threaded

QUERY = 26
NAMES = (
    "Ana Ben Cleo Dan Eva Finn Gus Hana Ivo Jana Kai Lea Max Nora Otto Pia Quin Rosa Sam Tess Uma Vera Will Yara"
).split()
CITIES = (
    "Lisbon Oslo Rome Cairo Lima Kyoto Accra Quito Paris Delhi Tunis Bern Riga Perth Seoul Dakar Malmo Turin Porto "
    "Lagos Miami Osaka Graz Leeds"
).split()
PETS = ("cat", "dog", "parrot", "horse", "rabbit", "snake", "goat", "turtle")
JOBS = ("baker", "pilot", "nurse", "lawyer", "painter", "teacher")


def clocked(
    acts: dict[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Median CPU and wall milliseconds of each, taken turn by turn after one warm-up, and the last results."""
    cpu: dict[str, list[float]] = {name: [] for name in acts}
    wall: dict[str, list[float]] = {name: [] for name in acts}
    results: dict[str, Any] = {}
    for turn in range(repeats + 1):
        for name, act in acts.items():
            one, two = time.process_time(), time.perf_counter()
            results[name] = act()
            if turn:
                cpu[name].append((time.process_time() - one) * 1e3)
                wall[name].append((time.perf_counter() - two) * 1e3)
    middle = [{name: statistics.median(each) for name, each in kind.items()} for kind in (cpu, wall)]
    return middle[0], middle[1], results


class Bench:
    """The model, and every measurement on it."""

    def __init__(self, folder: Path, seed: int) -> None:
        import torch

        from memos_integrations.backends.huggingface import HuggingFaceModel
        from memos_integrations.backends.kv import KVStore

        self.torch, self.random = torch, random.Random(seed)
        self.model = HuggingFaceModel(folder, packed=True)
        self.stock = HuggingFaceModel(folder)
        self.store = KVStore(self.model, memory_bytes=3 << 30)
        self.text = self._prose()

    def _prose(self) -> list[int]:
        words = []
        for number in range(900):
            name = NAMES[number % len(NAMES)]
            words.append(
                f"- {name} {number} lives in {self.random.choice(CITIES)}, works as a {self.random.choice(JOBS)} and "
                f"has a {self.random.choice(PETS)}.\n"
            )
        return self.model.encode("".join(words))

    def prompt(self, memory: int, query: int = QUERY) -> list[int]:
        """Ids of a prompt of that many memory tokens, at another place of the text each time."""
        at = self.random.randrange(len(self.text) - memory)
        question = self.model.encode(f"\nWhere does {self.random.choice(NAMES)} live, and with which animal? ")
        question = (question * 3)[: query - 4] + self.model.encode("\nAnswer: In")[-4:]
        return self.text[at : at + memory] + question[:query]

    def logits(self, model: Any, ids: Sequence[int], cache: Any = None) -> Any:
        """Logits of the last of *ids*, after what the cache holds."""
        from transformers import DynamicCache

        return model._forward(list(ids), DynamicCache() if cache is None else cache, ())

    # --- exact injection ----------------------------------------------------------------------------------------

    def lengths(self, lengths: Sequence[int], repeats: int) -> dict[str, Any]:
        """The table of the paper: full prefill against injection, and other ways to hand the cache over."""
        found: dict[str, Any] = {}
        for length in lengths:
            ids = self.prompt(length)
            prefix = self.store.put(ids[:length], tenant="bench")
            query = ids[length:]
            copied = prefix.fork(shared=False)
            acts = {
                "full": lambda ids=ids: self.logits(self.model, ids),
                "full_stock": lambda ids=ids: self.logits(self.stock, ids),
                "injected": lambda p=prefix, q=query: self.logits(self.model, q, p.fork()),
                "fork_copied": lambda p=prefix, q=query: self.logits(self.model, q, p.fork(shared=False)),
                "deepcopy_stock": lambda c=copied, q=query: self.logits(self.stock, q, copy.deepcopy(c)),
            }
            if length > 2048:
                repeats = min(repeats, 3)
            cpu, wall, result = clocked(acts, repeats)
            forks, _, _ = clocked({"fork": lambda p=prefix: [p.fork() for _ in range(200)]}, 5)
            cold = [t.id for t in self.model.stream(ids, max_new_tokens=20)]
            warm = [t.id for t in self.model.stream(ids, max_new_tokens=20, prefix=prefix)]
            found[str(length)] = {
                "full_ms": cpu["full"],
                "injected_ms": cpu["injected"],
                "cut_pct": 100 * (1 - cpu["injected"] / cpu["full"]),
                "cut_wall_pct": 100 * (1 - wall["injected"] / wall["full"]),
                "full_stock_ms": cpu["full_stock"],
                "fork_copied_ms": cpu["fork_copied"],
                "deepcopy_stock_ms": cpu["deepcopy_stock"],
                "cut_deepcopy_pct": 100 * (1 - cpu["deepcopy_stock"] / cpu["full_stock"]),
                "max_abs_logit_diff": float((result["full"] - result["injected"]).abs().max()),
                "greedy_same": cold == warm,
                "fork_ms": forks["fork"] / 200,
            }
            self.store.demote(prefix, tenant="bench", away=True)
        return found

    def prompts(self, count: int, memory: int = 96, tokens: int = 8) -> dict[str, Any]:
        """Greedy answers to many prompts, cold and injected."""
        wrong, worst = 0, 0.0
        for _ in range(count):
            ids = self.prompt(memory)
            prefix = self.store.put(ids[:memory], tenant="bench")
            cold = [t.id for t in self.model.stream(ids, max_new_tokens=tokens)]
            warm = [t.id for t in self.model.stream(ids, max_new_tokens=tokens, prefix=prefix)]
            wrong += cold != warm
            off = self.logits(self.model, ids) - self.logits(self.model, ids[memory:], prefix.fork())
            worst = max(worst, float(off.abs().max()))
            self.store.demote(prefix, tenant="bench", away=True)
        return {"greedy_mismatches": wrong, "prompts": count, "max_abs_logit_diff": worst}

    # --- tiers --------------------------------------------------------------------------------------------------

    def int8(self, questions: int, memory: int = 967) -> dict[str, Any]:
        """The int8 tier against exact keys and values: size, divergence, agreement of the next token."""
        from memos_integrations.backends.kv.layers import cache_of
        from memos_integrations.backends.kv.tiers import Precision, exact, rounded

        same, divergences, ratio = 0, [], 0.0
        ids = self.prompt(memory)
        prefix = self.store.put(ids[:memory], tenant="bench")
        segment = exact([(p[0][0], p[0][1]) for p in self._whole(prefix)])
        small = rounded(segment, Precision.INT8)
        ratio = segment.size / small.size
        parts = small.parts(self.torch.float32)
        for _ in range(questions):
            query = self.prompt(memory)[memory:]
            one = self.logits(self.model, query, prefix.fork())
            two = self.logits(self.model, query, cache_of([[part] for part in parts], shared=prefix.shared))
            kl = self.torch.nn.functional.kl_div(two.log_softmax(-1), one.softmax(-1), reduction="sum")
            divergences.append(float(kl))
            same += int(one.argmax()) == int(two.argmax())
        return {
            "ratio": ratio,
            "kl": statistics.mean(divergences),
            "top1_agreement_pct": 100 * same / questions,
            "questions": questions,
        }

    def _whole(self, prefix: Any) -> list[Any]:
        join = self.torch.cat
        return [((join([p[0] for p in ps], -2), join([p[1] for p in ps], -2)),) for ps in prefix.layers]

    def disk(self, repeats: int, memory: int = 1024) -> dict[str, Any]:
        """Loading a spilled prefix (page cache warm) against computing it."""
        from memos_integrations.backends.kv import KVStore

        ids = self.prompt(memory)[: memory + 1]
        with tempfile.TemporaryDirectory() as folder, KVStore(self.model, folder=folder) as store:
            prefix = store.put(ids[:memory], tenant="bench")
            started = time.process_time()
            self.logits(self.model, ids[:memory])
            recompute = time.process_time() - started

            def load() -> float:
                store.demote(prefix, tenant="bench")
                started = time.process_time()
                found = store.match(ids, tenant="bench")
                touched = sum(float(t[0].sum() + t[1].sum()) for layer in found.layers for t in layer)  # every byte
                assert touched == touched
                return time.process_time() - started

            trusted = statistics.median(load() for _ in range(repeats))
            again = KVStore(self.model, folder=folder)  # another process's view: the seal is computed
            started = time.process_time()
            found = again.match(ids, tenant="bench")
            sealed = time.process_time() - started
            assert found is not None
            exact = store.verify(found)
        return {
            "load_vs_recompute": recompute / trusted,
            "load_ms": trusted * 1e3,
            "load_sealed_ms": sealed * 1e3,
            "sealed_load_vs_recompute": recompute / sealed,
            "recompute_ms": recompute * 1e3,
            "loaded_max_abs_logit_diff": exact,
        }

    # --- many sessions ------------------------------------------------------------------------------------------

    def shared(self, repeats: int, memory: int = 2048, sessions: int = 8) -> dict[str, Any]:
        """One decoding step of several sessions on one memory: shared prefix against plain DynamicCache."""
        ids = self.prompt(memory)
        prefix = self.store.put(ids[:memory], tenant="bench")
        query = ids[memory:]
        torch = self.torch
        arms = {
            "shared": (self.model, prefix.fork()),
            "dynamic": (self.model, prefix.fork(shared=False)),
            "dynamic_stock": (self.stock, prefix.fork(shared=False)),
        }
        steps: dict[str, Callable[[], Any]] = {}
        for name, (model, cache) in arms.items():
            with torch.inference_mode():
                model.network(torch.tensor([query] * sessions), past_key_values=cache, logits_to_keep=1)
            steps[name] = self._step(model, cache, sessions)
        alone = [prefix.fork(shared=False) for _ in range(sessions)]
        for cache in alone:
            self.logits(self.stock, query, cache)
        steps["dynamic_stock_one_by_one"] = lambda: [self.logits(self.stock, [5], cache) for cache in alone]
        cpu, _, result = clocked(steps, repeats)
        off = float((result["shared"] - result["dynamic"]).abs().max())
        return {
            "shared_decode_speedup_8": cpu["dynamic_stock"] / cpu["shared"],
            "shared_decode_speedup_8_same_weights": cpu["dynamic"] / cpu["shared"],
            "shared_decode_speedup_8_one_by_one": cpu["dynamic_stock_one_by_one"] / cpu["shared"],
            "step_ms": cpu,
            "max_abs_logit_diff": off,
        }

    def _step(self, model: Any, cache: Any, rows: int) -> Callable[[], Any]:
        def step() -> Any:
            with self.torch.inference_mode():
                batch = self.torch.tensor([[5]] * rows)
                return model.network(batch, past_key_values=cache, logits_to_keep=1).logits[:, -1].float()

        return step

    # --- composition --------------------------------------------------------------------------------------------

    def compose(self, sizes: Sequence[int], samples: int) -> dict[str, Any]:
        """Memories computed apart, joined: answers right against full recompute, and against MemOS's rule."""
        from memos_integrations.backends.kv.composition import Composition

        composition = Composition(self.store)
        found: dict[str, Any] = {}
        for size in sizes:
            rows = [self._composed(composition, size) for _ in range(samples)]
            right = {arm: sum(row[arm]["right"] for row in rows) for arm in rows[0]}
            cpu = {arm: statistics.median(row[arm]["cpu"] for row in rows) for arm in rows[0]}
            # Exact in the canonical order, and in the order of joined memories: the better is the measure.
            best = max(right["full"], right["full_best_last"])
            found[str(size)] = {
                "recall_vs_full_pct": 100 * right["joined"] / max(best, 1),
                "cpu_vs_full_pct": 100 * cpu["joined"] / cpu["full"],
                "kl": statistics.mean(row["joined"]["kl"] for row in rows),
                "recall_vs_full_link8_pct": 100 * right["joined_link8"] / max(best, 1),
                "cpu_vs_full_link8_pct": 100 * cpu["joined_link8"] / cpu["full"],
                "kl_link8": statistics.mean(row["joined_link8"]["kl"] for row in rows),
                "memos_concatenation": {
                    "recall_vs_full_pct": 100 * right["concatenated"] / max(best, 1),
                    "cpu_vs_full_pct": 100 * cpu["concatenated"] / cpu["full"],
                    "kl": statistics.mean(row["concatenated"]["kl"] for row in rows),
                },
                "right": right,
                "samples": samples,
            }
        return found

    def _composed(self, composition: Any, size: int) -> dict[str, dict[str, float]]:
        from memos_integrations.backends.kv.layers import cache_of
        from memos_integrations.backends.kv.layout import MemoryLine, lay_out
        from memos_integrations.core.cube import CubeRef

        people = self.random.sample(range(len(NAMES)), size)
        target = self.random.choice(people)
        cities = dict(zip(people, self.random.sample(CITIES, size), strict=True))
        lines = [
            MemoryLine(
                f"- {NAMES[n]} works as a {self.random.choice(JOBS)}. {NAMES[n]} lives in {cities[n]}. {NAMES[n]} has "
                f"a {self.random.choice(PETS)}. The weather was mild and the days went by quietly and well.",
                CubeRef(id=f"c{n:02}", version=1),
                "bench",
                float(n == target),
            )
            for n in sorted(people)
        ]
        chat = [{"role": "user", "content": f"Where does {NAMES[target]} live?"}]
        model = self.model
        layout = lay_out(chat, lines, render_text=model.render_text, encode=model.encode)
        lead = model.encode(f"{NAMES[target]} lives in")
        answer = model.encode(f" {cities[target]}")
        alone = [self.store.put(line, tenant="apart") for line in layout.lines]
        self.store.put(list(layout.head), tenant="apart")
        composition.join(layout, lines, link=8)  # each memory is in the store, as it would be

        def full() -> Any:
            return [*layout.ids, *lead], None

        def joined(link: int) -> Any:
            found = composition.join(layout, lines, link=link)
            return [*found.ids, *lead], found.prefix.fork()

        def concatenated() -> Any:  # caches one behind the other, positions as they were
            head = self.store.put(list(layout.head), tenant="apart")
            wholes = [[parts[0] for parts in self._whole(p)] for p in (head, *alone)]
            joined_parts = [
                [(self.torch.cat([k for k, _ in layer], -2), self.torch.cat([v for _, v in layer], -2))]
                for layer in zip(*wholes, strict=True)
            ]
            return [*layout.ids, *lead], cache_of(joined_parts, shared=head.shared)

        acts = {
            "full": full,
            "full_best_last": lambda: (joined(0)[0], None),
            "joined": lambda: joined(0),
            "joined_link8": lambda: joined(8),
            "concatenated": concatenated,
        }
        rows: dict[str, dict[str, float]] = {}
        # The divergence is that of the cache: against computing the same ids, in the same order.
        exact = {name: self.logits(model, act()[0]) for name, act in acts.items() if name in {"full", "joined"}}
        for name, act in acts.items():
            started = time.process_time()
            ids, cache = act()
            known = 0 if cache is None else cache.get_seq_length()
            from transformers import DynamicCache

            cache = DynamicCache() if cache is None else cache
            logits = self.logits(model, ids[known:], cache)
            spent = time.process_time() - started
            picked, right = logits, True
            for token in answer:
                right = right and int(picked.argmax()) == token
                picked = self.logits(model, [token], cache)
            same = exact["joined" if name.startswith("joined") else "full"]
            kl = self.torch.nn.functional.kl_div(logits.log_softmax(-1), same.softmax(-1), reduction="sum")
            rows[name] = {"right": float(right), "cpu": spent, "kl": float(kl)}
        return rows

    # --- end to end ---------------------------------------------------------------------------------------------

    def conversation(self, turns: int, memory: int = 2048, tokens: int = 12) -> dict[str, Any]:
        """A conversation over one recalled memory through `MemOSChatModel`, with and without activation memory."""
        from memos_integrations import MemOS, Principal
        from memos_integrations.backends.kv import ActivationMemory
        from memos_integrations.langchain.chat_model import MemOSChatModel

        ana = Principal(tenant="acme", user="ana")
        with tempfile.TemporaryDirectory() as folder, MemOS.open(folder) as memos:
            for number in range(0, 3 * memory // 2, 24):
                memos.remember(f"{self.model.decode(self.text[number * 2 : number * 2 + 40])}", by=ana)
            recall = memos.recall("Who lives where?", by=ana, k=200, token_budget=memory, needed=True)
        self.store.drop([])
        arms = {
            "without": MemOSChatModel(model=self.model, max_tokens=tokens),
            "with": MemOSChatModel(
                model=self.model, max_tokens=tokens, memory=ActivationMemory(self.store, keep_turns=True)
            ),
        }
        seconds: dict[str, float] = {}
        said: dict[str, list[str]] = {}
        read = 0
        for name, chat in arms.items():
            messages: list[Any] = []
            started = time.process_time()
            for turn in range(turns):
                messages.append(("user", f"Where does {NAMES[turn]} live, and what does {NAMES[turn + 1]} do?"))
                answer = chat.invoke(messages, recall=recall)
                messages.append(("ai", answer.text))
                read = max(read, answer.usage_metadata["input_tokens"])
            seconds[name] = time.process_time() - started
            said[name] = [text for _, text in messages]
        return {**seconds, "turns": turns, "input_tokens": read, "same_answers": said["with"] == said["without"]}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="256,1024")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--samples", type=int, default=6, help="of the composition, per number of memories")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", type=int, default=512, help="tokens of memory in the conversation")
    parser.add_argument("--parts", default="all", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def lengths_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """The table of lengths, with what follows from it."""
    rows = bench.lengths([int(each) for each in asked.lengths.split(",")], asked.repeats)
    result["lengths"] = rows
    if "4096" in rows:
        result["fork_ms_4096"] = rows["4096"]["fork_ms"]
    else:
        result["not_run"]["fork_ms_4096"] = "4096 is not among the lengths"
    result["baselines"]["transformers_deepcopy_cut_pct"] = {n: row["cut_deepcopy_pct"] for n, row in rows.items()}
    for length, row in rows.items():
        print(
            f"{length:>6} tokens: full {row['full_ms']:8.0f} ms, injected {row['injected_ms']:6.0f} ms, "
            f"cut {row['cut_pct']:.1f} % (stock {row['cut_deepcopy_pct']:.1f} %), "
            f"logits {row['max_abs_logit_diff']:.1e}, same answer {row['greedy_same']}, fork {row['fork_ms']:.3f} ms",
            flush=True,
        )


def prompts_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Greedy answers, cold and injected."""
    found = bench.prompts(asked.prompts)
    result |= {"greedy_mismatches": found["greedy_mismatches"], "prompts": found["prompts"]}
    result["prompts_max_abs_logit_diff"] = found["max_abs_logit_diff"]
    print(found, flush=True)


def int8_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """The int8 tier."""
    result["int8"] = bench.int8(max(20, asked.prompts))
    print("int8", result["int8"], flush=True)


def disk_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Loading against computing."""
    found = bench.disk(asked.repeats)
    result |= found
    print("disk", found, flush=True)


def shared_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Eight sessions on one memory."""
    found = bench.shared(asked.repeats)
    result |= found
    result["baselines"]["dynamic_cache_step_ms"] = found["step_ms"]["dynamic_stock"]
    print("shared", found, flush=True)


def compose_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Memories computed apart."""
    result["compose"] = bench.compose((4, 8, 16), asked.samples)
    found = {size: row["memos_concatenation"] for size, row in result["compose"].items()}
    result["baselines"]["memos_concatenation"] = found
    print(json.dumps(result["compose"], indent=1), flush=True)


def conversation_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """End to end."""
    result["conversation_s"] = bench.conversation(asked.turns, asked.memory)
    print("conversation", result["conversation_s"], flush=True)


PARTS = {
    "lengths": lengths_part,
    "prompts": prompts_part,
    "int8": int8_part,
    "disk": disk_part,
    "shared": shared_part,
    "compose": compose_part,
    "conversation": conversation_part,
}


def main() -> None:
    """Run what was asked for, print a table, write the JSON."""
    single_threaded()
    asked = parsed()
    from memos_integrations.backends.weights import model_folder

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    bench = Bench(model_folder("smollm2"), asked.seed)
    wanted = list(PARTS) if asked.parts == "all" else asked.parts.split(",")
    said = {"lengths": asked.lengths, "query_tokens": QUERY, "seed": asked.seed, "packed_weights": True}
    result: dict[str, Any] = {
        "meta": meta(Path(tempfile.gettempdir()), model=bench.model.name, time="CPU of one thread", **said),
        "not_run": {part: "not asked for" for part in PARTS if part not in wanted},
        "baselines": {},
    }
    for part in wanted:
        PARTS[part](bench, asked, result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
