"""The commands that look after a vault's files: backup, restore, doctor."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import Json
from memos_integrations.cli.opening import key_of_environment
from memos_integrations.cli.output import print_json, progress, say

if TYPE_CHECKING:
    from memos_integrations.vaults.backup import Backup


def back_up(
    vault: Annotated[Path, typer.Argument(metavar="VAULT", help="The vault: a folder, or a .db file.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder, or a new file that ends in .tar.")],
    *,
    as_json: Json = False,
) -> None:
    """Copy a vault at one moment, blobs included, while it may be in use; the copy is checked as it is made."""
    from memos_integrations.vaults.backup import back_up as made_backup

    started = time.perf_counter()
    with progress("Copying") as report:
        made = made_backup(vault, target, progress=report)
    _told(made, f"Backed up to {target}", {"target": str(target)}, time.perf_counter() - started, as_json=as_json)


def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `memos backup` wrote.")],
    vault: Annotated[Path, typer.Argument(metavar="VAULT", help="Where the vault shall stand.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the vault that stands there.")] = False,
    as_json: Json = False,
) -> None:
    """Put a backup back, after every byte of it was checked. A vault that stands there is kept unless --force."""
    from memos_integrations.vaults.restore import restore as restored

    started = time.perf_counter()
    with progress("Checking") as report:
        made = restored(source, vault, force=force, progress=report)
    _told(made, f"Restored to {vault}", {"vault": str(vault)}, time.perf_counter() - started, as_json=as_json)


def doctor(
    vault: Annotated[Path, typer.Argument(metavar="VAULT", help="The vault: a folder, or a .db file.")],
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop a search index that does not fit; it is remade.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option("--key-file", help="The integrity key, if kept elsewhere.")] = None,
    as_json: Json = False,
) -> None:
    """Hold everything in a vault against everything else. Exit 1 when something does not fit and was not repaired."""
    from memos_integrations.vaults.doctor import OLDER, examine

    report = examine(vault, repair=repair, key_file=key_file, keys=key_of_environment())
    if as_json:
        print_json({"ok": report.ok, "findings": [asdict(finding) for finding in report.findings]})
    else:
        say(str(report))
        if report.ok:
            say("Everything fits.")
        elif {each.name for each in report.findings if each.problems} != {OLDER}:
            say("What is damaged cannot be repaired from within: restore a backup.")
    if not report.ok:
        raise typer.Exit(1)


def _told(made: Backup, what: str, where: dict[str, str], seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"backup": asdict(made)} | where | {"milliseconds": round(seconds * 1e3, 1)})
        return
    blobs = f" and {made.blobs} blobs" if made.blobs else ""
    say(f"{what}: {made.cubes} memories{blobs}, {made.bytes:,} bytes, commit {made.commit}, in {seconds:.1f} s.")
