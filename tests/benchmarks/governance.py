"""Governance measured, all groups joined: `make bench-governance DATA=locomo10.json JSON=file`.

Each group is a script of its own with a function `measured(data)`; a group that is not there is named as missing.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

GROUPS = ("governance_gate", "governance_proof")


def measured(data: Path | None) -> dict[str, Any]:
    """The figures of all groups; a key of two groups is an error."""
    told: dict[str, Any] = {}
    for group in GROUPS:
        name = f"tests.benchmarks.{group}"
        if importlib.util.find_spec(name) is None:
            told[f"{group}_missing"] = True
            continue
        found = importlib.import_module(name).measured(data)
        if told.keys() & found.keys():
            raise ValueError(f"{group} says again: {sorted(told.keys() & found.keys())}")
        told |= found
    return told


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    told = json.dumps(measured(asked.data), indent=2)
    print(told)
    if asked.json is not None:
        asked.json.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
