"""The Memory API: append, relabel, merge, feedback, and where a memory comes from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memos_integrations.core.access import Principal
from memos_integrations.core.cube import Provenance, State, TrustLabel
from memos_integrations.core.errors import (
    AccessDeniedError,
    CubeNotFoundError,
    CyclicDerivationError,
    IllegalTransitionError,
    InvalidMemoryError,
    LegalHoldError,
    VersionConflictError,
)
from memos_integrations.memos import MemOS
from memos_integrations.vaults.memory import InMemoryVault
from tests.words_embedder import WordsEmbedder

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANA = Principal(tenant="acme", user="ana")
BEN = Principal(tenant="acme", user="ben")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    if request.param == "memory":
        made = MemOS(InMemoryVault(), clock=lambda: START)
    else:
        made = MemOS.open(tmp_path, embedder=WordsEmbedder(), clock=lambda: START)
    with made:
        yield made
        assert made.verify_audit().ok


def test_words_and_tags_are_added_without_losing_what_others_add(memos: MemOS) -> None:
    cube = memos.remember("Shopping list.", by=ANA, tags=["home"])

    def add(n: int) -> None:
        memos.append(cube.id, f"Item {n}.", by=ANA)
        memos.relabel(cube.id, by=ANA, add=[f"t{n}"])

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = memos.get(cube.id, by=ANA)
    assert sorted(now.text.splitlines()[1:]) == [f"Item {n}." for n in range(4)]
    assert {"home", "t0", "t1", "t2", "t3"} <= set(now.descriptive.tags)
    assert now.version == 9
    gone = memos.relabel(cube.id, by=ANA, remove=["home"])
    assert "home" not in gone.descriptive.tags
    assert gone.text == now.text


def test_compare_and_swap_refuses_what_changed(memos: MemOS) -> None:
    cube = memos.remember("One.", by=ANA)
    memos.append(cube.id, "Two.", by=ANA, expected_version=1)
    with pytest.raises(VersionConflictError):
        memos.append(cube.id, "Three.", by=ANA, expected_version=1)
    with pytest.raises(VersionConflictError):
        memos.relabel(cube.id, by=ANA, add=["x"], expected_version=1)
    assert memos.get(cube.id, by=ANA).text == "One.\nTwo."
    with pytest.raises(InvalidMemoryError):
        memos.append(cube.id, "  ", by=ANA)
    with pytest.raises(InvalidMemoryError):
        memos.relabel(cube.id, by=ANA, add="x")


def test_merging_keeps_lineage_and_obeys_its_sources(memos: MemOS) -> None:
    wide = memos.remember("The gate is green.", by=ANA, readers=["ben", "eve"])
    narrow = memos.remember("The gate squeaks.", by=ANA, readers=["ben"], ttl=timedelta(days=9))
    merged = memos.merge([wide.id, narrow.id], by=ANA)
    assert merged.text == "The gate is green.\nThe gate squeaks."
    assert memos.get(merged.id, by=BEN).text == merged.text
    with pytest.raises(CubeNotFoundError):
        memos.get(merged.id, by=Principal(tenant="acme", user="eve"))
    assert merged.governance.expires_at == narrow.governance.expires_at
    assert memos.get(wide.id, by=ANA).state is State.MERGED
    assert [hit.cube.id for hit in memos.recall("What about the gate?", by=ANA).hits] == [merged.id]
    told = memos.provenance(wide.id, by=ANA)
    assert told.derived == (merged.id,)
    assert told.pointing == {"merged_into": (merged.id,)}
    assert memos.provenance(merged.id, by=ANA).pointing == {"merged_from": (wide.id, narrow.id)}
    memos.forget(narrow.id, by=ANA)
    with pytest.raises(CubeNotFoundError):
        memos.get(merged.id, by=ANA)


def test_merging_is_refused_where_it_must_be(memos: MemOS) -> None:
    one, two = (memos.remember(f"Fact {n}.", by=ANA) for n in range(2))
    other = memos.remember("Elsewhere.", by=Principal(tenant="globex", user="ana"))
    theirs = memos.remember("Ben's own.", by=BEN, readers=["ana"])
    derived = memos.remember("Drawn.", by=ANA, provenance=Provenance(derived_from=(one.ref,)))
    with pytest.raises(CubeNotFoundError):
        memos.merge([one.id, other.id], by=ANA)
    with pytest.raises(AccessDeniedError):
        memos.merge([one.id, theirs.id], by=ANA)
    with pytest.raises(CyclicDerivationError, match="derived from"):
        memos.merge([derived.id, one.id], by=ANA)
    with pytest.raises(InvalidMemoryError):
        memos.merge([one.id, one.id], by=ANA)
    memos.move(two.id, State.FROZEN, by=ANA)
    with pytest.raises(IllegalTransitionError):
        memos.merge([one.id, two.id], by=ANA)
    memos.hold(one.id, by=ADMIN)
    with pytest.raises(LegalHoldError):
        memos.merge([one.id, memos.remember("Another.", by=ANA).id], by=ANA)
    assert memos.get(one.id, by=ANA).state is State.GENERATED


def test_feedback_changes_trust_importance_and_validity(memos: MemOS) -> None:
    cube = memos.remember("The shop opens at nine.", by=ANA)
    assert memos.feedback(cube.id, "helpful", by=ANA).governance.priority == 10
    doubted = memos.feedback(cube.id, "wrong", by=ANA)
    assert (doubted.trust.label, doubted.governance.priority) == (TrustLabel.UNVERIFIED, 0)
    over = memos.feedback(cube.id, "outdated", by=ANA)
    assert (over.state, over.descriptive.valid_to) == (State.ARCHIVED, START)
    assert not memos.recall("When does the shop open?", by=ANA).hits
    assert [entry.record.detail for entry in memos.audit(by=ANA, operation="feedback")] == [
        {"said": "helpful"},
        {"said": "wrong"},
        {"said": "outdated"},
    ]
    counted = memos.get(cube.id, by=ANA).behaviour
    assert (counted.helpful, counted.wrong) == (1, 1)
    for odd in ("great", ["wrong"]):
        with pytest.raises(InvalidMemoryError, match="helpful"):
            memos.feedback(cube.id, odd, by=ANA)  # type: ignore[arg-type]
    with pytest.raises(CubeNotFoundError):
        memos.feedback(cube.id, "wrong", by=BEN)


def test_provenance_names_the_recalls_that_used_it(memos: MemOS) -> None:
    cube = memos.remember("The shop opens at nine.", by=ANA, provenance=Provenance(source="notes"))
    recall = memos.recall("When does the shop open?", by=ANA)
    told = memos.provenance(cube.id, by=ANA)
    assert told.recalls == (recall.id,)
    assert (told.reads, told.source, told.author) == (1, "notes", "user:ana")
    with pytest.raises(CubeNotFoundError):
        memos.provenance(cube.id, by=BEN)
