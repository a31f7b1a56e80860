"""The commands that carry memories between vaults: export, import, and the key that signs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.forms import FORMATS, export_form, form_named, import_form
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import counting, print_json, progress, say
from memos_integrations.cli.sifting import (
    About,
    Below,
    From,
    Most,
    Names,
    Owned,
    Redact,
    Series,
    Tagged,
    Until,
    Without,
    check_whole,
    gate,
    lasting,
    where,
)
from memos_integrations.core.cube import first_problem
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.interchange import Addressee, Dumped, Opener

SealKey = Annotated[
    Path | None, typer.Option("--seal-key", help="The private key that opens sealed bundles; see `memos card`.")
]
_KEY = re.compile(r"[0-9a-f]{64}")
KeyFile = Annotated[Path, typer.Option("--key-file", help="The private key that signs; made where there is none.")]


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
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new file (.mip); with --series, a folder.")],
    *,
    vault: Vault,
    form: Annotated[str, typer.Option("--format", help=FORMATS)] = "mip",
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="mip: the private key that signs; made where there is none.")
    ] = None,
    issuer: Annotated[str | None, typer.Option("--issuer", help="mip: who you are to the recipient.")] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", help="mip: for whom it is; nobody else takes it.")
    ] = None,
    card: Annotated[Path | None, typer.Option("--to", help="The reader's card (`memos card`), instead.")] = None,
    sealed: Annotated[bool, typer.Option("--sealed", help="Nobody but the holder of the card can open it.")] = False,
    since: Annotated[int | None, typer.Option("--since", help="Only what changed after this position.")] = None,
    series: Series = None,
    most: Most = 50_000,
    purpose: Annotated[str, typer.Option("--purpose", help="What it may be used for.")] = "transfer",
    days: Annotated[float, typer.Option("--days", help="How long it lasts.")] = 7.0,
    access_log: Annotated[bool, typer.Option("--access-log", help="Who touched these memories goes along.")] = False,
    below: Below = None,
    tag: Tagged = None,
    owner: Owned = None,
    about: About = "",
    recorded_from: From = None,
    recorded_until: Until = None,
    redact: Redact = False,
    names: Names = False,
    without: Without = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Write what you may share to a signed bundle (MIP), or what you may read in another system's format."""
    lasts, wanted = lasting(days), where(below, tag, recorded_from, recorded_until)
    cut = gate(without or [], redact=redact, names=names)
    if form != "mip":
        check_whole(wanted, cut, owner, about, series)
        export_form(target, form_named(form), vault, principal(tenant, user), as_json=as_json)
        return
    from memos_integrations.backends.signing import Ed25519Signer

    if key_file is None or issuer is None or (recipient is None) == (card is None):
        raise InvalidMemoryError("A signed bundle needs --key-file, --issuer, and --recipient or --to.")
    signer = Ed25519Signer.in_file(key_file)
    how: dict[str, Any] = {
        "by": principal(tenant, user), "signer": signer, "issuer": issuer, "recipient": recipient, "sealed": sealed,
        "to": None if card is None else Addressee.from_file(card), "purpose": purpose, "where": wanted, "most": most,
        "owners": owner or (), "about": about, "lasts": lasts, "redact": cut, "access_log": access_log,
    }  # fmt: skip
    # Words are compared by an embedder where the vault has one.
    with opened(vault, Choice.AUTO if about else Choice.NONE) as (memos, _, _), counting("Exporting") as report:
        if series is None:
            made = memos.dump(target, since=since, progress=report, **how)
            return _told(made, target, signer.key, as_json=as_json)
        if since is not None:
            raise InvalidMemoryError("A series knows how far it has come: leave out --since.")
        parts = [*iter(lambda: memos.dump_next(target, series, progress=report, **how), None)]
    _told_parts(parts, signer.key, as_json=as_json)


def _told_parts(parts: list[Dumped], key: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"parts": [each.model_dump(mode="json") for each in parts], "key": key})
        return
    for each in parts:
        _told(each, Path(each.path), key, as_json=False)
    if not parts:
        say("Nothing has changed since the last bundle of this series.")


