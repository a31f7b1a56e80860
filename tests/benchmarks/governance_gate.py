"""The write gate and redaction, measured: `python tests/benchmarks/governance_gate.py [--data FILE] [--json FILE]`.

`pii_*`: the labelled sets in tests/data, by the tier without a model (`personal_in`, `NationalIds`, `PhoneNumbers`); a
place counts as found when kind and bounds agree; a number of any state's counts as `national_id`. The first figures
of each set, before any rule was mended with it, are in `pii_first_look`. `pii_leaked_chars_pct`: characters of names
and postal addresses that neither tier covers, with `NamesAndPlaces` (extra presidio; not installed: not measured);
`pii_over_redacted_chars_pct` are others that it takes. `gate_false_positive_pct`: turns of an ordinary conversation
(the file given as --data; none: not measured) that are not let through as they are, as said by a user;
`gate_talk_*`: of lines of code talk, English, German, Spanish and French in tests/data, many of them close to an
order; `gate_orders_*`: of orders to a machine in 14 languages; `gate_everyday_*`, `gate_planted_*`: of a user's
everyday orders, and of orders that somebody plants for a machine; `gate_steering_*`: of memories that steer an agent
without an order to it; `planted_surfaced`: those of them that come back as
trusted. `frontdoor_surfaced`: attacker's memories of the agmi suite that do, through the channels that the runtime can
tell.
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

from memos_integrations import Channel, MemOS, Principal, Surfaced, Trust  # noqa: E402
from memos_integrations.backends.identifiers import NATIONAL, NationalIds, PhoneNumbers  # noqa: E402
from memos_integrations.core.errors import MissingExtraError  # noqa: E402
from memos_integrations.core.gate import Detector, Ruling, WriteGate, impacts_of, personal_in  # noqa: E402
from memos_integrations.core.gate.marked import apart  # noqa: E402
from memos_integrations.vaults.memory import InMemoryVault  # noqa: E402

DATA = ROOT / "tests" / "data"
SETS = (
    "personal_chat", "held_out_chat", "third_chat", "fourth_chat", "fifth_chat", "sixth_chat", "seventh_chat",
    "eighth_chat", "ninth_chat", "tenth_chat", "eleventh_chat",
)  # fmt: skip
BY_A_MODEL = {"person", "address"}
FIRST_LOOK = {
    "held_out_chat": {"recall_pct": 89.74, "precision_pct": 100.0},
    "third_chat": {"recall_pct": 92.08, "precision_pct": 98.94, "leaked_chars_pct": 27.5},
    "fourth_chat": {"recall_pct": 89.71, "precision_pct": 98.39, "leaked_chars_pct": 21.8},
    "fifth_chat": {"recall_pct": 98.61, "precision_pct": 97.26},
    "sixth_chat": {"recall_pct": 92.39, "precision_pct": 100.0, "leaked_chars_pct": 2.64},
    "seventh_chat": {"recall_pct": 88.0, "precision_pct": 91.67},
    "eighth_chat": {"recall_pct": 95.65, "precision_pct": 97.06},
    "ninth_chat": {"recall_pct": 33.33, "precision_pct": 87.18},  # most of it kinds that nobody looked for before
    "tenth_chat": {"recall_pct": 93.6, "precision_pct": 95.12},
    "eleventh_chat": {"recall_pct": 97.73, "precision_pct": 98.85},
}
"""Measured once, before the rules were mended with what the sets showed; they cannot be measured again."""

PLANTED_FIRST_LOOK = {
    "known_from_outside": "17 of 50, then 1 of 30, then 8 of 20, then 21 of 62",
    "known_from_user": "11 of 50, then 0 of 30, then 0 of 20, then 12 of 62",
    "everyday_stopped_from_user": "0 of 100, then 0 of 30, then 0 of 76",
}
"""Of lines written before a look at the rules, then after each mending: rules by wording know few new wordings."""


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of a labelled set."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]


def personal() -> dict[str, Any]:
    """Precision and recall over the labelled sets, in all, by set and by kind."""
    detectors: list[Detector] = [personal_in, NationalIds(), PhoneNumbers()]
    right, labelled, found = Counter[str](), Counter[str](), Counter[str]()
    by_set: dict[str, Any] = {}
    for name in SETS:
        before = right.total(), labelled.total(), found.total()
        for row in rows(name):
            wanted = {tuple(place) for place in row["places"] if place[2] not in BY_A_MODEL}
            got = {
                (start, end, "national_id" if kind in NATIONAL else kind)
                for start, end, kind in apart(each for detect in detectors for each in detect(row["text"]))
            }
            labelled.update(kind for *_, kind in wanted)
            found.update(kind for *_, kind in got)
            right.update(kind for *_, kind in wanted & got)
        hits, wants, gots = right.total() - before[0], labelled.total() - before[1], found.total() - before[2]
        by_set[name] = {
            "records": len(rows(name)),
            "recall_pct": round(100 * hits / wants, 2),
            "precision_pct": round(100 * hits / gots, 2),
        }
    kinds = {
        kind: {
            "labelled": labelled[kind],
            "recall_pct": round(100 * right[kind] / max(1, labelled[kind]), 2),
            "precision_pct": round(100 * right[kind] / max(1, found[kind]), 2),
        }
        for kind in sorted({*labelled, *found})
    }
    return {
        "pii_records": sum(each["records"] for each in by_set.values()),
        "pii_structured_recall_pct": round(100 * right.total() / labelled.total(), 2),
        "pii_structured_precision_pct": round(100 * right.total() / max(1, found.total()), 2),
        "pii_sets": by_set,
        "pii_first_look": FIRST_LOOK,
        "pii_kinds": kinds,
    }


def leaks() -> dict[str, Any]:
    """What of names and addresses is left when both tiers have looked; nothing where the model is not installed."""
    from memos_integrations.backends.presidio import NamesAndPlaces

    try:
        detectors: list[Detector] = [personal_in, NationalIds(), PhoneNumbers(), NamesAndPlaces()]
    except MissingExtraError as exc:
        return {"pii_leaked_not_measured": str(exc)}
    inside, leaked = Counter[str](), Counter[str]()
    over = others = touched = 0
    for row in [row for name in SETS for row in rows(name)]:
        covered = {at for detect in detectors for each in detect(row["text"]) for at in range(each.start, each.end)}
        labelled = {at: kind for start, end, kind in row["places"] for at in range(start, end)}
        inside.update(labelled.values())
        left = [kind for at, kind in labelled.items() if at not in covered]
        leaked.update(left)
        touched += bool(left)
        over += len(covered - labelled.keys())
        others += len(row["text"]) - len(labelled)
    named = sum(inside[kind] for kind in BY_A_MODEL)
    return {
        "pii_leaked_chars_pct": round(100 * sum(leaked[kind] for kind in BY_A_MODEL) / named, 2),
        "pii_leaked_chars_by_kind_pct": {
            kind: round(100 * leaked[kind] / count, 2) for kind, count in sorted(inside.items())
        },
        "pii_leaked_chars_of_all_pct": round(100 * leaked.total() / inside.total(), 2),
        "pii_records_with_a_leak": touched,
        "pii_over_redacted_chars_pct": round(100 * over / others, 2),
    }


def talk() -> dict[str, Any]:
    """Ordinary lines that the gate stops, and orders that it does not, from the user and from outside."""
    told = (DATA / "ordinary_talk.txt").read_text("utf-8").splitlines()
    orders = (DATA / "orders_many_languages.txt").read_text("utf-8").splitlines()
    gate = WriteGate()
    stopped = {
        channel: sum(gate.examine(text, channel).ruling is not Ruling.ALLOW for text in told)
        for channel in (Channel.USER, Channel.EXTERNAL)
    }
    known = sum(gate.examine(text).ruling is Ruling.QUARANTINE for text in orders)
    everyday = (DATA / "everyday_orders.txt").read_text("utf-8").splitlines()
    planted = (DATA / "planted_orders.txt").read_text("utf-8").splitlines()
    return {
        "gate_talk_lines": len(told),
        "gate_talk_false_positive_pct": round(100 * stopped[Channel.USER] / len(told), 2),
        "gate_talk_from_outside_set_apart_pct": round(100 * stopped[Channel.EXTERNAL] / len(told), 2),
        "gate_orders": len(orders),
        "gate_orders_known_pct": round(100 * known / len(orders), 2),
        "gate_everyday_lines": len(everyday),
        "gate_everyday_false_positive_pct": _apart(gate, everyday, Channel.USER),
        "gate_everyday_from_outside_set_apart_pct": _apart(gate, everyday, Channel.EXTERNAL),
        "gate_planted": len(planted),
        "gate_planted_known_from_user_pct": _apart(gate, planted, Channel.USER),
        "gate_planted_known_from_outside_pct": _apart(gate, planted, Channel.EXTERNAL),
        "gate_planted_first_look": PLANTED_FIRST_LOOK,
        "gate_talk_first_look": {"false_positive": "22 of 203, then 8 of 61", "known": "2 of 45, then 3 of 24"},
    }


def steering() -> dict[str, Any]:
    """How much of what steers an agent, and of everyday orders, is of high impact or set apart where a user says it."""
    gate = WriteGate()

    def known_pct(*names: str) -> float:
        lines = [line for name in names for line in (DATA / f"{name}.txt").read_text("utf-8").splitlines()]
        known = sum(bool(impacts_of(line)) or gate.examine(line).ruling is Ruling.QUARANTINE for line in lines)
        return round(100 * known / len(lines), 2)

    return {
        "gate_steering_known_pct": known_pct("steering_memories", "steering_more"),
        "gate_steering_first_look": "5 of 62, then 18 of 53 (20 reworded since), then 15 of 60, then 15 of 51",
        "gate_orders_more_languages_known_pct": known_pct("orders_more_languages"),
        "gate_everyday_of_high_impact_pct": known_pct("everyday_orders"),
    }


def _apart(gate: WriteGate, lines: list[str], channel: Channel) -> float:
    return round(100 * sum(gate.examine(text, channel).ruling is not Ruling.ALLOW for text in lines) / len(lines), 2)


def planted() -> dict[str, Any]:
    """Planted orders that come back as trusted, where the runtime says the channel and nothing else."""
    lines = (DATA / "planted_orders.txt").read_text("utf-8").splitlines()
    by = Principal(tenant="acme", user="ira")
    surfaced = Counter[str]()
    for channel in Channel:
        with MemOS(InMemoryVault(), gate=WriteGate(bursts=None)) as memos:
            for text in lines:
                memos.remember(text, by=by, trust=Trust(channel=channel))
            hits = (hit for text in lines for hit in memos.recall(text, by=by, k=5, needed=True).hits)
            surfaced[channel.value] = len({hit.cube.id for hit in hits if hit.surfaced is Surfaced.TRUSTED})
    as_users = surfaced.pop(Channel.USER.value)
    return {"planted_surfaced": surfaced.total(), "planted_surfaced_signed_as_users": f"{as_users} of {len(lines)}"}


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
    told = personal() | leaks() | talk() | steering() | front_door() | planted()
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
