"""What is measured of one vault of many tenants that holds a corpus: searches, writes, and the fill itself."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

import numpy as np

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.access import Caller
from memos_integrations.core.cube import new_id
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator import draft_memory
from memos_integrations.core.ports import EmbedderIdentity, Found, Vault, VaultQuery, Vectors, Visibility
from memos_integrations.core.records import NewVersion
from memos_integrations.core.text import terms
from memos_integrations.core.unswept import Unswept
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.benchmarks.corpus import DIM, Corpus, Floats, Lookup, Rows, number_of, recall_at
from tests.benchmarks.meta import Timing, timed, together
from tests.benchmarks.peers import K

ASKED = 125
FIRSTS = 25
"""How many tenants' first searches are timed apart: they add up everything of the tenant against its seals."""

ASKED_IN_SHORT, ROUNDS_IN_SHORT = 16, 1
"""Enough to see that every figure comes; too few to say how fast anything is."""

BULK = 500
THREADS, ROUNDS, ALONE, EACH = 64, 5, 24, 2


class Precomputed:
    """Fills the `Embedder` port from a lookup, so that embedding costs nothing."""

    name = "precomputed"
    dim = DIM

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts that the lookup was told of."""
        return self._lookup.rows(texts)


class Filled:
    """A vault that holds a corpus, opened the three ways in which it is measured: bare, governed, whole."""

    def __init__(self, folder: Path, corpus: Corpus, lookup: Lookup, *, short: bool = False) -> None:
        self.corpus, self.lookup = corpus, lookup
        self.asked, self.rounds = (ASKED_IN_SHORT, ROUNDS_IN_SHORT) if short else (ASKED, ROUNDS)
        self.vault: Vault = SQLiteVault(folder)
        self.governance = MemGovernance(self.vault)
        self.vault.bind_embedder(EmbedderIdentity(Precomputed.name, DIM))
        self.memos = MemOS(self.vault, embedder=Precomputed(lookup))
        self.timings: dict[str, Timing] = {}
        self._callers: dict[int, Caller] = {}

    def caller(self, tenant: int) -> Caller:
        """The one principal of a tenant; it owns all that is there."""
        if tenant not in self._callers:
            by = Principal(tenant=f"t{tenant}", user=f"u{tenant}")
            self._callers[tenant] = Caller(by, CallContext(), datetime.now(UTC))
        return self._callers[tenant]

    def bare(self, query: VaultQuery, tenant: int) -> Found:
        """Search straight at the vault: what may be seen is compiled into the query, nothing else."""
        caller = self.caller(tenant)
        return self.vault.search(query, Visibility(caller.by.tenant, caller.by.subjects, caller.now))

    def governed(self, query: VaultQuery, tenant: int) -> Found:
        """Search through governance: each row decided again, the reading recorded and durable."""
        caller = self.caller(tenant)
        found = self.governance.search(query, caller)
        cubes = [match.cube for match in found.matches]
        self.governance.hand_out(cubes, caller, recall_id=new_id(), detail={"k": query.k})
        return found

    def remember(self, row: Rows) -> None:
        """One memory, durable on return."""
        self.memos.remember(row.texts[0], by=self.caller(row.tenants[0]).by)


def fill(filled: Filled, seen: Callable[[Rows], object]) -> tuple[float, float]:
    """Write the whole corpus by the fastest governed way there is; wall and CPU seconds, making the corpus apart."""
    spent_wall = spent_cpu = 0.0
    for rows in filled.corpus.chunks():
        seen(rows)
        cpu, wall = time.process_time(), time.perf_counter()
        written, versions = [], list[NewVersion]()
        with Unswept() as sweeping:  # as `put_in_bulk` does
            for tenant, text, vector in zip(rows.tenants, rows.texts, rows.vectors, strict=True):
                caller = filled.caller(tenant)
                draft = draft_memory(text, caller, {})
                versions.append(NewVersion(draft.cube, caller, draft.terms, vector))
                if len(versions) == BULK:
                    written.append(filled.governance.put_many(versions, operation="remember"))
                    versions = []
                    sweeping.made(BULK)
            written.append(filled.governance.put_many(versions, operation="remember"))
            for future in written:
                future.result()
        spent_wall += time.perf_counter() - wall
        spent_cpu += time.process_time() - cpu
    return spent_wall, spent_cpu


def searches(filled: Filled, vectors: Floats) -> dict[str, float]:
    """Search in one tenant by vector: governed, unrecorded and bare, turn by turn; recall against brute force.

    Each tenant was searched before; the first search of a tenant in a process is timed apart.
    """
    corpus, questions = filled.corpus, filled.corpus.questions(filled.asked)
    found: list[tuple[Rows, Found]] = []

    def query(one: Rows) -> VaultQuery:
        return VaultQuery(K, vector=one.vectors[0])

    acts: dict[str, Callable[[Rows], object]] = {
        "tenant_search": lambda one: found.append((one, filled.governed(query(one), one.tenants[0]))),
        "tenant_search_unrecorded": lambda one: filled.governance.search(query(one), filled.caller(one.tenants[0])),
        "tenant_search_bare": lambda one: filled.bare(query(one), one.tenants[0]),
    }
    singly = questions.singly()
    filled.timings["tenant_first_search"] = timed(acts["tenant_search"], singly[:FIRSTS], warm_up=0)
    for one in singly[FIRSTS:]:
        filled.bare(query(one), one.tenants[0])  # so that what is timed below is the search, not the first look
    timings = together(acts, singly)
    filled.timings |= timings
    governed, bare = timings["tenant_search"], timings["tenant_search_bare"]
    return {
        "tenant_search_p50_ms": governed.p50,
        "tenant_search_p95_ms": governed.p95,
        "tenant_first_search_p50_ms": filled.timings["tenant_first_search"].p50,
        "tenant_search_cpu_p50_ms": governed.cpu_p50,
        "tenant_search_recall": fmean(recall(corpus, vectors, one, answer) for one, answer in found),
        "governance_overhead_pct": 100.0 * (governed.p50 / bare.p50 - 1.0),
        "governance_overhead_cpu_pct": 100.0 * (governed.cpu_p50 / bare.cpu_p50 - 1.0),
    }


def recall(corpus: Corpus, vectors: Floats, one: Rows, found: Found) -> float:
    """The share of the true best K of a tenant's rows that was found; *vectors* are those of the whole corpus."""
    numbers = np.arange(one.tenants[0], corpus.cubes, corpus.tenants)
    numbered = [number_of(match.cube.text) for match in found.matches]
    return recall_at(numbered, numbers, vectors[one.tenants[0] :: corpus.tenants], one.vectors[0], K)


