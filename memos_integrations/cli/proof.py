"""The commands that prove: signed checkpoints of the audit log, proofs for strangers, the compliance report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault, moment
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.errors import IntegrityError

if TYPE_CHECKING:
    import sqlite3

    from memos_integrations.core.ports import AuditEntry, LogFilters

AnchorFile = Annotated[Path, typer.Option("--anchor", help="The file, best on another machine, of signed checkpoints.")]
Public = Annotated[str, typer.Option("--public", help="The signer's public key, in hex.")]


def sign(
    *,
    vault: Vault,
    key: Annotated[Path, typer.Option("--key", help="The Ed25519 signing key; made when it is missing.")],
    name: Annotated[str, typer.Option("--name", help="The signer's name in the checkpoint.")] = "memos",
    anchor: Annotated[Path | None, typer.Option("--anchor", help="Append it to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """Sign the audit log as it is now; keep what is printed where nobody can set it back."""
    from memos_integrations.vaults.signed_log import FileAnchor, LogSigner, sign_log

    with reading(vault) as connection:
        signer = LogSigner.from_file(key, name=name, make=True)
        note = sign_log(connection, signer, *([] if anchor is None else [FileAnchor(anchor)]))
    if as_json:
        print_json({"checkpoint": note, "public": signer.public.hex()})
    else:
        say(note)
        say(f"public key {signer.public.hex()}")


def check(*, vault: Vault, anchor: AnchorFile, public: Public, as_json: Json = False) -> None:
    """Hold the log against every checkpoint that was signed: shows a log that was cut, changed or set back. Exit 1."""
    from memos_integrations.vaults.signed_log import FileAnchor, check_anchored

    try:
        with reading(vault) as connection:
            newest = check_anchored(connection, _key(public), FileAnchor(anchor))
    except IntegrityError as exc:
        _told({"ok": False, "problem": str(exc)}, f"DAMAGED: {exc}", as_json=as_json)
        raise typer.Exit(1) from exc
    _told({"ok": True, "size": newest.size}, f"Intact: {newest.size} entries as they were signed.", as_json=as_json)


def prove(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The entry, or the size of the earlier log.")],
    *,
    vault: Vault,
    anchor: AnchorFile,
    public: Public,
    consistency: Annotated[
        bool, typer.Option("--consistency", help="That the newest checkpoint extends the one of size NUMBER.")
    ] = False,
) -> None:
    """Print a proof, as JSON, that an entry stands under the newest checkpoint: `verifier.py` checks it alone."""
    from memos_integrations.vaults.merkle_proofs import LogTree
    from memos_integrations.vaults.signed_log import FileAnchor, check_anchored, read_checkpoint

    keeps, key = FileAnchor(anchor), _key(public)
    with reading(vault) as connection:
        size = check_anchored(connection, key, keeps).size
        notes = {read_checkpoint(note, key).size: note for note in keeps.published()}
        proof: dict[str, Any] = {"checkpoint": notes[size], "size": size}
        if consistency:
            if number not in notes or number == size:
                raise typer.BadParameter(f"No earlier checkpoint has {number} entries: {sorted(notes)}.")
            proof |= {"first": number, "first_checkpoint": notes[number]}
            proof["path"] = LogTree(connection).consistency(number, size).path
        else:
            proof |= {"number": number, "path": LogTree(connection).inclusion(number, size).path}
            previous, record = connection.execute(
                "SELECT previous, record FROM audit WHERE number = ?", (number,)
            ).fetchone()
            proof |= {"previous": previous, "entry": bytes(record).decode()}
    print_json(proof)


def verifier() -> None:
    """Print the independent verifier: one file that trusts nothing of this package. Save it, read it, run it."""
    say(Path(__file__).parent.parent.joinpath("vaults", "verifier.py").read_text("utf-8"))


def report(
    *,
    vault: Vault,
    since: Annotated[str | None, typer.Option("--since", help="From this time on, ISO 8601 with zone.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this time.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write one HTML page, ready to print.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write Markdown here instead of printing it.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", help="auditor: also what others did.")] = None,
    tenant: Tenant = "local",
    user: User = None,
) -> None:
    """Report accesses, denials, policy revisions and deletions by day and subject, as Markdown or HTML."""
    from datetime import UTC, datetime

    from memos_integrations.core.report import ComplianceReport

    span: dict[str, Any] = {"since": moment(since), "until": moment(until)}
    entries: list[AuditEntry] = []
    with opened(vault, Choice.NONE) as (memos, _, _):
        by, seen = principal(tenant, user, role), memos.verify_audit()
        filters = {**span, "limit": 10_000}
        while page := memos.audit(
            by=by, **cast("LogFilters", filters | {"after": entries[-1].number if entries else 0})
        ):
            entries += page
            if len(page) < 10_000:  # asking is on record, too: the next page would never be empty
                break
    made = ComplianceReport(
        tenant=tenant, made_at=datetime.now(UTC), head=seen.head, verified=seen.ok, entries=tuple(entries), **span
    )
    if html is not None:
        html.write_text(made.html(), "utf-8")
    if out is not None:
        out.write_text(made.markdown(), "utf-8")
    if html is None and out is None:
        say(made.markdown())


@contextmanager
def reading(vault: Path) -> Iterator[sqlite3.Connection]:
    """The file of a vault as it is, within a read transaction; no key is needed.

    Raises:
        VaultError: There is none.
    """
    from memos_integrations.core.errors import VaultError
    from memos_integrations.vaults.connection import connect, database_file, translating

    database = database_file(vault)
    if not database.is_file():
        raise VaultError(f"There is no vault at {vault}. Name its folder, or its file.")
    with translating(), closing(connect(database, busy_timeout_s=30.0, reading=True)) as connection:
        connection.execute("BEGIN")
        yield connection


def _key(public: str) -> bytes:
    try:
        key = bytes.fromhex(public)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise typer.BadParameter("A public key is 64 hex digits.", param_hint="--public")
    return key


def _told(said: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(json.dumps(said)))
    else:
        say(words)
