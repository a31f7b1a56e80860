"""The commands over policies: look for slips, say which rule decides, who may read, and what a change would do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import CubeId, Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.access import CallContext, Caller, Principal, Verb, decide, hidden_fields
from memos_integrations.core.ports import CubeFilter

if TYPE_CHECKING:
    from memos_integrations.backends.cedar import CedarPolicy
    from memos_integrations.core.cube import MemCube
    from memos_integrations.core.policy import Engine, Policy

app = typer.Typer(help="Rules that people can read: who may do what with which memories.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy in YAML, or in Cedar (.cedar).")]
Subject = Annotated[
    list[str], typer.Option("--as", help="user:NAME, group:NAME, role:NAME; repeat for several at once.")
]
Purpose = Annotated[str | None, typer.Option("--purpose", help="The purpose of the call.")]
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
def lint(policy: File, *, as_json: Json = False) -> None:
    """Say what is probably not meant. Exit 1 when there is something."""
    from memos_integrations.core.policy import Policy
    from memos_integrations.core.policy import lint as slips

    read = _read(policy)
    found = slips(read, datetime.now(UTC)) if isinstance(read, Policy) else read.lint()
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
    """Say whether somebody may do something with one of your memories, and which rule decides."""
    read = _read(policy)
    with opened(vault, Choice.NONE) as (memos, _, _):
        cube = memos.get(cube_id, by=principal(tenant, user))
    caller = _caller(tenant, subjects, purpose, read)
    decision = decide(cube, verb, caller)
    without = sorted(hidden_fields(cube, caller)) if decision.allowed else []
    if as_json:
        print_json({**decision.model_dump(mode="json"), "without": without})
    else:
        part = f" Without its {', '.join(without)}." if without else ""
        say(f"{'Yes' if decision.allowed else 'No'}: {decision.reason}.{part}")


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
    for name in _known(cube, read):
        decision = decide(cube, Verb.READ, _caller(tenant, [name], purpose, read))
        said[name] = {"may_read": decision.allowed, "reason": decision.reason}
    if as_json:
        print_json(said)
        return
    for name, found in said.items():
        say(f"{'may read ' if found['may_read'] else 'may not  '} {name}: {found['reason']}")


@app.command("dry-run")
def dry_run(
    before: Annotated[Path, typer.Argument(metavar="OLD", help="The policy in place.")],
    after: Annotated[Path, typer.Argument(metavar="NEW", help="The policy that is thought of.")],
    *,
    vault: Vault,
    purpose: Purpose = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say what a change would open and close: for every name, over the memories that you may read."""
    policies = _read(before), _read(after)
    with opened(vault, Choice.NONE) as (memos, _, _):
        cubes = memos.find(CubeFilter(), by=principal(tenant, user), k=100_000, counts=False)
    opens: list[tuple[str, str]] = []
    closes: list[tuple[str, str]] = []
    for cube in cubes:
        for name in sorted({*_known(cube, policies[0]), *_known(cube, policies[1])}):
            old, new = (_hidden(cube, _caller(tenant, [name], purpose, policy)) for policy in policies)
            opens += [(name, f"{cube.id}{part}") for part in _given(old, new)]
            closes += [(name, f"{cube.id}{part}") for part in _given(new, old)]
    if as_json:
        print_json({"memories": len(cubes), "opens": opens, "closes": closes})
        return
    say(f"{len(cubes)} memories: {len(opens)} readings open, {len(closes)} close.")
    for word, pairs in (("opens", opens), ("closes", closes)):
        for name, cube_id in pairs[:50]:
            say(f"  {word} {cube_id} for {name}")


def _read(file: Path) -> Policy | CedarPolicy:
    if file.suffix == ".cedar":
        from memos_integrations.backends.cedar import load_cedar

        return load_cedar(file)
    from memos_integrations.backends.policy_file import load_policy

    return load_policy(file)


def _hidden(cube: MemCube, caller: Caller) -> frozenset[str] | None:
    """The parts of a memory that somebody does not read; None where they read nothing of it."""
    return frozenset(hidden_fields(cube, caller)) if decide(cube, Verb.READ, caller).allowed else None


def _given(before: frozenset[str] | None, after: frozenset[str] | None) -> list[str]:
    """What *after* gives over *before*: the whole memory (""), or some parts (":tags")."""
    if after is None or before is None:
        return [] if after is None else [""]
    return [f":{part}" for part in sorted(before - after)]


def _known(cube: MemCube, policy: Engine) -> list[str]:
    rules = cube.governance
    named = {rules.owner, *rules.readers, *rules.writers, *rules.sharers}
    return sorted((named | policy.subjects) - {"owner", "*"})


def _caller(tenant: str, subjects: list[str], purpose: str | None, policy: Engine) -> Caller:
    parted: dict[str, list[str]] = {"user": [], "group": [], "role": []}
    for subject in subjects:
        kind, _, name = subject.partition(":")
        if kind not in parted or not name:
            raise typer.BadParameter(f"{subject!r} is nobody: write user:NAME, group:NAME or role:NAME.")
        parted[kind].append(name)
    # A group or a role alone asks as nobody in particular: under a name that no account has.
    users = parted["user"] or ["\u2205"]
    by = Principal(tenant=tenant, user=users[0], groups=frozenset(parted["group"]), roles=frozenset(parted["role"]))
    return Caller(by, CallContext(purpose=purpose), datetime.now(UTC), policy)
