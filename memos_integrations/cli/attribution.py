"""The command that asks which memories a text was taken from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say, say_cube


def attribute(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text; - reads it from standard input.")],
    *,
    vault: Vault,
    k: Annotated[int, typer.Option("--k", "-k", help="At most so many memories.")] = 5,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show which memories that you may read have their wording in TEXT; paraphrase is not seen."""
    said = sys.stdin.read() if text == "-" else text
    with opened(vault, Choice.NONE) as (memos, _, _):
        found = memos.attribute(said, by=principal(tenant, user), k=k)
    if as_json:
        sources = [
            {"id": each.cube.id, "share": each.share, "shared": each.shared, "text": each.cube.text}
            for each in found.sources
        ]
        print_json({"words": found.words, "note": found.note, "sources": sources})
        return
    for each in found.sources:
        say(f"{each.share:.0%} of its wording ({each.shared} pairs of words):", "bold")
        say_cube(each.cube)
    if not found.sources:
        say(found.note or "No memory that you may read has its wording in this text.")
