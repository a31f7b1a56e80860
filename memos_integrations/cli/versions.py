"""The commands that change a memory by hand: an earlier version, a merge, feedback, and a trial that may be dropped."""

from __future__ import annotations

from typing import Annotated

import typer

from memos_integrations.cli.commands import CubeId, Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import recall_as_json, say, say_recall, tell


def bring_back(
    cube_id: CubeId,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Which of them, as `memos history` counts.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Write an earlier version of one memory again, as the newest; `restore` puts back a whole vault."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        cube = memos.restore(cube_id, version, by=principal(tenant, user))
    told = {"id": cube.id, "version": cube.version, "state": cube.state.value, "text": cube.text}
    tell(told, f"{cube.id} says again, as version {cube.version}: {cube.text}", as_json=as_json)


def merge(
    cube_ids: Annotated[list[str], typer.Argument(metavar="CUBE_ID...", help="Two memories at least.")],
    *,
    vault: Vault,
    text: Annotated[str | None, typer.Option("--text", help="What it shall say. Default: the words of all.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Make one memory of several; what --text does not tell of them stays recalled beside it."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        by = principal(tenant, user)
        cube = memos.merge(cube_ids, by=by, text=text)
        beside = [each.id for each in memos.get_many(cube_ids, by=by, counts=False) if each.state.value != "merged"]
    left = f" Recalled beside it: {', '.join(beside)}." if beside else ""
    tell({"id": cube.id, "text": cube.text, "beside": beside}, f"{cube.id}: {cube.text}{left}", as_json=as_json)


def feedback(
    cube_id: CubeId,
    said: Annotated[str, typer.Argument(metavar="SAID", help="helpful, wrong or outdated.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say of a memory that it was helpful, is wrong, or is outdated."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        cube = memos.feedback(cube_id, said, by=principal(tenant, user))
    told = {"id": cube.id, "version": cube.version, "state": cube.state.value, "priority": cube.governance.priority}
    told |= {"trust": cube.trust.label.value}
    tell(told, f"{cube.id} is {cube.state}, {cube.trust.label}, priority {told['priority']}.", as_json=as_json)


def branch(
    *,
    vault: Vault,
    remember: Annotated[list[str] | None, typer.Option("--remember", help="What to write there; repeatable.")] = None,
    forget: Annotated[list[str] | None, typer.Option("--forget", help="Which to forget there; repeatable.")] = None,
    ask: Annotated[str | None, typer.Option("--ask", help="What to recall there.")] = None,
    keep: Annotated[bool, typer.Option("--merge", help="Make it true. Default: let go of it.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Try changes beside the vault: show what would differ and what would be recalled, and drop it, or merge it."""
    with opened(vault, Choice.AUTO) as (memos, _, _), memos.branch(by=principal(tenant, user)) as trial:
        by = principal(tenant, user)
        for text in remember or ():
            trial.memos.remember(text, by=by)
        for cube_id in forget or ():
            trial.memos.forget(cube_id, by=by)
        found = None if ask is None else trial.memos.recall(ask, by=by, needed=True)
        changes = trial.changes
        if keep:
            trial.merge()
    if found is not None and not as_json:
        say_recall(found)
    if not as_json:
        for change in changes:
            say(str(change))
    told = {"merged": keep, "changes": [each.model_dump(mode="json") for each in changes]}
    told |= {"recall": None if found is None else recall_as_json(found)}
    tell(told, "Merged into the vault." if keep else "Dropped; the vault is as it was.", as_json=as_json)


__all__ = ["branch", "bring_back", "feedback", "merge"]
