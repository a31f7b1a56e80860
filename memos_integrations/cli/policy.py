"""The commands over policies: look for slips, say which rule decides, who may read, what a change would do; adopt."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import CubeId, Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.access import ADMIN_ROLE, CallContext, Caller, Verb, decide, hidden_fields
from memos_integrations.core.errors import IdentityError
from memos_integrations.core.ports import CubeFilter
from memos_integrations.core.ruling import account_of, compared, known_names

if TYPE_CHECKING:
    from memos_integrations.backends.cedar import CedarPolicy
    from memos_integrations.core.access import Principal
    from memos_integrations.core.policy import Engine, Policy
    from memos_integrations.memos import MemOS

app = typer.Typer(help="Rules that people can read: who may do what with which memories.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy in YAML, or in Cedar (.cedar).")]
Subject = Annotated[
    list[str], typer.Option("--as", help="user:NAME, group:NAME, role:NAME; repeat for several at once.")
]
Purpose = Annotated[str | None, typer.Option("--purpose", help="The purpose of the call.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="admin: for everybody's memories, and to adopt.")]
VerbOption = Annotated[Verb, typer.Option("--verb", help="What they would do.")]


@app.command()
def template(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which; none lists them.")] = None,
) -> None:
    """Print a policy to begin with."""
    from memos_integrations.backends.policy_file import TEMPLATES

    if name is not None and name not in TEMPLATES:
        raise typer.BadParameter(f"There is no template {name!r}: {', '.join(TEMPLATES)}.")
    say("\n".join(TEMPLATES) if name is None else TEMPLATES[name])


@app.command()
def lint(
    policy: File,
    *,
    vault: Annotated[
        Path | None, typer.Option("--vault", help="Also hold it against the memories in this vault that you may read.")
    ] = None,
    role: Roles = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say what is probably not meant, and on which line. Exit 1 when there is something.

    With --vault also what is about nothing that memories have; with --role admin, of all of the tenant.
    """
    from memos_integrations.backends.policy_file import located
    from memos_integrations.core.policy import Policy
    from memos_integrations.core.policy import lint as slips_in

    read = _read(policy)
    slips = slips_in(read, datetime.now(UTC)) if isinstance(read, Policy) else read.lint()
    if vault is not None:
        with opened(vault, Choice.NONE) as (memos, _, _):
            slips += memos.policy_slips(read, by=principal(tenant, user, role))
    found = located(policy, slips)
    if as_json:
        print_json({"ok": not found, "problems": found, "revision": read.revision})
    else:
        say("\n".join(found) or f"{len(read.says)} rules, nothing to say. Revision {read.revision[:12]}.")
    if found:
        raise typer.Exit(1)


