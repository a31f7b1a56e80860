"""Many writes at once: they share statements and a commit, and each is still judged alone."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.access import Caller
from memos_integrations.core.cube import Provenance, canonical_json
from memos_integrations.core.errors import (
    AccessDeniedError,
    AlreadyRememberedError,
    EmbedderMismatchError,
    EmbeddingError,
    InvalidMemoryError,
    MemOSError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.operator import draft_memory
from memos_integrations.core.operator.options import MemoryOptions
from memos_integrations.core.ports import Expect, Receipt, Transaction
from memos_integrations.core.records import NewVersion, changes_of, record_of, told_of, written
from memos_integrations.core.records import stored as stored_as
from memos_integrations.core.unswept import Unswept
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    asked,
    cube,
    put,
    record,
    revised,
    seen_by,
    stored,
    texts,
    unit,
)
from memos_integrations.vaults.memory import InMemoryVault
from memos_integrations.vaults.rules import checked_row, checked_rows
from memos_integrations.vaults.sqlite import SQLiteVault


def in_one_group(vault: SQLiteVault, transactions: Sequence[Transaction]) -> list[Future[Receipt]]:
    """Futures of transactions that wait together behind one that cannot start."""
    with closing(sqlite3.connect(vault.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first = vault.submit(Transaction((), (record(cube("held up"), "recall"),)))
        while not first.running():
            time.sleep(0.001)
        futures = [vault.submit(transaction) for transaction in transactions]
        other.execute("ROLLBACK")
    first.result()
    return futures


def said(future: Future[Receipt]) -> str:
    error = future.exception(timeout=60)
    return "stored" if error is None else type(error).__name__


def mixed() -> list[Transaction]:
    """New cubes, and some that must be refused between them."""
    twice, known, last = cube("twice"), cube("known"), cube("last", namespace=("elsewhere",))
    both = (cube("both"), cube("other", namespace=("elsewhere",)))
    return [
        Transaction((put(twice, key="a"),), (record(twice),)),
        Transaction((put(twice),), (record(twice),)),
        Transaction((put(cube("same key"), key="a"),)),
        Transaction(tuple(map(put, both)), tuple(map(record, both))),
        Transaction((put(cube("one of two")), put(twice))),
        Transaction((put(known, key="b", vector=unit(1)),), (record(known),)),
        Transaction((put(cube("too long", namespace=("new",)), vector=unit(1, 4)),)),
        Transaction((put(revised(known, "known now")),), (record(revised(known, "known now"), "update"),)),
        Transaction((put(cube("both keys"), key="c"), put(cube("of one"), key="c"))),
        Transaction((put(last, key="a"),), (record(last),)),
    ]


def test_a_group_refuses_only_what_each_vault_would_refuse_alone(tmp_path: Path) -> None:
    transactions = mixed()
    plain = InMemoryVault()
    plain.bind_embedder(EMBEDDER)
    with SQLiteVault(tmp_path) as vault:
        vault.bind_embedder(EMBEDDER)
        outcomes = [said(future) for future in in_one_group(vault, transactions)]
        assert outcomes == [said(plain.submit(transaction)) for transaction in transactions]
        assert outcomes.count("stored") == 5
        for tenant in ("acme", "elsewhere", "new"):
            assert texts(asked(vault, by=seen_by(tenant=tenant))) == texts(asked(plain, by=seen_by(tenant=tenant)))
        assert vault.verify_audit().problems == ()
        assert vault.verify_audit().entries == plain.verify_audit().entries + 1
    with SQLiteVault(tmp_path) as vault:
        assert texts(asked(vault)) == texts(asked(plain))


def many_kinds() -> list[NewVersion]:
    """New memories with everything that one can have, and of everything none."""
    ana, eve = (Caller(Principal(tenant="acme", user=who), CallContext(), NOW) for who in ("ana", 'eve\u0301 "%s"'))
    careful = Caller(ana.by, CallContext(purpose="care", application="app", agent="100% \u2028"), NOW)
    said: dict[str, Any] = {"readers": ["ben", "group:x"], "tags": ["b", "a", "b"], "purposes": ["care"], "topic": "t"}
    said |= {"applications": ["app"], "value": {"a": [1, 2.5, -0.0, None]}, "ttl": timedelta(days=3), "language": "de"}
    said |= {"provenance": Provenance(thread_id="th", session_id="s", speaker="Ana", source="x")}
    options: list[dict[str, Any]] = [{}, {"tags": ["one"]}, said, {"occurred_at": NOW - timedelta(days=400)}]
    texts = ["the of and", "Ana met Dr. Okafor of ACME in Zürich", "pump pump PUMP hall", "漢字かな", "'q' \"j\" \\"]
    made = []
    for number in range(60):
        caller, how = (ana, eve, careful)[number % 3], cast(MemoryOptions, options[number % 4])
        draft = draft_memory(f"{texts[number % 5]} {number}", caller, how)
        vector = unit(number % 3) if number % 7 else None
        made.append(NewVersion(draft.cube, caller, draft.terms, vector, f"k{number}" if number % 11 == 0 else None))
    return made


def everything_in(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(folder / "vault.db")) as file:
        tables = file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {table: sorted(file.execute(f"SELECT * FROM {table}"), key=repr) for (table,) in tables}


def test_what_is_written_together_is_byte_for_byte_what_is_written_row_by_row(tmp_path: Path) -> None:
    with closing(SQLiteVault(tmp_path / "together")) as vault:
        vault.bind_embedder(EMBEDDER)
    shutil.copytree(tmp_path / "together", tmp_path / "singly")  # the same keys
    versions = many_kinds()
    changes = tuple(change for version in versions for change in changes_of(version))
    records, events = told_of(versions, "remember")
    asked_for = Expect(versions[-1].cube.id, 1)  # true, and no new row: so the writer goes one by one
    for folder, more in (("together", ()), ("singly", (asked_for,))):
        with closing(SQLiteVault(tmp_path / folder)) as vault:
            vault.submit(Transaction((*changes, *more), records, events)).result()
            assert vault.verify_audit().ok
    together, singly = everything_in(tmp_path / "together"), everything_in(tmp_path / "singly")
    assert together == singly
    assert len(together["cubes"]) == len(versions)
    assert all(together[table] for table in ("leaves", "keys", "vectors", "seals", "outbox"))


def test_records_and_events_are_spelled_as_their_models_spell_them() -> None:
    for version in many_kinds():
        told, happened = stored_as("remember", version.caller, version.cube)
        assert told == record_of("remember", version.caller, cube=version.cube)
        assert happened == written(version.cube, version.caller)
        for each in (told, happened):
            assert each._canonical == canonical_json(each.model_dump(mode="json"))
            assert type(each).model_validate_json(each._canonical) == each


def test_vectors_that_are_checked_together_are_refused_as_one_alone_would_be() -> None:
    rows = [unit(0), unit(1), unit(2)]
    assert checked_rows(rows) == [checked_row(row).tobytes() for row in rows]
    assert checked_rows([unit(1, 4), unit(1)]) == [unit(1, 4).tobytes(), unit(1).tobytes()]
    assert checked_rows([unit(0), np.zeros_like(unit(0))])[1] == bytes(unit(0).nbytes)
    for wrong in (unit(0) * 2, unit(0) * np.float32("nan"), unit(0)[None]):
        with pytest.raises(EmbeddingError):
            checked_rows([unit(0), wrong])


def test_while_many_are_made_no_cycles_are_searched_for_and_afterwards_it_is_as_before() -> None:
    seen: list[str] = []
    gc.callbacks.append(lambda phase, info: seen.append(phase))
    try:
        with Unswept() as one:
            with Unswept():
                assert not gc.isenabled()
            assert not gc.isenabled()
            seen.clear()
            held = [[number] for number in range(20_000)]
            assert (seen, len(held)) == ([], 20_000)
            one.made(10_000)
            assert seen == ["start", "stop"]
        assert gc.isenabled()
        seen.clear()
        with Unswept():
            for _ in range(10):  # however short each, together they are searched
                with Unswept() as one:
                    one.made(1_000)
            assert seen == ["start", "stop"]
        gc.disable()
        with Unswept():
            pass
        assert not gc.isenabled()
    finally:
        gc.callbacks.pop()
        gc.enable()


def test_many_cubes_of_one_call_are_all_there_or_none(tmp_path: Path) -> None:
    with SQLiteVault(tmp_path) as vault:
        vault.bind_embedder(EMBEDDER)
        old = stored(vault, cube("old"))
        new = [cube(f"kettle number {number}") for number in range(700)]
        puts = tuple(put(each, vector=unit(number)) for number, each in enumerate(new))
        with pytest.raises(VersionConflictError):
            vault.submit(Transaction((*puts, put(old)), tuple(map(record, new)))).result()
        assert texts(asked(vault)) == ["old"]
        vault.submit(Transaction(puts, tuple(map(record, new)))).result()
        assert [each.text for each in vault.get("acme", [each.id for each in new])] == [each.text for each in new]
        assert asked(vault, "699", k=3).matches[0].cube == new[699]
        assert asked(vault, vector=unit(345), k=1).matches[0].cube == new[345]
        assert vault.verify_audit().problems == ()
        assert vault.traces(new[5].id)["postings"] == 3


def test_an_importer_writes_for_many_each_in_their_own_name(tmp_path: Path) -> None:
    ana, eve = (Caller(Principal(tenant="acme", user=user), CallContext(), NOW) for user in ("ana", "eve"))
    hers, his = cube("hers"), cube("his", owner="user:eve")
    with SQLiteVault(tmp_path) as vault:
        governance = MemGovernance(vault)
        governance.put_many([NewVersion(hers, ana), NewVersion(his, eve)], operation="remember").result()
        assert governance.read(his.id, eve).text == "his"
        with pytest.raises(AccessDeniedError):
            governance.put_many([NewVersion(cube("fine"), ana), NewVersion(cube("not his"), eve)], operation="remember")
        assert [texts(asked(vault, by=seen_by(user))) for user in ("user:ana", "user:eve")] == [["hers"], ["his"]]


@pytest.mark.parametrize("error", [AlreadyRememberedError, VersionConflictError, EmbedderMismatchError])
def test_a_refused_cube_says_why(tmp_path: Path, error: type[MemOSError]) -> None:
    with SQLiteVault(tmp_path) as vault:
        first = cube("first")
        vault.submit(Transaction((put(first, key="k"),))).result()
        refused = {
            AlreadyRememberedError: put(cube("second"), key="k"),
            VersionConflictError: put(first),
            EmbedderMismatchError: put(cube("third"), vector=unit(1)),
        }
        with pytest.raises(error):
            vault.submit(Transaction((refused[error],))).result()
        assert texts(asked(vault)) == ["first"]


@pytest.mark.parametrize("sort", ["memory", "sqlite"])
async def test_remember_many_writes_all_in_order_and_each_can_be_found_changed_and_forgotten(
    sort: str, tmp_path: Path
) -> None:
    ana = Principal(tenant="acme", user="ana")
    texts = [f"Kettle number{n} is blue." for n in range(1100)]
    with MemOS(InMemoryVault() if sort == "memory" else SQLiteVault(tmp_path / "vault")) as memos:
        cubes = memos.remember_many(texts[:1000], by=ana, tags=("kettle",))
        cubes += await memos.aremember_many(texts[1000:], by=ana, tags=("kettle",))
        assert [cube.text for cube in cubes] == texts
        assert all("kettle" in cube.descriptive.tags for cube in cubes)
        assert [hit.cube.id for hit in memos.recall("number1099", by=ana, k=1, needed=True).hits] == [cubes[-1].id]
        assert memos.get(cubes[3].id, by=ana).digest == cubes[3].digest
        entries = memos.audit(by=ana, operation="remember", limit=10_000)
        assert [entry.record.cube_id for entry in entries] == [cube.id for cube in cubes]
        assert not any(memos.forget(cubes[5].id, by=ana).remaining.values())
        assert memos.verify_audit().ok


def test_what_comes_before_a_text_that_cannot_be_stored_stands_batch_by_batch(tmp_path: Path) -> None:
    ana = Principal(tenant="acme", user="ana")
    with MemOS(SQLiteVault(tmp_path / "vault")) as memos:
        with pytest.raises(InvalidMemoryError):
            memos.remember_many([f"text {n}" for n in range(600)] + ["nul \x00"], by=ana)
        assert len(memos.audit(by=ana, operation="remember", limit=10_000)) == 512
        with pytest.raises(InvalidMemoryError):
            memos.remember_many("one text", by=ana)
        assert memos.remember_many([], by=ana) == []
