"""VaultContract: every promise of the `Vault` port, as tests to inherit."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from memos_integrations.core.cube import Behaviour, CubeRef, State, canonical_json, sha256
from memos_integrations.core.errors import (
    AlreadyRememberedError,
    CubeNotFoundError,
    MemOSError,
    VaultClosedError,
    VersionConflictError,
)
from memos_integrations.core.events import CubeErased, CubeWritten
from memos_integrations.core.ports import (
    Edge,
    Erase,
    LogQuery,
    Move,
    Outcome,
    PutVector,
    Transaction,
    Use,
    Vault,
)
from memos_integrations.testing.cubes import (
    ANA,
    EMBEDDER,
    NOW,
    asked,
    cube,
    days,
    link,
    put,
    record,
    revised,
    seen_by,
    stored,
    submit,
    texts,
    unit,
)
from memos_integrations.testing.vault_blobs import VaultBlobContract
from memos_integrations.testing.vault_expectations import VaultExpectations
from memos_integrations.testing.vault_filters import VaultFilterContract
from memos_integrations.testing.vault_places import VaultPlaceContract
from memos_integrations.testing.vault_search import VaultSearchContract, activation


class VaultContract(VaultExpectations, VaultFilterContract, VaultPlaceContract, VaultSearchContract, VaultBlobContract):
    """Every promise of the port. Override the fixture `vault` with an empty vault of yours, no embedder bound."""

    # --- versions

    def test_what_was_put_comes_back_equal(self, vault: Vault) -> None:
        given = stored(vault, cube("Привет, 東京 🫖 e\u0301", tags=("a",), entities=("Ana",), occurred_at=NOW))
        assert vault.get("acme", [given.id]) == [given]
        assert vault.history("acme", given.id) == [given]
        assert vault.get("acme", [given.id])[0].digest == given.digest

    def test_get_keeps_the_order_asked_and_skips_strangers(self, vault: Vault) -> None:
        one, two = stored(vault, cube("one")), stored(vault, cube("two"))
        other = stored(vault, cube("three", namespace=("other",)))
        asked_for = [two.id, "no such", other.id, "\x00", "\ud800", one.id, two.id]
        assert [c.text for c in vault.get("acme", asked_for)] == ["two", "one"]
        assert vault.get("acme\x00", [one.id]) == vault.get("nobody", [one.id]) == vault.get("acme", []) == []
        assert vault.history("acme", other.id) == vault.history("acme", "\x00") == []

    def test_versions_form_a_chain(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        second = stored(vault, revised(first, "two"))
        assert vault.history("acme", first.id) == [first, second]
        assert vault.get("acme", [first.id]) == [second]

    @pytest.mark.parametrize("step", [0, 2, -1, 2**70])
    def test_a_version_out_of_turn_is_refused(self, vault: Vault, step: int) -> None:
        first = stored(vault, cube("one"))
        second = stored(vault, revised(first, "two"))
        wrong = second.model_copy(update={"version": second.version + step})
        with pytest.raises(VersionConflictError) as caught:
            submit(vault, put(wrong))
        assert (caught.value.cube_id, caught.value.found) == (first.id, 2)
        assert vault.history("acme", first.id) == [first, second]

    def test_a_change_of_what_is_not_there_is_refused(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        ghost = cube("ghost")
        changes = (
            put(revised(ghost, "more")),
            PutVector(ghost.id, 1, unit(1)),
            Erase(ghost.id),
            Move(ghost.id, State.GENERATED, State.ARCHIVED),
        )
        for change in changes:
            with pytest.raises(CubeNotFoundError, match=ghost.id):
                submit(vault, change)
        submit(vault, Use(ghost.id, NOW, "r"))

    def test_a_cube_cannot_change_its_tenant(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        with pytest.raises(CubeNotFoundError):
            submit(vault, put(revised(first, "two", namespace=("other",))))
        assert vault.get("other", [first.id]) == []

    def test_a_refused_transaction_leaves_nothing(self, vault: Vault) -> None:
        first, extra = stored(vault, cube("one")), cube("extra")
        before = (vault.events(0), len(vault.log(LogQuery(tenant="acme"))))
        written = CubeWritten(at=NOW, tenant="acme", cube_id=extra.id, actor=ANA, version=1)
        with pytest.raises(VersionConflictError):
            submit(vault, put(extra, key="k"), put(first), audit=(record(extra),), events=(written,))
        assert vault.get("acme", [extra.id]) == []
        assert vault.find_key("acme", "k") is None
        assert (vault.events(0), len(vault.log(LogQuery(tenant="acme")))) == before
        assert vault.verify_audit().ok
        assert asked(vault, "extra").visible == 1

    def test_a_transaction_sees_its_own_changes(self, vault: Vault) -> None:
        one, two = cube("one"), cube("two")
        submit(
            vault,
            put(one),
            put(revised(one, "one again")),
            Move(one.id, State.GENERATED, State.FROZEN),
            Use(one.id, NOW, "r"),
            put(two, key="k"),
            Erase(two.id),
        )
        assert [c.text for c in vault.history("acme", one.id)] == ["one", "one again"]
        assert (vault.get("acme", [one.id])[0].state, vault.find_key("acme", "k")) == (State.FROZEN, None)

    def test_commit_numbers_grow(self, vault: Vault) -> None:
        receipts = [submit(vault, put(cube())).commit for _ in range(3)]
        assert receipts == sorted(set(receipts))

    # --- keys

    def test_a_key_writes_once_in_its_tenant(self, vault: Vault) -> None:
        first = stored(vault, cube("one"), key="message 1")
        with pytest.raises(AlreadyRememberedError) as caught:
            submit(vault, put(cube("one again"), key="message 1"))
        assert (caught.value.key, caught.value.cube_id) == ("message 1", first.id)
        with pytest.raises(AlreadyRememberedError):
            submit(vault, put(first, key="message 1"))
        stored(vault, cube(namespace=("other",)), key="message 1")
        stored(vault, cube(), key="Message 1")
        assert vault.find_key("acme", "message 1") == first.id
        assert vault.find_key("acme", "message 2") is None
        assert vault.find_key("acm\x00", "message 1") is None
        submit(vault, Erase(first.id))
        assert vault.find_key("acme", "message 1") is None

    # --- what stands beside a version

    def test_uses_are_counted(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        submit(vault, Use(first.id, NOW, "r1"), Use(first.id, NOW + days(7), "r2"))
        submit(vault, Use(first.id, NOW, "", judged="helpful"), Use(first.id, NOW, "", judged="wrong"))
        behaviour = vault.get("acme", [first.id])[0].behaviour
        assert (behaviour.reads, behaviour.last_read, behaviour.helpful) == (2, NOW + days(7), 1)
        assert behaviour.heat == pytest.approx(1.5)
        assert behaviour.recalls == ("r1", "r2")
        assert vault.get("acme", [first.id])[0].digest == first.digest

    def test_a_new_version_keeps_state_and_behaviour(self, vault: Vault) -> None:
        first = stored(vault, cube("one", behaviour=Behaviour(helpful=3)))
        submit(vault, Use(first.id, NOW, "r"), Move(first.id, State.GENERATED, State.ACTIVATED))
        stored(vault, revised(first, "two"))  # was made from a copy that knows nothing of the use
        now = vault.get("acme", [first.id])[0]
        assert (now.state, now.behaviour.reads, now.behaviour.helpful) == (State.ACTIVATED, 1, 3)

    def test_a_move_from_another_state_is_refused(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        submit(vault, Move(first.id, State.GENERATED, State.ACTIVATED))
        with pytest.raises(VersionConflictError, match="activated"):
            submit(vault, Move(first.id, State.GENERATED, State.ARCHIVED))
        assert vault.get("acme", [first.id])[0].state is State.ACTIVATED

    # --- edges

    def test_edges_are_found_from_their_end(self, vault: Vault) -> None:
        end = stored(vault, cube("end"))
        one = stored(vault, cube("one", links=(link("supersedes", end.id), link("follows", "elsewhere"))))
        two = stored(vault, cube("two", derived_from=(CubeRef(id=end.id, version=1),)))
        stored(vault, cube("x", namespace=("other",), links=(link("follows", end.id),)))
        expected = [Edge(one.id, "supersedes", end.id), Edge(two.id, "derived_from", end.id)]
        assert vault.pointing_at("acme", [end.id, "no such", "\x00"]) == sorted(expected, key=lambda e: e.source)
        stored(vault, revised(one, "one", provenance=two.provenance.model_copy(update={"derived_from": ()})))
        submit(vault, Erase(two.id))
        assert vault.pointing_at("acme", [end.id]) == []

    # --- erasing

    def test_an_erased_cube_is_nowhere(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        first = stored(vault, cube("kettle", links=(link("follows", "x"),)), key="k", vector=unit(1))
        stored(vault, revised(first, "kettle again"), vector=unit(2))
        stored(vault, cube("kettle too"))
        before = vault.traces(first.id)
        assert before["versions"] == 2
        assert before["vectors"] == 1
        submit(vault, Erase(first.id), audit=(record(first, "forget"),))
        assert set(vault.traces(first.id).values()) == {0}
        assert vault.get("acme", [first.id]) == vault.history("acme", first.id) == []
        found = asked(vault, "kettle again", vector=unit(2), k=5)
        assert (texts(found), found.visible) == (["kettle too"], 1)
        assert vault.verify_audit().ok
        stored(vault, first)  # the id is free again
        assert vault.history("acme", first.id) == [first]

    # --- vectors that come later

    def test_cubes_without_a_vector_are_listed(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        waiting = [stored(vault, cube("one")), stored(vault, cube("two", namespace=("other",)))]
        stored(vault, cube("has one"), vector=unit(1))
        stored(vault, cube(**activation()), terms="")
        assert vault.unembedded(10) == sorted(waiting, key=lambda c: c.id)
        assert (len(vault.unembedded(1)), vault.unembedded(0)) == (1, [])
        submit(vault, PutVector(waiting[0].id, 1, unit(5)))
        assert vault.unembedded(10) == [waiting[1]]
        with pytest.raises(VersionConflictError):
            submit(vault, PutVector(waiting[0].id, 2, unit(6)))

    # --- audit and events

    def test_the_log_is_queried_by_field(self, vault: Vault) -> None:
        one, two = cube("one"), cube("two", owner="user:bob")
        submit(
            vault,
            audit=(
                record(one),
                record(two, "read", actor="user:bob", at=NOW + days(1), outcome=Outcome.DENIED),
                record(cube(namespace=("other",))),
            ),
        )

        def numbers(**fields: object) -> list[int]:
            return [entry.number for entry in vault.log(LogQuery.model_validate({"tenant": "acme"} | fields))]

        assert numbers() == [1, 2]
        assert numbers(actor="user:bob") == numbers(owner="user:bob") == numbers(cube_id=two.id) == [2]
        assert numbers(operation="read") == numbers(outcome="denied") == numbers(after=1) == [2]
        assert numbers(since=NOW + days(1)) == [2]
        assert numbers(until=NOW + days(1)) == numbers(limit=1) == [1]
        assert numbers(actor="x' OR '1'='1") == []
        assert vault.log(LogQuery(tenant="acme"))[0].record == record(one)

    def test_the_log_is_a_chain(self, vault: Vault) -> None:
        for number in range(5):
            stored(vault, cube(f"n {number}"))
        entries = vault.log(LogQuery(tenant="acme"))
        previous = "0" * 64
        for number, entry in enumerate(entries, start=1):
            content = canonical_json([number, previous, entry.record.model_dump(mode="json")])
            assert (entry.number, entry.previous, entry.hash) == (number, previous, sha256(content))
            previous = entry.hash
        report = vault.verify_audit()
        assert (report.ok, report.entries, report.head) == (True, 5, previous)

    def test_versions_without_a_record_are_reported(self, vault: Vault) -> None:
        silent = cube("silent")
        submit(vault, put(silent))
        report = vault.verify_audit()
        assert not report.ok
        assert silent.id in report.problems[0]

    def test_a_version_that_is_not_the_recorded_one_is_reported(self, vault: Vault) -> None:
        one = cube("one")
        submit(vault, put(one), audit=(record(cube("another"), cube_id=one.id),))
        assert any(one.id in problem for problem in vault.verify_audit().problems)

    def test_a_version_gone_without_a_record_is_reported(self, vault: Vault) -> None:
        one = stored(vault, cube("one"))
        submit(vault, Erase(one.id))
        assert any(one.id in problem for problem in vault.verify_audit().problems)

    def test_events_come_in_order_and_once(self, vault: Vault) -> None:
        one = cube("one")
        written = CubeWritten(at=NOW, tenant="acme", cube_id=one.id, actor=ANA, version=1)
        erased = CubeErased(at=NOW, tenant="acme", cube_id=one.id, actor=ANA)
        submit(vault, put(one), events=(written,))
        submit(vault, Erase(one.id), events=(erased,))
        (first, one_event), (second, another) = vault.events(0)
        assert (one_event, another) == (written, erased)
        assert first < second
        assert vault.events(first) == [(second, erased)]
        assert vault.events(0, limit=1) == [(first, written)]
        assert vault.events(second) == vault.events(-1, limit=0) == []
        assert vault.last_event() == second

    # --- names that others trip over

    @pytest.mark.parametrize(
        "name", ["..", "a/b", "a%", "a_b", "İi", "\u202eabc", "'; --", "a@b.c", " x", "é", "e\u0301"]
    )
    def test_any_name_is_only_a_name(self, vault: Vault, name: str) -> None:
        there = stored(vault, cube("kettle", namespace=(name, name), tags=(name,), id=name), key=name, readers=(name,))
        stored(vault, cube("kettle", namespace=("axb", "axb")), readers=(name,))
        found = asked(vault, "kettle", by=seen_by(name, tenant=name), namespace=(name, name), tags=(name,))
        assert [match.cube for match in found.matches] == [there]
        assert vault.get(name, [name]) == [there]
        assert vault.find_key(name, name) == name

    # --- threads and the end

    def test_no_update_is_lost(self, vault: Vault) -> None:
        """Eight threads append to one cube; a refused one reads again and repeats, and every addition is there."""
        first = stored(vault, cube("start"))
        start = threading.Barrier(8)

        def work(worker: int) -> None:
            start.wait()
            for number in range(5):
                while True:
                    (old,) = vault.get("acme", [first.id])
                    new = revised(old, f"{old.text} {worker}.{number}")
                    try:
                        stored(vault, new)
                        break
                    except VersionConflictError:
                        continue
                assert f"{worker}.{number}" in asked(vault, f"{worker}.{number}").matches[0].cube.text

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        versions = vault.history("acme", first.id)
        assert [version.version for version in versions] == list(range(1, 42))
        expected = {f"{worker}.{number}" for worker in range(8) for number in range(5)}
        assert set(versions[-1].text.split()) == {"start"} | expected
        assert vault.verify_audit().ok

    def test_a_closed_vault_says_so(self, vault: Vault) -> None:
        stored(vault, cube())
        vault.close()
        vault.close()
        with pytest.raises(VaultClosedError):
            vault.submit(Transaction())
        for verb in (lambda: vault.get("acme", []), lambda: asked(vault), lambda: vault.events(0)):
            with pytest.raises(VaultClosedError):
                verb()

    def test_every_refusal_is_of_one_tree(self, vault: Vault) -> None:
        with pytest.raises(MemOSError):
            submit(vault, Erase("no such"))