def _told(done: Dumped, target: Path, key: str, *, as_json: bool) -> None:
    if as_json:
        print_json(done.model_dump(mode="json") | {"key": key})
        return
    erased = f", {done.erased} named as erased" if done.erased else ""
    say(
        f"{done.cubes} memories in {done.versions} versions, {done.blobs} blobs{erased}, {done.bytes:,} bytes: {target}"
    )
    for why, count in sorted(done.declined.items()):
        say(f"  {count} stayed behind: {why}", "dim")
    if done.position is not None:
        say(f"  what changes after it: --since {done.position}", "dim")
    say(f"  signed by {key}", "dim")


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
    seal_key: SealKey = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take the memories of a bundle, or of another system's file, in as your own, after all of it was checked."""
    place = tuple(into.split("/")) if into else ()
    if form != "mip":
        by = principal(tenant, user)
        import_form(bundle, form_named(form), vault, by, place, dry_run=dry_run, again=again, as_json=as_json)
        return
    if recipient is None or not trust:
        raise InvalidMemoryError("A signed bundle needs --recipient and --trust.")
    trusted = _trusted(trust)
    with opened(vault, Choice.AUTO, make=not dry_run) as (memos, _, _), progress("Importing") as report:
        done = memos.load(
            bundle,
            by=principal(tenant, user),
            recipient=recipient,
            trusted=trusted,
            into=place,
            dry_run=dry_run,
            again=again,
            opener=_opener(seal_key),
            progress=report,
        )
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    counts = ", ".join(f"{count} {what}" for what, count in sorted(done.counts.items())) or "nothing"
    say(f"{'Would come' if dry_run else 'Imported'} from {done.issuer}: {counts}.")
    for each in done.shown if dry_run else ():
        say(f"  {each.what}: {each.id} {', '.join(each.changed)}".rstrip(), "dim")


def card(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new file; give it to whoever exports to you.")],
    *,
    recipient: Annotated[str, typer.Option("--recipient", help="Who you are to the issuer.")],
    seal_key: SealKey = None,
    as_json: Json = False,
) -> None:
    """Write a card that says what you can read and, with a sealing key, how to hide it from everybody else."""
    opener = _opener(seal_key)
    try:
        made = Addressee(recipient=recipient, seal=None if opener is None else opener.key)
    except ValidationError as exc:
        raise InvalidMemoryError(f"No card can be for {recipient!r:.80}: {first_problem(exc)}.") from exc
    made.save(target)
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        say(f"{target}: {recipient}, MIP {made.mip}" + (", sealed bundles" if made.seal else ""))


def sync(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that all your vaults reach.")],
    *,
    vault: Vault,
    key_file: KeyFile,
    group: Annotated[str, typer.Option("--group", help="The name of your vaults together.")],
    trust: Annotated[
        list[str], typer.Option("--trust", help="The public key of another of your vaults: KEY or KEY=NAME.")
    ],
    seal_key: SealKey = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Bring this vault and your others to the same, through a folder; run it on each of them, in any order."""
    from memos_integrations.backends.signing import Ed25519Signer

    with opened(vault, Choice.AUTO) as (memos, _, _):
        done = memos.sync(
            folder,
            by=principal(tenant, user),
            signer=Ed25519Signer.in_file(key_file),
            trusted=_trusted(trust),
            group=group,
            secret=_opener(seal_key),
        )
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    counts = ", ".join(f"{count} {what}" for what, count in sorted(done.counts.items())) or "nothing new"
    say(f"Read {done.read}, wrote {done.written}: {counts}.")
    for name, code in sorted(done.refused.items()):
        say(f"  {name} was refused: {code}", "yellow")


def _trusted(trust: list[str]) -> dict[str, str]:
    said = [(public.strip().lower(), name) for public, _, name in (each.partition("=") for each in trust)]
    trusted = {public: name or public[:16] for public, name in said}
    if not all(_KEY.fullmatch(public) for public in trusted):
        raise InvalidMemoryError("A public key is 64 hexadecimal digits; `memos key FILE` shows one.")
    return trusted


def _opener(seal_key: Path | None) -> Opener | None:
    if seal_key is None:
        return None
    from memos_integrations.backends.sealing_key import X25519Key

    return X25519Key.in_file(seal_key)
