"""The part of `VaultContract` about conditions on values and times, common words, and what was known before."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from memos_integrations.core import ranking
from memos_integrations.core.cube import MemCube, PlaintextPayload, State
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import (
    CubeFilter,
    Erase,
    Found,
    Limit,
    Move,
    Put,
    Transaction,
    ValueTest,
    Vault,
    VaultQuery,
    Visibility,
)
from memos_integrations.core.text import terms as terms_of
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    asked,
    cube,
    days,
    put,
    record,
    revised,
    seen_by,
    stored,
    submit,
    texts,
    unit,
)

VALUES: list[tuple[Any, ValueTest, bool]] = [
    ({"price": 12}, ValueTest(("price",), "eq", 12.0), True),
    ({"price": 12}, ValueTest(("price",), "eq", "12"), False),
    ({"price": 12}, ValueTest(("price",), "ne", 13), True),
    ({"price": 12}, ValueTest(("price",), "ne", 12), False),
    ({"cost": 12}, ValueTest(("price",), "ne", 12), False),
    ({"price": 12}, ValueTest(("price",), "gt", 12), False),
    ({"price": 12}, ValueTest(("price",), "gte", 12), True),
    ({"price": -0.5}, ValueTest(("price",), "lt", 0), True),
    ({"price": "0"}, ValueTest(("price",), "lt", 1), False),
    ({"price": True}, ValueTest(("price",), "gte", 0), False),
    ({"price": True}, ValueTest(("price",), "eq", 1), False),
    ({"price": True}, ValueTest(("price",), "eq", True), True),
    ({"price": 10**400}, ValueTest(("price",), "lte", 1e308), False),
    ({"price": None}, ValueTest(("price",), "eq", None), True),
    ({"price": None}, ValueTest(("price",), "exists"), True),
    ({"price": {}}, ValueTest(("price",), "exists"), True),
    ({"price": {}}, ValueTest(("price",), "ne", 1), True),
    ({}, ValueTest(("price",), "exists"), False),
    (None, ValueTest((), "exists"), False),
    ([{"a": "x"}], ValueTest(("0", "a"), "in", ("y", "x")), True),
    ([{"a": "x"}], ValueTest(("0", "a"), "in", ("y", 1)), False),
    ([{"a": "x"}], ValueTest(("0", "a"), "in", ()), False),
    ("tea", ValueTest((), "eq", "tea"), True),
    ({"a.b": 1}, ValueTest(("a", "b"), "exists"), False),
    ({"x' OR 1=1": 1}, ValueTest(("x' OR 1=1",), "eq", 1), True),
]
"""A payload's value, a test, and whether the one passes the other."""


SPELLED: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"namespace": ("acme", "Ana ", "x")}, {"namespace": ("Acme", "ana")}, True),
    ({"namespace": ("acme", "ana", "X")}, {"namespace": ("acme", "ana", "x")}, True),
    ({"namespace": ("acme", "ana")}, {"namespace": ("acme", "ana", "x")}, False),
    ({"namespace": ("acme", "ana")}, {"namespace": ("ACME",)}, True),
    ({"semantic_type": "Event\u00a0"}, {"semantic_types": ("visit", "event")}, True),
    ({"tags": ("pot", "  TEA")}, {"tags": ("tea",)}, True),
    ({"tags": ("tea",)}, {"tags": (" Tea",)}, True),
    ({"tags": ("t\u00ade\u200ba",)}, {"tags": ("tea",)}, True),
    ({"tags": ("cafe\u0301",)}, {"tags": ("caf\u00e9",)}, True),
    ({"tags": ("café",)}, {"tags": ("cafe",)}, False),
    ({"tags": ("Tea",), "semantic_type": "event"}, {"tags": ("fact",)}, False),
    ({"tags": ("Tea",), "semantic_type": "Event"}, {"semantic_types": ("tea",)}, False),
    ({"entities": ("E\u0301lodie ",)}, {"entities": ("ÉLODIE",)}, True),
    ({"entities": ("Elodie",)}, {"entities": ("élodie",)}, False),
    ({"speaker": "Ana "}, {"speakers": ("ANA",)}, True),
    ({"speaker": None}, {"speakers": ("ana",)}, False),
]
"""A cube's fields, those of a filter that is compared as rules are, and whether the one passes the other."""

