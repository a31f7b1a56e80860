"""Recall on long conversations (LoCoMo, Maharana et al. 2024), turn by turn, through `memos.recall` with governance on.

    python tests/benchmarks/recall.py --data locomo10.json --track minilm --json recall.json

One vault per conversation. Captions of pictures are indexed, their search words are not. The evidence is repaired where
it is malformed; questions without any are left out. Adversarial questions are counted apart. Beside the JSON stands one
line per question (`.jsonl`).
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.conversation import Conversation
from memos_integrations.core.reader import MemoryCall
from memos_integrations.core.scheduler import MemoryPlan, MemScheduler
from memos_integrations.core.text import STOP_WORDS, estimate_tokens
from tests.benchmarks.meta import meta, single_threaded

KS = (5, 10, 20, 50)
BUDGETS = (500, 1_000, 2_000)
CATEGORIES = {1: "multi_hop", 2: "temporal", 3: "open_domain", 4: "single_hop", 5: "adversarial"}
SIGNALS = (
    "late",
    "late_next",
    "context",
    "earlier",
    "session",
    "dense",
    "speaker",
    "time",
    "when",
    "statement",
    "recency",
)
PEERS_NOT_RUN = {
    "langgraph_inmemorystore": "not written yet",
    "llamaindex_vector": "not written yet",
    "llamaindex_bm25": "not written yet",
    "mem0": "not written yet",
    "txtai_hybrid": "not written yet",
}
ME = Principal(tenant="bench", user="me")


class Without(MemScheduler):
    """The scheduler with one signal's weight at nothing."""

    def __init__(self, signal: str) -> None:
        self._signal = signal

    def plan(self, call: MemoryCall, **how: Any) -> MemoryPlan:
        plan = super().plan(call, **how)
        return plan.model_copy(update={"weights": {k: w for k, w in plan.weights.items() if k != self._signal}})


@dataclass(frozen=True)
class Question:
    conversation: int
    text: str
    category: str
    gold: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question with the ids of the turns that were found, best first, the tokens of each, and the time taken."""

    question: Question
    found: tuple[str, ...]
    tokens: tuple[int, ...]
    ms: float
    cpu_ms: float

    def recall(self, k: int) -> float:
        return len(set(self.found[:k]) & set(self.question.gold)) / len(self.question.gold)

    def within(self, budget: int) -> float:
        return self.recall(int((np.cumsum(self.tokens) <= budget).sum()))

    @property
    def ndcg(self) -> float:
        gains = sum(1 / log2(n + 2) for n, turn in enumerate(self.found[:10]) if turn in self.question.gold)
        return gains / sum(1 / log2(n + 2) for n in range(min(10, len(self.question.gold))))

    @property
    def reciprocal(self) -> float:
        return next((1 / (n + 1) for n, turn in enumerate(self.found) if turn in self.question.gold), 0.0)

    @property
    def sessions(self) -> float:
        """How many of the evidence's sessions are among the first ten, in the order of their best turns."""
        ranked = list(dict.fromkeys(turn.split(":")[0] for turn in self.found))[:10]
        gold = {turn.split(":")[0] for turn in self.question.gold}
        return len(gold & set(ranked)) / len(gold)


def questions(data: list[dict[str, Any]], number: int, turns: set[str]) -> Iterator[Question]:
    """The questions of a conversation that have evidence, repaired: `D8:6; D9:17`, `D:11:26`, `D30:05`."""
    for one in data[number]["qa"]:
        written = re.findall(r"D:?(\d+):(\d+)", " ".join(one.get("evidence") or []))
        gold = tuple(dict.fromkeys(f"D{int(session)}:{int(turn)}" for session, turn in written))
        gold = tuple(turn for turn in gold if turn in turns)
        if gold:
            yield Question(number, one["question"], CATEGORIES[one["category"]], gold)


def ask(memos: MemOS, question: Question, turn_of: dict[str, str], k: int = max(KS)) -> Asked:
    wall, cpu = time.perf_counter(), time.process_time()
    found = memos.recall(question.text, by=ME, k=k, token_budget=1_000_000, needed=True)
    ms, cpu_ms = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
    tokens = tuple(estimate_tokens(f"{hit.provenance.speaker}: {hit.text}") for hit in found.hits)
    return Asked(question, tuple(turn_of[hit.cube.id] for hit in found.hits), tokens, ms, cpu_ms)


def full_text(conversation: Conversation, asked: Sequence[Question]) -> list[Asked]:
    """SQLite FTS5 as it comes: porter, any of the words, stop words out."""
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE VIRTUAL TABLE turns USING fts5(id UNINDEXED, words, tokenize = 'porter unicode61')")
        rows = [(message.id, f"{message.speaker}: {message.text}") for message in conversation.messages]
        db.executemany("INSERT INTO turns VALUES (?, ?)", rows)
        found = []
        for question in asked:
            words = [word for word in re.findall(r"\w+", question.text.lower()) if word not in STOP_WORDS]
            query, wall = " OR ".join(f'"{word}"' for word in words), time.perf_counter()
            ids = (
                db.execute("SELECT id FROM turns WHERE turns MATCH ? ORDER BY rank LIMIT 50", (query,)) if words else ()
            )
            turns = tuple(row[0] for row in ids)
            found.append(Asked(question, turns, (0,) * len(turns), (time.perf_counter() - wall) * 1e3, 0.0))
    return found


