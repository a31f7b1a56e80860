"""Where a number of versions or memories is asked for, `True` is none: it is no mistake that is quietly taken as 1."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
ASKED: dict[str, Callable[[MemOS, str, Any], object]] = {
    "restore": lambda m, i, n: m.restore(i, n, by=ANA),
    "update": lambda m, i, n: m.update(i, by=ANA, text="Other.", expected_version=n),
    "append": lambda m, i, n: m.append(i, "More.", by=ANA, expected_version=n),
    "relabel": lambda m, i, n: m.relabel(i, by=ANA, add=["x"], expected_version=n),
    "recall": lambda m, _, n: m.recall("kettle", by=ANA, k=n),
    "token_budget": lambda m, _, n: m.recall("kettle", by=ANA, token_budget=n),
    "find": lambda m, _, n: m.find(CubeFilter(), by=ANA, k=n),
    "answer": lambda m, _, n: m.answer("Which kettle?", by=ANA, k=n),
    "attribute": lambda m, _, n: m.attribute("the kettle is green today", by=ANA, k=n),
    "tick": lambda m, _, n: m.tick(by=ANA, limit=n),
    "consolidate": lambda m, _, n: m.consolidate(by=ANA, k=n),
    "summarise": lambda m, i, n: m.summarise([i], by=ANA, most=n),
    "renew_summaries": lambda m, _, n: m.renew_summaries(by=ANA, limit=n),
    "read_blob": lambda m, i, n: m.read_blob(i, by=ANA, number=n),
    "pull": lambda m, _, n: m.store.pull("news", by=ANA, limit=n),
    "acknowledge": lambda m, _, n: m.store.acknowledge("news", n, by=ANA),
    "replay": lambda m, _, n: m.store.replay("news", by=ANA, after=n),
}


@pytest.mark.parametrize("number", [True, False, 1.0, "1", -1])
@pytest.mark.parametrize("verb", ASKED)
def test_only_whole_numbers_are_numbers(verb: str, number: Any) -> None:
    with MemOS(InMemoryVault(), clock=lambda: datetime(2026, 3, 2, 9, tzinfo=UTC)) as memos:
        cube = memos.remember("The kettle is green.", by=ANA)
        memos.store.subscribe("news", by=ANA)
        with pytest.raises(InvalidMemoryError, match="whole number"):
            ASKED[verb](memos, cube.id, number)
        assert [each.version for each in memos.history(cube.id, by=ANA)] == [1]
