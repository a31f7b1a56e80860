"""What is kept beside a memory for ranking: what its words say, and gone with it; and deciding once for many."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.access import CallContext, Caller, Principal, may_read, readable_of
from memos_integrations.core.cube import Governance, MemCube, State, Trust
from memos_integrations.core.operator import traits
from memos_integrations.core.operator.traits import traits_of
from memos_integrations.testing.cubes import cube, link, revised

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("I met Noor in Lisbon yesterday.", (6.0, 1.0, 1.0, 1.0)),
        ("did you go?", (3.0, 0.0, 0.0, 0.0)),
        ("the kettle is blue", (4.0, 0.0, 1.0, 0.0)),
    ],
)
def test_they_say_what_the_words_say(text: str, numbers: tuple[float, ...]) -> None:
    said = cube(text, links=(link("follows", "before"), link("mentions", "other")))
    (found,) = traits_of([said])
    assert found.numbers == numbers
    assert found.follows == ("before",)
    assert traits_of([said])[0] is found
    (other,) = traits_of([revised(said, "green parrots")])
    assert other.terms != found.terms


def test_nothing_is_kept_of_a_memory_that_was_let_go() -> None:
    cubes = [cube(f"kettle {number}") for number in range(20)]
    traits_of(cubes)
    kept = {id(traits._kept[id(each)][0]) for each in cubes}
    held = [traits._kept[id(each)][0] for each in cubes]  # so that no other reference takes their place
    assert len(kept) == 20
    del cubes
    gc.collect()
    assert [each() for each in held] == [None] * 20
    assert kept.isdisjoint(id(each) for each, _ in list(traits._kept.values()))


OWNERS = ["user:ana", "user:bo"]
RULES = st.builds(
    lambda readers, **said: Governance(readers=readers, layer="shared" if readers else "private", **said),
    owner=st.sampled_from(OWNERS),
    readers=st.sampled_from([(), ("user:ana",), ("*",), ("group:g",)]),
    purposes=st.sampled_from([(), ("care",)]),
    applications=st.sampled_from([(), ("app",)]),
    expires_at=st.sampled_from([None, NOW - timedelta(days=1), NOW + timedelta(days=1)]),
)


@given(st.lists(RULES, min_size=1, max_size=3), st.sampled_from([None, "care"]), st.sampled_from([(), ("g",)]))
def test_deciding_for_many_is_deciding_for_each(
    drawn: list[Governance], purpose: str | None, groups: tuple[str, ...]
) -> None:
    by = Principal(tenant="acme", user="ana", groups=frozenset(groups))
    caller = Caller(by, CallContext(purpose=purpose), NOW)
    cubes: list[MemCube] = [
        cube("x", namespace=(tenant, "ana"), governance=rules, state=state, trust=Trust(quarantined=apart))
        for rules, state, apart, tenant in product(drawn, State, (False, True), ("acme", "evil"))
    ]
    assert readable_of(cubes, caller) == [each for each in cubes if may_read(each, caller)]
