"""What the gates cost in recall: `python -m tests.benchmarks.governance_recall --data locomo10.json --json FILE`.

LoCoMo's questions, through words alone (no model), recall at 10: without a write gate and with a trust gate that limits
nothing, and with both gates. `trust_gate_lost_points`: as the data is, every turn told by a user.
`trust_gate_lost_mixed_points`: the second speaker is the model: half of what is asked for was not told by a user.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from memos_integrations import MemOS, TrustGate, WriteGate  # noqa: E402
from memos_integrations.core.conversation import Conversation  # noqa: E402
from memos_integrations.vaults.memory import InMemoryVault  # noqa: E402
from tests.benchmarks.recall import ME, questions  # noqa: E402

K = 10


def recalled(data: Path, number: int, told: list[dict[str, Any]], *, gated: bool, mixed: bool) -> list[float]:
    """The share of each question's evidence among the first ten, of one conversation."""
    conversation = Conversation.load(data, sample=told[number]["sample_id"])
    if mixed:
        first = conversation.messages[0].speaker
        roles = ({"role": "user" if each.speaker == first else "assistant"} for each in conversation.messages)
        messages = tuple(each.model_copy(update=role) for each, role in zip(conversation.messages, roles, strict=True))
        conversation = conversation.model_copy(update={"messages": messages})
    found: list[float] = []
    how: dict[str, Any] = {"gate": WriteGate(bursts=None)} if gated else {"trust": TrustGate(share=1.0)}
    with MemOS(InMemoryVault(), **how) as memos:
        made = memos.ingest(conversation, by=ME)
        turn_of = dict(zip(made.cubes, (message.id for message in conversation.messages), strict=True))
        for question in questions(told, number, set(turn_of.values())):
            hits = memos.recall(question.text, by=ME, k=K, token_budget=1_000_000, needed=True).hits
            got = {turn_of[hit.cube.id] for hit in hits}
            found.append(len(got & set(question.gold)) / len(question.gold))
    return found


def measured(data: Path, conversations: int = 10) -> dict[str, Any]:
    """The keys that begin with `trust_gate_`."""
    told = json.loads(data.read_text("utf-8"))
    found: dict[str, list[float]] = {"without": [], "with": [], "mixed": []}
    for number in range(min(conversations, len(told))):
        found["without"] += recalled(data, number, told, gated=False, mixed=False)
        found["with"] += recalled(data, number, told, gated=True, mixed=False)
        found["mixed"] += recalled(data, number, told, gated=True, mixed=True)
    mean = {name: 100 * sum(each) / len(each) for name, each in found.items()}
    return {
        "trust_gate_questions": len(found["with"]),
        "trust_gate_recall_at_10_without": round(mean["without"], 2),
        "trust_gate_recall_at_10": round(mean["with"], 2),
        "trust_gate_lost_points": round(mean["without"] - mean["with"], 2),
        "trust_gate_lost_mixed_points": round(mean["without"] - mean["mixed"], 2),
    }


def main() -> None:
    """Print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--conversations", type=int, default=10)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    text = json.dumps(measured(asked.data, asked.conversations), indent=2)
    print(text)
    if asked.json is not None:
        asked.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