def mean(values: Sequence[float]) -> float:
    return round(100 * float(np.mean(values)), 2) if values else 0.0


def interval(asked: Sequence[Asked]) -> list[float]:
    """95 % of R@10, drawn over conversations."""
    rng, groups = np.random.default_rng(0), defaultdict(list)
    for one in asked:
        groups[one.question.conversation].append(one.recall(10))
    pools = list(groups.values())
    drawn = [np.mean(np.concatenate([pools[n] for n in rng.integers(0, len(pools), len(pools))])) for _ in range(2_000)]
    return [round(100 * float(edge), 2) for edge in np.percentile(drawn, [2.5, 97.5])]


def figures(every: Sequence[Asked]) -> dict[str, Any]:
    plain = [one for one in every if one.question.category != "adversarial"]
    of = {name: [one for one in every if one.question.category == name] for name in CATEGORIES.values()}
    return {
        "n": len(plain),
        **{f"recall_at_{k}": mean([one.recall(k) for one in plain]) for k in KS},
        "recall_at_10_interval": interval(plain),
        "hit_at_10": mean([float(one.recall(10) > 0) for one in plain]),
        "all_at_10": mean([float(one.recall(10) == 1) for one in plain]),
        "ndcg_at_10": mean([one.ndcg for one in plain]),
        "mrr": round(mean([one.reciprocal for one in plain]) / 100, 4),
        "by_category": {name: {"n": len(of_it), "recall_at_10": mean([one.recall(10) for one in of_it])}
                        for name, of_it in of.items()},
        "session_recall_at_10": mean([one.sessions for one in every]),
        "recall_in_tokens": {str(budget): mean([one.within(budget) for one in plain]) for budget in BUDGETS},
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    raw = arguments.data.read_bytes()
    data = json.loads(raw)
    embedder = MiniLMEmbedder(arguments.model) if arguments.track == "minilm" else None
    every: list[Asked] = []
    timed: list[Asked] = []
    others: list[Asked] = []
    ablated: dict[str, list[Asked]] = defaultdict(list)
    size = turns = 0
    for number in [int(one) for one in arguments.conversations.split(",")]:
        conversation = Conversation.load(arguments.data, sample=data[number]["sample_id"])
        with tempfile.TemporaryDirectory() as folder:
            with MemOS.open(folder, embedder=embedder, durability="process") as memos:
                cubes = memos.ingest(conversation, by=ME).cubes
                turn_of = dict(zip(cubes, (message.id for message in conversation.messages), strict=True))
                asked = list(questions(data, number, set(turn_of.values())))
                every += [ask(memos, question, turn_of) for question in asked]
                timed += [ask(memos, question, turn_of, k=10) for question in asked[:40]]
                for signal in SIGNALS if arguments.ablation else ():
                    memos._scheduler = Without(signal)
                    ablated[signal] += [ask(memos, question, turn_of, k=10) for question in asked]
            size += sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            turns += len(cubes)
        if arguments.peers:
            others += full_text(conversation, asked)
    result = {
        "meta": meta(Path(tempfile.gettempdir()), track=arguments.track, conversations=arguments.conversations,
                     data_sha256=sha256(raw).hexdigest()),
        **figures(every),
        "p50_ms": round(float(np.percentile([one.ms for one in timed], 50)), 2),
        "p95_ms": round(float(np.percentile([one.ms for one in timed], 95)), 2),
        "cpu_p95_ms": round(float(np.percentile([one.cpu_ms for one in timed], 95)), 2),
        "vault_bytes_per_turn": round(size / turns),
        "ablation": {name: mean([one.recall(10) for one in those if one.question.category != "adversarial"])
                     for name, those in ablated.items()},
        "peers": {"sqlite_fts5": {key: figures(others)[key] for key in ("recall_at_10", "mrr")}} if others else {},
        "not_run": {
            "crossfit": "no weights are fitted yet",
            "extractive_f1": "measured by locomo_qa.py",
            "index_bytes_per_turn": "only the whole vault's size is measured (vault_bytes_per_turn)",
            **{f"peers.{name}": why for name, why in PEERS_NOT_RUN.items()},
            **({} if arguments.peers else {"peers.sqlite_fts5": "--peers was not given"}),
            **({} if arguments.ablation else {"ablation": "--ablation was not given"}),
        },
    }  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
        lines = (json.dumps(asdict(one)) for one in every)
        arguments.json.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
    return result


def main() -> None:
    single_threaded()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="LoCoMo's locomo10.json (evaluation only)")
    parser.add_argument("--track", choices=("lexical", "minilm"), default="lexical")
    parser.add_argument("--conversations", default="0,1,2,3,4,5,6,7,8,9", help="places in the file, with commas")
    parser.add_argument("--model", type=Path, default=Path(".models/all-MiniLM-L6-v2"))
    parser.add_argument("--peers", action="store_true", help="SQLite FTS5 on the same questions")
    parser.add_argument("--ablation", action="store_true", help="ask everything again without each signal")
    parser.add_argument("--json", type=Path)
    result = run(parser.parse_args())
    for name, value in result.items():
        if name not in {"meta"}:
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
