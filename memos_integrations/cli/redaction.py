"""`memos redact`: personal identifiers and secrets out of what is stored."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import note, print_json, say
from memos_integrations.core.cube import State
from memos_integrations.core.errors import MissingExtraError
from memos_integrations.core.gate import Detector, Ruling, WriteGate
from memos_integrations.core.ports import CubeFilter

if TYPE_CHECKING:
    from memos_integrations.core.operator.redaction import Redacted


def redact(
    cube_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Which memories. Without: all of yours.")
    ] = None,
    *,
    vault: Vault,
    below: Annotated[
        str | None, typer.Option("--below", help="Only those below this namespace, its parts between slashes.")
    ] = None,
    thread: Annotated[str | None, typer.Option("--thread", help="Only those of this thread.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken out; change nothing.")] = False,
    keep_history: Annotated[
        bool, typer.Option("--keep-history", help="Write a next version, and keep the old ones with their words.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Names and places too, by a model (extra presidio): it finds most, not all.")
    ] = False,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="Whose phone numbers, written without a country code: DE, GB.")
    ] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take personal identifiers and secrets out of your memories, in every version, and what was derived from them.

    Each memory is replaced by one without them, in one transaction, or stands as it did. Exit 1: some had to stay.
    """
    found, missing = detectors(names, region or ["US"])
    gate = WriteGate(personal=Ruling.REDACT, orders=Ruling.ALLOW, detectors=found, untrusted_ttl=None)
    where: CubeFilter | list[str] = cube_ids or CubeFilter(
        namespace=tuple(below.split("/")) if below else (), thread_id=thread, states=frozenset(State)
    )
    with opened(vault, Choice.AUTO) as (memos, _, _):
        by = principal(tenant, user)
        done = memos.redact(where, by=by, gate=gate, erase=not keep_history, dry_run=dry_run)
        changed = any(each.instead for each in done)
        waiting = memos.scrub() if changed and not keep_history else 0
    if missing:
        note(missing)
    _told(done, waiting, dry_run=dry_run, as_json=as_json)
    if any(each.kept for each in done):
        sys.exit(1)


def detectors(names: bool, regions: Sequence[str]) -> tuple[list[Detector], str]:
    """What finds more than the gate does by itself, and what is not here."""
    found: list[Detector] = []
    missing = ""
    try:
        from memos_integrations.backends.identifiers import NationalIds, PhoneNumbers

        found += [NationalIds(), PhoneNumbers(regions)]
    except MissingExtraError as exc:
        missing = f"Numbers of persons and phones by form alone: {exc}"
    if names:
        from memos_integrations.backends.presidio import NamesAndPlaces

        found.append(NamesAndPlaces())
    return found, missing


def _told(done: Sequence[Redacted], waiting: int, *, dry_run: bool, as_json: bool) -> None:
    counts = Counter[str]()
    for each in done:
        counts.update({} if each.kept else each.found)
    kept = [each for each in done if each.kept]
    if as_json:
        told = {"dry_run": dry_run, "found": dict(sorted(counts.items())), "unscrubbed": waiting}
        print_json(told | {"memories": [each.model_dump(mode="json") for each in done]})
        return
    gone = sum(len(each.gone) for each in done)
    verb = "would be redacted" if dry_run else "redacted"
    say(f"{len(done) - len(kept)} memories {verb}." + (f" {gone} derived from them erased." if gone else ""))
    for kind, count in sorted(counts.items()):
        say(f"  {count:>6}  {kind.partition(':')[2] or kind}")
    for each in kept:
        say(f"  {each.cube_id} stays as it is: {each.kept}", "dim")
    if waiting:
        note("Copies of the old words may be left in the file: run `memos scrub` when nothing else reads it.")
