"""The benchmark of a year of change: it runs, gives its figures, and its story knows nothing of the rules."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.benchmarks.drift import measure
from tests.benchmarks.drift_year import Year


def test_the_story_is_told_apart_from_the_rules() -> None:
    tree = ast.parse((Path(__file__).parent / "benchmarks" / "drift_year.py").read_text("utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ast.unparse(node).split()
    }
    assert not [name for name in imported if "memos_integrations" in name]


def test_the_same_seed_tells_the_same_year() -> None:
    one, other = ([(event.at, event.user, event.text) for event in Year(300, 3, 5).events()] for _ in range(2))
    assert one == other
    assert len({text for _, _, text in one}) > 150


def test_a_short_year_gives_every_figure(tmp_path: Path) -> None:
    figures, _ = measure(100, 2, 3, tmp_path, lambda _: None)
    for name in ("stale_answers_pct", "lost_true_facts_pct", "wrongly_retired_pct", "duplicates_pct"):
        assert 0.0 <= figures[name] <= 100.0
    assert figures["conflict_precision_pct"] >= 95.0
    assert figures["lost_true_facts_pct"] <= 2.0
    assert figures["cubes_per_event"] < figures["baselines"]["add_only"]["cubes_per_event"]
    assert figures["stale_answers_pct"] <= figures["baselines"]["add_only"]["stale_answers_pct"]
    assert figures["baselines"].keys() == {"add_only", "last_write_wins"}
