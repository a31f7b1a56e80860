"""The part of the store contract about queries, time to live, and async calls."""

# ruff: noqa: D102 - the names of the tests say what is promised

from __future__ import annotations

import asyncio
from collections.abc import Callable

from langgraph.store.base import BaseStore, GetOp, PutOp

SHELF = ("shelf",)


class StoreSearches:
    """Inherited by `StoreConformance`."""

    # --- searching by words or meaning

    def test_a_query_puts_the_best_first_with_scores(self, store: BaseStore) -> None:
        store.put(SHELF, "tea", {"text": "Ana likes green tea"})
        store.put(SHELF, "car", {"text": "The red car needs new tyres"})
        found = store.search(SHELF, query="green tea")
        assert found[0].key == "tea"
        assert found[0].score is not None
        assert all(item.score is None or item.score <= found[0].score for item in found)

    def test_a_query_obeys_filter_prefix_and_limit(self, store: BaseStore) -> None:
        for number in range(6):
            store.put(("tea", f"{number % 2}"), f"k{number}", {"text": "green tea", "n": number})
        found = store.search(("tea", "1"), query="green tea", filter={"n": {"$gt": 1}}, limit=1)
        assert len(found) == 1
        assert found[0].value["n"] in {3, 5}

    def test_a_query_sees_the_newest_value_only(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"text": "green tea"})
        store.put(SHELF, "a", {"text": "red car"})
        store.put(SHELF, "b", {"text": "green tea"})
        assert store.search(SHELF, query="green tea")[0].key == "b"
        assert store.search(SHELF, query="red car")[0].key == "a"

    def test_a_query_does_not_find_what_is_no_longer_indexed(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"text": "green tea"})
        store.put(SHELF, "a", {"text": "green tea"}, index=False)
        found = {item.key: item.score for item in store.search(SHELF, query="green tea")}
        assert found.get("a") is None
        assert store.get(SHELF, "a") is not None

    def test_a_query_searches_the_paths_that_were_said(self, store: BaseStore) -> None:
        store.put(SHELF, "a", {"title": "red car", "parts": [{"t": "green tea"}]}, index=["parts[*].t"])
        store.put(SHELF, "b", {"title": "green tea", "parts": [{"t": "red car"}]}, index=["parts[*].t"])
        assert store.search(SHELF, query="green tea")[0].key == "a"

    def test_a_batch_of_equal_texts_can_be_found_by_query(self, store: BaseStore) -> None:
        store.batch([PutOp(SHELF, f"k{number}", {"text": "green tea"}) for number in range(3)])
        assert len(store.search(SHELF, query="green tea")) == 3

    # --- time to live

    def test_ttl_ends(self, store: BaseStore, pass_time: Callable[[float], None]) -> None:
        store.put(SHELF, "short", {"n": 1}, ttl=1)
        store.put(SHELF, "ever", {"n": 2}, ttl=None)
        pass_time(1.1)
        assert store.sweep_ttl() == 1  # type: ignore[attr-defined]
        assert store.get(SHELF, "short") is None
        assert store.get(SHELF, "ever") is not None

    def test_ttl_starts_again_when_read(self, store: BaseStore, pass_time: Callable[[float], None]) -> None:
        for key in ("got", "found", "left"):
            store.put((key,), key, {"n": 1}, ttl=1)
        pass_time(0.7)
        store.get(("got",), "got", refresh_ttl=True)
        store.search(("found",), refresh_ttl=True)
        store.get(("left",), "left", refresh_ttl=False)
        pass_time(0.7)
        store.sweep_ttl()  # type: ignore[attr-defined]
        assert store.get(("got",), "got") is not None
        assert store.search(("found",)) != []
        assert store.get(("left",), "left") is None

    # --- async

    async def test_async_does_the_same(self, store: BaseStore) -> None:
        await store.aput(SHELF, "a", {"n": 1})
        await store.aput(SHELF, "b", {"n": 2})
        item = await store.aget(SHELF, "a")
        assert item is not None
        assert item.value == {"n": 1}
        assert [found.key for found in await store.asearch(SHELF, filter={"n": 2})] == ["b"]
        assert await store.alist_namespaces() == [SHELF]
        await store.adelete(SHELF, "a")
        assert await store.aget(SHELF, "a") is None
        results = await store.abatch([PutOp(SHELF, "c", {"n": 3}), GetOp(SHELF, "c"), GetOp(SHELF, "b")])
        assert results[:2] == [None, None]
        assert results[2].value == {"n": 2}  # type: ignore[union-attr]

    async def test_async_tasks_lose_nothing(self, store: BaseStore) -> None:
        await asyncio.gather(*(store.aput(SHELF, f"k{number}", {"n": number}) for number in range(50)))
        found = await store.asearch(SHELF, limit=100)
        assert sorted(item.value["n"] for item in found) == list(range(50))
