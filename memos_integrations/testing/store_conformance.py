"""What LangGraph promises of a `BaseStore`, as tests that any store can inherit.

    class TestMyStore(StoreConformance):
        has_ttl = False

        @pytest.fixture
        def store(self):
            return MyStore()

Say what the store can do by the class attributes; what it cannot is skipped, and so counted. A fault that is known
is marked by `known_faults`: the name of the test, and the reason with the number of the issue; it must then fail.
Needs pytest with pytest-asyncio, and the extra `langgraph`.
"""

# ruff: noqa: D102 - the names of the tests say what is promised

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from memos_integrations.core.extras import require

require("langgraph", extra="langgraph")

from langgraph.store.base import (  # noqa: E402
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    PutOp,
    SearchOp,
)

from memos_integrations.testing.store_searches import SHELF, StoreSearches  # noqa: E402


class StoreConformance(StoreSearches):
    """Inherit it, and give the fixture `store`: an empty store for each test."""

    has_sync: ClassVar[bool] = True
    has_async: ClassVar[bool] = True
    has_search: ClassVar[bool] = False
    """Whether `query` finds by words or meaning and gives scores."""
    has_ttl: ClassVar[bool] = False
    """Whether `put(ttl=...)` works, and `sweep_ttl()` erases what has ended."""
    takes_any_label: ClassVar[bool] = False
    """Whether namespace parts may hold dots."""
    is_threadsafe: ClassVar[bool] = True
    known_faults: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def store(self) -> BaseStore:
        """An empty store."""
        raise NotImplementedError("Give the fixture `store`.")

    @pytest.fixture
    def pass_time(self) -> Callable[[float], None]:
        """Lets minutes pass for the store; needed with `has_ttl`."""
        raise NotImplementedError("Give the fixture `pass_time`.")

    @pytest.fixture(autouse=True)
    def _what_it_can(self, request: pytest.FixtureRequest) -> None:
        test = request.node.originalname
        is_async = asyncio.iscoroutinefunction(request.function)
        for needed, there in (
            (is_async, self.has_async),
            (not is_async, self.has_sync),
            ("query" in test, self.has_search),
            ("ttl" in test, self.has_ttl),
            ("thread" in test, self.is_threadsafe),
        ):
            if needed and not there:
                pytest.skip("the store does not say that it can")
        if test in self.known_faults:
            request.applymarker(pytest.mark.xfail(reason=self.known_faults[test], strict=True))

    # --- one item

    def test_what_was_put_is_got(self, store: BaseStore) -> None:
        value = {"text": "tea", "n": 1, "x": 1.5, "no": None, "yes": True, "in": {"list": [1, {"a": "ü 茶"}]}}
        store.put(SHELF, "k", value)
        item = store.get(SHELF, "k")
        assert item is not None
        assert (item.value, item.key, item.namespace) == (value, "k", SHELF)
        assert item.created_at.tzinfo is not None
        assert item.updated_at >= item.created_at

    def test_what_is_not_there_is_none(self, store: BaseStore) -> None:
        assert store.get(SHELF, "k") is None

    def test_the_last_put_counts(self, store: BaseStore) -> None:
        store.put(SHELF, "k", {"n": 1, "old": True})
        store.put(SHELF, "k", {"n": 2})
        item = store.get(SHELF, "k")
        assert item is not None
        assert item.value == {"n": 2}
        assert len(store.search(SHELF)) == 1

    def test_an_update_keeps_when_it_was_created(self, store: BaseStore) -> None:
        store.put(SHELF, "k", {"n": 1})
        first = store.get(SHELF, "k")
        store.put(SHELF, "k", {"n": 2})
        second = store.get(SHELF, "k")
        assert first is not None
        assert second is not None
        assert second.created_at == first.created_at
        assert second.updated_at >= first.updated_at

    def test_deleted_is_gone_and_may_come_back(self, store: BaseStore) -> None:
        store.put(SHELF, "k", {"n": 1})
        store.delete(SHELF, "k")
        assert store.get(SHELF, "k") is None
        assert store.search(SHELF) == []
        store.delete(SHELF, "k")
        store.put(SHELF, "k", {"n": 2})
        item = store.get(SHELF, "k")
        assert item is not None
        assert item.value == {"n": 2}

    def test_equal_keys_in_other_namespaces_are_other_items(self, store: BaseStore) -> None:
        store.put(("a", "b"), "k", {"n": 1})
        store.put(("a",), "k", {"n": 2})
        store.put(("ab",), "k", {"n": 3})
        found = [store.get(namespace, "k") for namespace in (("a", "b"), ("a",), ("ab",))]
        assert [item and item.value for item in found] == [{"n": 1}, {"n": 2}, {"n": 3}]

    def test_changing_what_was_given_changes_nothing(self, store: BaseStore) -> None:
        given: dict[str, Any] = {"list": [1]}
        store.put(SHELF, "k", given)
        given["list"].append(2)
        got = store.get(SHELF, "k")
        assert got is not None
        assert got.value == {"list": [1]}
        got.value["list"].append(3)
        again = store.get(SHELF, "k")
        assert again is not None
        assert again.value == {"list": [1]}

    @pytest.mark.parametrize("key", ["a.b", "ana@x.org", "ключ", "%", "_", "' OR 1=1 --", '"', "a b"])
    def test_any_key(self, store: BaseStore, key: str) -> None:
        store.put(SHELF, key, {"n": 1})
        store.put(SHELF, "other", {"n": 2})
        item = store.get(SHELF, key)
        assert item is not None
        assert (item.key, item.value) == (key, {"n": 1})

    # --- namespaces

    @pytest.mark.parametrize("namespace", [(), ("",), ("a", ""), ("langgraph",), (1,), ("a\x00b",)])
    def test_a_bad_namespace_is_refused(self, store: BaseStore, namespace: tuple[Any, ...]) -> None:
        with pytest.raises(InvalidNamespaceError):
            store.put(namespace, "k", {"n": 1})

    @pytest.mark.parametrize("label", ["a.b", "ana@example.org", "v1.0"])
    def test_a_label_with_dots(self, store: BaseStore, label: str) -> None:
        if not self.takes_any_label:
            with pytest.raises(InvalidNamespaceError):
                store.put((label,), "k", {"n": 1})
            return
        store.put((label, "x"), "k", {"n": 1})
        assert [item.namespace for item in store.search((label,))] == [(label, "x")]
        assert store.list_namespaces() == [(label, "x")]
        assert store.search(tuple(label.split("."))) == [] or "." not in label

    @pytest.mark.parametrize("label", ["Größe", "茶", "a b", "100%", "a_b", "a:b", "a/b", "*x", "Langgraph"])
    def test_a_label_comes_back(self, store: BaseStore, label: str) -> None:
        store.put((label,), "k", {"n": 1})
        store.put(("axb",), "k", {"n": 2})
        assert [item.namespace for item in store.search((label,))] == [(label,)]
        assert (label,) in store.list_namespaces()

    def test_a_prefix_ends_at_a_part(self, store: BaseStore) -> None:
        for namespace in (("a",), ("a", "b"), ("ab",), ("a", "bc"), ("b", "a")):
            store.put(namespace, "k", {"n": 1})
        assert {item.namespace for item in store.search(("a",))} == {("a",), ("a", "b"), ("a", "bc")}
        assert {item.namespace for item in store.search(("a", "b"))} == {("a", "b")}
        assert len(store.search(())) == 5

    def test_listing_namespaces(self, store: BaseStore) -> None:
        for namespace in (
            ("a", "b", "c"),
            ("a", "b", "d", "e"),
            ("a", "b", "d", "i"),
            ("a", "b", "f"),
            ("a", "c", "f"),
        ):
            store.put(namespace, "k", {"n": 1})
        assert store.list_namespaces(prefix=("a", "b"), max_depth=3) == [
            ("a", "b", "c"),
            ("a", "b", "d"),
            ("a", "b", "f"),
        ]
        assert store.list_namespaces(suffix=("f",)) == [("a", "b", "f"), ("a", "c", "f")]
        assert store.list_namespaces(prefix=("a", "*", "f")) == [("a", "b", "f"), ("a", "c", "f")]
        assert store.list_namespaces(prefix=("a", "c"), suffix=("f",)) == [("a", "c", "f")]
        assert store.list_namespaces(prefix=("z",)) == []

    def test_listing_namespaces_in_pages(self, store: BaseStore) -> None:
        for number in range(7):
            store.put(("n", f"{number}"), "k", {"n": 1})
        pages = [store.list_namespaces(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert [one for page in pages for one in page] == [("n", f"{number}") for number in range(7)]

    def test_an_empty_namespace_is_not_listed(self, store: BaseStore) -> None:
        store.put(SHELF, "k", {"n": 1})
        store.delete(SHELF, "k")
        assert store.get(("never",), "k") is None
        assert store.list_namespaces() == []

    # --- filters

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"color": "red"}, {"a", "c"}),
            ({"color": {"$eq": "red"}}, {"a", "c"}),
            ({"color": {"$ne": "red"}}, {"b"}),
            ({"n": {"$gt": 1}}, {"b", "c"}),
            ({"n": {"$gte": 2}}, {"b", "c"}),
            ({"n": {"$lt": 2}}, {"a"}),
            ({"n": {"$lte": 2}}, {"a", "b"}),
            ({"n": {"$gt": 1, "$lt": 2.6}}, {"b", "c"}),
            ({"color": "red", "n": {"$gt": 1}}, {"c"}),
            ({"color": "green"}, set()),
            ({"on": True}, {"a"}),
            ({}, {"a", "b", "c"}),
        ],
    )
    def test_a_filter(self, store: BaseStore, wanted: dict[str, Any], found: set[str]) -> None:
        store.put(SHELF, "a", {"color": "red", "n": 1, "on": True})
        store.put(SHELF, "b", {"color": "blue", "n": 2, "on": False})
        store.put(SHELF, "c", {"color": "red", "n": 2.5, "on": False})
        assert {item.key for item in store.search(SHELF, filter=wanted)} == found

    def test_a_filter_on_something_within(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"who": {"name": "ana", "age": 30}, "tags": ["x", "y"]})
        store.put(SHELF, "b", {"who": {"name": "bob", "age": 31}, "tags": ["x"]})
        assert {item.key for item in store.search(SHELF, filter={"who": {"name": "ana", "age": 30}})} == {"a"}
        assert {item.key for item in store.search(SHELF, filter={"tags": ["x"]})} == {"b"}

    def test_a_filter_on_a_field_that_some_lack(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"n": 1})
        store.put(SHELF, "b", {"other": 1})
        assert {item.key for item in store.search(SHELF, filter={"n": {"$gt": 0}})} == {"a"}

    @pytest.mark.parametrize("operator", ["$in", "$exists", "$regex"])
    def test_an_unknown_operator_is_refused(self, store: BaseStore, operator: str) -> None:
        store.put(SHELF, "a", {"n": 1})
        with pytest.raises(ValueError, match=r"(?i)operator"):
            store.search(SHELF, filter={"n": {operator: [1]}})

    def test_a_filter_is_data(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"n": "x"})
        assert store.search(SHELF, filter={"n": "x' OR '1'='1"}) == []
        assert len(store.search(SHELF)) == 1

    def test_pages_hold_everything_once(self, store: BaseStore) -> None:
        for number in range(25):
            store.put(SHELF, f"k{number}", {"n": number, "even": number % 2 == 0})
        pages = [store.search(SHELF, limit=10, offset=offset) for offset in (0, 10, 20, 30)]
        assert [len(page) for page in pages] == [10, 10, 5, 0]
        assert {item.key for page in pages for item in page} == {f"k{number}" for number in range(25)}
        even = [store.search(SHELF, filter={"even": True}, limit=5, offset=offset) for offset in (0, 5, 10)]
        assert {item.value["n"] for page in even for item in page} == set(range(0, 25, 2))

    def test_ten_items_are_given_where_no_limit_is_said(self, store: BaseStore) -> None:
        for number in range(12):
            store.put(SHELF, f"k{number}", {"n": number})
        assert len(store.search(SHELF)) == 10

    # --- batches

    def test_a_batch_answers_in_order_and_reads_what_was_before(self, store: BaseStore) -> None:
        store.put(SHELF, "old", {"n": 0})
        results = store.batch(
            [
                PutOp(SHELF, "new", {"n": 1}),
                GetOp(SHELF, "new"),
                GetOp(SHELF, "old"),
                SearchOp(SHELF),
                ListNamespacesOp(),
                PutOp(SHELF, "new", {"n": 2}),
            ]
        )
        assert results[:2] == [None, None]
        assert results[2].value == {"n": 0}  # type: ignore[union-attr]
        assert [item.key for item in results[3]] == ["old"]  # type: ignore[union-attr]
        assert results[4:] == [[SHELF], None]
        item = store.get(SHELF, "new")
        assert item is not None
        assert item.value == {"n": 2}

    def test_a_delete_after_a_put_in_one_batch_counts(self, store: BaseStore) -> None:
        store.batch([PutOp(SHELF, "a", {"n": 1}), PutOp(SHELF, "a", None)])
        assert store.get(SHELF, "a") is None
        store.batch([PutOp(SHELF, "a", None), PutOp(SHELF, "a", {"n": 2})])
        assert store.get(SHELF, "a") is not None

    def test_an_empty_batch(self, store: BaseStore) -> None:
        assert store.batch([]) == []

    def test_a_batch_checks_its_namespaces(self, store: BaseStore) -> None:
        with pytest.raises(InvalidNamespaceError):
            store.batch([PutOp(("a", ""), "k", {"n": 1})])

    def test_threads_lose_nothing(self, store: BaseStore) -> None:
        def put(number: int) -> None:
            store.put((f"t{number % 5}",), f"k{number}", {"n": number})
            store.put(SHELF, "shared", {"n": number})

        with ThreadPoolExecutor(50) as pool:
            list(pool.map(put, range(100)))
        found = [item for number in range(5) for item in store.search((f"t{number}",), limit=100)]
        assert sorted(item.value["n"] for item in found) == list(range(100))
        assert len(store.search(SHELF)) == 1
