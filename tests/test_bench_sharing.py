"""The benchmark of sharing runs, and says what it is meant to say. Nothing that is timed is asserted here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "sharing.py"
FIGURES = (
    "publish_p50_ms delivery_p95_ms events_per_s events_fanned_out_per_s events_afresh_per_s "
    "bundle_export_per_s bundle_import_per_s bundle_peak_mb hostile_bundles_rejected hostile_bundles_total".split()
)


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--cubes", "60", "--events", "60", "--json", str(tmp_path / "sharing.json")],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "sharing.json").read_text())
    assert all(told[name] > 0 for name in FIGURES)
    assert told["roundtrip_equal"] is True
    assert told["hostile_bundles_rejected"] == told["hostile_bundles_total"] > 1_000
    assert told["meta"]["threads"] == 1
    assert "not_run" in told
