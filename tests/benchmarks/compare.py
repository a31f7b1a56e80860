"""Peers on the corpus, each in a process of its own, one after the other.

    python tests/benchmarks/compare.py NAME --cubes N --tenants T --seed S --seconds CAP --folder DIR

A peer that is not through in its time, or before memory runs short, is reported with what it had loaded until then
(`n`, `capped`); one that cannot run at all, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.corpus import DIM, Corpus, Floats, Lookup, Numbers, Rows, recall_at
from tests.benchmarks.meta import short_of_memory, single_threaded, timed
from tests.benchmarks.peers import PEERS, K, Peer

SINGLE, ASKED, WARM_UP = 25, 53, 3
STEP_SECONDS = 20.0


def compare(
    names: Sequence[str], corpus: Corpus, folder: Path, seconds: float, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What each peer did, and why the others did nothing. *seconds* is the time to load, for each."""
    done: dict[str, Any] = {}
    not_run: dict[str, str] = {}
    for name in names:
        say(f"peer {name}")
        place = folder / name
        place.mkdir(parents=True)
        result, failure = _alone(name, corpus, place, seconds)
        if result is None:
            not_run[f"peers.{name}"] = failure
        else:
            done[name] = result
        shutil.rmtree(place, ignore_errors=True)
    return done, not_run


def _alone(name: str, corpus: Corpus, place: Path, seconds: float) -> tuple[dict[str, Any] | None, str]:
    """A peer's figures from a process of its own, or the reason why there are none."""
    sizes = {"cubes": corpus.cubes, "tenants": corpus.tenants, "seed": corpus.seed, "seconds": seconds}
    options = [part for key, value in sizes.items() for part in (f"--{key}", str(value))]
    # Loading may take its time once, building what is built after it once more.
    whole = 2 * seconds + 8 * STEP_SECONDS
    try:
        ran = subprocess.run(
            [sys.executable, __file__, name, *options, "--folder", str(place)],
            capture_output=True, text=True, timeout=whole, check=False,
        )  # fmt: skip
        failure = next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), f"exit {ran.returncode}")
    except subprocess.TimeoutExpired:
        failure = f"not through within {whole:.0f} s; it was stopped"
    file = _result(place)
    if not file.exists():
        return None, failure[:300]
    result: dict[str, Any] = json.loads(file.read_text())
    if not result["finished"]:
        result |= {"capped": True, "stopped": failure[:300]}
    return result, ""


def _result(folder: Path) -> Path:
    return folder / "result.json"


# --- in the peer's own process


class Trial:
    """One peer, loaded with as much of the corpus as it takes in its time."""

    def __init__(self, peer: Peer, lookup: Lookup, corpus: Corpus, seconds: float) -> None:
        self._peer, self._lookup, self._corpus = peer, lookup, corpus
        self._questions = corpus.questions(ASKED)
        lookup.know(self._questions)
        self._vectors: Floats = np.empty((corpus.cubes + SINGLE, DIM), dtype=np.float32)
        cpu, wall = time.process_time(), time.perf_counter()
        loaded = self._load(wall + seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        added = self._add_singly()
        self._numbers: Numbers = np.concatenate(
            [np.arange(loaded), np.arange(corpus.cubes, corpus.cubes + added["n_added"])]
        ).astype(np.int64)
        self._vectors = self._vectors[: self._numbers.size]
        self.figures: dict[str, Any] = {
            "n": loaded,
            "capped": loaded < corpus.cubes,
            "survives": peer.survives,
            "load_s": wall,
            "load_per_s": loaded / wall,
            "load_per_cpu_s": loaded / cpu,
            **added,
        }

    def _load(self, until: float) -> int:
        loaded = 0
        for rows in self._corpus.chunks(self._peer.batch):
            if time.perf_counter() > until or short_of_memory():
                break
            self._lookup.know(rows)
            self._peer.add(rows)
            self._lookup.forget(rows)
            self._vectors[loaded : loaded + len(rows)] = rows.vectors
            loaded += len(rows)
        self._loaded = loaded
        return loaded

    def _add_singly(self) -> dict[str, float]:
        rows = self._corpus.added(SINGLE)
        self._lookup.know(rows)
        given = 0

        def add(row: Rows) -> None:
            nonlocal given
            self._peer.add(row)
            self._vectors[self._loaded + given] = row.vectors[0]
            given += 1

        timing = timed(add, rows.singly(), warm_up=WARM_UP, limit_s=STEP_SECONDS).figures()
        return {"add_p50_ms": timing["p50_ms"], "add_cpu_p50_ms": timing["cpu_p50_ms"], "n_added": given}

    def searched(self) -> dict[str, float]:
        """Search times and recall, in one tenant and in all."""
        figures: dict[str, float] = {}
        for scope, of_all in (("tenant_search", False), ("global_search", True)):
            recalls: list[float] = []
            found: list[tuple[Rows, list[int]]] = []

            def ask(one: Rows, of_all: bool = of_all, found: list[tuple[Rows, list[int]]] = found) -> None:
                tenant = None if of_all else one.tenants[0]
                found.append((one, self._peer.search(one.texts[0], one.vectors[0], tenant)))

            timing = timed(ask, self._questions.singly(), warm_up=WARM_UP, limit_s=STEP_SECONDS).figures()
            recalls = [self._recall(one, numbers, of_all) for one, numbers in found]
            figures |= {f"{scope}_{name}": value for name, value in timing.items()}
            figures["global_recall" if of_all else "recall"] = fmean(recalls)
        return figures

    def _recall(self, one: Rows, found: list[int], of_all: bool) -> float:
        mine = slice(None) if of_all else self._numbers % self._corpus.tenants == one.tenants[0]
        return recall_at(found, self._numbers[mine], self._vectors[mine], one.vectors[0], K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    for name in ("--cubes", "--tenants", "--seed"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    said = parser.parse_args()
    single_threaded()
    lookup = Lookup()
    place: Path = said.folder / "store"
    place.mkdir()
    peer = PEERS[said.name](place, lookup)
    trial = Trial(peer, lookup, Corpus(said.cubes, said.tenants, said.seed), said.seconds)
    # Kept before what may take too long, so that it is not lost.
    figures = {**trial.figures, **trial.searched(), "finished": False}
    _keep(said.folder, figures)
    started = time.perf_counter()
    if peer.settle():
        figures |= {"settle_s": time.perf_counter() - started} | trial.searched()
    _keep(said.folder, figures | {"finished": True})
    peer.close()
    sys.stdout.flush()
    os._exit(0)  # some peers' own threads keep a process alive


def _keep(folder: Path, figures: dict[str, Any]) -> None:
    aside = folder / "result.tmp"
    aside.write_text(json.dumps(figures))
    aside.replace(_result(folder))


if __name__ == "__main__":
    main()
