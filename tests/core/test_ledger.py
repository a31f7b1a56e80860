"""The ledger adds up to the audit log, whatever was done, and its metrics to the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memos_integrations import MemOS, Principal
from memos_integrations.core.costs import COUNTED, Spent, ledger_of
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError
from memos_integrations.core.ports import AuditEntry, AuditRecord
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
EVE = Principal(tenant="globex", user="eve")
AUDITOR = Principal(tenant="acme", user="root", roles=["auditor"])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

figures = st.one_of(st.integers(-5, 10**6), st.floats(0, 1e4), st.none(), st.sampled_from(["7", True]))
details = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from([*COUNTED, "tokens", "bytes"]), figures),
    st.fixed_dictionaries({"cubes": st.lists(st.sampled_from("abc"), max_size=3), "wall_s": figures}),
)
records = st.builds(
    AuditRecord,
    at=st.just(NOW),
    tenant=st.sampled_from(["acme", "globex"]),
    actor=st.sampled_from(["user:ana", "user:ben"]),
    operation=st.sampled_from(["recall", "model", "learnt", "remember"]),
    outcome=st.sampled_from(["allowed", "denied"]),
    cube_id=st.sampled_from([None, "a", "b"]),
    detail=details,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(records, max_size=12))
def test_every_record_and_every_figure_is_counted_once(said: list[AuditRecord]) -> None:
    entries = [AuditEntry(number=n, record=r, previous="0" * 64, hash="0" * 64) for n, r in enumerate(said, 1)]
    ledger = ledger_of(entries, [])
    assert ledger.reconciles
    assert sum(deed.allowed + deed.denied for deed in ledger.deeds) == len(said)
    assert sum(cube.records for cube in ledger.touched) == sum(record.cube_id is not None for record in said)
    for name in COUNTED:
        alone = sum(getattr(cube, name) for cube in ledger.touched)
        assert alone <= getattr(ledger.total, name) + 1e-6, "what one memory took is a part of the whole"
    assert ledger_of(entries[::-1], []) == ledger, "in any order"


def test_a_ledger_that_lost_a_figure_does_not_reconcile() -> None:
    with MemOS(InMemoryVault()) as memos:
        memos.account(Spent(model="m", tokens_in=3, wall_s=0.5), by=ANA)
        ledger = ledger_of(memos.audit(by=ANA), [])
    assert ledger.reconciles
    lost = ledger.deeds[0].model_copy(update={"wall_s": 0.25})
    assert not ledger.model_copy(update={"deeds": (lost,)}).reconciles
    assert not ledger.model_copy(update={"entries": 2}).reconciles


deeds = st.lists(
    st.tuples(st.sampled_from(["remember", "recall", "get", "forget", "model"]), st.sampled_from([ANA, BEN, EVE])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(deeds)
def test_totals_and_metrics_reconcile_with_the_log(done: list[tuple[str, Principal]]) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from memos_integrations.backends.metrics import LedgerMetrics

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    with MemOS(InMemoryVault(), clock=lambda: NOW) as memos:
        LedgerMetrics(memos, by=AUDITOR, meter=provider.get_meter("memos"), actors=True)
        collected(reader)  # half way: what comes later is added
        spent, ids = 0, [memos.remember("The cat is called Miso.", by=ANA).id]
        for number, (what, by) in enumerate(done):
            do(memos, what, by, ids)
            spent += by.tenant == "acme" and what == "model"
            if number == len(done) // 2:
                collected(reader)
        entries = memos.audit(by=AUDITOR, limit=10_000)
        ledger = ledger_of(entries, [])
        found = collected(reader)
        looked = [e for e in memos.audit(by=AUDITOR, limit=10_000) if e.number > entries[-1].number][:1]
    assert ledger.reconciles
    assert ledger.total.tokens_cached == 5 * spent
    assert {entry.record.tenant for entry in entries} == {"acme"}, "nobody counts another tenant's deeds"
    assert sum(found["operations"].values()) == ledger.entries + len(looked), "and the looking, which is a deed, too"
    for deed in ledger.deeds:
        for name in COUNTED:
            rows = [v for k, v in found.get(name, {}).items() if (deed.operation, deed.actor) == (k[0], k[1])]
            assert sum(rows) == pytest.approx(getattr(deed, name)), name


def do(memos: MemOS, what: str, by: Principal, ids: list[str]) -> None:
    if what == "remember":
        ids.append(memos.remember("Ben has a dog.", by=by).id)
    elif what == "recall":
        memos.recall("What is the cat called?", by=by, needed=True)
    elif what == "model":
        spent = Spent(model="m", tokens_in=7, tokens_cached=5, tokens_out=2, wall_s=0.25, cubes=(ids[0],))
        memos.account(spent, by=by)
    else:
        try:
            memos.get(ids[-1], by=by) if what == "get" else memos.forget(ids[-1], by=by)
        except (CubeNotFoundError, AccessDeniedError):
            return


def collected(reader: Any) -> dict[str, dict[tuple[Any, Any], float]]:
    """The sums of each metric by operation and actor."""
    data = reader.get_metrics_data()
    found: dict[str, dict[tuple[Any, Any], float]] = {}
    for each in data.resource_metrics[0].scope_metrics[0].metrics if data is not None else ():
        rows = found.setdefault(each.name.removeprefix("memos."), {})
        for point in each.data.data_points:
            key = (point.attributes["operation"], point.attributes["actor"])
            rows[key] = rows.get(key, 0.0) + point.value
    return found


def test_seconds_of_a_recall_are_on_record() -> None:
    with MemOS(InMemoryVault()) as memos:
        memos.remember("The cat is called Miso.", by=ANA)
        memos.recall("What is the cat called?", by=ANA)
        (deed,) = [deed for deed in ledger_of(memos.audit(by=ANA), []).deeds if deed.operation == "recall"]
    assert deed.wall_s > 0
    assert deed.read_bytes > 0
    assert timedelta(seconds=deed.wall_s) < timedelta(minutes=1)
