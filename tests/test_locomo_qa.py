"""The end-to-end benchmark, with a scripted chat model over a conversation made up here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage

from tests.benchmarks import locomo_qa
from tests.benchmarks.qa_score import f1, score
from tests.langchain.scripted import ScriptedModel


def says(messages: list[BaseMessage]) -> AIMessage:
    """Reads the memory for the answer, and judges by comparing words."""
    text = str(messages[-1].text)
    if text.startswith("{"):
        told = json.loads(text)
        return AIMessage("RIGHT" if told["reference"].lower() in told["answer"].lower() else "WRONG")
    return AIMessage("a canoe" if "canoe" in text.split("Question:", maxsplit=1)[0] else "not mentioned")


MODEL = ScriptedModel(lines=[says])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    turns = [("Mia", "I bought a canoe yesterday."), ("Ole", "Lovely! Mine is a kayak."), ("Mia", "We paddle at dawn.")]
    made = [
        {
            "sample_id": "made-up",
            "conversation": {
                "speaker_a": "Mia",
                "speaker_b": "Ole",
                "session_1_date_time": "1:00 pm on 8 May, 2023",
                "session_1": [
                    {"speaker": who, "dia_id": f"D1:{place}", "text": text}
                    for place, (who, text) in enumerate(turns, 1)
                ],
            },
            "qa": [
                {"question": "What did Mia buy?", "answer": "canoe", "evidence": ["D1:1"], "category": 4},
                {
                    "question": "When did Mia buy the canoe?",
                    "answer": "7 May 2023",
                    "evidence": ["D1:1"],
                    "category": 2,
                },
            ],
        }
    ]
    file = tmp_path / "made.json"
    file.write_text(json.dumps(made))
    return file


def run(data: Path, **more: str) -> dict[str, Any]:
    out = data.with_name("qa.json")
    extra = [part for name, value in more.items() for part in (f"--{name}", value)]
    locomo_qa.main(["--data", str(data), "--model", "tests.test_locomo_qa:MODEL", "--json", str(out), *extra])
    read: dict[str, Any] = json.loads(out.read_text())
    return read


def test_every_system_answers_and_is_judged(data: Path) -> None:
    systems = run(data)["systems"]
    assert set(systems) == set(locomo_qa.SYSTEMS)
    assert systems["memos"]["strict_pct"] == 50.0
    assert systems["full_context"]["strict_pct"] == 50.0
    assert systems["no_memory"]["strict_pct"] == 0.0
    assert systems["extractive"]["f1"] > systems["no_memory"]["f1"]
    assert systems["full_context"]["input_tokens"] > systems["no_memory"]["input_tokens"]
    assert systems["memos"]["unjudged"] == 0


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(data: Path) -> None:
    first = run(data)
    journal = data.with_name("qa.jsonl")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20] + "\n")
    before = len(MODEL.shown)
    again = run(data)
    assert len(MODEL.shown) - before <= 3
    assert {name: one["f1"] for name, one in again["systems"].items()} == {
        name: one["f1"] for name, one in first["systems"].items()
    }


def test_the_official_score() -> None:
    assert f1("The books", "a book") == 1.0
    assert f1("tea", "coffee") == 0.0
    assert score("painting, swimming", "swim, paint", 1) == 1.0
    assert score("Yes", "Yes; she likes it", 3) == 1.0
    assert score("7 May 2023", "May 7, 2023", 2) == 1.0
