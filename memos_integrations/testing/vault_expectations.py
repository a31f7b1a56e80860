"""What a vault promises of decisions: what was decided on a version still holds when the transaction commits."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from memos_integrations.core.cube import CubeRef, Licence
from memos_integrations.core.errors import (
    CubeNotFoundError,
    ForgottenError,
    LicenceSpentError,
    RateSpentError,
    StillDerivedError,
    VersionConflictError,
)
from memos_integrations.core.ports import Erase, Expect, LogQuery, Room, Use, Vault
from memos_integrations.testing.cubes import NOW, cube, put, record, revised, stored, submit


class VaultExpectations:
    """Part of `VaultContract`."""

    def test_nothing_happens_unless_every_expectation_is_met(self, vault: Vault) -> None:
        first, other = stored(vault, cube("one")), cube("other")
        stored(vault, revised(first, "two"))
        with pytest.raises(VersionConflictError):
            submit(vault, put(other), Expect(first.id, 1))
        with pytest.raises(CubeNotFoundError):
            submit(vault, put(other), Expect("no such cube", 1))
        assert vault.get("acme", [other.id]) == []
        submit(vault, Expect(first.id, 2), put(other))
        assert vault.get("acme", [other.id]) == [other]

    def test_a_source_is_not_erased_before_what_is_derived_from_it(self, vault: Vault) -> None:
        source = stored(vault, cube("source"))
        derived = stored(vault, cube("derived", derived_from=(CubeRef(id=source.id, version=1),)))
        for changes in ([Erase(source.id)], [Erase(source.id), Erase(derived.id)]):
            with pytest.raises(StillDerivedError, match=source.id):
                submit(vault, *changes)
        assert len(vault.get("acme", [source.id, derived.id])) == 2
        submit(vault, Erase(derived.id), Erase(source.id))
        assert vault.get("acme", [source.id, derived.id]) == []

    def test_what_was_erased_for_good_comes_back_only_when_asked_for_again(self, vault: Vault) -> None:
        passing, lasting = stored(vault, cube("passing"), key="a"), stored(vault, cube("lasting"), key="b")
        submit(vault, Erase(passing.id), Erase(lasting.id, lasting=True))
        assert vault.forgotten("acme", ["a", "b", "c"]) == {"b"}
        assert vault.forgotten("other", ["b"]) == set()
        assert vault.find_key("acme", "b") is None
        other, unkeyed = cube("other"), cube("unkeyed")
        with pytest.raises(ForgottenError, match="b"):
            submit(vault, put(other), put(cube("lasting"), key="b", again=False))
        with pytest.raises(ForgottenError, match="b"):
            submit(vault, put(cube("lasting"), key="b", again=False), Expect(stored(vault, unkeyed).id, 1))
        assert vault.get("acme", [other.id]) == []
        there = [stored(vault, cube("passing"), key="a", again=False), stored(vault, cube("lasting"), key="b")]
        assert [vault.find_key("acme", key) for key in "ab"] == [each.id for each in there]
        assert vault.forgotten("acme", ["a", "b"]) == set()
        submit(vault, Erase(there[1].id))
        assert stored(vault, cube("lasting"), key="b", again=False).id == vault.find_key("acme", "b")

    def test_a_scrub_leaves_what_stands_and_nothing_waiting(self, vault: Vault) -> None:
        gone, kept = stored(vault, cube("gone")), stored(vault, cube("kept"))
        submit(vault, Erase(gone.id))
        assert vault.scrub(NOW) == 0
        assert vault.scrub(NOW, gently=True) == 0
        assert vault.get("acme", [gone.id, kept.id]) == [kept]
        assert stored(vault, cube("later")).id

    def test_a_licence_is_used_up_and_never_more_than_that(self, vault: Vault) -> None:
        three = Licence(uses_left=3)
        first = stored(vault, cube("one", licence=three))

        def use(n: int) -> bool:
            try:
                submit(vault, Expect(first.id, 1), Use(first.id, NOW, f"r{n}", three), audit=(record(first, "use"),))
            except LicenceSpentError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(use, range(16))) == 3
        now = vault.get("acme", [first.id])[0]
        assert (now.behaviour.licensed, now.behaviour.reads, now.digest) == (3, 3, first.digest)
        assert len(vault.log(LogQuery(tenant="acme", operation="use"))) == 3, "what was refused left nothing"

    def test_a_licence_counts_on_in_a_new_version_and_anew_under_another(self, vault: Vault) -> None:
        one, two = Licence(uses_left=1), Licence(uses_left=2)
        first = stored(vault, cube("one", licence=one))
        submit(vault, Use(first.id, NOW, "", one))
        newer = revised(first, "two")
        stored(vault, newer)
        submit(vault, Use(first.id, NOW, "r"))  # its owner's
        with pytest.raises(LicenceSpentError, match=first.id):
            submit(vault, Use(first.id, NOW, "", one))
        submit(vault, Use(first.id, NOW, "", two), Use(first.id, NOW, "", two))
        with pytest.raises(LicenceSpentError):
            submit(vault, put(cube("beside")), Use(first.id, NOW, "", two))
        behaviour = vault.get("acme", [first.id])[0].behaviour
        assert (behaviour.licensed, behaviour.licence, behaviour.recalls) == (2, two, ("r",))

    def test_no_more_is_given_than_there_is_room_for_whoever_asks_at_once(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        stored(vault, revised(first, "two"))
        entry = record(first, "deliver")
        room = Room(first.id, 9, "acme", entry.actor, "deliver", NOW, 2)

        def give(version: int) -> bool:
            said = entry.model_copy(update={"version": version})
            try:
                submit(vault, replace(room, version=version), audit=(said,))
            except RateSpentError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(give, range(1, 9))) == 2
        given = {each.record.version for each in vault.log(LogQuery(tenant="acme", operation="deliver"))}
        assert len(given) == 2, "what was refused left nothing"
        assert give(given.pop() or 0), "what was given already may be given again"
        others = ({"actor": "user:cy"}, {"operation": "read"}, {"since": NOW + timedelta(seconds=1)}, {"tenant": "b"})
        for other in others:
            submit(vault, replace(room, **other))
        with pytest.raises(RateSpentError):
            submit(vault, Expect(first.id, 2), room)

    def test_the_log_is_asked_about_several_cubes_at_once(self, vault: Vault) -> None:
        cubes = [stored(vault, cube(name)) for name in ("one", "two", "three")]
        found = vault.log(LogQuery(tenant="acme", cube_ids=(cubes[0].id, cubes[2].id, "none")))
        assert [each.record.cube_id for each in found] == [cubes[0].id, cubes[2].id]
        assert vault.log(LogQuery(tenant="other", cube_ids=(cubes[0].id,))) == []

    def test_a_look_is_noted_and_neither_counts_nor_warms(self, vault: Vault) -> None:
        first = stored(vault, cube("one"))
        submit(vault, Use(first.id, NOW, "r1"), Use(first.id, NOW + timedelta(days=7), "", looked=True))
        behaviour = vault.get("acme", [first.id])[0].behaviour
        assert (behaviour.reads, behaviour.last_read, behaviour.recalls) == (1, NOW + timedelta(days=7), ("r1",))
        assert behaviour.heat == pytest.approx(0.5)
