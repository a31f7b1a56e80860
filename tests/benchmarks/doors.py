"""What the doors add to a turn: middleware, retriever, node postprocessor; with the engine down; and their imports.

    python tests/benchmarks/doors.py --cubes 10000 --json doors.json

A turn is one `agent.invoke` with a scripted model that answers at once, so that what is left is LangChain's own work;
`middleware_*` is the turn with the middleware less the turn without it, item by item, both timed in turn. The vault is
a real one on disk, lexical, with all its rules on; what the middleware writes is durable when the turn ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations import MemOS, Principal
from memos_integrations.core.conversation import Conversation, Message
from memos_integrations.vaults.memory import InMemoryVault
from tests.benchmarks.meta import Timing, meta, single_threaded, timed, together

BOX_S = 0.1
"""The limit of time that the middleware gets for each touch of an engine that hangs."""

DOORS = {"base": "", "langchain": ".langchain", "langgraph": ".langgraph", "llama_index": ".llama_index"}
WORDS = (
    "amber anchor apple autumn badge bakery barley basket beacon bicycle blanket bottle branch bridge bronze button "
    "cabin candle canyon carpet castle cedar cherry chimney clover coast copper corner cotton cradle crystal curtain "
    "daisy desert dinner dragon drawer eagle ember engine fabric falcon feather fiddle forest fountain garden ginger "
    "glacier hammer harbour hazel helmet honey island jacket jasmine kettle ladder lantern lemon library lobster maple "
    "marble meadow mirror morning mountain museum needle nutmeg ocean olive orchard paddle paper pebble pepper piano "
    "pillow pocket prairie pumpkin quarry ribbon river saddle salmon shadow silver spindle summer sunset table teapot "
    "thunder ticket timber tulip umbrella valley velvet violin walnut water whistle willow window winter"
).split()


@dataclass
class Who:
    """Whose turn it is."""

    tenant: str
    user_id: str


class HungVault(InMemoryVault):
    """A vault that answers late."""

    hangs = 0.0

    def search(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(self.hangs)
        return super().search(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(self.hangs)
        return super().submit(*args, **kwargs)


def sentence(dice: random.Random, length: int = 9) -> str:
    """Words that share some of their kind with others, as sentences do."""
    return " ".join(dice.choice(WORDS) for _ in range(length)).capitalize() + "."


def filled(folder: Path, cubes: int, dice: random.Random, by: Principal) -> MemOS:
    """A vault on disk with so many memories of one principal."""
    memos = MemOS.open(folder / "vault")
    messages = [Message(id=str(number), speaker="Ana", text=sentence(dice)) for number in range(cubes)]
    memos.ingest(Conversation(id="filling", source="bench", participants=(), messages=tuple(messages)), by=by)
    return memos


def turns(memos: MemOS, questions: list[str], by: Principal) -> tuple[dict[str, Timing], list[float]]:
    """Turns with and without the middleware, and what it adds, item by item."""
    from langchain.agents import create_agent

    from memos_integrations.langchain import MemOSMiddleware
    from tests.langchain.scripted import ScriptedModel

    who = Who(by.tenant, by.user)
    agents = {
        "bare_turn": create_agent(ScriptedModel(), [], context_schema=Who),
        "turn": create_agent(ScriptedModel(), [], context_schema=Who, middleware=[MemOSMiddleware(memos)]),
        "turn_reading_only": create_agent(
            ScriptedModel(), [], context_schema=Who, middleware=[MemOSMiddleware(memos, remember=())]
        ),
    }
    acts = {
        name: (lambda text, agent=agent: agent.invoke({"messages": text}, context=who))
        for name, agent in agents.items()
    }
    timings = together(acts, questions)
    return timings, [a - b for a, b in zip(timings["turn"].wall, timings["bare_turn"].wall, strict=True)]


def down(questions: list[str], by: Principal, late_s: float) -> Timing:
    """Turns with an engine that answers too late: the agent answers all the same, within the time allowed."""
    from langchain.agents import create_agent

    from memos_integrations.langchain import MemOSMiddleware
    from tests.langchain.scripted import ScriptedModel

    vault = HungVault()
    memos = MemOS(vault)
    vault.hangs = late_s
    middleware = MemOSMiddleware(memos, timeout=BOX_S)
    agent = create_agent(ScriptedModel(), [], context_schema=Who, middleware=[middleware])
    who = Who(by.tenant, by.user)
    return timed(lambda text: agent.invoke({"messages": text}, context=who), questions, warm_up=0)


def readers(memos: MemOS, questions: list[str], by: Principal) -> dict[str, Timing]:
    """The retriever of LangChain and the postprocessor of LlamaIndex, beside the engine itself."""
    from llama_index.core.schema import QueryBundle

    from memos_integrations.langchain import MemOSRetriever
    from memos_integrations.llama_index import MemOSNodePostprocessor

    retriever = MemOSRetriever(memos=memos, principal=by)
    post = MemOSNodePostprocessor(memos, principal=by)
    return together(
        {
            "engine": lambda text: memos.recall(text, by=by, needed=True),
            "retriever": retriever.invoke,
            "postprocessor": lambda text: post.postprocess_nodes([], query_bundle=QueryBundle(text)),
        },
        questions,
    )


def import_seconds(door: str, repeats: int) -> float:
    """CPU seconds of a fresh interpreter that opens a door, less those of one that opens none."""
    code = "import time; t = time.process_time(); {} print(time.process_time() - t)"
    line = f"import memos_integrations{DOORS[door]};"
    told = [subprocess.run([sys.executable, "-c", code.format(line)], capture_output=True, text=True, check=True).stdout
            for _ in range(repeats)]  # fmt: skip
    return median(map(float, told))


def measured(folder: Path, cubes: int, turns_each: int, seed: int, imports: int) -> dict[str, Any]:
    """All figures."""
    dice, by = random.Random(seed), Principal(tenant="bench", user="ana")
    memos = filled(folder, cubes, dice, by)
    questions = [f"What about the {dice.choice(WORDS)}, the {dice.choice(WORDS)} and the {dice.choice(WORDS)}?"
                 for _ in range(turns_each + 5)]  # fmt: skip
    with memos:
        reading = readers(memos, questions, by)
        timings, added = turns(memos, questions, by)
    added_timing = Timing(wall=added, cpu=added)
    late, hung = down(questions[:10], by, late_s=2.5 * BOX_S), down(questions[:10], by, late_s=30.0)
    every = {**reading, **timings, "engine_late_turn": late, "engine_hung_turn": hung}
    return {
        "middleware_p50_ms": added_timing.p50,
        "middleware_p95_ms": added_timing.p95,
        "middleware_cpu_p50_ms": timings["turn"].cpu_p50 - timings["bare_turn"].cpu_p50,
        "middleware_reading_only_p50_ms": timings["turn_reading_only"].p50 - timings["bare_turn"].p50,
        "retriever_p50_ms": reading["retriever"].p50,
        "retriever_p95_ms": reading["retriever"].p95,
        "postprocessor_p50_ms": reading["postprocessor"].p50,
        "postprocessor_p95_ms": reading["postprocessor"].p95,
        "engine_p50_ms": reading["engine"].p50,
        "engine_late_turn_p50_ms": late.p50,
        "engine_late_turn_max_ms": max(late.wall),
        "engine_down_turn_p50_ms": hung.p50,
        "engine_down_turn_max_ms": max(hung.wall),
        "engine_down_box_ms": BOX_S * 1e3,
        "import_s": {door: import_seconds(door, imports) for door in DOORS},
        "timings": {name: timing.figures() for name, timing in every.items()},
        "not_run": {},
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cubes", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--imports", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        result = measured(Path(folder), arguments.cubes, arguments.turns, arguments.seed, arguments.imports)
        about = {"cubes": arguments.cubes, "turns": arguments.turns, "seed": arguments.seed}
        result["meta"] = meta(Path(folder), **about)
    table = Table("", "p50 ms", "p95 ms", "CPU p50 ms", "n", title=f"{arguments.cubes:,} cubes, 1 thread")
    for name, row in result["timings"].items():
        table.add_row(name, *(f"{row[key]:.2f}" for key in ("p50_ms", "p95_ms", "cpu_p50_ms")), str(row["n"]))
    console = Console()
    console.print(table)
    console.print({name: round(value, 2) for name, value in result.items() if isinstance(value, float)})
    console.print("import, CPU s:", {name: round(value, 2) for name, value in result["import_s"].items()})
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    single_threaded()
    logging.disable()  # the middleware says of every late turn that it goes on without memory
    main()
