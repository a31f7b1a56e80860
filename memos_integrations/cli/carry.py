"""The commands that carry memories between vaults: export, import, and the key that signs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, progress, say
from memos_integrations.core.access import Principal
from memos_integrations.core.carrying import EVERYTHING
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.formats import FORMS, Form

KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="mip: the private key that signs; made where there is none.")
]
FORMATS = f"mip (signed, complete) or another system's: {', '.join(FORMS)}."


def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key's file; made where there is none.")],
    *,
    as_json: Json = False,
) -> None:
    """Show the public key that belongs to a private one: what others pass to `import --trust`."""
    from memos_integrations.backends.signing import Ed25519Signer

    public = Ed25519Signer.in_file(file).key
    if as_json:
        print_json({"key": public})
    else:
        say(public)


def export(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new file, by custom with the ending .mip.")],
    *,
    vault: Vault,
    form: Annotated[str, typer.Option("--format", help=FORMATS)] = "mip",
    key_file: KeyFile = None,
    issuer: Annotated[str | None, typer.Option("--issuer", help="mip: who you are to the recipient.")] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", help="mip: for whom it is; nobody else takes it.")
    ] = None,
    purpose: Annotated[str, typer.Option("--purpose", help="What it may be used for.")] = "transfer",
    days: Annotated[float, typer.Option("--days", help="How long it lasts.")] = 7.0,
    access_log: Annotated[bool, typer.Option("--access-log", help="Who touched these memories goes along.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Write what you may share to a signed bundle (MIP), or what you may read in another system's format."""
    if form != "mip":
        _export_form(target, _form(form), vault, principal(tenant, user), as_json=as_json)
        return
    from memos_integrations.backends.signing import Ed25519Signer

    if key_file is None or issuer is None or recipient is None:
        raise InvalidMemoryError("A signed bundle needs --key-file, --issuer and --recipient.")
    signer = Ed25519Signer.in_file(key_file)
    with opened(vault, Choice.NONE) as (memos, _, _):
        done = memos.dump(
            target,
            by=principal(tenant, user),
            signer=signer,
            issuer=issuer,
            recipient=recipient,
            purpose=purpose,
            where=EVERYTHING,
            lasts=timedelta(days=days),
            access_log=access_log,
        )
    if as_json:
        print_json(done.model_dump(mode="json") | {"key": signer.key})
        return
    say(f"{done.cubes} memories in {done.versions} versions, {done.blobs} blobs, {done.bytes:,} bytes: {target}")
    for why, count in sorted(done.declined.items()):
        say(f"  {count} stayed behind: {why}", "dim")
    say(f"  signed by {signer.key}", "dim")


def import_(
    bundle: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `memos export` or, with --format, another system wrote.")
    ],
    *,
    vault: Vault,
    form: Annotated[str, typer.Option("--format", help=FORMATS)] = "mip",
    into: Annotated[
        str | None, typer.Option("--into", help="Below which namespace, its parts between slashes: tenant/user/...")
    ] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="mip: who you are to the issuer.")] = None,
    trust: Annotated[
        list[str] | None, typer.Option("--trust", help="mip: a public key that you believe: KEY or KEY=NAME.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it and say what would come; write nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="It was loaded before: add what is missing.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take the memories of a bundle, or of another system's file, in as your own, after all of it was checked."""
    place = tuple(into.split("/")) if into else ()
    if form != "mip":
        by = principal(tenant, user)
        _import_form(bundle, _form(form), vault, by, place, dry_run=dry_run, again=again, as_json=as_json)
        return
    if recipient is None or not trust:
        raise InvalidMemoryError("A signed bundle needs --recipient and --trust.")
    trusted = {public: name or public[:16] for public, _, name in (each.partition("=") for each in trust)}
    if any(len(public) != 64 for public in trusted):
        raise InvalidMemoryError("A public key is 64 hexadecimal digits; `memos key FILE` shows one.")
    with opened(vault, Choice.AUTO, make=not dry_run) as (memos, _, _), progress("Importing") as report:
        done = memos.load(
            bundle,
            by=principal(tenant, user),
            recipient=recipient,
            trusted=trusted,
            into=place,
            dry_run=dry_run,
            again=again,
            progress=report,
        )
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    counts = ", ".join(f"{count} {what}" for what, count in sorted(done.counts.items())) or "nothing"
    say(f"{'Would come' if dry_run else 'Imported'} from {done.issuer}: {counts}.")


def _form(name: str) -> Form:
    if name not in FORMS:
        raise InvalidMemoryError(f"There is no format {name!r}; there is: mip, {', '.join(FORMS)}.")
    return FORMS[name]


def _export_form(target: Path, form: Form, vault: Path, by: Principal, *, as_json: bool) -> None:
    with opened(vault, Choice.NONE) as (memos, _, _):
        count = memos.export_file(target, form, by=by)
    if as_json:
        print_json({"format": form.name, "memories": count, "path": str(target), "lost": form.export_lost})
        return
    say(f"{count} memories: {target}")
    say(f"  the format has no place for: {form.export_lost}", "dim")


def _import_form(
    file: Path,
    form: Form,
    vault: Path,
    by: Principal,
    into: tuple[str, ...],
    *,
    dry_run: bool,
    again: bool,
    as_json: bool,
) -> None:
    with opened(vault, Choice.AUTO, make=not dry_run) as (memos, _, _), progress("Importing") as report:
        done = memos.import_file(file, form, by=by, into=into, dry_run=dry_run, again=again, progress=report)
    if as_json:
        print_json(done.model_dump(mode="json") | {"lost": form.import_lost})
    elif dry_run:
        say(f"{done.found} memories are in it; nothing was written.")
    else:
        known = f", {done.known} were known already" if done.known else ""
        known += f", {done.forgotten} stay forgotten" if done.forgotten else ""
        say(f"{done.written} memories imported{known}.")
