"""The commands about a vault's keys: make one, see what they are, change them, destroy them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import key_of_environment, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.cli.proof import reading

app = typer.Typer(
    help="The keys of an encrypted vault; its own is named by MEMOS_KEY_FILE or MEMOS_KEY.", no_args_is_help=True
)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")]


@app.command()
def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it is put; not on the vault's disk.")],
) -> None:
    """Make a key, in a new file that only you can read. Copy it to a safe place: without it all is lost."""
    from memos_integrations.backends.keys import KeyFile

    say(f"{KeyFile.made(file).name} in {file}")


@app.command()
def status(*, vault: Vault, as_json: Json = False) -> None:
    """Say how a vault is encrypted; no key is needed."""
    from memos_integrations.vaults.key_status import key_status

    with reading(vault) as connection:
        found = key_status(connection)
    if as_json:
        print_json(found._asdict() | {"erased": found.erased and found.erased.isoformat()})
    elif found.erased is not None:
        say(f"Its keys were erased on {found.erased:%Y-%m-%d}; nobody can read it.")
    elif found.provider is None:
        say("Not encrypted. Opened with a key it is sealed, for good.")
    else:
        say(f"Encrypted with {found.provider}; vectors are {'sealed too' if found.blinded else 'in clear'}.")
        for number, count in sorted(found.masters.items()):
            say(f"  master key {number}: keys of {count} memories")
        if found.unfinished:
            say("A sealing or a change of keys is not finished; the next opening with the key goes on.")


@app.command()
def rotate(
    *,
    vault: Vault,
    to: Annotated[Path, typer.Option("--to", help="The file of the new key; see `memos keys make`.")],
    tenant: Tenant = "local",
    user: User = None,
) -> None:
    """Wrap every key anew, under another one: from now on only that opens the vault. Then destroy the old key."""
    from memos_integrations.backends.keys import KeyFile
    from memos_integrations.vaults.sqlite import SQLiteVault

    fresh = KeyFile(to)
    with reading(vault):  # there is one, or this says so
        pass
    with SQLiteVault(vault, keys=key_of_environment()) as opened:
        count = opened.rotate_keys(fresh, by=principal(tenant, user), now=datetime.now(UTC))
    say(f"{count} keys are wrapped by {fresh.name} now. Set MEMOS_KEY_FILE={to}, then destroy the old key.")


@app.command()
def erase(*, vault: Vault, yes: Yes = False, tenant: Tenant = "local", user: User = None) -> None:
    """Destroy every key of a vault: nothing in it can be read any more, by anybody. The audit log stays."""
    from memos_integrations.vaults.sqlite import SQLiteVault

    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("This cannot be undone: say --yes.", param_hint="--yes")
        typer.confirm("Every memory in this vault will be lost for good. Erase its keys?", abort=True)
    with reading(vault):  # there is one, or this says so
        pass
    with SQLiteVault(vault, keys=key_of_environment()) as opened:
        opened.erase_keys(by=principal(tenant, user), now=datetime.now(UTC))
    say("Erased. Nothing in the vault can be read; older copies can, with the key of then: destroy that as well.")
