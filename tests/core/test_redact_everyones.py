"""An officer redacts what others own: in their name, on record, and without reading a word of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memos_integrations import MemOS, Principal, Ruling, WriteGate
from memos_integrations.core.cube import PlaintextPayload, Provenance
from memos_integrations.core.errors import AccessDeniedError, CubeNotFoundError, InvalidMemoryError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.vaults.memory import InMemoryVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA, BEN = (Principal(tenant="acme", user=user) for user in ("ana", "ben"))
ELSEWHERE = Principal(tenant="globex", user="ana")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))
MAIL = "zoe@example.com"
GATE = WriteGate(personal=Ruling.REDACT, orders=Ruling.ALLOW)


@pytest.fixture(params=["memory", "sqlite"])
def memos(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemOS]:
    opened = MemOS(InMemoryVault(), clock=lambda: NOW) if request.param == "memory" else None
    with opened or MemOS.open(tmp_path / "v", clock=lambda: NOW) as made:
        yield made
        assert made.verify_audit().ok


def texts(memos: MemOS, by: Principal) -> set[str]:
    return {cube.text for cube in memos.find(CubeFilter(), by=by)}


@pytest.mark.parametrize("erase", [False, True])
def test_what_everybody_owns_goes_without_its_identifiers(memos: MemOS, erase: bool) -> None:
    for by in (ANA, BEN, ELSEWHERE):
        memos.remember(f"Write to {MAIL}.", by=by)
    memos.remember("The cellar is dry.", by=BEN)
    done = memos.redact_everyones(by=ADMIN, gate=GATE, erase=erase)
    assert [each.found for each in done] == [{"personal:email": 1}] * 2
    assert texts(memos, ANA) == {"Write to [email]."}
    assert texts(memos, BEN) == {"Write to [email].", "The cellar is dry."}
    assert texts(memos, ELSEWHERE) == {f"Write to {MAIL}."}
    assert not any(MAIL in each.model_dump_json() for each in done)
    for each in done:
        with pytest.raises(CubeNotFoundError):
            memos.get(each.instead or "", by=ADMIN)
    entries = memos.audit(by=ADMIN, limit=1000)
    assert not any(MAIL in entry.model_dump_json() for entry in entries)
    assert [entry.record.actor for entry in entries if entry.record.operation == "redact_everyones"] == ["user:root"]
    assert {entry.record.actor for entry in entries if entry.record.agent == "user:root"} == {"user:ana", "user:ben"}


def test_only_those_that_are_named_and_nothing_in_a_dry_run(memos: MemOS) -> None:
    cube = memos.remember(f"Write to {MAIL}.", by=ANA)
    memos.remember(f"Call {MAIL}.", by=BEN)
    found = memos.redact_everyones(by=ADMIN, gate=GATE, owners=["ana"], dry_run=True)
    assert [(each.cube_id, each.instead) for each in found] == [(cube.id, None)]
    memos.redact_everyones(by=ADMIN, gate=GATE, owners=["ana"])
    assert texts(memos, ANA) == {"Write to [email]."}
    assert texts(memos, BEN) == {f"Call {MAIL}."}
    with pytest.raises(InvalidMemoryError):
        memos.redact_everyones(by=ADMIN, gate=GATE, owners="ana")


def test_what_is_on_hold_stays_and_is_told(memos: MemOS) -> None:
    cube = memos.remember(f"Write to {MAIL}.", by=ANA)
    memos.hold(cube.id, by=ADMIN)
    [kept] = memos.redact_everyones(by=ADMIN, gate=GATE, erase=True)
    assert (kept.cube_id, kept.instead) == (cube.id, None)
    assert "legal hold" in kept.kept
    assert texts(memos, ANA) == {f"Write to {MAIL}."}


def test_who_is_no_admin_does_not_and_that_is_on_record(memos: MemOS) -> None:
    memos.remember(f"Write to {MAIL}.", by=ANA)
    with pytest.raises(AccessDeniedError, match="role admin"):
        memos.redact_everyones(by=BEN, gate=GATE)
    assert texts(memos, ANA) == {f"Write to {MAIL}."}
    assert [entry.record.outcome.value for entry in memos.audit(by=BEN, operation="redact_everyones")] == ["denied"]


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize(
    "how",
    [
        {"value": {"mail": MAIL, "n": 7}}, {"tags": [MAIL]}, {"topic": f"mail of {MAIL}"}, {"value": {MAIL: 7}},
        {"provenance": Provenance(source=f"mail from {MAIL}", speaker=MAIL)},
    ],
)  # fmt: skip
def test_what_stands_beside_the_words_is_redacted_too(memos: MemOS, how: dict[str, Any], erase: bool) -> None:
    cube = memos.remember("The cellar is dry.", by=ANA, **how)
    (done,) = memos.redact([cube.id], by=ANA, gate=GATE, erase=erase)
    now = memos.get(done.instead or "", by=ANA)
    assert MAIL not in now.to_json()
    assert now.text == cube.text
    assert isinstance(now.payload, PlaintextPayload)
    assert (now.payload.value is None) == ("value" not in how)
    assert memos.redact([now.id], by=ANA, gate=GATE, erase=erase) == []
