"""A recall explains itself, to people and to programs; `memos answer` and `memos ask --explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.cli import main

ANA = Principal(tenant="local", user="ana")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    with MemOS.open(tmp_path) as memos:
        memos.remember("The spare key is in the blue drawer.", by=ANA)
        memos.remember("The canoe has three paddles.", by=ANA)
        memos.remember("A key that only Ben may see.", by=Principal(tenant="local", user="ben"))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert not left.value.code
    return capsys.readouterr().out


def test_it_counts_only_what_one_may_see(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        explained = memos.recall("Where is the spare key?", by=ANA, k=1).explain()
    assert explained.considered == len(explained.hits) + explained.left_out <= 2
    assert explained.hits[0].score == pytest.approx(sum(explained.hits[0].parts.values()))
    assert "Ben" not in str(explained)
    assert "step 1" in str(explained)
    assert "everything" in explained.path


def test_what_a_notebook_shows_of_it_is_one_line(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        cube = memos.remember("The ferry " + "very " * 40 + "late.", by=ANA)
        answer = memos.answer("Where is the spare key?", by=ANA)
    assert repr(cube).startswith("MemCube('The ferry very")
    assert len(repr(cube)) < 250
    assert cube.id in repr(cube)
    assert repr(answer).startswith("Answer('the blue drawer', confidence=")
    hit = answer.recall.hits[0]
    assert repr(hit) in repr(answer.recall)
    assert repr(hit).startswith(f"Hit({round(hit.score, 2)}, why='")
    assert "MemCube('The spare key is in the blue drawer.'" in repr(hit)


def test_the_commands(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    who = ("--vault", str(vault), "--user", "ana", "--embedder", "none")
    assert "Plan" in told(capsys, "ask", "Where is the spare key?", *who, "--explain")
    asked = json.loads(told(capsys, "ask", "Where is the spare key?", *who, "--explain", "--json"))
    assert asked["explanation"]["hits"][0]["parts"]
    assert "blue drawer" in told(capsys, "answer", "Where is the spare key?", *who)
    answered = json.loads(told(capsys, "answer", "Where is the spare key?", *who, "--json"))
    assert "blue drawer" in answered["answer"]
    assert answered["evidence"]["text"] == "The spare key is in the blue drawer."
