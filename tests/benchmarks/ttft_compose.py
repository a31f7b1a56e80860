"""The composition row of `ttft.py`: memories computed apart and joined, against computing them together.

A question about one of N invented people; the answer is forced after a lead-in, and right when every token of it is
the most likely one. The memory asked for is the best-scored one, as a retriever would have it. Two arms compute the
prompt anew: `full` with its memories in canonical order, as it is without composition, and `full_same_order` in the
order of the joined prompt, the best last. Recall and CPU time are both given against the one that recalls more.
MemOS's rule puts caches that were computed apart one behind the other, their positions as they were.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

CITIES = (
    "Lisbon Oslo Rome Cairo Lima Kyoto Accra Quito Paris Delhi Tunis Bern Riga Perth Seoul Dakar Malmo Turin Porto "
    "Lagos Miami Osaka Graz Leeds"
).split()
NAMES = (
    "Ana Ben Cleo Dan Eva Finn Gus Hana Ivo Jana Kai Lea Max Nora Otto Pia Quin Rosa Sam Tess Uma Vera Will Yara"
).split()
PETS = ("cat", "dog", "parrot", "horse", "rabbit", "snake", "goat", "turtle")
JOBS = ("baker", "pilot", "nurse", "lawyer", "painter", "teacher")
FULL = ("full", "full_same_order")
ARMS = (*FULL, "joined", "joined_link8", "memos_concatenation")


class Composed:
    """People, each with one memory, and what a question about some of them costs in every arm."""

    def __init__(self, bench: Any) -> None:
        from memos_integrations.backends.kv.composition import Composition
        from memos_integrations.backends.kv.layout import MemoryLine
        from memos_integrations.core.cube import CubeRef

        self.bench, self.model, self.store, self.torch = bench, bench.model, bench.store, bench.torch
        self.composition = Composition(self.store)
        pick = bench.random
        self.cities = pick.sample(CITIES, len(NAMES))
        self.lines = [
            MemoryLine(
                f"- {name} works as a {pick.choice(JOBS)}. {name} lives in {city}. {name} has a {pick.choice(PETS)}. "
                "The weather was mild and the days went by quietly and well.",
                CubeRef(id=f"c{number:02}", version=1),
                "bench",
            )
            for number, (name, city) in enumerate(zip(NAMES, self.cities, strict=True))
        ]

    def asked(self, people: Sequence[int], target: int) -> tuple[list[dict[str, str]], list[Any]]:
        """A question about *target*, and the memories of *people* with the scores that a retriever gives them."""
        from dataclasses import replace

        lines = [replace(self.lines[n], score=float(n == target)) for n in sorted(people)]
        return [{"role": "user", "content": f"Where does {NAMES[target]} live?"}], lines

    def some(self, size: int) -> tuple[list[int], int]:
        """People, and one of them."""
        people = self.bench.random.sample(range(len(NAMES)), size)
        return people, self.bench.random.choice(people)

    def calibrated(self, samples: int, size: int = 4) -> dict[str, Any]:
        """The gate: what a calibration of this model says, on questions that are not in the table."""
        found = self.composition.calibrate([self.asked(*self.some(size)) for _ in range(samples)])
        gate = {"max_kl": self.composition.max_kl, "min_agreement": self.composition.min_agreement}
        return {**found.model_dump(exclude={"fingerprint"}), **gate, "allowed": self.composition.allowed()}

    def row(self, size: int, samples: int) -> dict[str, Any]:
        """Recall, CPU time and divergence of every arm, on the same questions."""
        rows = [self._sample(size) for _ in range(samples)]
        right = {arm: sum(row[arm]["right"] for row in rows) for arm in ARMS}
        cpu = {arm: statistics.median(row[arm]["cpu"] for row in rows) for arm in ARMS}
        whole = max(FULL, key=lambda arm: right[arm])
        arms = {
            arm: {
                "recall_pct": 100 * right[arm] / samples,
                "recall_vs_full_pct": 100 * right[arm] / max(right[whole], 1),
                "cpu_vs_full_pct": 100 * cpu[arm] / cpu[whole],
                "cpu_ms": 1e3 * cpu[arm],
                "kl": statistics.mean(row[arm]["kl"] for row in rows),
                "surprise": statistics.mean(row[arm]["surprise"] for row in rows),
            }
            for arm in ARMS
        }
        chosen = arms["joined"]
        figures = {key: chosen[key] for key in ("recall_vs_full_pct", "cpu_vs_full_pct", "kl")}
        told = {"samples": samples, "memory_tokens": rows[-1]["tokens"]["memory"], "measured_against": whole}
        return {**figures, **told, "arms": arms}

    def _sample(self, size: int) -> dict[str, dict[str, float]]:
        from memos_integrations.backends.kv.layout import lay_out

        people, target = self.some(size)
        chat, lines = self.asked(people, target)
        model = self.model
        layout = lay_out(chat, lines, render_text=model.render_text, encode=model.encode)
        lead, answer = model.encode(f"{NAMES[target]} lives in"), model.encode(f" {self.cities[target]}")
        apart = [self.store.put(ids, tenant="apart") for ids in (layout.head, *layout.lines)]
        ordered = self.composition.join(layout, lines).ids  # each memory is in the store, as it would be

        def joined(link: int) -> tuple[list[int], Any]:
            found = self.composition.join(layout, lines, link=link)
            return [*found.ids, *lead], found.prefix.fork()

        acts: dict[str, Callable[[], tuple[list[int], Any]]] = {
            "full": lambda: ([*layout.ids, *lead], None),
            "full_same_order": lambda: ([*ordered, *lead], None),
            "joined": lambda: joined(0),
            "joined_link8": lambda: joined(8),
            "memos_concatenation": lambda: ([*layout.ids, *lead], self._concatenated(apart)),
        }
        rows: dict[str, dict[str, float]] = {"tokens": {"memory": len(layout.memory)}}
        exact: dict[str, Any] = {}
        for name, act in acts.items():
            logits, rows[name] = self._answered(act, answer)
            exact[name] = logits
            # The divergence is that of the cache: against computing the same ids, in the same order.
            same = exact["full_same_order" if name.startswith("joined") else "full"]
            kl = self.torch.nn.functional.kl_div(logits.log_softmax(-1), same.softmax(-1), reduction="sum")
            rows[name]["kl"] = float(kl)
        return rows

    def _answered(
        self, act: Callable[[], tuple[list[int], Any]], answer: Sequence[int]
    ) -> tuple[Any, dict[str, float]]:
        """The first logits, the time that they took, and whether and how likely the right answer follows."""
        from transformers import DynamicCache

        started = time.process_time()
        ids, cache = act()
        cache = DynamicCache() if cache is None else cache
        logits = self.bench.logits(self.model, ids[cache.get_seq_length() :], cache)
        spent = time.process_time() - started
        picked, right, surprise = logits, True, 0.0
        for place, token in enumerate(answer):
            right = right and int(picked.argmax()) == token
            surprise -= float(picked.log_softmax(-1)[token])
            if place < len(answer) - 1:
                picked = self.bench.logits(self.model, [token], cache)
        return logits, {"cpu": spent, "right": float(right), "surprise": surprise / len(answer)}

    def _concatenated(self, apart: Sequence[Any]) -> Any:
        from memos_integrations.backends.kv.layers import cache_of

        wholes = [[layer[0] for layer in self.bench.whole(prefix)] for prefix in apart]
        join = self.torch.cat
        layers = [
            [(join([k for k, _ in layer], -2), join([v for _, v in layer], -2))] for layer in zip(*wholes, strict=True)
        ]
        return cache_of(layers, shared=apart[0].shared)
