"""Which memories are used together: every use counts once, for what would have served it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos_integrations.core.costs.together import Together, heat_of, shared_out

NOW = datetime(2026, 3, 9, tzinfo=UTC)
WEEK = timedelta(days=7)

sets = st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=4)
heats = st.dictionaries(sets, st.floats(0.01, 100), max_size=8)


def of(*names: str) -> Together:
    return frozenset(names)


def test_heat_halves_in_a_half_life_and_adds_up() -> None:
    uses = [(of("a"), NOW), (of("a"), NOW - WEEK), (of("a", "b"), NOW - 2 * WEEK), (of(), NOW)]
    assert heat_of(uses, NOW) == {of("a"): 1.5, of("a", "b"): 0.25}
    assert heat_of([(of("a"), NOW + WEEK)], NOW) == {of("a"): 1.0}, "a clock that went back heats nothing"


def test_what_is_always_there_is_worth_more_than_what_is_there_by_chance() -> None:
    heat = {of("a", "b"): 1.0, of("a", "c"): 1.0, of("a", "d"): 1.0}
    shares = shared_out(heat, learnt=[], kept=[], worth=len)
    assert shares == {of("a"): 3.0}, "one set serves all three"
    assert shared_out({of("a", "b"): 3.0}, learnt=[], kept=[], worth=len) == {of("a", "b"): 3.0}


def test_an_adapter_serves_what_it_knows_a_part_of_and_nothing_else_does() -> None:
    heat = {of("a", "b"): 4.0, of("c"): 1.0}
    assert shared_out(heat, learnt=[of("a")], kept=[], worth=len) == {of("a"): 2.0, of("c"): 1.0}


def test_what_is_kept_is_told_even_when_it_is_cold() -> None:
    assert shared_out({}, learnt=[of("x")], kept=[of("a", "b")], worth=len) == {of("x"): 0.0, of("a", "b"): 0.0}


@settings(max_examples=60, deadline=None)
@given(heats, st.lists(sets, max_size=2, unique=True), st.lists(sets, max_size=3, unique=True))
def test_no_use_is_counted_twice(heat: dict[Together, float], learnt: list[Together], kept: list[Together]) -> None:
    kept = [each for each in kept if each not in learnt]
    shares = shared_out(heat, learnt=learnt, kept=kept, worth=len)
    assert sum(shares.values()) <= sum(heat.values()) + 1e-6
    assert {*learnt, *kept} <= shares.keys()
    if not learnt:
        assert sum(shares.values()) == pytest.approx(sum(heat.values())), "and none is left out"
    again = shared_out(dict(reversed(heat.items())), learnt=learnt, kept=kept, worth=len)
    assert again == pytest.approx(shares), "in any order"
