"""How much a torture test does: little in `make test`, the whole in `make test-slow`, anything by the environment.

TORTURE_KILLS=1000 TORTURE_SEED=7 make test-slow
"""

from __future__ import annotations

import os
from typing import Any

import pytest


def sizes(name: str, *, quick: int, whole: int) -> Any:
    """The argument `count` of a test: *quick*, and marked slow, *whole* or what `TORTURE_<name>` says."""
    chosen = int(os.environ.get(f"TORTURE_{name}", whole))
    slow = pytest.param(chosen, marks=[pytest.mark.slow, pytest.mark.timeout(7_200)], id=f"{chosen} {name.lower()}")
    return pytest.mark.parametrize("count", [pytest.param(quick, id=f"{quick} {name.lower()}"), slow])


def seed() -> int:
    """What the random choices grow from: `TORTURE_SEED`, else always the same. Printed by every test."""
    return int(os.environ.get("TORTURE_SEED", "20260301"))
