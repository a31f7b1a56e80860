"""The benchmark of the doors still runs, and says what it is meant to say. Nothing that is timed is asserted here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "doors.py"
FIGURES = """
    middleware_p50_ms middleware_p95_ms retriever_p50_ms postprocessor_p50_ms postprocessor_p95_ms
    engine_late_turn_p50_ms engine_down_turn_p50_ms engine_down_turn_max_ms
""".split()


@pytest.mark.slow
def test_every_promised_figure_is_there(tmp_path: Path) -> None:
    sizes = ["--cubes", "50", "--turns", "5", "--imports", "1", "--folder", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, SCRIPT, *sizes, "--json", tmp_path / "doors.json"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    result = json.loads((tmp_path / "doors.json").read_text())
    assert [name for name in FIGURES if not isinstance(result.get(name), float)] == []
    assert set(result["import_s"]) == {"base", "langchain", "langgraph", "llama_index"}
    assert result["meta"]["cubes"] == 50
    assert result["not_run"] == {}
    assert [path.name for path in tmp_path.iterdir()] == ["doors.json"]
