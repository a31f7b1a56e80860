"""`make bench-ttft` still runs, and says all that it promises. Nothing that is timed is asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.report import activation
from tests.tiny_llama import build_tiny_llama

SCRIPT = Path(__file__).parent / "benchmarks" / "ttft.py"
SIZES = ("--lengths 64,4096 --repeats 1 --prompts 3 --samples 2 --compose 2,3 --turns 2 --memory 96 --seed 3").split()
ROW = "full_ms injected_ms cut_pct max_abs_logit_diff".split()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run with a tiny model writes for machines."""
    folder = tmp_path_factory.mktemp("ttft")
    model = build_tiny_llama(folder / "tiny", context=8192)
    command = [sys.executable, SCRIPT, *SIZES, "--model", model, "--json", folder / "ttft.json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    read: dict[str, Any] = json.loads((folder / "ttft.json").read_text())
    return read


def numbers(found: dict[str, Any], keys: list[str]) -> list[str]:
    """Those of the keys that hold no finite number."""
    return [
        key
        for key in keys
        if isinstance(found.get(key), bool)
        or not isinstance(found.get(key), int | float)
        or not math.isfinite(found[key])
    ]


def test_every_promised_figure_is_there(result: dict[str, Any]) -> None:
    single = "greedy_mismatches prompts fork_ms_4096 load_vs_recompute shared_decode_speedup_8".split()
    assert numbers(result, single) == []
    assert set(result["lengths"]) == {"64", "4096"}
    for row in result["lengths"].values():
        assert numbers(row, ROW) == []
        assert isinstance(row["greedy_same"], bool)
    assert numbers(result["int8"], ["ratio", "kl", "top1_agreement_pct"]) == []
    assert set(result["compose"]) == {"2", "3"}
    for row in result["compose"].values():
        assert numbers(row, ["recall_vs_full_pct", "cpu_vs_full_pct", "kl"]) == []
    assert numbers(result["conversation_s"], ["without", "with"]) == []
    assert isinstance(result["compose_gate"]["allowed"], bool)
    assert result["not_run"] == {}


def test_the_baselines_are_of_the_same_run(result: dict[str, Any]) -> None:
    baselines = result["baselines"]
    assert baselines["full_prefill_ms"] == {n: row["full_ms"] for n, row in result["lengths"].items()}
    assert set(baselines["transformers_deepcopy_cut_pct"]) == {"64", "4096"}
    assert numbers(baselines["memos_concatenation"]["3"], ["recall_vs_full_pct", "cpu_vs_full_pct", "kl"]) == []
    assert baselines["dynamic_cache_step_ms"] > 0


def test_what_is_exact_is_exact(result: dict[str, Any]) -> None:
    assert result["greedy_mismatches"] == 0
    assert all(row["greedy_same"] for row in result["lengths"].values())
    assert max(row["max_abs_logit_diff"] for row in result["lengths"].values()) <= 1e-4
    assert result["prompts_max_abs_logit_diff"] <= 1e-4
    assert result["conversation_s"]["same_answers"] is True
    assert result["compose"]["3"]["arms"]["full"]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert result["compose"]["3"]["arms"]["memos_concatenation"]["kl"] > 0


def test_a_result_says_where_it_comes_from(result: dict[str, Any]) -> None:
    about = result["meta"]
    assert (about["seed"], about["threads"], about["query_tokens"]) == (3, 1, 26)
    assert about["date"]
    assert about["machine"]["cores"]


def test_readme_shows_it_in_a_few_lines(result: dict[str, Any]) -> None:
    lines = activation({"ttft": result})
    assert len(lines) <= 7
    assert any("greedy mismatches over 3 prompts" in line for line in lines)
    assert activation({}) == []
