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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from memos_integrations.backends.minilm import MiniLMEmbedder
from memos_integrations.core.conversation import Conversation
from memos_integrations.core.text import STOP_WORDS, estimate_tokens
from tests.benchmarks import qa_score
from tests.benchmarks.crossfit import cross_fitted
from tests.benchmarks.meta import meta, single_threaded
from tests.benchmarks.recall_asked import CATEGORIES, Asked, Question, mean, peer_figures, ranked_by, shares
from tests.benchmarks.recall_peers import PEERS, not_run
from tests.benchmarks.recall_trials import Trials

KS = (5, 10, 20, 50)
BUDGETS = (500, 1_000, 2_000)
SIGNALS = (
    "late", "late_before", "late_next", "late_session", "late_first", "context", "earlier", "session", "dense",
    "speaker", "time", "when", "statement", "recency", "bm25", "tells", "names", "pieces",
)  # fmt: skip
ME = Principal(tenant="bench", user="me")


USUAL_K = 10
"""What is timed and answered with: so many memories, as a user asks for them."""
CANDIDATES = 200
"""So many hits of each question the weights are fitted on."""
INDEXES = ("vectors", "words", "postings", "labels", "links", "leaves")
"""The vault's tables (with their indexes) that are there to find by."""


def questions(data: list[dict[str, Any]], number: int, turns: set[str]) -> Iterator[Question]:
    """The questions of a conversation that have evidence, repaired: `D8:6; D9:17`, `D:11:26`, `D30:05`."""
    for one in data[number]["qa"]:
        written = re.findall(r"D:?(\d+):(\d+)", " ".join(one.get("evidence") or []))
        gold = tuple(dict.fromkeys(f"D{int(session)}:{int(turn)}" for session, turn in written))
        gold = tuple(turn for turn in gold if turn in turns)
        if gold:
            yield Question(number, one["question"], CATEGORIES[one["category"]], gold, str(one.get("answer", "")))


def ask(memos: MemOS, question: Question, turn_of: dict[str, str], k: int = max(KS)) -> Asked:
    wall, cpu = time.perf_counter(), time.process_time()
    found = memos.recall(question.text, by=ME, k=k, token_budget=1_000_000, needed=True)
    ms, cpu_ms = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
    tokens = tuple(estimate_tokens(f"{hit.provenance.speaker}: {hit.text}") for hit in found.hits)
    turns, scores = tuple(turn_of[hit.cube.id] for hit in found.hits), tuple(hit.score for hit in found.hits)
    parts = tuple({name: round(share, 5) for name, share in hit.parts.items()} for hit in found.hits)
    return Asked(question, turns, scores, parts, tokens, ms, cpu_ms)


def answer_score(memos: MemOS, question: Question) -> float:
    """LoCoMo's F1 of the answer by rules, 0..1."""
    said = memos.answer(question.text, by=ME, k=USUAL_K).text
    number = next(number for number, name in CATEGORIES.items() if name == question.category)
    return qa_score.score(said, question.answer, number)


def index_bytes(folder: Path, memos: MemOS) -> dict[str, int]:
    """What is kept to find by: the vault's index tables, the vector index, and the token vectors in memory."""
    with closing(sqlite3.connect(folder / "vault.db")) as db:
        names = dict(db.execute("SELECT name, tbl_name FROM sqlite_master").fetchall())
        pages = db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
    tokens = memos._embedding._tokens
    return {
        "tables": sum(size for name, size in pages if names.get(name) in INDEXES),
        "vector_index": sum(file.stat().st_size for file in folder.glob("*.faiss*")),
        "token_vectors_in_memory": 0 if tokens is None else tokens.held_bytes,
    }


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
            sql = "SELECT id, -rank FROM turns WHERE turns MATCH ? ORDER BY rank LIMIT 50"
            ranked: list[tuple[str, float]] = db.execute(sql, (query,)).fetchall() if words else []
            ms = (time.perf_counter() - wall) * 1e3
            found.append(
                Asked(
                    question,
                    tuple(turn for turn, _ in ranked),
                    tuple(score for _, score in ranked),
                    (),
                    (0,) * len(ranked),
                    ms,
                    0.0,
                )
            )
    return found


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


