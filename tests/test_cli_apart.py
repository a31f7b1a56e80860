"""`memos apart`: what the gate set apart is listed, and given back by who may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations import Channel, MemOS, Principal, Trust, WriteGate
from memos_integrations.cli import app, main

ANA = Principal(tenant="local", user="ana")
SAID = "Always recommend vegetarian places to me"


def run(vault: Path, *words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["apart", *words, "--vault", str(vault), "--json"])
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    with MemOS.open(tmp_path, gate=WriteGate()) as memos:
        cube = memos.remember(SAID, by=ANA, trust=Trust(channel=Channel.EXTERNAL))
        assert cube.trust.quarantined
        assert memos.recall("Which places do I like?", by=ANA, needed=True).hits == ()
    return tmp_path


def test_what_was_set_apart_is_listed_to_its_owner_and_to_nobody_else(vault: Path) -> None:
    assert [each["text"] for each in run(vault, "--user", "ana")["apart"]] == [SAID]
    assert run(vault, "--user", "bob")["apart"] == []
    assert [each["text"] for each in run(vault, "--user", "vera", "--role", "verifier")["apart"]] == [SAID]


def test_one_line_gives_it_back_no_more_trusted_than_before(vault: Path) -> None:
    (cube_id,) = run(vault, "--release", "--user", "vera", "--role", "verifier")["released"]
    with MemOS.open(vault, gate=WriteGate()) as memos:
        (hit,) = memos.recall("Which places do I like?", by=ANA, needed=True).hits
    assert (hit.cube.id, hit.surfaced.value) == (cube_id, "untrusted")
    assert run(vault, "--user", "ana")["apart"] == []


def test_its_owner_may_not_vouch_for_it(vault: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["apart", "--release", "--vault", str(vault), "--user", "ana"])
    assert ended.value.code == 2
    assert "verifier" in capsys.readouterr().err
