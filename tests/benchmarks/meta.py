"""What all benchmarks share: the machine they ran on, and the clock."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
THREADS = 1
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
)  # fmt: skip
# LANCE_IO_THREADS stays as it is: LanceDB 0.40 hangs with one.
_PACKAGES = (
    "memos-integrations", "numpy", "faiss-cpu", "pydantic", "langgraph", "langgraph-checkpoint-sqlite",
    "langchain-core", "llama-index-core", "chromadb", "lancedb", "qdrant-edge-py", "qdrant-client", "mem0ai",
    "sqlite-vec", "pysqlite3-binary",
)  # fmt: skip


# --- the machine


def single_threaded() -> None:
    """Start this program again with every library held to one thread; does nothing where that is so already.

    The thread pools read their variables once, when the library is loaded: too early for a setting made in `main`.
    """
    if all(os.environ.get(name) == str(THREADS) for name in _THREAD_VARIABLES):
        return
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(THREADS)))
    sys.stdout.flush()
    os.execv(sys.executable, sys.orig_argv)


def meta(folder: Path, **said: Any) -> dict[str, Any]:
    """The circumstances of a run: machine, date, versions, commit, and whatever else is said (sizes, seeds)."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed_since_commit": bool(_git("status", "--porcelain", "--", "memos_integrations", "tests/benchmarks")),
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.processor(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "memory": _field(Path("/proc/meminfo"), "MemTotal"),
            "load": [round(load, 2) for load in os.getloadavg()],
            "file_system": _file_system(folder),
        },
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "threads": THREADS,
        **said,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _field(file: Path, name: str) -> str:
    """The first `name : value` of a file of the kernel's; empty where there is no such file."""
    if not file.exists():
        return ""
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _file_system(folder: Path) -> str:
    """What kind of file system a folder stands on: on a tmpfs a durable write costs nothing, and proves nothing."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    kinds = {Path(parts[1]): parts[2] for parts in map(str.split, mounts.read_text().splitlines())}
    return next((kinds[place] for place in (folder.resolve(), *folder.resolve().parents) if place in kinds), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def private_bytes() -> tuple[int, int]:
    """Memory that is this process's alone: (anonymous, all private pages). The second counts mapped files too.

    Raises:
        OSError: The kernel does not tell (`/proc/self/smaps_rollup` is Linux's).
    """
    sizes = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        sizes[name.rstrip(":")] = int(size) * 1024
    return sizes["Anonymous"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def short_of_memory() -> bool:
    """Whether less than a third of the machine's memory is left, as far as the kernel tells."""
    left, whole = (_field(Path("/proc/meminfo"), name).partition(" ")[0] for name in ("MemAvailable", "MemTotal"))
    return bool(left and whole) and 3 * int(left) < int(whole)


# --- the clock


@dataclass(slots=True)
class Timing:
    """How long one thing took, each time: wall and CPU milliseconds (of all threads of this process)."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        """Median of the wall time."""
        return statistics.median(self.wall)

    @property
    def cpu_p50(self) -> float:
        """Median of the CPU time."""
        return statistics.median(self.cpu)

    @property
    def p95(self) -> float:
        """The wall time that 95 in 100 stay within (nearest rank)."""
        return sorted(self.wall)[max(0, -(-len(self.wall) * 95 // 100) - 1)]

    def figures(self) -> dict[str, float]:
        """What a result file says of it. `n` below 100 means that the p95 is not worth much."""
        return {"p50_ms": self.p50, "p95_ms": self.p95, "cpu_p50_ms": self.cpu_p50, "n": len(self.wall)}


MIN_REPEATS = 5


def together(
    acts: Mapping[str, Callable[[T], object]], over: Sequence[T], *, warm_up: int = 5, limit_s: float = 60.0
) -> dict[str, Timing]:
    """Time several things on the same items, turn by turn, so that they meet the same load of the machine.

    The first *warm_up* items are not counted. After *limit_s* seconds no more items are taken, but never fewer than
    `MIN_REPEATS`.
    """
    timings = {name: Timing() for name in acts}
    order = list(acts.items())
    started = time.perf_counter()
    for number, item in enumerate(over):
        counted = number - warm_up
        if counted >= MIN_REPEATS and time.perf_counter() - started > limit_s:
            break
        for name, act in order[number % len(order) :] + order[: number % len(order)]:
            cpu, wall = time.process_time(), time.perf_counter()
            act(item)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if counted >= 0:
                timings[name].wall.append(wall * 1e3)
                timings[name].cpu.append(cpu * 1e3)
    return timings


def timed(act: Callable[[T], object], over: Sequence[T], *, warm_up: int = 5, limit_s: float = 60.0) -> Timing:
    """Time one thing; see `together`."""
    return together({"": act}, over, warm_up=warm_up, limit_s=limit_s)[""]