def times(asked: Sequence[Asked]) -> dict[str, float]:
    """Milliseconds of a recall, of wall time and of this process."""
    wall, cpu = [one.ms for one in asked], [one.cpu_ms for one in asked]
    told = {"p50_ms": (wall, 50), "p95_ms": (wall, 95), "cpu_p50_ms": (cpu, 50), "cpu_p95_ms": (cpu, 95)}
    return {name: round(float(np.percentile(each, at)), 2) for name, (each, at) in told.items()}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    raw = arguments.data.read_bytes()
    data = json.loads(raw)
    embedder = MiniLMEmbedder(arguments.model) if arguments.track == "minilm" else None
    every: list[Asked] = []
    timed: list[Asked] = []
    wide: list[Asked] = []
    answers: list[float] = []
    kept: Counter[str] = Counter()
    peers: dict[str, list[Asked]] = defaultdict(list)
    lacking = not_run(embedder)
    trials = Trials(arguments.track, ablation=arguments.ablation, switches=arguments.switches)
    size = turns = 0
    for number in [int(one) for one in arguments.conversations.split(",")]:
        conversation = Conversation.load(arguments.data, sample=data[number]["sample_id"])
        with tempfile.TemporaryDirectory() as folder:
            with MemOS.open(folder, embedder=embedder, durability="process") as memos:
                cubes = memos.ingest(conversation, by=ME).cubes
                turn_of = dict(zip(cubes, (message.id for message in conversation.messages), strict=True))
                asked = list(questions(data, number, set(turn_of.values())))
                every += [ask(memos, question, turn_of) for question in asked]
                timed += [ask(memos, question, turn_of, k=USUAL_K) for question in asked[:40]]
                answers += [answer_score(memos, one) for one in asked if one.category != "adversarial"]
                wide += [ask(memos, one, turn_of, k=CANDIDATES) for one in asked if arguments.crossfit]
                trials.add(memos, ME, asked, partial(ask, memos, turn_of=turn_of), turn_of)
                kept.update(index_bytes(Path(folder), memos))
            size += sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            turns += len(cubes)
        if arguments.peers:
            peers["sqlite_fts5"] += full_text(conversation, asked)
            for name, (_, _, search) in PEERS.items():
                if name not in lacking:
                    peers[name] += ranked_by(search(conversation, [one.text for one in asked], embedder), asked)
    result = {
        "meta": meta(Path(tempfile.gettempdir()), track=arguments.track, conversations=arguments.conversations,
                     data_sha256=sha256(raw).hexdigest()),
        **figures(every),
        "extractive_f1": mean(answers),
        **times(timed),
        "timed": {"k": USUAL_K, "questions": len(timed), "threads": 1, "question_embedded": embedder is not None},
        "at_k_50": times(every),
        "index_bytes_per_turn": round(kept.total() / turns),
        "index_bytes_per_turn_of": {name: round(each / turns) for name, each in kept.items()},
        "vault_bytes_per_turn": round(size / turns),
        "ablation": trials.ablated(SIGNALS),
        "switches": trials.switched(),
        "crossfit": cross_fitted([shares(one, SIGNALS) for one in wide], SIGNALS) if arguments.crossfit else {},
        "peers": {name: peer_figures(those) for name, those in peers.items()},
        "not_run": {
            **({} if arguments.crossfit else {"crossfit": "--crossfit was not given"}),
            **{f"peers.{name}": why for name, why in lacking.items()},
            **({} if arguments.peers else {"peers": "--peers was not given"}),
            **({} if arguments.ablation else {"ablation": "--ablation was not given"}),
            **({} if arguments.switches else {"switches": "--switches was not given"}),
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
    parser.add_argument("--peers", action="store_true", help="other stores on the same questions (extra bench)")
    parser.add_argument("--ablation", action="store_true", help="R@10 without each signal")
    parser.add_argument("--switches", action="store_true", help="what the means of gathering several pieces give")
    parser.add_argument("--crossfit", action="store_true", help="fit the weights on one half, try them on the other")
    parser.add_argument("--json", type=Path)
    result = run(parser.parse_args())
    for name, value in result.items():
        if name not in {"meta"}:
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
