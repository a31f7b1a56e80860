"""Several transactions on their way to become one: a vault like any other, and then the same as if they had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from memos_integrations.core.cube import CubeRef, MemCube, State
from memos_integrations.core.errors import CubeNotFoundError, StillDerivedError, VersionConflictError
from memos_integrations.core.ports import (
    CubeFilter,
    Erase,
    Expect,
    Found,
    LogQuery,
    Move,
    Transaction,
    Use,
    Vault,
    VaultQuery,
)  # fmt: skip
from memos_integrations.testing import VaultContract
from memos_integrations.testing.cubes import (
    ANA,
    EMBEDDER,
    NOW,
    asked,
    cube,
    put,
    record,
    revised,
    seen_by,
    stored,
    submit,
    unit,
)  # fmt: skip
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from memos_integrations.vaults.staged import FAR, StagedVault


class TestStagedVault(VaultContract):
    """What the port promises holds while it is staged, but for the chain, the outbox and the blobs, which are below."""

    test_the_log_is_queried_by_field = test_the_log_is_a_chain = None
    test_versions_without_a_record_are_reported = test_a_version_that_is_not_the_recorded_one_is_reported = None
    test_a_version_gone_without_a_record_is_reported = test_events_come_in_order_and_once = None
    test_a_blob_goes_with_the_last_cube_that_names_it = test_an_older_version_keeps_its_blob = None
    test_an_upload_that_waits_outlives_the_erasure_of_its_twin = test_a_refused_write_names_no_blob = None
    test_a_blob_that_nobody_names_is_collected_after_a_grace = None

    @pytest.fixture
    def vault(self) -> Vault:
        return StagedVault(InMemoryVault(), "acme")


@pytest.fixture(params=["memory", "sqlite"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vault]:
    made: Vault = InMemoryVault() if request.param == "memory" else SQLiteVault(tmp_path / "vault")
    made.bind_embedder(EMBEDDER)
    yield made
    made.close()


def state_of(vault: Vault, ids: list[str]) -> object:
    there = vault.get("acme", ids)
    return [(each.id, each.version, each.state, each.text, each.behaviour) for each in there]


def found_in(vault: Vault, text: str = "", states: frozenset[State] = frozenset()) -> Found:
    return asked(vault, text, vector=unit(3), k=5, states=states or frozenset(State))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_staged_becomes_true_as_it_looked(base: Vault, seed: int) -> None:
    random = Random(seed)
    living = [stored(base, cube(f"kettle number {n} of the house"), vector=unit(n), key=f"k{n}") for n in range(12)]
    before = state_of(base, [each.id for each in living])
    stage, ids = StagedVault(base, "acme"), [each.id for each in living]
    for number in range(60):
        living = deed(stage, living, random, f"{seed} {number}")
        ids += [each.id for each in living if each.id not in ids]
    assert state_of(base, ids[:12]) == before
    assert state_of(base, ids) == before
    seen = {
        "state": state_of(stage, ids),
        "keys": [stage.find_key("acme", f"k{n}") for n in range(12)],
        "gone": sorted(stage.forgotten("acme", [f"k{n}" for n in range(12)])),
        "cosine": [(m.cube.id, m.cosine) for m in asked(stage, vector=unit(3), k=5).matches],
        "latest": [m.cube.id for m in asked(stage, k=7).matches],
        "archived": [m.cube.id for m in asked(stage, k=99, states=frozenset({State.ARCHIVED})).matches],
        "words": sorted(m.cube.id for m in asked(stage, "kettle", k=99).matches),
        "visible": asked(stage, "kettle", k=2).visible,
        "versions": [[(v.version, v.text) for v in stage.history("acme", each)] for each in ids],
        "edges": stage.pointing_at("acme", ids),
        "places": [each.namespace for each in stage.places(CubeFilter(), seen_by(ANA))],
    }
    base.submit(stage.pending()).result()
    assert seen == {
        "state": state_of(base, ids),
        "keys": [base.find_key("acme", f"k{n}") for n in range(12)],
        "gone": sorted(base.forgotten("acme", [f"k{n}" for n in range(12)])),
        "cosine": [(m.cube.id, m.cosine) for m in asked(base, vector=unit(3), k=5).matches],
        "latest": [m.cube.id for m in asked(base, k=7).matches],
        "archived": [m.cube.id for m in asked(base, k=99, states=frozenset({State.ARCHIVED})).matches],
        "words": sorted(m.cube.id for m in asked(base, "kettle", k=99).matches),
        "visible": asked(base, "kettle", k=2).visible,
        "versions": [[(v.version, v.text) for v in base.history("acme", each)] for each in ids],
        "edges": base.pointing_at("acme", ids),
        "places": [each.namespace for each in base.places(CubeFilter(), seen_by(ANA))],
    }
    assert base.verify_audit().problems == ()


def deed(vault: Vault, living: list[MemCube], random: Random, name: str) -> list[MemCube]:
    """Write, revise, move, use or erase one cube at random; the cubes that are there then."""
    choice, one = random.random(), random.choice(living)
    if choice < 0.3 or len(living) < 4:
        sources = (CubeRef(id=one.id, version=one.version),) if random.random() < 0.3 else ()
        new = cube(f"kettle written {name}", derived_from=sources)
        submit(vault, put(new, vector=unit(random.randrange(999))), audit=(record(new),))
        return [*living, new]
    if choice < 0.55:
        new = revised(one, f"kettle revised {name}")
        submit(vault, put(new, vector=unit(random.randrange(999))), audit=(record(new, "update"),))
    elif choice < 0.75:
        after = State.ARCHIVED if one.state is not State.ARCHIVED else State.ACTIVATED
        submit(vault, Move(one.id, one.state, after), audit=(record(one, f"to_{after}"),))
    elif choice < 0.85:
        submit(vault, Use(one.id, NOW, name))
    else:
        try:
            submit(vault, Erase(one.id, lasting=random.random() < 0.5), audit=(record(one, "forget"),))
        except StillDerivedError:
            return living
        return [each for each in living if each.id != one.id]
    return [vault.get("acme", [each.id])[0] for each in living]


def test_a_cube_that_changed_below_refuses_the_whole(base: Vault) -> None:
    one, two = stored(base, cube("kettle one")), stored(base, cube("kettle two"))
    stage = StagedVault(base, "acme")
    submit(stage, put(revised(one, "one as staged")))
    submit(stage, put(revised(two, "two as staged")))
    submit(base, put(revised(two, "two as somebody else wrote it")))
    with pytest.raises(VersionConflictError):
        base.submit(stage.pending()).result()
    assert [each.text for each in base.get("acme", [one.id, two.id])] == ["kettle one", "two as somebody else wrote it"]


def test_an_expectation_is_held_at_the_commit(base: Vault) -> None:
    one = stored(base, cube("kettle one"))
    stage = StagedVault(base, "acme")
    submit(stage, Expect(one.id, 1), put(cube("kettle two")))
    submit(base, put(revised(one, "changed")))
    with pytest.raises(VersionConflictError):
        base.submit(stage.pending()).result()


def test_what_something_below_is_derived_from_is_not_erased(base: Vault) -> None:
    one = stored(base, cube("kettle one"))
    stored(base, cube("kettle two", derived_from=(one.ref,)))
    stage = StagedVault(base, "acme")
    with pytest.raises(StillDerivedError):
        submit(stage, Erase(one.id))


def test_another_tenants_cubes_are_not_there(base: Vault) -> None:
    other = stored(base, cube("kettle", namespace=("other",)))
    stage = StagedVault(base, "acme")
    with pytest.raises(CubeNotFoundError):
        submit(stage, Move(other.id, State.GENERATED, State.ACTIVATED))


def test_words_of_what_was_rewritten_are_found_as_they_are_now(base: Vault) -> None:
    one = stored(base, cube("the kettle is blue"))
    stored(base, cube("the kettle is old"))
    stage = StagedVault(base, "acme")
    submit(stage, put(revised(one, "the teapot is green")))
    assert [m.cube.text for m in asked(stage, "teapot").matches] == ["the teapot is green"]
    assert [m.cube.text for m in asked(stage, "kettle").matches] == ["the kettle is old"]
    assert [m.cube.text for m in asked(base, "teapot").matches] == []


def test_an_answer_is_not_shorter_for_what_was_taken_out(base: Vault) -> None:
    cubes = [stored(base, cube(f"kettle {n}")) for n in range(10)]
    stage = StagedVault(base, "acme")
    best = [m.cube.id for m in asked(stage, "kettle", k=3).matches]
    for each in cubes:
        if each.id in best:
            submit(stage, Erase(each.id))
    assert len(asked(stage, "kettle", k=3).matches) == 3
    assert asked(stage, "kettle", k=3).visible == 7


def test_records_that_are_staged_come_after_those_that_are_true(base: Vault) -> None:
    one = stored(base, cube("kettle one"))
    stage = StagedVault(base, "acme")
    submit(stage, put(revised(one, "two")), audit=(record(one, "update"),))
    numbers = [entry.number for entry in stage.log(LogQuery(tenant="acme", cube_id=one.id))]
    assert numbers[-1] == FAR + 1
    assert all(number < FAR for number in numbers[:-1])
    assert [e.number for e in stage.log(LogQuery(tenant="acme", after=FAR))] == [FAR + 1]
    assert stage.events(0) == base.events(0)


def test_reading_is_on_record_whatever_becomes_of_the_rest(base: Vault) -> None:
    one = stored(base, cube("kettle one"))
    stage = StagedVault(base, "acme")
    submit(stage, Use(one.id, NOW, "r"), Move(one.id, State.GENERATED, State.ACTIVATED), audit=(record(one, "recall"),))
    submit(stage, put(new := cube("new")), audit=(record(new),))
    submit(stage, audit=(record(new, "read"),))
    assert [each.operation for each in stage.read_only().audit] == ["recall"]
    assert stage.read_only().changes == ()


def test_what_would_change_is_told(base: Vault) -> None:
    one, two, three = (stored(base, cube(text)) for text in ("one", "two", "three"))
    stage = StagedVault(base, "acme")
    submit(stage, put(revised(one, "one more")))
    submit(stage, Erase(two.id))
    submit(stage, Use(three.id, NOW, "r"))
    submit(stage, put(cube("four")))
    told = [(was and was.text, now and now.text) for was, now in stage.changed()]
    assert sorted(told, key=str) == [("one", "one more"), ("two", None), (None, "four")]


def test_paging_goes_through_what_is_there(base: Vault) -> None:
    for n in range(6):
        stored(base, cube(f"kettle {n}"))
    stage = StagedVault(base, "acme")
    for n in range(4):
        submit(stage, put(cube(f"staged {n}")))
    visible, seen = seen_by(ANA), list[str]()
    for skip in range(0, 10, 3):
        page = stage.search(VaultQuery(k=3, skip=skip), visible).matches
        seen += [match.cube.text for match in page]
    assert len(seen) == len(set(seen)) == 10


def test_a_transaction_that_is_refused_is_not_staged(base: Vault) -> None:
    one = stored(base, cube("kettle"))
    stage = StagedVault(base, "acme")
    with pytest.raises(VersionConflictError):
        stage.submit(Transaction((put(cube("other")), Expect(one.id, 7)))).result()
    assert stage.pending() == Transaction()
    assert stage.changed() == []


def test_a_place_whose_named_cube_is_touched_is_still_named_by_another(base: Vault) -> None:
    inner = [stored(base, cube(f"inner {n}", namespace=("acme", "shed", "box"))) for n in range(40)]
    outer = [stored(base, cube(f"outer {n}", namespace=("acme", "shed"))) for n in range(3)]
    stage = StagedVault(base, "acme")
    for each in outer[:2]:
        submit(stage, Erase(each.id))
    shed = ("acme", "shed")
    assert [each.id for each in stage.places(CubeFilter(), seen_by(ANA)) if each.namespace == shed] == [outer[2].id]
    submit(stage, Erase(outer[2].id))
    assert {each.namespace for each in stage.places(CubeFilter(), seen_by(ANA))} == {inner[0].namespace}
