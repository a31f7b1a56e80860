"""Nearness to what was found first, over what memories share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations import MemOS, MemScheduler, Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.graph import spread

ANA, BEN = Principal(tenant="acme", user="ana"), Principal(tenant="acme", user="ben")


def test_the_second_hop_is_nearer_than_what_shares_nothing() -> None:
    apart = [{f"word{number}"} for number in range(30)]
    near = spread([{"noor", "harbour"}, {"harbour", "crane"}, {"crane", "rust"}, *apart], np.array([1.0] + [0.0] * 32))
    assert near[0] == 1.0
    assert near[0] > near[1] > near[2] > 0.0
    assert not near[3:].any()


def test_what_is_everywhere_connects_nothing() -> None:
    assert not spread([{"the", str(number)} for number in range(30)], np.arange(30.0)).any()


@given(
    st.lists(st.sets(st.sampled_from("abcdefgh")), min_size=1, max_size=12),
    st.floats(0.0, 1e6),
)
def test_it_is_a_share_whatever_is_given(features: list[set[str]], best: float) -> None:
    near = spread(features, np.linspace(best, 0.0, len(features)))
    assert near.shape == (len(features),)
    assert np.isfinite(near).all()
    assert ((near >= 0.0) & (near <= 1.0)).all()


def asked(folder: Path, graph: float, hidden: bool = True) -> dict[str, float]:
    with MemOS.open(folder, scheduler=MemScheduler(graph=graph)) as memos:
        memos.remember("Noor works at the Kestrel yard, we both think.", by=ANA)
        memos.remember("The Kestrel yard thinks well of Ilse.", by=ANA)
        memos.remember_many((f"We think of number {number}." for number in range(25)), by=ANA)
        if hidden:
            memos.remember_many((f"Kestrel yard {number}, Noor, works." for number in range(9)), by=BEN)
        found = memos.recall("Whom does Noor think of?", by=ANA, k=40, needed=True, token_budget=10_000)
        assert all(hit.score == pytest.approx(sum(hit.parts.values())) for hit in found.hits)
        return {hit.text: hit.parts.get("graph", 0.0) for hit in found.hits}


def test_it_is_a_switch_and_counts_what_the_asker_may_see(tmp_path: Path) -> None:
    assert not any(asked(tmp_path / "off", 0.0).values())
    told = asked(tmp_path / "on", 0.2)
    assert told == pytest.approx(asked(tmp_path / "alone", 0.2, hidden=False))
    second = next(share for text, share in told.items() if "Ilse" in text)
    assert second > max(share for text, share in told.items() if "number" in text)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_is_a_number(weight: float) -> None:
    with pytest.raises(InvalidMemoryError):
        MemScheduler(graph=weight)
