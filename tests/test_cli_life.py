"""The commands over time: consolidate, decisions, undo, move, tick, roll-back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app

ANA = Principal(tenant="local", user="ana")
THEN = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """A vault in which one fact replaced another."""
    with MemOS.open(tmp_path, clock=lambda: THEN) as memos:
        memos.remember("I live in Lisbon.", by=ANA, occurred_at=THEN - timedelta(days=9))
        memos.remember("I moved to Porto.", by=ANA, occurred_at=THEN)
        memos.remember("A code for a day.", by=ANA, ttl=timedelta(days=1))
    return tmp_path


def run(vault: Path, *words: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, [*words, "--vault", str(vault), "--user", "ana", "--json"])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_contradiction_is_settled_shown_and_undone(vault: Path) -> None:
    (decision,) = run(vault, "consolidate")["decisions"]
    assert decision["ruling"] == "supersede"
    assert run(vault, "decisions", decision["older"])["decisions"][0]["id"] == decision["id"]
    shown = CliRunner().invoke(app, ["decisions", decision["newer"], "--vault", str(vault), "--user", "ana"])
    assert "I live in Lisbon." in shown.stdout
    assert run(vault, "undo", decision["id"])["undone"]
    assert run(vault, "consolidate")["decisions"] == []


def test_the_past_is_asked_about_and_shown(tmp_path: Path) -> None:
    now = [THEN]
    with MemOS.open(tmp_path, clock=lambda: now[0]) as memos:
        cube = memos.remember("The gate code is old.", by=ANA)
        now[0] += timedelta(days=9)
        memos.update(cube.id, by=ANA, text="The gate code is new.")
    at = ("--as-of", "2026-03-03T00:00Z")
    assert [run(tmp_path, "show", cube.id, *more)["version"] for more in ((), at)] == [2, 1]
    assert run(tmp_path, "ask", "What is the gate code?", *at)["hits"][0]["text"] == "The gate code is old."
    assert "old" in str(run(tmp_path, "answer", "What is the gate code?", *at)["sentence"])
    gone = CliRunner().invoke(
        app, ["show", cube.id, "--vault", str(tmp_path), "--user", "ana", "--as-of", "2026-03-01"]
    )
    assert gone.exit_code != 0


def test_memories_age_and_move(vault: Path) -> None:
    assert len(run(vault, "tick")["expired"]) == 1
    with MemOS.open(vault) as memos:
        cube = memos.remember("A fact.", by=ANA)
    assert run(vault, "move", cube.id, "archived") == {"id": cube.id, "state": "archived", "version": 1}


def test_a_vault_is_rolled_back(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        cube = memos.remember("A fact that came too much.", by=ANA)
    done = run(vault, "roll-back", "2026-03-03T00:00Z")
    assert done["archived"] == [cube.id]


def test_a_snapshot_is_named_listed_and_gone_back_to(vault: Path) -> None:
    assert run(vault, "snapshot") == {"snapshots": []}
    (made,) = run(vault, "snapshot", "before")["snapshots"]
    assert made["name"] == "before"
    shown = CliRunner().invoke(app, ["snapshot", "--vault", str(vault), "--user", "ana"])
    assert "before" in shown.stdout
    with MemOS.open(vault) as memos:
        cube = memos.remember("A fact that came too much.", by=ANA)
    assert run(vault, "roll-back", "before")["archived"] == [cube.id]


def test_an_earlier_version_is_brought_back(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, clock=lambda: THEN) as memos:
        cube = memos.remember("The gate code is old.", by=ANA)
        memos.update(cube.id, by=ANA, text="The gate code is new.")
    done = run(tmp_path, "bring-back", cube.id, "1")
    assert (done["version"], done["text"]) == (3, "The gate code is old.")
    refused = CliRunner().invoke(app, ["bring-back", cube.id, "9", "--vault", str(tmp_path), "--user", "ana"])
    assert refused.exit_code != 0


def test_memories_are_merged_and_what_is_not_told_stays(tmp_path: Path) -> None:
    with MemOS.open(tmp_path, clock=lambda: THEN) as memos:
        one, two = (memos.remember(text, by=ANA) for text in ("The cat is grey.", "The boiler is old."))
    done = run(tmp_path, "merge", one.id, two.id, "--text", "The cat is grey, and fat.")
    assert done["beside"] == [two.id]
    assert run(tmp_path, "feedback", done["id"], "helpful")["priority"] == 10
    assert run(tmp_path, "feedback", done["id"], "outdated")["state"] == "archived"


def test_a_branch_shows_what_would_be_and_is_dropped_or_merged(vault: Path) -> None:
    new = ("branch", "--remember", "My cat is called Otto.", "--ask", "What is my cat called?")
    tried = run(vault, *new)
    assert [change["what"] for change in tried["changes"]] == ["new"]
    assert "Otto" in tried["recall"]["hits"][0]["text"]
    assert not tried["merged"]
    assert run(vault, "ask", "What is my cat called Otto?")["hits"] == []
    assert run(vault, *new, "--merge")["merged"]
    assert "Otto" in run(vault, "ask", "What is my cat called?")["hits"][0]["text"]
