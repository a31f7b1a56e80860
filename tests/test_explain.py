"""A recall explains itself, to people and to programs; `memos answer` and `memos ask --explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memos_integrations import MemOS, Principal
from memos_integrations.cli import main
from memos_integrations.core.cube import Channel, Trust
from memos_integrations.core.operator.surfacing import Shown, TrustGate
from memos_integrations.vaults.memory import InMemoryVault

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


def test_it_says_why_what_is_no_hit_was_left_out() -> None:
    with MemOS(InMemoryVault(), gate=None, trust=TrustGate(untrusted=Shown.HELD_BACK)) as memos:
        for number in range(6):
            memos.remember(f"Canoe {number} has a paddle. {'It is old. ' * 10 * (number == 2)}", by=ANA)
        memos.remember("A canoe, says the page.", by=ANA, trust=Trust(channel=Channel.EXTERNAL))
        memos.remember("A canoe that only Ben may see.", by=Principal(tenant="local", user="ben"))
        explained = memos.recall("canoe", by=ANA, k=3, token_budget=36, needed=True).explain()
        everything = memos.recall("canoe", by=ANA, k=20, needed=True).explain()
    assert explained.considered == 7
    assert sum(explained.left_out_as.values()) == explained.left_out == 7 - len(explained.hits)
    assert everything.left_out_as == {"held back as not trusted": 1}
    assert "Left out  1 (1 held back as not trusted)" in str(everything)
    with MemOS(InMemoryVault()) as memos:
        memos.remember_many((f"Canoe {number}. {'It is old. ' * 10}" for number in range(5)), by=ANA)
        tight = memos.recall("canoe", by=ANA, k=5, token_budget=80, needed=True).explain()
    assert tight.left_out_as == {"too long for what is left of the token budget": 5 - len(tight.hits)}