BEGUN: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"created_at": NOW - days(9)}, {"created": (NOW - days(9), NOW - days(8))}, True),
    ({"created_at": NOW - days(9)}, {"created": (NOW - days(8), NOW + days(1))}, False),
    ({"created_at": NOW}, {"created": (NOW, NOW + days(1))}, True),
    ({"created_at": NOW + days(9)}, {"created": (NOW, NOW + days(1))}, True),
]
"""A cube's fields, a filter of when it was first written down, and whether the one passes the other."""


def asked_then(vault: Vault, when: Any, terms: str = "", *, by: Visibility | None = None, **wanted: Any) -> Found:
    """Search as of a moment."""
    query = VaultQuery(99, tuple(terms_of(terms)), None, CubeFilter(**wanted), as_of=when)
    return vault.search(query, by or seen_by())


def _told(vault: Vault, what: MemCube) -> MemCube:
    """Put a version, found by the words of its text."""
    return stored(vault, what, terms=" ".join(terms_of(what.text)))


class VaultFilterContract:
    """More promises of `Vault.search`. Inherit `VaultContract`, which brings these along."""

    @pytest.fixture
    def vault(self) -> Vault:
        """The vault under test: empty, no embedder bound."""
        raise NotImplementedError("override the fixture `vault`")

    # --- values and times

    @pytest.mark.parametrize(("value", "test", "passes"), VALUES)
    def test_conditions_on_values(self, vault: Vault, value: Any, test: ValueTest, passes: bool) -> None:
        there = stored(vault, cube(payload=PlaintextPayload(text="offer", value=value)), terms="offer")
        stored(vault, cube("pot"))
        found = asked(vault, "offer", value=(test,))
        assert [match.cube for match in found.matches] == ([there] if passes else [])
        assert found.visible == int(passes)

    def test_all_conditions_on_values_must_hold(self, vault: Vault) -> None:
        for price in range(10):
            value = {"price": price, "even": price % 2 == 0}
            stored(vault, cube(payload=PlaintextPayload(text=f"{price}", value=value)))
        tests = (ValueTest(("price",), "gt", 3), ValueTest(("price",), "lte", 8), ValueTest(("even",), "eq", True))
        assert texts(asked(vault, value=tests)) == ["4", "6", "8"]

    def test_a_condition_holds_for_the_present_version(self, vault: Vault) -> None:
        first = stored(vault, cube(payload=PlaintextPayload(text="offer", value={"price": 1})))
        stored(vault, revised(first, "x", payload=PlaintextPayload(text="offer", value={"price": 2})))
        assert asked(vault, value=(ValueTest(("price",), "eq", 1),)).visible == 0
        assert asked(vault, value=(ValueTest(("price",), "eq", 2),)).visible == 1

    @pytest.mark.parametrize(
        ("op", "operand"),
        [("gt", "x"), ("lt", True), ("in", 1), ("eq", (1,)), ("like", "x"), ("eq", float("nan")), ("eq", [1])],
    )
    def test_conditions_that_make_no_sense_are_refused(self, op: Any, operand: Any) -> None:
        with pytest.raises(InvalidMemoryError):
            ValueTest(("price",), op, operand)

    def test_when_it_was_written_down(self, vault: Vault) -> None:
        for age in range(4):
            stored(vault, cube(f"{age}", recorded_at=NOW - days(age), occurred_at=NOW - days(99)))
        assert texts(asked(vault, recorded=(NOW - days(2), NOW))) == ["1", "2"]

    @pytest.mark.parametrize(("fields", "wanted", "passes"), BEGUN)
    def test_when_it_was_first_written_down(
        self, vault: Vault, fields: dict[str, Any], wanted: dict[str, Any], passes: bool
    ) -> None:
        stored(vault, cube("kettle", **fields))
        assert asked(vault, **wanted).visible == int(passes)
        hidden = CubeFilter(states=frozenset(), tiers=frozenset(), **wanted)
        assert asked(vault, by=replace(seen_by(), hidden=(hidden,))).visible == 1 - int(passes)

    def test_no_change_makes_it_younger(self, vault: Vault) -> None:
        first = stored(vault, cube("kettle", created_at=NOW - days(9), recorded_at=NOW - days(9)))
        now = first.descriptive.model_copy(update={"recorded_at": NOW})
        stored(vault, revised(first, "kettle now", descriptive=now))
        assert asked(vault, created=(NOW - days(9), NOW - days(8))).visible == 1
        assert asked(vault, created=(NOW - days(8), NOW + days(1))).visible == 0

    @pytest.mark.parametrize(("fields", "wanted", "passes"), SPELLED)
    def test_filters_that_are_compared_as_rules_are(
        self, vault: Vault, fields: dict[str, Any], wanted: dict[str, Any], passes: bool
    ) -> None:
        there = stored(vault, cube("kettle", **fields))
        found = asked(vault, folded=True, **wanted)
        assert [match.cube for match in found.matches] == ([there] if passes else [])
        hidden = CubeFilter(states=frozenset(), tiers=frozenset(), folded=True, **wanted)
        assert asked(vault, by=replace(seen_by(), hidden=(hidden,))).visible == 1 - int(passes)
        plain = cube("plain")
        beside = {"descriptive": plain.descriptive, "provenance": plain.provenance}
        stored(vault, revised(there, "pot", namespace=("acme",), **beside))
        assert asked(vault, folded=True, **wanted).visible == int(wanted.get("namespace") == ("ACME",))

    def test_other_labels_at_the_same_instant_are_seen(self, vault: Vault) -> None:
        there = stored(vault, cube("kettle", tags=("tea",)))
        hidden = replace(seen_by(), hidden=(CubeFilter(tags=("pot",), states=frozenset(), tiers=frozenset()),))
        assert (asked(vault, tags=("tea",)).visible, asked(vault, by=hidden).visible) == (1, 1)
        now = there.descriptive.model_copy(update={"tags": ("pot",)})
        stored(vault, revised(there, "kettle", descriptive=now))
        assert (asked(vault, tags=("tea",)).visible, asked(vault, by=hidden).visible) == (0, 0)

    def test_one_of_several_sessions(self, vault: Vault) -> None:
        for session in ("a", "b", "c", None):
            stored(vault, cube(f"{session}", session_id=session))
        assert texts(asked(vault, sessions=("a", "c", "z"))) == ["a", "c"]

    # --- what changes between two searches

    def test_every_search_sees_what_came_and_went_between(self, vault: Vault) -> None:
        """The same question again and again, while cubes come, change, move, expire and go."""
        vault.bind_embedder(EMBEDDER)
        cubes = [stored(vault, cube(f"{n}", expires_at=NOW + days(n)), vector=unit(n)) for n in range(1, 6)]

        def there(moment: Any = NOW) -> list[str]:
            return texts(asked(vault, vector=unit(0), k=99, by=seen_by(now=moment)))

        assert there() == ["1", "2", "3", "4", "5"]
        assert there(NOW + days(2.5)) == ["3", "4", "5"]
        assert there() == ["1", "2", "3", "4", "5"]  # a clock that goes back
        submit(vault, Erase(cubes[0].id))
        assert there() == ["2", "3", "4", "5"]
        submit(vault, Move(cubes[1].id, State.GENERATED, State.ARCHIVED))
        assert there() == ["3", "4", "5"]
        stored(vault, revised(cubes[2], "3 anew"), readers=("user:bob",), vector=unit(9))
        assert there() == ["4", "5"]
        stored(vault, cube("6"), vector=unit(6))
        submit(vault, Move(cubes[1].id, State.ARCHIVED, State.ACTIVATED))
        assert there() == ["2", "4", "5", "6"]

    @pytest.mark.parametrize("used", [False, True])
    def test_new_tags_and_values_are_found_though_no_time_passed(self, vault: Vault, used: bool) -> None:
        """A clock that was set back gives a new version the time of the old one, and its words may be the same."""
        old = stored(vault, cube("offer", tags=("open",), payload=PlaintextPayload(text="offer", value={"n": 1})))

        def there(tag: str, number: int) -> tuple[int, int]:
            tagged = asked(vault, k=9, tags=(tag,)).visible
            return tagged, asked(vault, k=9, value=(ValueTest(("n",), "eq", number),)).visible

        for number, tag in ((1, "open"), (2, "done"), (3, "paid")):
            assert there(tag, number) == (1, 1)
            after = old.descriptive.model_copy(update={"tags": ("", "done", "paid", "late")[number : number + 1]})
            payload = PlaintextPayload(text="offer", value={"n": number + 1})
            old = stored(vault, revised(old, "offer", descriptive=after, payload=payload))
            if used and number == 1:
                submit(vault, Move(old.id, State.GENERATED, State.ACTIVATED))
            assert there(tag, number) == (0, 0)

    def test_common_words_are_passed_over_where_rarer_ones_tell(self, vault: Vault) -> None:
        count = ranking.MANY
        rare = {number: f"rare{number % 50}" for number in range(count)}
        for start in range(0, count, 100):
            submit(vault, *(_worded(f"the {rare[number]}") for number in range(start, start + 100)))
        submit(vault, _worded("the the the"))
        found = asked(vault, "the rare7 rare8", k=500)
        assert {match.cube.text for match in found.matches} == {"the rare7", "the rare8"}
        assert len(found.matches) == 2 * count // 50
        assert len(asked(vault, "the rare7", k=2 * count).matches) == count + 1

    # --- what was known before

    def test_as_of_finds_the_versions_of_that_time(self, vault: Vault) -> None:
        first = _told(vault, cube("kettle old", recorded_at=NOW - days(9)))
        when = first.descriptive.model_copy(update={"recorded_at": NOW - days(5)})
        _told(vault, revised(first, "kettle new", descriptive=when))
        _told(vault, cube("kettle later", recorded_at=NOW - days(1)))
        assert texts(asked_then(vault, NOW - days(10))) == []
        assert texts(asked_then(vault, NOW - days(9))) == ["kettle old"]
        assert texts(asked_then(vault, NOW - days(6), "old")) == ["kettle old"]
        assert texts(asked_then(vault, NOW - days(5), "kettle")) == ["kettle new"]
        assert texts(asked_then(vault, NOW)) == ["kettle later", "kettle new"]

    def test_as_of_finds_what_was_in_recall_at_that_time(self, vault: Vault) -> None:
        first = _told(vault, cube("kettle", recorded_at=NOW - days(9)))
        _pass(vault, first, State.GENERATED, State.ACTIVATED, None)  # the first use of a cube is in no entry
        _pass(vault, first, State.ACTIVATED, State.ARCHIVED, NOW - days(7))
        _pass(vault, first, State.ARCHIVED, State.ACTIVATED, NOW - days(5))
        _pass(vault, first, State.ACTIVATED, State.MERGED, NOW - days(3))
        for terms in ("", "kettle"):
            seen = [texts(asked_then(vault, NOW - days(n), terms)) for n in (10, 9, 8, 7, 6, 5, 4, 3, 2)]
            assert [len(found) for found in seen] == [0, 1, 1, 0, 0, 1, 1, 0, 0]
        archived = asked_then(vault, NOW - days(6), states=frozenset({State.ARCHIVED})).matches
        assert [match.cube.state for match in archived] == [State.ARCHIVED]
        assert not asked_then(vault, NOW - days(4), states=frozenset({State.ARCHIVED, State.MERGED})).visible
        _pass(vault, first, State.MERGED, State.EXPIRED, NOW - days(1))
        assert not asked_then(vault, NOW - days(8)).visible

    def test_nobody_sees_through_time_what_they_may_not_see(self, vault: Vault) -> None:
        when: dict[str, Any] = {"recorded_at": NOW - days(9)}
        lost = stored(vault, cube("lost", **when), readers=("user:bob", "user:ana"))
        gained = stored(vault, cube("gained", **when), readers=("user:ana",))
        gone = stored(vault, cube("gone", **when), readers=("user:bob",))
        later = lost.descriptive.model_copy(update={"recorded_at": NOW})
        stored(vault, revised(lost, "lost now", descriptive=later), readers=("user:ana",))
        stored(vault, revised(gained, "gained now", descriptive=later), readers=("user:ana", "user:bob"))
        bob = seen_by("user:bob")
        assert texts(asked_then(vault, NOW - days(1), by=bob)) == ["gone"]
        submit(vault, Erase(gone.id))
        assert texts(asked_then(vault, NOW - days(1), by=bob)) == []
        assert texts(asked_then(vault, NOW, by=bob)) == ["gained now"]
        assert texts(asked_then(vault, NOW - days(1))) == ["gained", "lost"]
        assert asked_then(vault, NOW, by=replace(bob, tenant="other")).visible == 0

    def test_the_filter_of_a_search_into_the_past_is_for_the_versions_of_then(self, vault: Vault) -> None:
        first = stored(vault, cube("offer", tags=("old",), recorded_at=NOW - days(9)))
        now = first.descriptive.model_copy(update={"recorded_at": NOW, "tags": ("new",)})
        stored(vault, revised(first, "offer", descriptive=now))
        assert asked_then(vault, NOW - days(1), tags=("old",)).visible == 1
        assert asked_then(vault, NOW, tags=("old",)).visible == 0

    def test_a_limit_keeps_back_what_passes_all_and_none_of_what_it_leaves(self, vault: Vault) -> None:
        both = stored(vault, cube("kettle both", tags=("salary", "plan"), semantic_type="visit"))
        stored(vault, cube("kettle pay", tags=("salary",)))
        stored(vault, cube("kettle plan", tags=("plan",)))
        everything = CubeFilter(states=frozenset(), tiers=frozenset())
        pay, plan = replace(everything, tags=("salary",)), replace(everything, tags=("plan",))
        visit, one = replace(everything, semantic_types=("visit",)), replace(everything, ids=(both.id,))
        kept = {
            Limit((pay, plan), ()): ["kettle pay", "kettle plan"],
            Limit((pay,), (plan,)): ["kettle both", "kettle plan"],
            Limit((pay,), (visit, plan)): ["kettle both", "kettle plan"],
            Limit((), (plan,)): ["kettle both", "kettle plan"],
            Limit((one,), ()): ["kettle pay", "kettle plan"],
            Limit((), ()): [],
        }
        for limit, there in kept.items():
            sight = replace(seen_by(), limits=(limit,))
            assert sorted(texts(asked(vault, "kettle", by=sight))) == there
            walked = [each.text for page in vault.walk(CubeFilter(), sight) for each in page]
            assert sorted(walked) == there
            assert len(vault.places(CubeFilter(), sight)) == min(1, len(there))


def _pass(vault: Vault, one: MemCube, before: State, after: State, at: datetime | None) -> None:
    told = () if at is None else (record(one, f"to_{after}", at=at),)
    vault.submit(Transaction((Move(one.id, before, after),), told)).result()


def _worded(text: str) -> Put:
    return put(cube(text))
