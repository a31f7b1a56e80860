"""What the LlamaIndex door adds: each postprocessor to a query, a memory to a turn, beside the engine's own recall.

    python tests/benchmarks/doors_llama.py --cubes 10000 --json doors_llama.json

`doors.py` may take the rows from `rows`. The vault is a real one on disk, lexical, with all its rules on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from tests.benchmarks.doors import WORDS, filled
from tests.benchmarks.meta import Timing, meta, single_threaded, together


def rows(memos: MemOS, questions: Sequence[str], by: Principal) -> dict[str, Timing]:
    """Timings of the engine and of each part of the door, question by question, in turn."""
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.schema import QueryBundle

    from memos_integrations.llama_index import (
        MemOSAccessPostprocessor,
        MemOSMemory,
        MemOSNodePostprocessor,
        MemOSRerankPostprocessor,
        MemOSRetriever,
    )

    found = MemOSRetriever(memos, principal=by, k=8).retrieve(questions[0])
    add, guard = MemOSNodePostprocessor(memos, principal=by), MemOSAccessPostprocessor(memos, principal=by)
    rerank, retriever = MemOSRerankPostprocessor(memos, principal=by), MemOSRetriever(memos, principal=by)
    memory = MemOSMemory(memos, principal=by, session_id="bench")

    def turn(text: str) -> None:
        memory.put(ChatMessage(role="user", content=text))
        memory.get()

    return together(
        {
            "engine": lambda text: memos.recall(text, by=by, needed=True),
            "postprocessor": lambda text: add.postprocess_nodes([], query_bundle=QueryBundle(text)),
            "postprocessor_access": lambda text: guard.postprocess_nodes(found, query_bundle=QueryBundle(text)),
            "postprocessor_rerank": lambda text: rerank.postprocess_nodes(found, query_bundle=QueryBundle(text)),
            "llama_retriever": retriever.retrieve,
            "memory_turn": turn,
        },
        list(questions),
    )


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cubes", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    dice, by = random.Random(arguments.seed), Principal(tenant="bench", user="ana")
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), arguments.cubes, dice, by) as memos:
        questions = [
            f"What about the {dice.choice(WORDS)} and the {dice.choice(WORDS)}?" for _ in range(arguments.turns)
        ]
        timings = rows(memos, questions, by)
        about = {"cubes": arguments.cubes, "turns": arguments.turns, "seed": arguments.seed}
        result: dict[str, Any] = {
            **{f"{name}_p50_ms": timing.p50 for name, timing in timings.items()},
            **{f"{name}_p95_ms": timing.p95 for name, timing in timings.items()},
            "timings": {name: timing.figures() for name, timing in timings.items()},
            "not_run": {},
            "meta": meta(Path(folder), **about),
        }
    table = Table("", "p50 ms", "p95 ms", "CPU p50 ms", "n", title=f"{arguments.cubes:,} cubes, 1 thread")
    for name, row in result["timings"].items():
        table.add_row(name, *(f"{row[key]:.2f}" for key in ("p50_ms", "p95_ms", "cpu_p50_ms")), str(row["n"]))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    single_threaded()
    main()
