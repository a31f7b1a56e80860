"""The README does what it says: its Python runs as printed, and its commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.benchmarks.report import read_results, rendered, replaced

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_python_blocks_run_one_after_the_other(tmp_path: Path, models: dict[str, Path]) -> None:
    assert len(BLOCKS) >= 3
    script = tmp_path / "readme.py"
    script.write_text("\n".join(BLOCKS), "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MEMOS_MODELS": str(models["minilm"].parent)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    promised = re.findall(r"print\(.*\)  # (.+)$", "\n".join(BLOCKS), re.MULTILINE)
    printed = done.stdout.splitlines()
    assert promised
    assert [line[: len(start)] for line, start in zip(printed, promised, strict=True)] == promised


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^memos ([a-z].*)$", README, re.MULTILINE))))
def test_the_commands_exist_with_the_options_shown(line: str) -> None:
    from memos_integrations.cli import app

    command = typer.main.get_command(app)
    words = line.split()
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    assert not hasattr(command, "commands"), f"memos {line} names no command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_it_can_be_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 200


def test_the_figures_are_those_of_the_result_files() -> None:
    assert replaced(README, rendered(read_results())) == README, "run `make bench-report`"
