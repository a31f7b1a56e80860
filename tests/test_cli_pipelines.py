"""The commands over pipelines; and the log, asked by time, actor and owner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app

ANA = Principal(tenant="local", user="ana")
GIVEN = ["--given", "person=Mira", "--given", "role=engineer", "--given", "contact=mira@example.org"]


def run(*words: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_pipeline_is_checked_rehearsed_and_run(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    with MemOS.open(vault) as memos:
        memos.remember("A kettle.", by=ANA)
    at = ["--vault", str(vault), "--user", "ana"]
    assert {each["pipeline"] for each in run("pipeline", "list")["templates"]} >= {"onboarding", "nightly"}
    assert run("pipeline", "check", "onboarding")["steps"] == 5
    dry = run("pipeline", "dry-run", "onboarding", *at, *GIVEN)
    assert (dry["dry_run"], dry["commit"], len(dry["changes"])) == (True, None, 3)
    done = run("pipeline", "run", "onboarding", *at, *GIVEN, "--run-id", "one")
    assert len(done["changes"]) == 3
    assert run("pipeline", "run", "onboarding", *at, *GIVEN, "--run-id", "one")["known"]
    text = CliRunner().invoke(app, ["pipeline", "dry-run", "nightly", *at])
    assert "memories would change" in text.stdout
    assert run("audit", "log", *at, "--operation", "pipeline")["entries"][0]["record"]["actor"] == "user:ana"
    assert run("audit", "log", *at, "--actor", "bob")["entries"] == []
    assert run("audit", "log", *at, "--owner", "ana")["entries"]
    assert run("audit", "log", *at, "--since", "2999-01-01T00:00Z")["entries"] == []
    assert run("audit", "log", *at, "--until", "2999-01-01T00:00Z")["entries"]


def test_what_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("pipeline: x\nsteps:\n  - fnd: {}\n")
    done = CliRunner().invoke(app, ["pipeline", "check", str(file)])
    assert done.exit_code != 0
    assert "line 3, column 5" in str(done.exception)
    done = CliRunner().invoke(app, ["pipeline", "run", "nightly", "--vault", str(tmp_path), "--given", "x"])
    assert "NAME=VALUE" in str(done.exception)
