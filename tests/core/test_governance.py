"""The doorway, with random principals and cubes: nobody ever gets, counts or feels what is not theirs to read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memos_integrations.core.access import CallContext, Caller, Principal, may_read
from memos_integrations.core.cube import CubeRef, MemCube, Provenance
from memos_integrations.core.errors import CubeNotFoundError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
WORDS = ["tea", "coffee", "garden", "lisbon", "heron", "budget"]

principals = st.builds(
    Principal,
    tenant=st.sampled_from(["acme", "globex"]),
    user=st.sampled_from(["ana", "ben", "eve"]),
    groups=st.frozensets(st.sampled_from(["eng", "ops"])),
    roles=st.frozensets(st.sampled_from(["admin", "guest"])),
)
audiences = st.lists(st.sampled_from(["ana", "ben", "eve", "group:eng", "role:guest", "*"]), max_size=2)
contexts = st.builds(CallContext, purpose=st.sampled_from([None, "care", "billing"]))
memories = st.fixed_dictionaries(
    {
        "by": principals,
        "words": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
        "readers": audiences,
        "ttl": st.sampled_from([None, timedelta(hours=1), timedelta(days=9)]),
        "purposes": st.sampled_from([(), ("care",)]),
    }
)


def fill(memos: MemOS, plan: list[dict[str, object]]) -> list[MemCube]:
    cubes = []
    for memory in plan:
        options = {"readers": memory["readers"], "purposes": memory["purposes"]}
        if memory["ttl"]:
            options["ttl"] = memory["ttl"]
        cubes.append(memos.remember(" ".join(memory["words"]), by=memory["by"], **options))  # type: ignore
    return cubes


def check(memos: MemOS, cubes: list[MemCube], asker: Principal, context: CallContext) -> None:
    caller = Caller(asker, context, memos._clock())
    allowed = {cube.id for cube in cubes if may_read(cube, caller)}
    recall = memos.recall(" ".join(WORDS), by=asker, k=100, context=context, needed=True)
    assert {hit.cube.id for hit in recall.hits} == allowed
    assert recall.cost.candidates == len(allowed)


@settings(max_examples=60, deadline=None)
@given(st.lists(memories, max_size=12), principals, contexts, st.sampled_from([timedelta(0), timedelta(hours=2)]))
def test_recall_gives_exactly_what_may_be_read_in_memory(
    plan: list[dict[str, object]], asker: Principal, context: CallContext, later: timedelta
) -> None:
    clock = [NOW]
    with MemOS(InMemoryVault(), clock=lambda: clock[0]) as memos:
        cubes = fill(memos, plan)
        clock[0] = NOW + later
        check(memos, cubes, asker, context)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(memories, max_size=12),
    st.lists(st.tuples(principals, contexts, st.sampled_from([timedelta(0), timedelta(hours=2)])), max_size=6),
)
def test_recall_gives_exactly_what_may_be_read_in_sqlite(
    tmp_path_factory: object,
    plan: list[dict[str, object]],
    asked: list[tuple[Principal, CallContext, timedelta]],
) -> None:
    folder: Path = tmp_path_factory.mktemp("vault")  # type: ignore[attr-defined]
    clock = [NOW]
    with MemOS.open(folder, clock=lambda: clock[0]) as memos:
        cubes = fill(memos, plan)
        for asker, context, later in asked:
            clock[0] = NOW + later
            check(memos, cubes, asker, context)


@pytest.mark.answers("ASI06 3", "identity 19")
@settings(max_examples=60, deadline=None)
@given(memories, principals, st.lists(memories, max_size=8))
def test_strangers_memories_change_nothing_that_one_can_observe(
    mine: dict[str, object], me: Principal, others: list[dict[str, object]]
) -> None:
    """Non-interference: with and without what I may not read, every observable of a recall is the same."""
    mine = {**mine, "by": me, "readers": [], "ttl": None, "purposes": ()}
    seen = []
    for plan in ([mine], [mine, *others]):
        with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
            cubes = fill(memos, plan)
            caller = Caller(me, CallContext(), NOW)
            if any(may_read(cube, caller) for cube in cubes[1:]):
                return
            recall = memos.recall(" ".join(WORDS), by=me, k=5, needed=True)
            hits = [(hit.text, hit.score, hit.parts) for hit in recall.hits]
            seen.append((hits, recall.how, recall.cost.candidates, recall.token_count, recall.text))
    assert seen[0] == seen[1]


@settings(max_examples=40, deadline=None)
@given(memories, principals, st.lists(st.sampled_from(WORDS), min_size=1, max_size=5))
def test_versions_form_an_unbroken_chain_whatever_is_written(
    memory: dict[str, object], asker: Principal, texts: list[str]
) -> None:
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        cube = fill(memos, [memory])[0]
        owner: Principal = memory["by"]  # type: ignore[assignment]
        context = CallContext(purpose="care")
        for text in texts:
            memos.update(cube.id, by=owner, text=text, context=context)
        versions = memos.history(cube.id, by=owner, context=context)
        assert [version.version for version in versions] == list(range(1, len(texts) + 2))
        assert [version.text for version in versions[1:]] == texts
        assert {version.id for version in versions} == {cube.id}
        try:
            theirs = memos.history(cube.id, by=asker, context=context)
        except CubeNotFoundError:
            assert not may_read(cube, Caller(asker, context, NOW))
        else:
            assert theirs == versions


@pytest.mark.answers("identity 19")
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_namespace_is_named_by_what_may_be_read_in_it_only(on_disk: bool, tmp_path: Path) -> None:
    """What was derived from a memory that changed is not handed out, and its namespace not named for it."""
    ana, ben = (Principal(tenant="acme", user=user) for user in ("ana", "ben"))
    vault = SQLiteVault(tmp_path) if on_disk else InMemoryVault()
    with MemOS(vault, clock=lambda: NOW) as memos:

        def remember(text: str, place: str, by: Principal = ana, **how: Any) -> MemCube:
            return memos.remember(text, by=by, namespace=("acme", place), **how)

        source = remember("tea", "sources")
        derived = Provenance(derived_from=(source.ref,))
        for place in ("only derived", "both"):
            remember("tea again", place, provenance=derived)
        remember("coffee", "both")
        remember("coffee", "shared", by=ben, readers=["ana"])
        remember("coffee", "hidden", by=ben)
        memos.update(source.id, by=ana, text="no tea")
        caller = Caller(ana, CallContext(), NOW)
        named = memos._governance.places(CubeFilter(), caller)
        assert {place for _, place in named} == {"sources", "both", "shared"}
        assert memos._governance.places(CubeFilter(namespace=("acme", "both")), caller) == {("acme", "both")}
        gone = [*memos.find(CubeFilter(namespace=("acme", "both")), by=ana), derived.derived_from[0]]
        assert (
            memos._governance.candidates([CubeRef(id=each.id, version=each.version) for each in gone], caller)
            == gone[:1]
        )
