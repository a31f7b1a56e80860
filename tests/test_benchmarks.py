"""The benchmarks still run, and say what they are meant to say. Nothing that is timed is asserted here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.corpus import Corpus, recall_at
from tests.benchmarks.peers import PEERS

SCRIPT = Path(__file__).parent / "benchmarks" / "vault.py"
FIGURES = """
    tenant_search_p50_ms tenant_search_p95_ms tenant_search_recall global_search_p50_ms global_flat_p50_ms
    global_recall_at_10 text_search_p95_ms durable_add_p50_ms bare_sqlite_commit_p50_ms concurrent_add_speedup_64
    bulk_add_per_s open_first_answer_s governance_overhead_pct
""".split()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run leaves its vaults."""
    return tmp_path_factory.mktemp("kept") / "vaults"


def measured(folder: Path, *options: str) -> dict[str, Any]:
    """What a tiny run writes for machines."""
    sizes = ["--cubes", "200", "--tenants", "4", "--seed", "7", "--short"]
    where = ["--folder", str(folder / "disk"), "--json", str(folder / "vault.json")]
    ran = subprocess.run(
        [sys.executable, SCRIPT, *sizes, *where, *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not list((folder / "disk").iterdir()), "a run leaves nothing behind"
    read: dict[str, Any] = json.loads((folder / "vault.json").read_text())
    return read


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("bench"), "--keep", str(kept))


@pytest.mark.slow
def test_kept_vaults_are_measured_again_and_stay_as_they_are(
    result: dict[str, Any], kept: Path, tmp_path: Path
) -> None:
    before = {file: file.read_bytes() for file in kept.rglob("*") if file.is_file()}
    again = measured(tmp_path, "--reuse", str(kept))
    assert {file: file.read_bytes() for file in kept.rglob("*") if file.is_file()} == before
    assert again["tenant_search_recall"] == again["global_recall_at_10"] == 1.0
    assert again["bulk_add_per_s"] == result["bulk_add_per_s"]
    assert again["filled"] == result["meta"]
    assert "filled" not in result


def test_vaults_of_another_corpus_are_not_measured(result: dict[str, Any], kept: Path) -> None:
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--cubes", "300", "--reuse", str(kept)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert "another corpus" in ran.stderr


def test_every_promised_figure_is_there(result: dict[str, Any]) -> None:
    assert [name for name in FIGURES if not isinstance(result.get(name), float)] == []
    assert isinstance(result.get("private_bytes_per_cube"), float) or "private_bytes_per_cube" in result["not_run"]


def test_a_result_says_where_it_comes_from(result: dict[str, Any]) -> None:
    about = result["meta"]
    assert (about["cubes"], about["tenants"], about["seed"], about["threads"]) == (200, 4, 7, 1)
    assert about["date"]
    assert about["machine"]["cores"]
    assert about["versions"]["faiss-cpu"]
    assert "commit" in about


def test_what_was_not_run_is_named_with_its_reason(result: dict[str, Any]) -> None:
    assert result["peers"] == {}
    assert {name for name in result["not_run"] if name.startswith("peers.")} == {f"peers.{name}" for name in PEERS}
    assert all(result["not_run"].values())


def test_search_is_exact_at_this_size(result: dict[str, Any]) -> None:
    """Recall is counted against brute force; it has nothing to do with time."""
    assert result["tenant_search_recall"] == 1.0
    assert result["global_recall_at_10"] == 1.0


def test_the_corpus_is_the_same_in_whatever_pieces_it_is_made() -> None:
    corpus = Corpus(25_000, 10, seed=3)
    pieces = list(Corpus(25_000, 10, seed=3).chunks(7_000))
    assert [text for rows in corpus.chunks() for text in rows.texts] == [text for rows in pieces for text in rows.texts]
    assert len({text for rows in pieces for text in rows.texts}) == 25_000
    first = next(corpus.chunks())
    assert np.allclose(np.linalg.norm(first.vectors, axis=1), 1.0, atol=1e-5)
    assert first.texts[0] != next(Corpus(25_000, 10, seed=4).chunks()).texts[0]


def test_recall_counts_what_is_missing_and_what_is_strange() -> None:
    vectors = np.eye(4, dtype=np.float32)
    query = np.array([0.9, 0.4, 0.1, 0.0], dtype=np.float32)
    numbers = np.array([10, 20, 30, 40])
    assert recall_at([10, 20], numbers, vectors, query, k=2) == 1.0
    assert recall_at([10, 30], numbers, vectors, query, k=2) == 0.5
    assert recall_at([11, 12], numbers, vectors, query, k=2) == 0.0
