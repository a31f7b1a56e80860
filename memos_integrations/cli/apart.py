"""`memos apart`: what was set apart, by the gate or by hand; giving it back, and taking a source out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.cube import Channel
from memos_integrations.core.ports import CubeFilter
from memos_integrations.memos import MemOS


def apart(
    cube_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which of them. Without: all that you may see.")
    ] = None,
    *,
    vault: Vault,
    release: Annotated[
        bool, typer.Option("--release", help="Give them back to recall, no more trusted than before.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Confirm the memories named: they are trusted from now on.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Set apart all of yours that came from there, and what is made of it."),
    ] = None,
    channel: Annotated[
        Channel | None, typer.Option("--channel", help="The same for all that came so; with --source, for both.")
    ] = None,
    erase: Annotated[
        bool, typer.Option("--erase", help="With --source or --channel: erase it, for good; nothing is asked.")
    ] = False,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="verifier: also what others own; it alone may release, verify.")
    ] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Memories that were set apart: they read like orders to a machine, or somebody put them there. No read gives them.

    Some are everyday requests ("always recommend vegetarian places") that came from a page or a tool, where nobody
    knows who asks. `memos apart --release --role verifier` gives them back; whoever looks after a vault has that role.
    `memos apart --source NAME` sets apart whatever came from a source; what it had replaced holds again.
    """
    named = source is not None or channel is not None
    if (named and (cube_ids or release or verify)) or (verify and (release or not cube_ids)) or (erase and not named):
        raise typer.BadParameter("Name a --source or --channel, perhaps to --erase; or ids, to --release or --verify.")
    with opened(vault, Choice.AUTO) as (memos, _, _):
        by = principal(tenant, user, role)
        if named:
            _told(*_withdrawn(memos, erase, by=by, source=source, channel=channel), as_json=as_json)
            return
        if verify:
            _told(memos.verify(cube_ids or [], by=by), "verified", as_json=as_json)
            return
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


def _withdrawn(memos: MemOS, erase: bool, **where: Any) -> tuple[list[str], str]:
    """What came from a source is set apart, or erased: the ids, and the word for it."""
    if erase:
        return [each.cube_id for each in memos.forget_from(**where)], "erased"
    return memos.quarantine(CubeFilter(), **where), "set apart"


def _told(ids: list[str], word: str, *, as_json: bool) -> None:
    if as_json:
        print_json({word.replace(" ", "_"): ids})
    else:
        say("\n".join([*ids, f"{len(ids)} {word}."]))
