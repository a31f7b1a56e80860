"""Offers and news from the shell, as two users of one vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app
from memos_integrations.core.errors import CubeNotFoundError, InvalidMemoryError

ANA = Principal(tenant="local", user="ana")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    with MemOS.open(tmp_path / "vault") as memos:
        memos.remember("The kiln is fired on Thursdays.", by=ANA, tags=["kiln"])
        memos.remember("Ben still owes me for clay.", by=ANA, tags=["money"])
    return tmp_path / "vault"


def run(vault: Path, user: str, *words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--vault", str(vault), "--user", user, "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_an_offer_is_heard_acknowledged_and_taken_back(vault: Path) -> None:
    run(vault, "ben", "subscribe", "news", "--tag", "kiln")
    made = run(vault, "ana", "publish", "kiln", "--to", "ben", "--tag", "kiln", "--price", "2 EUR", "--rate", "3/1h")
    assert (made["audience"], made["rate"]) == (["user:ben"], {"count": 3, "per": "PT1H"})
    assert [each["name"] for each in run(vault, "ben", "offers")["offers"]] == ["kiln"]
    assert run(vault, "cy", "offers") == {"offers": []}
    first, again = run(vault, "ben", "pull", "news"), run(vault, "ben", "pull", "news")
    assert [each["text"] for each in first["deliveries"]] == ["The kiln is fired on Thursdays."]
    assert [each["id"] for each in again["deliveries"]] == [each["id"] for each in first["deliveries"]]
    assert run(vault, "ben", "acknowledge", "news", str(first["upto"]))["after"] == first["upto"]
    assert run(vault, "ben", "pull", "news")["deliveries"] == []
    assert run(vault, "ana", "withdraw", "kiln") == {"name": "kiln", "memories": 1}
    (gone,) = run(vault, "ben", "pull", "news")["deliveries"]
    assert (gone["kind"], "text" in gone) == ("withdrawn", False)


def test_one_memory_under_a_licence(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        cube = memos.remember("Glaze 7 is poisonous.", by=ANA)
    made = run(vault, "ana", "publish", "glaze", "--to", "*", "--cube", cube.id, "--uses", "2", "--contract", "Ask me.")
    assert (made["licence"]["uses_left"], made["licence"]["text"]) == (2, "Ask me.")
    made = run(vault, "ana", "publish", "glaze", "--to", "*", "--cube", cube.id, "--at-most", "3/1h")
    assert made["licence"]["rate"] == {"count": 3, "per": "PT1H"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("pull", "none"), CubeNotFoundError),
        (("withdraw", "none"), CubeNotFoundError),
        (("acknowledge", "none", "1"), CubeNotFoundError),
        (("publish", "x", "--to", "ben"), InvalidMemoryError),
        (("publish", "x", "--to", "ben", "--tag", "a", "--rate", "often"), InvalidMemoryError),
        (("publish", "x", "--to", "ben", "--tag", "a", "--uses", "-1"), InvalidMemoryError),
        (("publish", "x", "--to", "ben", "--tag", "a", "--at-most", "3"), InvalidMemoryError),
        (("publish", "x", "--to", "ben", "--tag", "a", "--until", "2026-05-01"), InvalidMemoryError),
        (("subscribe", "x", "--kind", "sung"), InvalidMemoryError),
    ],
)
def test_what_makes_no_sense_is_said(vault: Path, words: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        run(vault, "ana", *words)


def test_the_command_itself_speaks_to_people(vault: Path) -> None:
    def said(user: str, *words: str) -> tuple[int, str]:
        environment = os.environ | {"MEMOS_VAULT": str(vault), "MEMOS_USER": user}
        command = [sys.executable, "-m", "memos_integrations.cli", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert said("ben", "subscribe", "news", "--replay") == (0, "news: from event 0 on.\n")
    assert said("ana", "publish", "kiln", "--to", "ben", "--tag", "kiln")[1] == "user:ana kiln: kiln, to user:ben\n"
    code, told = said("ben", "pull", "news")
    assert (code, told.splitlines()[0]) == (0, "written   The kiln is fired on Thursdays.")
    code, told = said("cy", "pull", "news")
    assert code == 2
    assert "kiln" not in told
