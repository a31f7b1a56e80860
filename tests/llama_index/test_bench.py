"""The benchmark of this door's parts still runs. Nothing that is timed is asserted here."""

from __future__ import annotations

import random
from pathlib import Path

from memos_integrations.core.access import Principal
from tests.benchmarks.doors import WORDS, filled
from tests.benchmarks.doors_llama import rows


def test_every_part_has_its_row(tmp_path: Path) -> None:
    dice, by = random.Random(7), Principal(tenant="bench", user="ana")
    with filled(tmp_path, 40, dice, by) as memos:
        timings = rows(memos, [f"What about the {dice.choice(WORDS)}?" for _ in range(8)], by)
    assert set(timings) == {
        "engine", "postprocessor", "postprocessor_access", "postprocessor_rerank", "llama_retriever", "memory_turn",
    }  # fmt: skip
    assert all(0 < timing.p50 <= timing.p95 for timing in timings.values())
