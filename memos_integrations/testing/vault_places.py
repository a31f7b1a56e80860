"""The part of `VaultContract` about namespaces, pages, and the number that says that a tenant changed."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memos_integrations.core.cube import CubeRef, State
from memos_integrations.core.errors import AlreadyRememberedError, InvalidMemoryError
from memos_integrations.core.ports import (
    CubeFilter,
    Erase,
    Expect,
    Move,
    PutVector,
    Transaction,
    Use,
    Vault,
    VaultQuery,
)
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    cube,
    days,
    put,
    record,
    revised,
    seen_by,
    stored,
    submit,
    unit,
)


class VaultPlaceContract:
    """Inherited by `VaultContract`."""

    def test_each_namespace_with_something_visible_is_named_once(self, vault: Vault) -> None:
        for namespace in [("acme",), ("acme", "a"), ("acme", "a", "x"), ("acme", "ab"), ("acme",), ("acme", "x", "a")]:
            stored(vault, cube(namespace=namespace))
        stored(vault, cube(namespace=("acme", "hers")), readers=("user:eve",))
        stored(vault, cube(namespace=("acme", "gone"), expires_at=NOW - days(1)))
        stored(vault, cube(namespace=("other", "b")))
        everywhere = [each.namespace for each in vault.places(CubeFilter(), seen_by())]
        assert everywhere == [("acme",), ("acme", "a"), ("acme", "a", "x"), ("acme", "ab"), ("acme", "x", "a")]
        below = vault.places(CubeFilter(namespace=("acme", "a")), seen_by())
        assert [each.namespace for each in below] == [("acme", "a"), ("acme", "a", "x")]
        assert vault.places(CubeFilter(tags=("none",)), seen_by()) == []
        assert vault.places(CubeFilter(), seen_by(tenant="nobody")) == []

    def test_a_namespace_is_named_as_long_as_something_is_in_it(self, vault: Vault) -> None:
        first, second = (stored(vault, cube(namespace=("acme", "a"))) for _ in range(2))
        submit(vault, Erase(first.id))
        assert [each.id for each in vault.places(CubeFilter(), seen_by())] == [second.id]
        submit(vault, Erase(second.id))
        assert vault.places(CubeFilter(), seen_by()) == []

    def test_pages_of_the_latest_hold_everything_once_and_in_order(self, vault: Vault) -> None:
        for age in (3, 1, 2, 1, 5, 1, 4):
            stored(vault, cube(f"{age}", occurred_at=NOW - days(age)))
        whole = [match.cube.id for match in vault.search(VaultQuery(100), seen_by()).matches]
        pages = [vault.search(VaultQuery(2, skip=skip), seen_by()) for skip in (0, 2, 4, 6, 8)]
        assert [match.cube.id for page in pages for match in page.matches] == whole
        assert [len(page.matches) for page in pages] == [2, 2, 2, 1, 0]
        assert {page.visible for page in pages} == {7}

    def test_only_the_latest_have_pages(self) -> None:
        for wrong in ({"terms": ("a",), "skip": 1}, {"as_of": NOW, "skip": 1}, {"skip": -1}):
            with pytest.raises(InvalidMemoryError):
                VaultQuery(1, **wrong)

    def test_the_generation_follows_what_a_search_could_notice(self, vault: Vault) -> None:
        vault.bind_embedder(EMBEDDER)
        assert vault.generation("acme") == vault.generation("nobody")
        seen = [vault.generation("acme")]
        one = stored(vault, cube())
        seen.append(vault.generation("acme"))
        for change in (
            PutVector(one.id, 1, unit(1)),
            Move(one.id, State.GENERATED, State.ACTIVATED),
            put(revised(one, "The kettle is red.")),
            Erase(one.id),
        ):
            submit(vault, change)
            seen.append(vault.generation("acme"))
        assert len(set(seen)) == len(seen)

    def test_neither_a_use_nor_another_tenant_changes_the_generation(self, vault: Vault) -> None:
        one = stored(vault, cube())
        before = vault.generation("acme")
        submit(vault, Use(one.id, NOW, "recall-1"))
        stored(vault, cube(namespace=("other",)))
        assert vault.generation("acme") == before

    # --- all of it, page by page; and much in one commit

    def test_a_walk_gives_everything_visible_and_wanted_once(self, vault: Vault) -> None:
        mine = [stored(vault, cube(f"note {n}", tags=("even",) if n % 2 == 0 else ())) for n in range(25)]
        stored(vault, cube("hers"), readers=("user:eve",))
        stored(vault, cube("over", expires_at=NOW - days(1)))
        stored(vault, cube("apart", quarantined=True))
        stored(vault, cube("elsewhere", namespace=("other",)))
        submit(vault, Move(mine[3].id, State.GENERATED, State.ARCHIVED))
        pages = list(vault.walk(CubeFilter(), seen_by(), page=7))
        assert max(map(len, pages)) <= 7
        assert {each.id for page in pages for each in page} == {each.id for each in mine} - {mine[3].id}
        assert sum(map(len, pages)) == 24
        even = vault.walk(CubeFilter(tags=("even",), states=frozenset(State)), seen_by(), page=7)
        assert {each.id for page in even for each in page} == {each.id for each in mine[::2]}
        assert list(vault.walk(CubeFilter(), seen_by(tenant="nobody"))) == []
        assert [page for page in vault.walk(CubeFilter(), seen_by("user:nobody")) if page] == []

    def test_a_walk_goes_on_when_what_it_walks_over_changes(self, vault: Vault) -> None:
        mine = [stored(vault, cube(f"note {n}")) for n in range(12)]
        walk = vault.walk(CubeFilter(), seen_by(), page=4)
        seen = [each.id for each in next(walk)]
        rest = [each for each in mine if each.id not in seen]
        submit(vault, Erase(rest[0].id))
        stored(vault, cube("came later"))
        seen += [each.id for page in walk for each in page]
        assert len(seen) == len(set(seen))
        assert {each.id for each in mine} - {rest[0].id} <= set(seen)

    def test_many_transactions_become_true_at_once(self, vault: Vault) -> None:
        first = stored(vault, cube("there before"))
        derived = cube("derived", derived_from=(CubeRef(id=first.id, version=1),))
        seen_meanwhile = []

        def made() -> Iterator[Transaction]:
            yield Transaction((put(revised(first, "another")),), (record(revised(first, "another"), "update"),))
            for number in range(6):
                new = cube(f"new {number}")
                yield Transaction((put(new, key=f"k{number}"),), (record(new),))
                seen_meanwhile.append(len(vault.get("acme", [new.id])))
            yield Transaction((Expect(first.id, 2), put(derived)), (record(derived),))

        assert vault.submit_whole(made()).commit > 0
        assert seen_meanwhile == [0] * 6
        assert len([each for page in vault.walk(CubeFilter(), seen_by()) for each in page]) == 8
        assert [each.text for each in vault.history("acme", first.id)] == ["there before", "another"]
        assert vault.find_key("acme", "k5") is not None
        assert vault.verify_audit().ok

    def test_what_is_erased_goes_in_the_same_commit_as_what_comes(self, vault: Vault) -> None:
        old, kept = stored(vault, cube("old"), key="place"), stored(vault, cube("kept"))
        new = [cube(f"new {number}") for number in range(3)]

        def made(*, whole: bool) -> Iterator[Transaction]:
            yield Transaction((Erase(old.id),), (record(old, "forget"),))
            for number, each in enumerate(new):
                yield Transaction((put(each, key="place" if number == 0 else None),), (record(each),))
            if not whole:
                raise InvalidMemoryError("It could not be made.")

        with pytest.raises(InvalidMemoryError):
            vault.submit_whole(made(whole=False))
        assert vault.get("acme", [old.id, kept.id]) == [old, kept]
        assert vault.find_key("acme", "place") == old.id
        vault.submit_whole(made(whole=True))
        assert [each.id for each in vault.get("acme", [old.id, kept.id])] == [kept.id]
        assert vault.find_key("acme", "place") == new[0].id
        assert not any(vault.traces(old.id).values())
        assert vault.verify_audit().ok

    @pytest.mark.parametrize("what", ["refused", "raised", "interrupted"])
    def test_one_that_fails_undoes_all(self, vault: Vault, what: str) -> None:
        first = stored(vault, cube("there before"), key="taken")
        new = [cube(f"new {number}") for number in range(8)]

        def made() -> Iterator[Transaction]:
            for each in new[:6]:
                yield Transaction((put(each),), (record(each),))
            if what == "refused":
                yield Transaction((put(new[6], key="taken"),), (record(new[6]),))
            if what == "raised":
                raise InvalidMemoryError("It could not be made.")
            if what == "interrupted":
                raise KeyboardInterrupt
            yield Transaction((put(new[7]),), (record(new[7]),))

        with pytest.raises((AlreadyRememberedError, InvalidMemoryError, KeyboardInterrupt)):
            vault.submit_whole(made())
        assert vault.get("acme", [each.id for each in new]) == []
        assert vault.get("acme", [first.id]) == [first]
        stored(vault, new[0])  # and the vault goes on
        assert vault.verify_audit().ok
