"""`memos costs`: the ledger is the audit log, counted."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.cli import app
from memos_integrations.core.costs import ledger_of
from memos_integrations.core.cube import BlobRef, Json, MemCube, ModelFingerprint, ParameterPayload, Tier
from memos_integrations.vaults.memory import InMemoryVault

ANA = Principal(tenant="local", user="ana")
BEN = Principal(tenant="local", user="ben")


def test_the_command_counts_what_the_log_says(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        cube = memos.remember("The cat is called Miso.", by=ANA)
        memos.remember("Ben has a dog.", by=BEN)
        memos.recall("What is the cat called?", by=ANA)
        whole = memos.audit(by=Principal(tenant="local", user="root", roles=["auditor"]), limit=1_000)
    mine = CliRunner().invoke(app, ["costs", "--vault", str(tmp_path), "--user", "ana", "--json"])
    assert mine.exit_code == 0, mine.output
    told = json.loads(mine.output)
    assert told["reconciles"] is True
    assert {deed["actor"] for deed in told["deeds"]} == {"user:ana"}
    assert [(held["tier"], held["cubes"], held["text_bytes"]) for held in told["holdings"]] == [("plaintext", 1, 23)]
    everybody = ["costs", "--vault", str(tmp_path), "--user", "root", "--role", "auditor", "--json"]
    all_of_it = json.loads(CliRunner().invoke(app, everybody).output)
    counts = {(deed["operation"], deed["actor"]): deed["allowed"] for deed in all_of_it["deeds"]}
    assert counts["remember", "user:ana"] == counts["remember", "user:ben"] == 1
    assert all_of_it["entries"] >= len(whole) > sum(deed["allowed"] for deed in told["deeds"] if deed == {})
    assert all_of_it["holdings"] == [], "an auditor counts deeds, and reads no memory"
    shown = CliRunner().invoke(app, ["costs", "--vault", str(tmp_path), "--user", "ana"])
    assert "1 plaintext memories: 23 B of words" in shown.output
    assert "adds up" in shown.output
    for by in ("operation", "principal", "cube"):
        table = CliRunner().invoke(app, ["costs", "--vault", str(tmp_path), "--user", "ana", "--by", by])
        assert table.exit_code == 0, table.output
        assert {"operation": "remember", "principal": "user:ana", "cube": cube.id}[by] in table.output


def test_what_is_archived_or_frozen_takes_room_too(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        for state in ("archived", "frozen"):
            memos.move(memos.remember("The cat is called Miso.", by=ANA).id, state, by=ANA)
    told = CliRunner().invoke(app, ["costs", "--vault", str(tmp_path), "--user", "ana", "--json"])
    (held,) = json.loads(told.output)["holdings"]
    assert (held["cubes"], held["text_bytes"]) == (2, 46)


def test_what_recalls_handed_out_adds_up_to_what_was_shown(tmp_path: Path) -> None:
    with MemOS.open(tmp_path) as memos:
        memos.remember_many(["The cat is called Miso.", "Die Katze heißt Tofu."], by=ANA)
        memos.remember("The dog is called Rex.", by=BEN)
        shown = [memos.recall("What is the cat called?", by=ANA), memos.recall("Katze", by=ANA, needed=True)]
        nothing = memos.recall("zebra crossing", by=BEN, needed=True)
        assert nothing.text == ""
        entries = memos.audit(by=Principal(tenant="local", user="root", roles=["auditor"]), limit=1_000)
    ledger = ledger_of(entries, [])
    rows = {(deed.operation, deed.actor): (deed.allowed, deed.tokens, deed.read_bytes) for deed in ledger.deeds}
    assert all(recall.text for recall in shown)
    assert rows["recall", "user:ana"] == (
        2,
        sum(recall.token_count for recall in shown),
        sum(len(recall.text.encode()) for recall in shown),
    )
    assert rows["recall", "user:ben"] == (1, 0, 0)
    assert {row[1:] for (operation, _), row in rows.items() if operation != "recall"} == {(0, 0)}
    assert ledger.reconciles
    told = CliRunner().invoke(app, ["costs", "--vault", str(tmp_path), "--user", "ana"])
    assert f"{sum(recall.token_count for recall in shown)} tokens and" in told.output


def test_what_training_took_stands_in_the_ledger() -> None:
    with MemOS(InMemoryVault()) as memos:
        cube = memos.remember("The cat is called Miso.", by=ANA)
    held = ledger_of(
        [], [cube, trained(cube, {"training": {"cpu_s": 90.5}}), trained(cube, {"training": "?"})]
    ).holdings
    assert [(each.tier, each.cubes, each.blob_bytes) for each in held] == [
        (Tier.PLAINTEXT, 1, 0),
        (Tier.PARAMETER, 2, 10_000),
    ]
    assert held[1].build_cpu_s == 90.5


def trained(cube: MemCube, training: Json) -> MemCube:
    base = ModelFingerprint(model="m", weights="w", tokenizer="t", chat_template="c", dtype="d", positions="p")
    payload = ParameterPayload(adapter=BlobRef(digest="0" * 64, size=5_000), base=base, training=training)
    return cube.model_copy(update={"payload": payload})