@app.command()
def explain(
    policy: File,
    cube_id: CubeId,
    *,
    vault: Vault,
    subjects: Subject,
    verb: VerbOption = Verb.READ,
    purpose: Purpose = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say whether somebody may do something with one of your memories, which rule decides, and on which terms."""
    from memos_integrations.core.policy import Policy

    read = _read(policy)
    with opened(vault, Choice.NONE) as (memos, _, _):
        cube = memos.get(cube_id, by=principal(tenant, user))
    caller = _caller(tenant, subjects, purpose, read)
    decision = decide(cube, verb, caller)
    without = sorted(hidden_fields(cube, caller)) if decision.allowed else []
    terms = read.told_terms(cube) if isinstance(read, Policy) else []
    if as_json:
        print_json({**decision.model_dump(mode="json"), "without": without, "terms": terms})
    else:
        part = f" Without its {', '.join(without)}." if without else ""
        say(f"{'Yes' if decision.allowed else 'No'}: {decision.reason}.{part}")
        for said in terms:
            say(f"By {said}.")


@app.command("who-can-read")
def who_can_read(
    policy: File,
    cube_id: CubeId,
    *,
    vault: Vault,
    purpose: Purpose = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """List every name that the memory or the policy knows, and whether it alone may read one of your memories."""
    read = _read(policy)
    with opened(vault, Choice.NONE) as (memos, _, _):
        cube = memos.get(cube_id, by=principal(tenant, user))
    said = {}
    for name in known_names(cube, read):
        decision = decide(cube, Verb.READ, _caller(tenant, [name], purpose, read))
        said[name] = {"may_read": decision.allowed, "reason": decision.reason}
    if as_json:
        print_json(said)
        return
    for name, found in said.items():
        say(f"{'may read ' if found['may_read'] else 'may not  '} {name}: {found['reason']}")


@app.command("dry-run")
def dry_run(
    before: Annotated[str, typer.Argument(metavar="OLD", help="The policy in place: a file, or `adopted`, or `none`.")],
    after: Annotated[Path, typer.Argument(metavar="NEW", help="The policy that is thought of.")],
    *,
    vault: Vault,
    verb: VerbOption = Verb.READ,
    subjects: Annotated[
        list[str] | None, typer.Option("--as", help="Also an account that has all of these names at once.")
    ] = None,
    purpose: Purpose = None,
    role: Roles = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say what a change would open and close, over what you may read; with --role admin over all of the tenant."""
    from memos_integrations.backends.policy_file import located

    new, accounts, context = _read(after), [subjects] if subjects else [], CallContext(purpose=purpose)
    with opened(vault, Choice.NONE) as (memos, _, _):
        by = principal(tenant, user, role)
        old = _in_place(before, memos, by)
        if ADMIN_ROLE in by.subjects:
            found = memos.try_policy(new, by=by, before=old, verb=verb, accounts=accounts, context=context)
        else:
            cubes = memos.find(CubeFilter(), by=by, k=100_000, counts=False)
            officer = Caller(by, context, datetime.now(UTC))
            found = compared(cubes, (old, new), officer, verb=verb, accounts=accounts)
    slips = located(after, found.slips)
    if as_json:
        print_json(found._asdict() | {"slips": slips})
        return
    for slip in slips:
        say(slip)
    say(f"{found.memories} memories: {len(found.opens)} {verb}s open, {len(found.closes)} close.")
    for word, pairs in (("opens", found.opens), ("closes", found.closes)):
        for name, cube_id in pairs[:50]:
            say(f"  {word} {cube_id} for {name}")
        if len(pairs) > 50:
            say(f"  and {len(pairs) - 50} more; --json has them all")


@app.command()
def adopt(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy in YAML or Cedar (.cedar), or `none`.")],
    *,
    vault: Vault,
    role: Roles = None,
    tenant: Tenant = "local",
    user: User = None,
) -> None:
    """Put rules in place for a tenant: kept in the vault, on record, for every program that opens it."""
    new = None if policy == "none" else _read(Path(policy))
    with opened(vault, Choice.NONE) as (memos, _, _):
        memos.adopt_policy(new, by=principal(tenant, user, role))
    say("No rules hold but the wall." if new is None else f"{len(new.says)} rules hold. Revision {new.revision[:12]}.")


@app.command()
def show(
    *, vault: Vault, role: Roles = None, tenant: Tenant = "local", user: User = None, as_json: Json = False
) -> None:
    """Show the rules that a tenant adopted: as JSON, which is YAML, too, or as Cedar."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        found = memos.adopted_policy(by=principal(tenant, user, role))
    kind, words = ("none", "") if found is None else found.kept or ("other", "")
    if as_json:
        print_json({"kind": kind, "revision": found and found.revision, "policy": words})
    else:
        say(words or "No rules were adopted.")


def _in_place(said: str, memos: MemOS, by: Principal) -> Engine | None:
    if said == "none":
        return None
    return memos.adopted_policy(by=by) if said == "adopted" else _read(Path(said))


def _read(file: Path) -> Policy | CedarPolicy:
    if file.suffix == ".cedar":
        from memos_integrations.backends.cedar import load_cedar

        return load_cedar(file)
    from memos_integrations.backends.policy_file import load_policy

    return load_policy(file)


def _caller(tenant: str, subjects: list[str], purpose: str | None, policy: Engine) -> Caller:
    try:
        by = account_of(tenant, subjects)
    except IdentityError as exc:
        raise typer.BadParameter(str(exc)) from exc
    return Caller(by, CallContext(purpose=purpose), datetime.now(UTC), policy)
