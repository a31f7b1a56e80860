"""The compliance report counts every entry once, and shows names without letting them become markup."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

from memos_integrations.backends.keys import HeldKey
from memos_integrations.backends.policy_file import read_policy
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.report import KINDS, ComplianceReport, kind_of
from memos_integrations.memos import MemOS
from memos_integrations.vaults.sqlite import SQLiteVault

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
ANA = Principal(tenant="acme", user="<script>alert(1)</script>|ana")
EVE = Principal(tenant="acme", user="eve")
ADMIN = Principal(tenant="acme", user="root", roles=frozenset({"admin"}))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)


def made(folder: Path) -> ComplianceReport:
    times = iter([NOW + timedelta(hours=number) for number in range(100)])
    with MemOS.open(folder, clock=lambda: next(times)) as memos:
        cube = memos.remember("Secret words.", by=ANA)
        memos.recall("secret", by=ANA)
        with contextlib.suppress(MemOSError):
            memos.get(cube.id, by=EVE)
        memos.hold(cube.id, by=ADMIN)
        memos.hold(cube.id, by=ADMIN, held=False)
        memos.forget(cube.id, by=ANA)
        seen = memos.verify_audit()
        entries = memos.audit(by=ADMIN, limit=1000)
    return ComplianceReport(tenant="acme", made_at=NOW, head=seen.head, verified=seen.ok, entries=tuple(entries))


def test_every_entry_is_counted_once_in_its_kind(tmp_path: Path) -> None:
    report = made(tmp_path)
    kinds = [kind_of(entry.record) for entry in report.entries]
    assert {"accesses", "writes", "denials", "deletions", "policy revisions"} == {*kinds} == {*KINDS}
    assert (kinds.count("denials"), kinds.count("deletions"), kinds.count("policy revisions")) == (1, 1, 2)
    for title in ("By day (UTC)", "By subject"):
        rows = report.markdown().split(f"## {title}")[1].split("##")[0].strip().splitlines()[2:]
        assert sum(int(cell) for row in rows for cell in row.split("|")[-6:-1]) == len(report.entries)


def test_operations_are_of_the_kind_that_an_auditor_looks_for(tmp_path: Path) -> None:
    policy = read_policy("rules:\n  - {name: interns, who: [role:intern], may_not: [read], memories: {tags: [plan]}}\n")
    vault = SQLiteVault(tmp_path / "v", keys=HeldKey(bytes(32)))
    with MemOS(vault, clock=lambda: NOW) as memos:
        cube = memos.remember("Secret words, and what else there was to say.", by=ANA)
        memos.adopt_policy(policy, by=ADMIN)
        memos.attribute("Secret words, and what else there was to say.", by=ANA)
        memos.provenance(cube.id, by=ANA)
        memos.quarantine([cube.id], by=ANA)
        vault.rotate_keys(HeldKey(bytes(range(32))), by=ADMIN, now=NOW)
        entries = memos.audit(by=ADMIN, limit=1000)
    kinds = {entry.record.operation: kind_of(entry.record) for entry in entries}
    assert {kinds[each] for each in ("attribute", "provenance")} == {"accesses"}
    governing = {"policy", "quarantine", "rotate_keys"}
    assert {kinds[each] for each in governing} == {"policy revisions"}
    page = ComplianceReport(tenant="acme", made_at=NOW, entries=tuple(entries)).markdown()
    assert "interns" in page.split("## Policy revisions")[1]
    assert HeldKey(bytes(range(32))).name in page
    assert "Secret" not in page


def test_names_are_shown_and_nothing_becomes_markup(tmp_path: Path) -> None:
    report = made(tmp_path)
    page, tags = report.html(), Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Secret words" not in page + report.markdown()
    assert "<script>" not in report.markdown()
    widths = {line.replace("\\|", "").count("|") for line in report.markdown().splitlines() if "script" in line}
    assert widths <= {7, 8}
