"""The vault at size: governed search, durable writes, opening, memory; with peers on the same corpus beside it.

    python tests/benchmarks/vault.py --cubes 100k --tenants 1000 --peers all --json vault.json

Everything of ours is measured with access rules, versions, audit and outbox on. A search counts from the question to
the rows in hand, its record in the audit log durable. `timings` in the JSON holds wall and CPU of each.

Filling takes most of the time: with `--keep DIR` the filled vaults stay in DIR, and `--reuse DIR` measures on copies of
them. The figures of the fill are then those of the run that filled them, whose circumstances stand under `filled`.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

import faiss
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from memos_integrations.core.ports import Found, VaultQuery
from tests.benchmarks.compare import compare
from tests.benchmarks.corpus import DIM, Corpus, Floats, Lookup, Rows
from tests.benchmarks.kept import Vaults, filled_in, single
from tests.benchmarks.meta import Timing, meta, private_bytes, single_threaded, together
from tests.benchmarks.ours import ASKED, FIRSTS, Filled, adds, recall, searches, text_searches
from tests.benchmarks.peers import PEERS, K

OPENED = 5
TIMED = {"p50 ms": "p50_ms", "p95 ms": "p95_ms", "CPU p50 ms": "cpu_p50_ms", "n": "n"}
COMPARED = {
    "n": "n",
    "tenant ms": "tenant_search_p50_ms",
    "CPU": "tenant_search_cpu_p50_ms",
    "recall": "recall",
    "all ms": "global_search_p50_ms",
    "recall of all": "global_recall",
    "add ms": "add_p50_ms",
    "add survives": "survives",
}


# --- opening, in fresh processes


def reopened(folder: Path, corpus: Corpus) -> None:
    """Open a filled vault, answer, and print how long the first answer took and what memory is this process's own."""
    questions = corpus.questions(ASKED).singly()[:FIRSTS]
    private = _private()
    started = time.perf_counter()
    filled = Filled(folder, corpus, Lookup())
    filled.governed(VaultQuery(K, vector=questions[0].vectors[0]), questions[0].tenants[0])
    first = time.perf_counter() - started
    for one in questions[1:]:
        filled.governed(VaultQuery(K, vector=one.vectors[0]), one.tenants[0])
    grown = None if private is None else [after - b for after, b in zip(_private() or (), private, strict=True)]
    filled.memos.close()
    print(json.dumps({"open_first_answer_s": first, "private_bytes": grown}))


def _private() -> tuple[int, int] | None:
    gc.collect()
    return private_bytes() if Path("/proc/self/smaps_rollup").exists() else None


def openings(folder: Path, corpus: Corpus, cubes: int, not_run: dict[str, str], times: int) -> dict[str, float]:
    """Medians over fresh processes, one after the other; nothing is dropped from the page cache before."""
    sizes = ["--cubes", str(corpus.cubes), "--tenants", str(corpus.tenants), "--seed", str(corpus.seed)]
    command = [sys.executable, __file__, *sizes, "--reopen", str(folder)]
    answers = []
    for _ in range(times):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit(f"The vault did not open again:\n{ran.stderr}")
        answers.append(json.loads(ran.stdout.splitlines()[-1]))
    figures: dict[str, float] = {"open_first_answer_s": median(answer["open_first_answer_s"] for answer in answers)}
    grown = [answer["private_bytes"] for answer in answers]
    if None in grown:
        not_run["private_bytes_per_cube"] = "this system has no /proc/self/smaps_rollup"
        return figures
    figures["private_bytes_per_cube"] = median(anonymous for anonymous, _ in grown) / cubes
    figures["private_bytes_with_mapped_files_per_cube"] = median(whole for _, whole in grown) / cubes
    return figures


# --- the run


def of_all(
    folder: Path, corpus: Corpus, lookup: Lookup, flat: Any, timings: dict[str, Timing], *, short: bool
) -> dict[str, float]:
    """Search among everything: one principal who may read all of one giant tenant, beside FAISS Flat.

    No query of the vault crosses tenants, so the same rows stand in one tenant of a second vault.
    """
    whole = single(corpus)
    filled = Filled(folder, whole, lookup, short=short)
    found: list[tuple[Rows, Found]] = []
    acts: dict[str, Callable[[Rows], object]] = {
        "global_search": lambda one: found.append((one, filled.governed(VaultQuery(K, vector=one.vectors[0]), 0))),
        "global_flat": lambda one: flat.search(one.vectors, K),
    }
    timings |= together(acts, whole.questions(filled.asked).singly(), limit_s=120.0)
    vectors = held(flat)
    figures = {
        "global_search_p50_ms": timings["global_search"].p50,
        "global_search_p95_ms": timings["global_search"].p95,
        "global_flat_p50_ms": timings["global_flat"].p50,
        "global_recall_at_10": fmean(recall(whole, vectors, one, answer) for one, answer in found),
    }
    filled.memos.close()
    return figures


def held(flat: Any) -> Floats:
    """The vectors of a flat index where they stand, without a copy."""
    view: Floats = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * DIM).reshape(flat.ntotal, DIM)
    return view


