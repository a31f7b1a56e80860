"""What is kept beside a memory for ranking: what its words say, and gone with it; and deciding once for many."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from weakref import ref

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memos_integrations.core.access import CallContext, Caller, Principal, may_read, readable_of
from memos_integrations.core.cube import Governance, MemCube, State, Trust
from memos_integrations.core.operator import telling
from memos_integrations.core.operator.traits import traits_of
from memos_integrations.core.text import sentences
from memos_integrations.testing.cubes import cube, link, revised

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("I met Noor in Lisbon yesterday.", (6.0, 1.0, 1.0, 1.0)),
        ("did you go?", (3.0, 0.0, 0.0, 0.0)),
        ("the kettle is blue", (4.0, 0.0, 1.0, 0.0)),
    ],
)
def test_they_say_what_the_words_say(text: str, told: tuple[float, ...]) -> None:
    said = cube(text, links=(link("follows", "before"), link("mentions", "other")))
    (found,) = traits_of([said])
    assert (found.length, found.when, found.tells, found.names) == told
    assert found.follows == ("before",)
    assert traits_of([said])[0] is found
    (other,) = traits_of([revised(said, "green parrots")])
    assert other.terms != found.terms


def test_nothing_is_kept_of_a_memory_that_was_let_go() -> None:
    cubes = [cube(f"kettle {number}") for number in range(20)]
    held = [ref(each) for each in traits_of(cubes)]
    gc.collect()
    assert None not in [each() for each in held]
    del cubes
    gc.collect()
    assert [each() for each in held] == [None] * 20


def test_a_memory_is_as_it_was_when_they_stand_beside_it() -> None:
    said, told = cube("The kettle is blue.", speaker="Ana"), MemCube.from_json
    shown, body = said.to_json(), said.canonical()
    (found,) = traits_of([said])
    assert found.key
    assert found.units > 0
    assert said == told(shown)
    assert said.payload == told(shown).payload
    assert (said.to_json(), said.canonical(), told(said.to_json()).canonical()) == (shown, body, body)
    copied = said.model_copy(deep=True)
    assert traits_of([copied])[0] is not found


TOLD = st.lists(
    st.sampled_from(
        'last|next |This|past|\n| |  |_|week|Weekends|1999|2099|2100|19|mon|monday|days|.|?|!|"|[|:|A|Bo| X|a|\x1c|\t'
        "|ago|'s|é|ſ|？".split("|")
    ),
    max_size=8,
).map("".join)


@given(TOLD)
@example("It is the last \x1cof them.")
def test_what_is_looked_up_is_what_the_plain_rules_find(text: str) -> None:
    words = text.split()
    assert telling.tells_when(text) == (telling.TIME_WORDS.search(text) is not None)
    assert telling.says_something(text) == any(not each.endswith("?") for each in sentences(text))
    assert telling.names_somebody(text) == any(
        word[0].isupper() and word[1:2].islower() and not before.endswith((".", "!", "?", ":", '"', "["))
        for before, word in pairwise(words)
    )


def test_a_use_changes_nothing_of_them_and_another_speaker_does() -> None:
    said = cube("The kettle is blue.", speaker="Ana")
    (found,) = traits_of([said])
    used = said.with_checked(behaviour=said.behaviour.model_copy(update={"last_read": NOW}), state=State.ACTIVATED)
    assert used is not said
    assert traits_of([used])[0] is found
    other = said.with_checked(provenance=said.provenance.model_copy(update={"speaker": "Bo"}))
    assert traits_of([other])[0].speaker == "bo"
    assert traits_of([said])[0].speaker == "ana"
    dated = said.with_checked(descriptive=said.descriptive.model_copy(update={"created_at": NOW + timedelta(days=1)}))
    assert traits_of([dated])[0].said_at != found.said_at


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
