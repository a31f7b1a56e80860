"""`memos costs`: what was done with memory, by whom, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.costs import COUNTED, Figures, Ledger, ledger_of
from memos_integrations.core.cube import State, Tier
from memos_integrations.core.ports import AuditEntry, CubeFilter

if TYPE_CHECKING:
    from memos_integrations.core.access import Principal
    from memos_integrations.memos import MemOS

PAGE = 10_000
MOST_CUBES = 100_000
KEPT = frozenset(State)
"""What is out of recall takes room as well."""


class By(StrEnum):
    """What the table has a row for."""

    OPERATION = "operation"
    PRINCIPAL = "principal"
    CUBE = "cube"


def costs(
    *,
    vault: Vault,
    each: Annotated[By, typer.Option("--by", help="What the table has a row for.")] = By.OPERATION,
    role: Annotated[list[str] | None, typer.Option("--role", help="auditor: also what others did.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Count deeds from the audit log, what they took, and bytes of the memories you may read, by form and owner."""
    by = principal(tenant, user, role)
    with opened(vault, Choice.NONE) as (memos, _, _):
        entries = list(_entries(memos, by))  # before the memories are looked at, which is a deed, too
        ledger = ledger_of(entries, memos.find(CubeFilter(states=KEPT), by=by, k=MOST_CUBES, counts=False))
        computed = CubeFilter(states=KEPT, tiers=frozenset({Tier.ACTIVATION, Tier.PARAMETER}))
        held = ledger_of((), memos.find(computed, by=by, k=MOST_CUBES, counts=False)).holdings
    ledger = ledger.model_copy(update={"holdings": (*ledger.holdings, *held)})
    if as_json:
        print_json(ledger.model_dump(mode="json") | {"reconciles": ledger.reconciles})
        return
    adds_up = "and adds up" if ledger.reconciles else "and does NOT add up"
    say(f"{ledger.entries} entries of the audit log; every one is counted once {adds_up}")
    say(
        f"  {each:<42}{'done':>8}{'denied':>8}{'calls':>7}{'in':>9}{'cached':>9}{'out':>9}{'wall s':>9}{'CPU s':>8}",
        "dim",
    )
    for name, done, denied, took in _rows(ledger, each):
        calls, tokens = f"{took.model_calls:>7}", f"{took.tokens_in:>9}{took.tokens_cached:>9}{took.tokens_out:>9}"
        say(f"  {name:<42}{done:>8}{denied:>8}{calls}{tokens}{took.wall_s:>9.2f}{took.cpu_s:>8.1f}")
    told = ledger.total
    say(
        f"{told.tokens_out:,} tokens and {told.read_bytes:,} B handed out, {told.tokens_in:,} tokens read by models, "
        f"{told.tokens_cached:,} of them from what was kept, in {told.model_calls} calls; "
        f"{told.wall_s:.2f} s, {told.cpu_s:.1f} CPU s of learning"
    )
    for kept in ledger.holdings:
        built = f", made in {kept.build_cpu_s:.1f} CPU s" if kept.build_cpu_s else ""
        size = f"{kept.text_bytes:,} B of words, {kept.blob_bytes:,} B of blobs"
        say(f"{kept.cubes} {kept.tier} memories: {size}{built}, of {kept.owner}")


def _rows(ledger: Ledger, each: By) -> Iterator[tuple[str, int, int, Figures]]:
    """Name, done, denied and figures of each row."""
    if each is By.CUBE:
        yield from ((cube.cube_id, cube.records + cube.named, 0, cube) for cube in ledger.touched)
        return
    for deed in ledger.deeds if each is By.OPERATION else ():
        yield f"{deed.operation:<18}{deed.actor}", deed.allowed, deed.denied, deed
    for actor in sorted({deed.actor for deed in ledger.deeds}) if each is By.PRINCIPAL else ():
        mine = [deed for deed in ledger.deeds if deed.actor == actor]
        took = Figures.model_validate({name: sum(getattr(deed, name) for deed in mine) for name in COUNTED})
        yield actor, sum(deed.allowed for deed in mine), sum(deed.denied for deed in mine), took


def _entries(memos: MemOS, by: Principal) -> Iterator[AuditEntry]:
    after = 0
    while True:
        page = memos.audit(by=by, after=after, limit=PAGE)
        yield from page
        if len(page) < PAGE:  # not until a page is empty: looking is a deed, too, and there would be no end of it
            return
        after = page[-1].number
