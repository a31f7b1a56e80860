"""Governance measured, both groups: `make bench-governance DATA=locomo10.json JSON=file ARGS="--entries 100000"`.

`governance_gate.py` has the write gate, redaction and attacks from the front; `governance_proof.py` attacks at rest,
isolation, erasure and the audit log; `governance_cost.py` what governance and encryption cost; `governance_recall.py`
what the gates cost in recall, on the first three conversations of the data. Each runs by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks import governance_cost, governance_gate, governance_proof, governance_recall  # noqa: E402
from tests.benchmarks.meta import meta  # noqa: E402


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--canaries", type=int, default=200)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = governance_gate.measured(asked.data)
    found |= governance_proof.measured(cases=asked.cases, canaries=asked.canaries, entries=asked.entries)
    found |= governance_cost.measured()
    found |= {} if asked.data is None else governance_recall.measured(asked.data, 3)
    about = meta(ROOT, command="bench-governance", data=asked.data is not None, entries=asked.entries)
    told = json.dumps({"meta": about} | found | {"cpus": os.cpu_count()}, indent=2)
    print(told)
    if asked.json is not None:
        asked.json.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