def measure(
    corpus: Corpus,
    folder: Path,
    vaults: Vaults,
    say: Callable[[str], None],
    *,
    at_once: bool = False,
    short: bool = False,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Every figure of ours, and what could not be measured."""
    faiss.omp_set_num_threads(1)
    flat, lookup, not_run = faiss.IndexFlatIP(DIM), Lookup(), dict[str, str]()
    if at_once:
        vaults.begin(single(corpus), "all", folder)
    vaults.bring(corpus, "tenants", folder, say)
    if at_once:
        vaults.bring(single(corpus), "all", folder, say)  # before anything is timed
    for rows in corpus.chunks():
        flat.add(rows.vectors)
    filled = Filled(folder / "tenants", corpus, lookup, short=short)
    figures: dict[str, Any] = vaults.figures("tenants", corpus)
    say("searching in one tenant")
    figures |= searches(filled, held(flat)) | text_searches(filled)
    say("adding one by one")
    figures |= adds(filled, folder)
    filled.memos.close()
    say("opening it again")
    there = corpus.cubes + int(figures["added"])
    figures |= openings(folder / "tenants", corpus, there, not_run, 1 if short else OPENED)
    if not at_once:
        vaults.bring(single(corpus), "all", folder, say)
    say("searching in everything")
    figures |= of_all(folder / "all", corpus, lookup, flat, filled.timings, short=short)
    return figures | {"timings": {name: timing.figures() for name, timing in filled.timings.items()}}, not_run


def run(said: argparse.Namespace, folder: Path, console: Console) -> dict[str, Any]:
    """The whole result: ours, the peers', and the circumstances."""
    corpus = Corpus(said.cubes, said.tenants, said.seed)
    sizes = {"cubes": said.cubes, "tenants": said.tenants, "dim": DIM, "k": K, "seed": said.seed}
    about = meta(folder, **sizes, peer_seconds=said.peer_seconds, short=said.short)
    console.print(f"{said.cubes:,} cubes, {said.tenants:,} tenants, seed {said.seed}, threads {about['threads']}")
    vaults = Vaults(said.keep or said.reuse, about)
    figures, not_run = measure(corpus, folder, vaults, console.print, at_once=said.at_once, short=said.short)
    peers, failed = compare(said.peers, corpus, folder / "peers", said.peer_seconds, console.print)
    asked_not = {f"peers.{name}": "not asked for (--peers)" for name in PEERS if name not in said.peers}
    return {"meta": about, **figures, "peers": peers, "not_run": not_run | failed | asked_not}


# --- for people


def show(result: Mapping[str, Any], console: Console) -> None:
    """The result as tables."""
    ours = Table("", "value", title="ours: access rules, versions, audit and outbox on")
    for name, value in result.items():
        if isinstance(value, int | float):
            ours.add_row(name, _cell(value))
    console.print(ours)
    timings = Table("ours, timed", *TIMED)
    for name, figures in result["timings"].items():
        timings.add_row(name, *(_cell(figures[column]) for column in TIMED.values()))
    console.print(timings)
    if result["peers"]:
        peers = Table("peer", *COMPARED, title="peers, through their own API on the same corpus")
        for name, figures in result["peers"].items():
            shown = f"{name} (capped)" if figures["capped"] else name
            peers.add_row(shown, *(_cell(figures[column]) for column in COMPARED.values()))
        console.print(peers)
    for name, reason in result["not_run"].items():
        console.print(f"not run: {name}: {reason}", markup=False)


def _cell(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def count(text: str) -> int:
    """A number of cubes: `5000`, `100k` or `1m`."""
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    number = int(text.rstrip("kKmM")) * scale
    if number < 1:
        raise argparse.ArgumentTypeError("at least one is needed")
    return number


def peers_named(text: str) -> list[str]:
    """Names of peers: `all`, `none`, or a list with commas."""
    names = list(PEERS) if text == "all" else [name for name in text.split(",") if name not in {"", "none"}]
    if unknown := sorted(set(names) - PEERS.keys()):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cubes", type=count, default=5_000, help="how many memories: 5000, 100k, 1m")
    parser.add_argument("--tenants", type=count, help="default: one for every 1,000 cubes, at least 50")
    parser.add_argument("--peers", type=peers_named, default=[], help=f"all, none, or some of {','.join(PEERS)}")
    parser.add_argument("--peer-seconds", type=float, default=120.0, help="how long each peer may load")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="an empty place on the disk to measure; default: a temporary one")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="fill the vaults in this empty place, and keep them")
    parser.add_argument("--reuse", type=Path, metavar="DIR", help="measure on copies of the vaults that were kept here")
    parser.add_argument("--at-once", action="store_true", help="fill both vaults at once, on two cores")
    parser.add_argument("--short", action="store_true", help="ask a few times only: to see that it runs")
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--reopen", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    said.tenants = said.tenants or max(50, said.cubes // 1_000)
    single_threaded()
    if said.reopen:
        reopened(said.reopen, Corpus(said.cubes, said.tenants, said.seed))
        return
    if said.folder and said.folder.exists() and any(said.folder.iterdir()):
        parser.error(f"{said.folder} is not empty")
    if said.fill:
        faiss.omp_set_num_threads(1)
        filled_in(said.fill, Corpus(said.cubes, said.tenants, said.seed))
        return
    if said.keep and (said.reuse or (said.keep.exists() and any(said.keep.iterdir()))):
        parser.error(f"{said.keep} is not empty, or --reuse is given as well")
    if said.reuse and (problem := Vaults.unfit(said.reuse, Corpus(said.cubes, said.tenants, said.seed))):
        parser.error(problem)
    if said.folder:
        said.folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bench-vault-", dir=said.folder) as folder:
        result = run(said, Path(folder), console)
    show(result, console)
    if said.json:
        said.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
