"""`memos costs`: what was done with memory, by whom, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.costs import ledger_of
from memos_integrations.core.ports import AuditEntry, CubeFilter

if TYPE_CHECKING:
    from memos_integrations.core.access import Principal
    from memos_integrations.memos import MemOS

PAGE = 10_000
MOST_CUBES = 100_000


def costs(
    *,
    vault: Vault,
    role: Annotated[list[str] | None, typer.Option("--role", help="auditor: also what others did.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Count deeds from the audit log, and bytes and CPU seconds of the memories you may read, by form."""
    by = principal(tenant, user, role)
    with opened(vault, Choice.NONE) as (memos, _, _):
        entries = list(_entries(memos, by))  # before the memories are looked at, which is a deed, too
        ledger = ledger_of(entries, memos.find(CubeFilter(), by=by, k=MOST_CUBES))
    if as_json:
        print_json(ledger.model_dump(mode="json") | {"reconciles": ledger.reconciles})
        return
    say(f"{ledger.entries} entries of the audit log")
    for deed in ledger.deeds:
        denied = f", {deed.denied} denied" if deed.denied else ""
        read = f", {deed.tokens:,} tokens and {deed.read_bytes:,} B handed out" if deed.read_bytes else ""
        say(f"  {deed.operation:<16}{deed.actor:<24}{deed.allowed:>8}{denied}{read}")
    for held in ledger.holdings:
        built = f", made in {held.build_cpu_s:.1f} CPU s" if held.build_cpu_s else ""
        say(f"{held.cubes} {held.tier} memories: {held.text_bytes:,} B of words, {held.blob_bytes:,} B of blobs{built}")


def _entries(memos: MemOS, by: Principal) -> Iterator[AuditEntry]:
    after = 0
    while True:
        page = memos.audit(by=by, after=after, limit=PAGE)
        yield from page
        if len(page) < PAGE:  # not until a page is empty: looking is a deed, too, and there would be no end of it
            return
        after = page[-1].number
