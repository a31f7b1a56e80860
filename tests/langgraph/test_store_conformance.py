"""The conformance kit, against this store and LangGraph's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from memos_integrations.core.access import Principal
from memos_integrations.langgraph import MemOSStore
from memos_integrations.memos import MemOS
from memos_integrations.testing import StoreConformance
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.tea import NOW
from tests.words_embedder import WordsEmbedder


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self):
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


class _Ours(StoreConformance):
    has_search = has_ttl = takes_any_label = True

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[float], None]:
        return clock.pass_minutes


class TestMemOSStoreInMemory(_Ours):
    @pytest.fixture
    def store(self, clock: Clock, ana: Principal) -> Iterator[MemOSStore]:
        with MemOS(InMemoryVault(), clock=clock) as memos:
            yield MemOSStore(memos, principal=ana)


class TestMemOSStoreOnDisk(_Ours):
    @pytest.fixture
    def store(self, clock: Clock, ana: Principal, tmp_path: Path) -> Iterator[MemOSStore]:
        with MemOS(SQLiteVault(tmp_path), clock=clock, embedder=WordsEmbedder()) as memos:
            yield MemOSStore(memos, principal=ana)


FAULTS_IN_MEMORY = {
    "test_an_update_keeps_when_it_was_created": "created_at is reset by an update: langgraph#8340",
    "test_changing_what_was_given_changes_nothing": "values are handed out as live references: langgraph#8835",
    "test_an_empty_namespace_is_not_listed": "reading makes a namespace, deleting leaves it: langgraph#8734",
    "test_a_query_does_not_find_what_is_no_longer_indexed": "index=False keeps the old vector: langgraph#8214",
    "test_a_batch_of_equal_texts_can_be_found_by_query": "equal texts in a batch raise ValueError: langgraph#8822",
    "test_a_filter_on_a_field_that_some_lack": "$gt on an absent field is a TypeError: langgraph#7880",
    "test_a_batch_checks_its_namespaces": "batch() bypasses namespace validation: langgraph#8832",
}


class TestInMemoryStore(StoreConformance):
    has_search = True
    known_faults = FAULTS_IN_MEMORY

    @pytest.fixture
    def store(self) -> InMemoryStore:
        embed = WordsEmbedder().embed
        return InMemoryStore(index={"dims": 64, "embed": lambda texts: embed(list(texts)).tolist()})


class TestSqliteStore(StoreConformance):
    has_async = False  # that is AsyncSqliteStore's
    known_faults = {  # noqa: RUF012 - read only
        "test_what_was_put_is_got": "times are given back without a time zone; no upstream issue is known to us",
        "test_a_filter_on_something_within": "a filter on an object is taken for operators: langgraph#8786",
    }

    @pytest.fixture
    def store(self) -> Iterator[SqliteStore]:
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        store = SqliteStore(connection)
        store.setup()
        yield store
        connection.close()
