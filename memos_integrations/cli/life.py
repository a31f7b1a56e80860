"""The commands over time: what contradicts is settled and undone, memories age, move, and are rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import CubeId, Json, Tenant, User, Vault, moment
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say

if TYPE_CHECKING:
    from memos_integrations.core.conflict import Decided

Now = Annotated[str | None, typer.Option("--now", help="The present, ISO 8601 with zone. Default: now.")]


def consolidate(*, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False) -> None:
    """Settle what contradicts or repeats among your memories, by rules; every decision can be undone."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        _told(memos.consolidate(by=principal(tenant, user)), as_json=as_json)


def decisions(
    cube_id: CubeId, *, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False
) -> None:
    """Show what was decided about one memory, and why."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        _told(memos.decisions(cube_id, by=principal(tenant, user)), as_json=as_json)


def undo(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="As `decisions` shows it.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take one decision back: both memories stand as they did."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        done = memos.undo(decision, by=principal(tenant, user))
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        say(f"Undone: {done.ruling} of {done.older} by {done.newer}.")


def tick(
    *,
    vault: Vault,
    now: Now = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many memories.")] = 10_000,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Let your memories age: archive what is unused or no longer holds, let expire and collect what is over."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        done = memos.tick(by=principal(tenant, user), now=moment(now), limit=limit)
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    more = " There is more to do." if done.more else ""
    left = " Copies of what was erased may be left: see `memos scrub`." if done.unscrubbed else ""
    say(f"{len(done.archived)} archived, {len(done.expired)} expired, {len(done.collected)} collected.{more}{left}")


def scrub(*, vault: Vault, now: Now = None, as_json: Json = False) -> None:
    """Write the vault's file anew, so that no copy is left in it of what was erased. It may take minutes."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        waiting = memos.scrub(moment(now))
    if as_json:
        print_json({"waiting": waiting})
    else:
        say("Something else reads the old pages; try again." if waiting else "No copy of what was erased is left.")


def move(
    cube_id: CubeId,
    to: Annotated[str, typer.Argument(metavar="STATE", help="activated, archived, frozen, expired.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Pass one memory to another state: archive, activate, freeze it."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        cube = memos.move(cube_id, to, by=principal(tenant, user))
    if as_json:
        print_json({"id": cube.id, "state": cube.state.value, "version": cube.version})
    else:
        say(f"{cube.id} is {cube.state}.")


def roll_back(
    since: Annotated[str, typer.Argument(metavar="SINCE", help="A time, ISO 8601 with zone, or a snapshot's name.")],
    *,
    vault: Vault,
    source: Annotated[str | None, typer.Option("--source", help="Only what came from this source.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Bring your memories back to how they stood at a time, all or none."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        named = {each.name for each in memos.snapshots(by=principal(tenant, user))}
        when = since if since in named else moment(since)
        assert when is not None
        done = memos.roll_back(when, by=principal(tenant, user), source=source)
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        say(f"{len(done.restored)} restored, {len(done.archived)} archived that had not been there.")


def snapshot(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call this moment. Without: list.")] = None,
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Give this moment a name to roll back to, or list the names given. It copies nothing; see `backup` for a copy."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        by = principal(tenant, user)
        made = memos.snapshots(by=by) if name is None else [memos.snapshot(name, by=by)]
    if as_json:
        print_json({"snapshots": [each.model_dump(mode="json") for each in made]})
        return
    for each in made:
        say(f"{each.name}  {each.at.isoformat()}")
    if not made:
        say("No snapshot yet.")


def _told(found: list[Decided], *, as_json: bool) -> None:
    if as_json:
        print_json({"decisions": [each.model_dump(mode="json") for each in found]})
        return
    for each in found:
        undone = " (undone)" if each.undone else ""
        say(f"{each.ruling}{undone}: {each.reason}", "bold")
        for proof in each.evidence:
            say(f"  {proof.rule}: {proof.newer!r} / {proof.older!r}")
        say(f"  {each.id}", "dim")
    if not found:
        say("Nothing to decide.")