def text_searches(filled: Filled) -> dict[str, float]:
    """Hybrid search by words and vector in one tenant: the commonest words, middling, rare, and one of each."""
    corpus, questions = filled.corpus, filled.corpus.questions(filled.asked)
    ranks = {"common": (1, 10), "middling": (100, 1_000), "rare": (5_000, 20_000)}
    texts = []
    for number in range(filled.asked):
        *one_kind, mixed = [[(*span, 3)] for span in ranks.values()] + [[(*span, 1) for span in ranks.values()]]
        draws = [*one_kind, mixed][number % 4]
        texts.append(" ".join(corpus.words(*draw, number) for draw in draws))
    asked = Rows(questions.numbers, questions.tenants, texts, questions.vectors)
    filled.lookup.know(asked)

    def governed(one: Rows) -> None:
        filled.governed(VaultQuery(K, tuple(terms(one.texts[0])), one.vectors[0]), one.tenants[0])

    def whole(one: Rows) -> None:
        filled.memos.recall(one.texts[0], by=filled.caller(one.tenants[0]).by, k=K, needed=True)

    singly = asked.singly()
    for one in singly:
        filled.bare(VaultQuery(K, tuple(terms(one.texts[0])), one.vectors[0]), one.tenants[0])
    filled.timings["text_search"] = timed(governed, singly)
    filled.timings["text_search_common"] = timed(governed, singly[::4], warm_up=2)
    filled.timings["recall"] = timed(whole, singly)
    return {
        "text_search_p50_ms": filled.timings["text_search"].p50,
        "text_search_p95_ms": filled.timings["text_search"].p95,
        "text_search_common_p95_ms": filled.timings["text_search_common"].p95,
        "recall_p50_ms": filled.timings["recall"].p50,
        "recall_p95_ms": filled.timings["recall"].p95,
    }


def adds(filled: Filled, folder: Path) -> dict[str, float]:
    """Single durable adds, turn by turn with a bare SQLite commit of the same bytes; then 64 callers against one."""
    rows = filled.corpus.added(filled.asked + (filled.rounds + 1) * (ALONE + THREADS * EACH))
    filled.lookup.know(rows)
    first = rows.cut(0, filled.asked).singly()
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as bare:
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE cubes (id TEXT PRIMARY KEY, body BLOB, vector BLOB)")
        cubes = [draft_memory(row.texts[0], filled.caller(row.tenants[0]), {}).cube for row in first]
        bodies = {
            row.numbers[0]: (cube.id, cube.to_json().encode(), row.vectors[0].tobytes())
            for row, cube in zip(first, cubes, strict=True)
        }
        acts: dict[str, Callable[[Rows], object]] = {
            "durable_add": filled.remember,
            "bare_sqlite_commit": lambda row: bare.execute(
                "INSERT INTO cubes VALUES (?, ?, ?)", bodies[row.numbers[0]]
            ),
        }
        filled.timings |= together(acts, first)
    speedups, rate = crowd(filled, rows.cut(filled.asked, len(rows)).singly())
    return {
        "durable_add_p50_ms": filled.timings["durable_add"].p50,
        "durable_add_p95_ms": filled.timings["durable_add"].p95,
        "bare_sqlite_commit_p50_ms": filled.timings["bare_sqlite_commit"].p50,
        "concurrent_add_speedup_64": median(speedups),
        "concurrent_add_64_per_s": rate,
        "added": len(rows),
    }


def crowd(filled: Filled, rows: list[Rows]) -> tuple[list[float], float]:
    """How many times faster 64 threads add than one, round by round; and the median rate of the 64, per second."""
    speedups, rates, one_round = [], [], ALONE + THREADS * EACH
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, (filled.rounds + 1) * one_round, one_round):
            alone, crowded = rows[start : start + ALONE], rows[start + ALONE : start + one_round]
            began = time.perf_counter()
            for row in alone:
                filled.remember(row)
            between = time.perf_counter()
            list(threads.map(filled.remember, crowded))
            ended = time.perf_counter()
            rates.append(len(crowded) / (ended - between))
            speedups.append(rates[-1] / (len(alone) / (between - began)))
    return speedups[1:], median(rates[1:])  # the first round warms up
