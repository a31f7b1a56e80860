"""`memos apart`: what the write gate set apart, and giving it back to recall."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say


def apart(
    cube_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which of them. Without: all that you may see.")
    ] = None,
    *,
    vault: Vault,
    release: Annotated[
        bool, typer.Option("--release", help="Give them back to recall, no more trusted than before.")
    ] = False,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="verifier: also what others own; it alone may release.")
    ] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Memories that were set apart: they read like orders to a machine, or somebody put them there. No read gives them.

    Some are everyday requests ("always recommend vegetarian places") that came from a page or a tool, where nobody
    knows who asks. `memos apart --release --role verifier` gives them back; whoever looks after a vault has that role.
    """
    with opened(vault, Choice.AUTO) as (memos, _, _):
        by = principal(tenant, user, role)
        found = [cube for cube in memos.quarantined(by=by) if not cube_ids or cube.id in cube_ids]
        released = memos.release([cube.id for cube in found], by=by) if release and found else []
    if as_json:
        memories: list[dict[str, Any]] = [
            {"id": cube.id, "text": cube.text, "channel": cube.trust.channel.value, "source": cube.provenance.source}
            for cube in found
        ]
        print_json({"apart": memories, "released": released})
        return
    for cube in found:
        said = " ".join(cube.text.split())
        say(f"{cube.id}  from {cube.provenance.source or cube.trust.channel.value}: {said[:100]}")
    say(f"{len(released)} given back." if release else f"{len(found)} set apart.")
