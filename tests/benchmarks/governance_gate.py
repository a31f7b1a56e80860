"""The write gate and redaction, measured: `python tests/benchmarks/governance_gate.py [--data FILE] [--json FILE]`.

`pii_*`: the labelled set in tests/data, with the detectors of the extra `redaction`; a place counts as found when kind
and bounds agree (a national number of any country is one kind). Leaked characters are those of labelled places that no
found place covers. `pii_second_*`: the second set, written without a look at the rules; its first figures, before the
rules were mended after it, were recall 89.74 % and precision 100 %. `gate_false_positive_pct`: turns of an ordinary
conversation (the file given as --data; none: not measured) that are not let through as they are, as said by a user.
`frontdoor_surfaced`: attacker's memories of the agmi suite that come back as trusted, through the channels that the
runtime can tell.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from memos_integrations.backends.identifiers import NATIONAL, NationalIds  # noqa: E402
from memos_integrations.core.gate import Marked, Ruling, WriteGate, personal_in  # noqa: E402
from memos_integrations.core.gate.marked import apart  # noqa: E402

LABELLED = ROOT / "tests" / "data" / "personal_chat.jsonl"
SECOND = ROOT / "tests" / "data" / "held_out_chat.jsonl"
UNSTRUCTURED = frozenset({"person", "address"})
"""What only a model finds."""

NATIONAL_IDS = NationalIds()


def detected(text: str) -> list[Marked]:
    """The personal places that the gate would take out, with every detector that needs no model."""
    found = apart([*personal_in(text), *NATIONAL_IDS(text)])
    return [each._replace(kind="national_id") if each.kind in NATIONAL else each for each in found]


def personal(data: Path) -> dict[str, Any]:
    """Precision and recall over a labelled set, in all and by kind."""
    right, labelled, found = Counter[str](), Counter[str](), Counter[str]()
    leaked = characters = 0
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    for row in rows:
        wanted = {tuple(place) for place in row["places"] if place[2] not in UNSTRUCTURED}
        got = {tuple(place) for place in detected(row["text"])}
        labelled.update(kind for *_, kind in wanted)
        found.update(kind for *_, kind in got)
        right.update(kind for *_, kind in wanted & got)
        covered = {at for start, end, _ in got for at in range(start, end)}
        inside = [at for start, end, _ in wanted for at in range(start, end)]
        characters += len(inside)
        leaked += sum(at not in covered for at in inside)
    kinds = {
        kind: {
            "labelled": labelled[kind],
            "recall_pct": round(100 * right[kind] / max(1, labelled[kind]), 2),
            "precision_pct": round(100 * right[kind] / max(1, found[kind]), 2),
        }
        for kind in sorted({*labelled, *found})
    }
    return {
        "pii_records": len(rows),
        "pii_structured_recall_pct": round(100 * right.total() / labelled.total(), 2),
        "pii_structured_precision_pct": round(100 * right.total() / max(1, found.total()), 2),
        "pii_structured_leaked_chars_pct": round(100 * leaked / characters, 2),
        "pii_kinds": kinds,
    }


def false_positives(path: Path) -> dict[str, Any]:
    """How much of an ordinary conversation the gate does not let through as it is."""
    told = json.loads(path.read_text("utf-8"))
    turns = [
        turn["text"]
        for each in told
        for name, session in each["conversation"].items()
        if name.startswith("session") and isinstance(session, list)
        for turn in session
        if turn.get("text")
    ]
    gate = WriteGate(personal=Ruling.REDACT)
    stopped = sum(gate.examine(text).ruling is not Ruling.ALLOW for text in turns)
    return {"gate_turns": len(turns), "gate_false_positive_pct": round(100 * stopped / len(turns), 3)}


def front_door() -> dict[str, Any]:
    """How many planted memories come back as trusted, through the channels that the runtime can tell."""
    from tests.core.agmi_front_door import outcomes

    found = outcomes()
    told = {name: each for name, each in found.items() if not name.endswith("agent-laundered")}
    return {
        "frontdoor_surfaced": sum(outcome is True for each in told.values() for outcome in each),
        "frontdoor_no_verdict": sum(outcome is None for each in told.values() for outcome in each),
        "frontdoor_cases": sum(map(len, told.values())),
        "frontdoor_by_attack": {
            name: f"{sum(outcome is True for outcome in each)} of {len(each)}" for name, each in found.items()
        },
    }


def measured(data: Path | None) -> dict[str, Any]:
    """All figures of this part."""
    second = {name.replace("pii_", "pii_second_", 1): value for name, value in personal(SECOND).items()}
    told = personal(LABELLED) | second | front_door()
    return told | (false_positives(data) if data is not None else {})


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
