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
from tests.benchmarks.ttft_compose import CITIES, JOBS, NAMES, PETS, Composed

QUERY = 26
KEPT_PAGES = 31 << 20
"""Bytes; glibc serves what is smaller than the largest block that was freed (up to 32 MiB) from pages that it keeps."""
STOCK_UP_TO = 1024
"""Memory tokens up to which the stock model's full prefill is timed as well."""


def clocked(
    acts: dict[str, Callable[[], Any]], repeats: int, *, warm: bool = True
) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Median CPU and wall milliseconds of each, taken turn by turn after one warm-up, and the last results.

    Without *warm* the first turn counts too: what was just computed has warmed up the same paths.
    """
    cpu: dict[str, list[float]] = {name: [] for name in acts}
    wall: dict[str, list[float]] = {name: [] for name in acts}
    results: dict[str, Any] = {}
    for turn in range(0 if warm else 1, repeats + 1):
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

    def empty(self) -> Any:
        """A cache that holds nothing."""
        from transformers import DynamicCache

        return DynamicCache()

    def logits(self, model: Any, ids: Sequence[int], cache: Any = None) -> Any:
        """Logits of the last of *ids*, after what the cache holds."""
        return model._forward(list(ids), self.empty() if cache is None else cache, ())

    # --- exact injection ----------------------------------------------------------------------------------------

    def answer(self, ids: Sequence[int], cache: Any, tokens: int) -> tuple[Any, list[int]]:
        """The logits after *ids*, and the greedy answer."""
        first = picked = self.logits(self.model, ids, cache)
        said = [int(first.argmax())]
        while len(said) < tokens:
            picked = self.logits(self.model, said[-1:], cache)
            said.append(int(picked.argmax()))
        return first, said

    def length(self, length: int, repeats: int) -> dict[str, Any]:
        """A row of the paper's table: full prefill against injection, and other ways to hand the cache over."""
        ids = self.prompt(length)
        prefix = self.store.put(ids[:length], tenant="bench")
        query = ids[length:]
        copied = prefix.fork(shared=False)
        caches: dict[str, Any] = {}

        def run(name: str, what: Sequence[int], cache: Any) -> Any:
            caches[name] = cache
            return self.logits(self.model, what, cache)

        acts = {
            "full": lambda: run("full", ids, self.empty()),
            "injected": lambda: run("injected", query, prefix.fork()),
            "fork_copied": lambda: self.logits(self.model, query, prefix.fork(shared=False)),
            "deepcopy_stock": lambda: self.logits(self.stock, query, copy.deepcopy(copied)),
        }
        if length <= STOCK_UP_TO:  # the weights of either are read alike in a long prefill: seen here, and not paid for
            acts["full_stock"] = lambda: self.logits(self.stock, ids)
        cpu, wall, result = clocked(acts, repeats, warm=length <= STOCK_UP_TO)
        forks, _, _ = clocked({"fork": lambda: [prefix.fork() for _ in range(200)]}, 5)
        firsts = [[int(result[name].argmax())] for name in ("full", "injected")]
        cold, warm = (
            [first[0], *self.answer(first, caches[name], 19)[1]]
            for name, first in zip(("full", "injected"), firsts, strict=True)
        )
        self.store.demote(prefix, tenant="bench", away=True)
        return {
            "full_ms": cpu["full"],
            "injected_ms": cpu["injected"],
            "cut_pct": 100 * (1 - cpu["injected"] / cpu["full"]),
            "cut_wall_pct": 100 * (1 - wall["injected"] / wall["full"]),
            **({"full_stock_ms": cpu["full_stock"]} if "full_stock" in cpu else {}),
            "fork_copied_ms": cpu["fork_copied"],
            "deepcopy_stock_ms": cpu["deepcopy_stock"],
            "cut_deepcopy_pct": 100 * (1 - cpu["deepcopy_stock"] / cpu["full"]),
            "max_abs_logit_diff": float((result["full"] - result["injected"]).abs().max()),
            "greedy_same": cold == warm,
            "fork_ms": forks["fork"] / 200,
        }

    def prompts(self, count: int, memory: int = 96, tokens: int = 6) -> dict[str, Any]:
        """Greedy answers to many prompts, cold and injected: five questions to each memory."""
        wrong, worst, ids = 0, 0.0, self.prompt(memory)
        for number in range(count):
            ids = ids[:memory] + self.prompt(memory)[memory:] if number % 5 else self.prompt(memory)
            prefix = self.store.put(ids[:memory], tenant="bench")
            cold, said = self.answer(ids, self.empty(), tokens)
            warm, again = self.answer(ids[memory:], prefix.fork(), tokens)
            wrong += said != again
            worst = max(worst, float((cold - warm).abs().max()))
            if number % 5 == 4:
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
        segment = exact([(p[0][0], p[0][1]) for p in self.whole(prefix)])
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

    def whole(self, prefix: Any) -> list[Any]:
        """Per layer, the stored parts of a prefix as one."""
        join = self.torch.cat
        return [((join([p[0] for p in ps], -2), join([p[1] for p in ps], -2)),) for ps in prefix.layers]

    def disk(self, repeats: int, memory: int = 1024) -> dict[str, Any]:
        """Loading a spilled prefix (page cache warm) against computing it."""
        from memos_integrations.backends.kv import KVStore

        ids = self.prompt(memory)[: memory + 1]
        with tempfile.TemporaryDirectory() as folder, KVStore(self.model, folder=folder) as store:
            prefix = store.put(ids[:memory], tenant="bench")
            computed, _, _ = clocked({"cold": lambda: self.logits(self.model, ids[:memory])}, repeats, warm=False)
            recompute = computed["cold"] / 1e3

            def load() -> float:
                store.demote(prefix, tenant="bench")
                started = time.process_time()
                found = store.match(ids, tenant="bench")
                assert found is not None
                for tensors in found.layers:  # every byte
                    assert all(bool((keys.sum() + values.sum()).isfinite()) for keys, values in tensors)
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
        """One decoding step of several sessions on one memory: shared prefix against plain DynamicCache.

        DynamicCache copies every session's memory at each step, into pages that are new to the process: that is most of
        its time, as long as nothing larger was freed before (hence this part is the first). The C library then keeps
        such pages, and the copy is cheaper: `shared_decode_speedup_8_kept_pages`.
        """
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
        torch.ones(KEPT_PAGES // 4).sum()  # freed at once
        kept, _, _ = clocked({name: steps[name] for name in ("shared", "dynamic_stock")}, repeats)
        return {
            "shared_decode_speedup_8": cpu["dynamic_stock"] / cpu["shared"],
            "shared_decode_speedup_8_same_weights": cpu["dynamic"] / cpu["shared"],
            "shared_decode_speedup_8_kept_pages": kept["dynamic_stock"] / kept["shared"],
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

    # --- end to end ---------------------------------------------------------------------------------------------

    def conversation(self, turns: int, memory: int = 2048, tokens: int = 12) -> dict[str, Any]:
        """A conversation over one recalled memory through `MemOSChatModel`, with and without activation memory."""
        from memos_integrations import MemOS, Principal
        from memos_integrations.backends.kv import ActivationMemory
        from memos_integrations.langchain.chat_model import MemOSChatModel

        ana = Principal(tenant="acme", user="ana")
        with (
            tempfile.TemporaryDirectory() as folder,
            MemOS.open(folder, count_tokens=self.model.count_tokens) as memos,
        ):
            said_before = self.model.decode(self.text).split("\n")[: memory // 12]
            memos.remember_many([line.removeprefix("- ") for line in said_before if line], by=ana)
            recall = memos.recall("Who lives where?", by=ana, k=200, token_budget=memory, needed=True)
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
            started, wall = time.process_time(), time.perf_counter()
            for turn in range(turns):
                messages.append(("user", f"Where does {NAMES[turn]} live, and what does {NAMES[turn + 1]} do?"))
                answer = chat.invoke(messages, recall=recall)
                messages.append(("ai", answer.text))
                assert answer.usage_metadata is not None
                read = max(read, answer.usage_metadata["input_tokens"])
            seconds[name] = time.process_time() - started
            seconds[f"{name}_wall"] = time.perf_counter() - wall
            said[name] = [text for _, text in messages]
        same = said["with"] == said["without"]
        told = {"turns": turns, "memory_tokens": recall.token_count, "input_tokens": read, "same_answers": same}
        return {**seconds, **told}


def parsed() -> argparse.Namespace:
    """What was asked for; with 100 prompts or more, everything is of the size of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="256,1024")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--samples", type=int, help="of the composition, per number of memories; 12, or 2")
    parser.add_argument("--compose", help="numbers of memories to join; 4,8,16, or 4")
    parser.add_argument("--turns", type=int, help="of the conversation; 10, or 3")
    parser.add_argument("--memory", type=int, help="tokens of memory in the conversation; 2048, or 512")
    parser.add_argument("--parts", default="all", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--model", type=Path, help="the folder of another model; default SmolLM2-135M")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    whole = asked.prompts >= 100
    sizes = {"samples": (12, 2), "compose": ("4,8,16", "4"), "turns": (10, 3), "memory": (2048, 512)}
    for name, (large, small) in sizes.items():
        if getattr(asked, name) is None:
            setattr(asked, name, large if whole else small)
    return asked


def lengths_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """The table of lengths, with what follows from it."""
    rows = result["lengths"] = {}
    cuts = result["baselines"]["transformers_deepcopy_cut_pct"] = {}
    for length in asked.lengths.split(","):
        row = rows[length] = bench.length(int(length), asked.repeats)
        cuts[length] = row["cut_deepcopy_pct"]
        print(
            f"{length:>6} tokens: full {row['full_ms']:8.0f} ms, injected {row['injected_ms']:6.0f} ms, "
            f"cut {row['cut_pct']:.1f} % (stock {row['cut_deepcopy_pct']:.1f} %), "
            f"logits {row['max_abs_logit_diff']:.1e}, same answer {row['greedy_same']}, fork {row['fork_ms']:.3f} ms",
            flush=True,
        )
    result["baselines"]["full_prefill_ms"] = {length: row["full_ms"] for length, row in rows.items()}
    if "4096" in rows:
        result["fork_ms_4096"] = rows["4096"]["fork_ms"]
    else:
        result["not_run"]["fork_ms_4096"] = "4096 is not among the lengths"


def prompts_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Greedy answers, cold and injected."""
    found = bench.prompts(asked.prompts)
    result |= {"greedy_mismatches": found["greedy_mismatches"], "prompts": found["prompts"]}
    result["prompts_max_abs_logit_diff"] = found["max_abs_logit_diff"]
    print(found, flush=True)


def int8_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """The int8 tier."""
    result["int8"] = bench.int8(max(4, min(100, asked.prompts)), min(967, asked.memory))
    print("int8", result["int8"], flush=True)


def disk_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Loading against computing."""
    found = bench.disk(asked.repeats, min(1024, 2 * asked.memory))
    result |= found
    print("disk", found, flush=True)


def shared_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Eight sessions on one memory."""
    found = bench.shared(asked.repeats, min(2048, 2 * asked.memory))
    result |= found
    result["baselines"]["dynamic_cache_step_ms"] = found["step_ms"]["dynamic_stock"]
    print("shared", found, flush=True)


def compose_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """Memories computed apart, and whether the gate lets them be used."""
    composed = Composed(bench)
    result["compose"] = {}
    for size in (int(each) for each in asked.compose.split(",")):
        row = result["compose"][str(size)] = composed.row(size, asked.samples)
        print(f"compose {size:>2} memories, {row['memory_tokens']} tokens, {asked.samples} samples", flush=True)
        for arm, found in row["arms"].items():
            print("   ", arm.ljust(20), {key: round(value, 2) for key, value in found.items()}, flush=True)
    result["compose_gate"] = composed.calibrated(asked.samples)
    print("gate", result["compose_gate"], flush=True)
    keys = ("recall_vs_full_pct", "cpu_vs_full_pct", "kl")
    result["baselines"]["memos_concatenation"] = {
        size: {key: row["arms"]["memos_concatenation"][key] for key in keys} for size, row in result["compose"].items()
    }


def conversation_part(bench: Bench, asked: argparse.Namespace, result: dict[str, Any]) -> None:
    """End to end."""
    result["conversation_s"] = bench.conversation(asked.turns, asked.memory)
    print("conversation", result["conversation_s"], flush=True)


PARTS = {
    "shared": shared_part,
    "lengths": lengths_part,
    "prompts": prompts_part,
    "int8": int8_part,
    "disk": disk_part,
    "compose": compose_part,
    "conversation": conversation_part,
}


def main() -> None:
    """Run what was asked for, print a table, write the JSON."""
    single_threaded()
    asked = parsed()
    from memos_integrations.backends.weights import model_folder

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    bench = Bench(asked.model or model_folder("smollm2"), asked.seed)
    wanted = list(PARTS) if asked.parts == "all" else asked.parts.split(",")
    said = {"lengths": asked.lengths, "query_tokens": QUERY, "seed": asked.seed, "packed_weights": True}
    result: dict[str, Any] = {
        "meta": meta(Path(tempfile.gettempdir()), model=bench.model.name, time="CPU of one thread", **said),
        "not_run": {part: "not reached" if part in wanted else "not asked for" for part in PARTS},
        "baselines": {},
        "part_seconds": {},
    }
    for part in wanted:
        started = time.perf_counter()
        PARTS[part](bench, asked, result)
        del result["not_run"][part]
        result["part_seconds"][part] = time.perf_counter() - started
        print(f"{part}: {result['part_seconds'][part]:.0f} s", flush=True)
        if asked.json:  # what was measured stands, whatever becomes of the rest
            asked.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
