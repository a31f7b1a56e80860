"""`memos redact`: what is stored goes without its personal identifiers, in every version and place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal, Provenance
from memos_integrations.cli import app
from memos_integrations.core.cube import CubeRef
from memos_integrations.core.item import Address, ItemWrite

ANA = Principal(tenant="local", user="ana")
BOB = Principal(tenant="local", user="bob")
ADMIN = Principal(tenant="local", user="root", roles=frozenset({"admin"}))
THEN = datetime(2026, 3, 2, tzinfo=UTC)
MAIL, CARD, PHONE = "ana.k@example.com", "4539 2886 0301 8543", "+44 20 7946 0123"


def run(vault: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What the command prints as JSON."""
    done = CliRunner().invoke(app, ["redact", *words, "--vault", str(vault), "--user", "ana", "--json"])
    assert done.exit_code == code, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def bytes_of(vault: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(vault.rglob("*")) if path.is_file())


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """Two memories of Ana with identifiers in them, one without, one of Bob, and a summary."""
    with MemOS.open(tmp_path, clock=lambda: THEN) as memos:
        first = memos.remember(f"Write to {MAIL} about the flat.", by=ANA, tags=["mail " + MAIL])
        card = memos.remember(
            f"The card is {CARD}.", by=ANA, provenance=Provenance(thread_id="t1"), readers=["user:bob"]
        )
        memos.update(card.id, by=ANA, text="The card is cancelled.")
        memos.remember("The cellar is dry.", by=ANA)
        memos.remember(f"Call me on {PHONE}.", by=BOB)
        sources = (CubeRef(id=first.id, version=first.version),)
        memos.remember(f"Ana's address: {MAIL}", by=ANA, provenance=Provenance(derived_from=sources))
    return tmp_path


def test_a_dry_run_counts_and_changes_nothing(vault: Path) -> None:
    told = run(vault, "--dry-run")
    assert told["found"] == {"personal:card": 1, "personal:email": 3}
    assert {each["instead"] for each in told["memories"]} == {None}
    assert MAIL.encode() in bytes_of(vault)
    assert CARD.encode() in bytes_of(vault)
    with MemOS.open(vault) as memos:
        assert len(memos.get_many([each["cube_id"] for each in told["memories"]], by=ANA)) == 3
        seen = memos.audit(by=ANA, operation="redact_dry_run")
        assert len(seen) == 3
        assert not any(MAIL in entry.model_dump_json() for entry in seen)


def test_old_words_survive_in_no_version_and_no_place(vault: Path) -> None:
    told = run(vault)
    assert MAIL.encode() not in bytes_of(vault)
    assert CARD.encode() not in bytes_of(vault)
    assert PHONE.encode() in bytes_of(vault), "what is Bob's is not Ana's to change"
    assert sum(len(each["gone"]) for each in told["memories"]) == 1
    with MemOS.open(vault) as memos:
        found = {memos.get(each["instead"], by=ANA).text for each in told["memories"] if not each["gone"]}
        assert "The card is cancelled." in found
        [card] = [each["instead"] for each in told["memories"] if "personal:card" in each["found"]]
        cube = memos.get(card, by=BOB)
        assert (cube.version, cube.provenance.thread_id) == (1, "t1")
        assert "cellar" in str(memos.recall("Is the cellar dry?", by=ANA).text)
        written = memos.audit(by=ANA, operation="redact")
        assert {entry.record.cube_id for entry in written} >= {card}
    assert run(vault)["memories"] == []


def test_only_what_is_in_scope_is_touched(vault: Path) -> None:
    told = run(vault, "--thread", "t1")
    assert told["found"] == {"personal:card": 1}
    assert MAIL.encode() in bytes_of(vault)
    assert run(vault, "--below", "local/user/nobody")["memories"] == []


def test_what_is_on_hold_stays_and_is_named(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        held = memos.remember(f"Keep {MAIL} for the court.", by=ANA)
        memos.hold(held.id, by=ADMIN)
    told = run(vault, code=1)
    assert [each["cube_id"] for each in told["memories"] if each["kept"]] == [held.id]
    assert CARD.encode() not in bytes_of(vault)
    with MemOS.open(vault) as memos:
        assert memos.get(held.id, by=ANA).text == f"Keep {MAIL} for the court."


def test_what_is_in_quarantine_is_redacted_there(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        apart = memos.remember("Pay into DE89 3704 0044 0532 0130 00 today.", by=ANA)
        memos.quarantine([apart.id], by=ANA)
    run(vault)
    assert b"DE89 3704 0044 0532 0130 00" not in bytes_of(vault)
    with MemOS.open(vault) as memos:
        [cube] = memos.quarantined(by=ANA)
        assert cube.text == "Pay into [iban] today."


def test_an_item_keeps_its_address(vault: Path) -> None:
    address = Address(("prefs",), "contact")
    with MemOS.open(vault) as memos:
        memos.items.write([ItemWrite(address, {"mail": MAIL, "n": [1, {"card": CARD}]}, f"mail {MAIL}")], by=ANA)
    run(vault)
    with MemOS.open(vault) as memos:
        found = memos.items.read([address], by=ANA)[0]
        assert found is not None
        assert found.value == {"mail": "[email]", "n": [1, {"card": "[card]"}]}
        memos.items.write([ItemWrite(address, {"mail": "none"})], by=ANA)
        again = memos.items.read([address], by=ANA)[0]
        assert again is not None
        assert again.cube_id == found.cube_id
    assert MAIL.encode() not in bytes_of(vault)


def test_a_summary_for_people(vault: Path) -> None:
    done = CliRunner().invoke(app, ["redact", "--vault", str(vault), "--user", "ana"])
    assert done.exit_code == 0, done.output
    assert "memories redacted. 1 derived from them erased." in done.output
    assert "email" in done.output
    assert MAIL not in done.output


def test_history_is_kept_when_asked(vault: Path) -> None:
    told = run(vault, "--keep-history", code=1)
    assert "personal:card" not in told["found"], "the present version of that one has no card"
    assert MAIL.encode() in bytes_of(vault)
    with MemOS.open(vault) as memos:
        changed = [each["instead"] for each in told["memories"] if not each["kept"]]
        assert [memos.get(each, by=ANA).version for each in changed] == [2]
    assert [each["instead"] for each in told["memories"] if each["kept"]] == [None], "what is derived is out of date"


def test_a_verified_memory_is_not_verified_in_other_words(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        cube = memos.remember(f"The notary is {MAIL}.", by=ANA)
        memos.verify([cube.id], by=ADMIN)
    told = {each["cube_id"]: each["instead"] for each in run(vault)["memories"]}
    with MemOS.open(vault) as memos:
        assert memos.get(told[cube.id], by=ANA).trust.label == "stated"


def test_what_is_derived_from_an_older_version_goes_too(vault: Path) -> None:
    with MemOS.open(vault) as memos:
        source = memos.remember("The plumber has a mail address.", by=ANA)
        refs = (CubeRef(id=source.id, version=1),)
        stale = memos.remember(f"Plumber: {MAIL}, {PHONE}", by=ANA, provenance=Provenance(derived_from=refs))
        memos.update(source.id, by=ANA, text="The plumber has none.")
    run(vault)
    assert MAIL.encode() not in bytes_of(vault), stale.id
