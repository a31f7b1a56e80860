"""The part of `VaultContract` about namespaces, pages, and the number that says that a tenant changed."""

# ruff: noqa: D102 - the names of the tests are the promises

from __future__ import annotations

import pytest

from memos_integrations.core.cube import State
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.ports import CubeFilter, Erase, Move, PutVector, Use, Vault, VaultQuery
from memos_integrations.testing.cubes import EMBEDDER, NOW, cube, days, put, revised, seen_by, stored, submit, unit


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
