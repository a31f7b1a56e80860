"""Many writes at once: they share statements and a commit, and each is still judged alone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from memos_integrations import CallContext, MemOS, Principal
from memos_integrations.core.access import Caller
from memos_integrations.core.errors import (
    AccessDeniedError,
    AlreadyRememberedError,
    EmbedderMismatchError,
    InvalidMemoryError,
    MemOSError,
    VersionConflictError,
)
from memos_integrations.core.governance import MemGovernance
from memos_integrations.core.ports import Receipt, Transaction
from memos_integrations.core.records import NewVersion
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
