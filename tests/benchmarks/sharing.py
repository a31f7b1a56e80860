"""Sharing: bundles, and events where their benchmark is there.

python tests/benchmarks/sharing.py --cubes 100000 --events 5000 --json FILE

Without sizes it is small, and ends in about a minute.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks import sharing_bundles  # noqa: E402
from tests.benchmarks.meta import THREADS, meta, single_threaded  # noqa: E402

EVENTS = "tests.benchmarks.sharing_events"


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cubes", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    single_threaded()
    found: dict[str, Any] = {"not_run": {}}
    if importlib.util.find_spec(EVENTS) is None:
        found["not_run"]["events"] = "there is no tests/benchmarks/sharing_events.py"
    else:
        found |= importlib.import_module(EVENTS).measured(asked.events)
    found |= sharing_bundles.measured(asked.cubes)
    told = json.dumps({"meta": meta(ROOT, cubes=asked.cubes, events=asked.events, threads=THREADS)} | found, indent=2)
    print(told)
    if asked.json is not None:
        asked.json.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
