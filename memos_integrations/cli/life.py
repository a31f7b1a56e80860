"""The commands over time: what contradicts is settled and undone, memories age, move, and are rolled back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memos_integrations.cli.commands import CubeId, Json, Tenant, User, Vault, moment
from memos_integrations.cli.opening import Choice, key_of_environment, opened, principal
from memos_integrations.cli.output import print_json, say, tell
from memos_integrations.core.operator.tiering import Tiering

if TYPE_CHECKING:
    from memos_integrations.core.conflict import Decided
    from memos_integrations.core.operator.caretaker import Tick
    from memos_integrations.memos import MemOS

Now = Annotated[str | None, typer.Option("--now", help="The present, ISO 8601 with zone. Default: now.")]


def consolidate(*, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False) -> None:
    """Settle what contradicts or repeats among your memories, by rules; every decision can be undone."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        _told(memos.consolidate(by=principal(tenant, user)), as_json=as_json)


def decisions(
    cube_id: CubeId, *, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False
) -> None:
    """Show what was decided about one memory, and why."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        _told(memos.decisions(cube_id, by=principal(tenant, user)), as_json=as_json)


def undo(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="As `decisions` shows it.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Take one decision back: both memories stand as they did."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        done = memos.undo(decision, by=principal(tenant, user))
    tell(done.model_dump(mode="json"), f"Undone: {done.ruling} of {done.older} by {done.newer}.", as_json=as_json)


def tick(
    *,
    vault: Vault,
    now: Now = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many memories.")] = 10_000,
    model: Annotated[
        Path | None, typer.Option("--model", help="A model's folder: learn and compute for it what is worth it.")
    ] = None,
    adapters: Annotated[
        Path | None, typer.Option("--adapters", help="Where adapters are kept. Default: beside the vault.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="With --model: float32, bfloat16 or float16.")] = "float32",
    seconds: Annotated[float, typer.Option("--seconds", help="With --model: for learning, and again for moving.")] = 60,
    size: Annotated[int | None, typer.Option("--bytes", help="With --model: most bytes of computed memory.")] = None,
    spare_text: Annotated[
        bool, typer.Option("--spare-text", help="Answers leave out of the prompt what an adapter knows.")
    ] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Let your memories age: archive what is unused or no longer holds, let expire and collect what is over.

    With --model, learn again what a change made invalid, and give memories the form that costs least on this machine.
    """
    by = principal(tenant, user)
    with opened(vault, Choice.NONE) as (memos, _, _), ExitStack() as stack:
        how: dict[str, Any] = {}
        if model is not None:
            place = adapters or (vault.parent if vault.suffix == ".db" else vault) / "adapters"
            _learning(memos, model, place, dtype, spare_text=spare_text, stack=stack)
            how = {"learn_seconds": seconds, "learn_bytes": size, "tiering": Tiering(seconds=seconds, size=size)}
        done = memos.tick(by=by, now=moment(now), limit=limit, **how)
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    more = " There is more to do." if done.more else ""
    left = " Copies of what was erased may be left: see `memos scrub`." if done.unscrubbed else ""
    late = f" {len(done.ahead)} rest: a wrong clock dated them later than now." if done.ahead else ""
    counts = f"{len(done.archived)} archived, {len(done.expired)} expired, {len(done.collected)} collected."
    say(f"{counts}{more}{late}{left}")
    if model is not None:
        _told_forms(done)


def _learning(memos: MemOS, folder: Path, place: Path, dtype: str, *, spare_text: bool, stack: ExitStack) -> None:
    """Attach what computes and learns on a model, until the stack ends."""
    from memos_integrations.backends.huggingface import HuggingFaceModel
    from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore
    from memos_integrations.backends.lora import AdapterStore, ParameterCubes, ParameterMemory

    model = HuggingFaceModel(folder, dtype=dtype)
    ActivationCubes(memos, stack.enter_context(ActivationMemory(KVStore(model))))
    store = AdapterStore(model, place, keys=key_of_environment())
    ParameterCubes(memos, stack.enter_context(ParameterMemory(store)), spare_text=spare_text)


def _told_forms(done: Tick) -> None:
    again, tiered = done.relearnt, done.tiered
    say(f"{len(again.made)} adapters learnt again, {len(again.let_go)} let go, {len(again.waiting)} wait.")
    for cube_id, why in again.failed.items():
        say(f"  {cube_id}: {why}")
    say(f"{tiered.considered} sets of memories considered, {len(tiered.moved)} given another form.")
    for move in (*tiered.moved, *tiered.waiting, *tiered.failed):
        say(f"  {move.before} -> {move.after}: {len(move.sources)} memories; {move.why_not or move.reason}")
    if tiered.foreign:
        say(f"  {len(tiered.foreign)} were computed for another model, and stay for it.")


def scrub(*, vault: Vault, now: Now = None, as_json: Json = False) -> None:
    """Write the vault's file anew, so that no copy is left in it of what was erased. It may take minutes."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        waiting = memos.scrub(moment(now))
    tell(
        {"waiting": waiting},
        "Something else reads the old pages; try again." if waiting else "No copy of what was erased is left.",
        as_json=as_json,
    )


def move(
    cube_id: CubeId,
    to: Annotated[str, typer.Argument(metavar="STATE", help="activated, archived, frozen, expired.")],
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Pass one memory to another state: archive, activate, freeze it."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        cube = memos.move(cube_id, to, by=principal(tenant, user))
    tell(
        {"id": cube.id, "state": cube.state.value, "version": cube.version},
        f"{cube.id} is {cube.state}.",
        as_json=as_json,
    )


def roll_back(
    since: Annotated[str, typer.Argument(metavar="SINCE", help="A time, ISO 8601 with zone, or a snapshot's name.")],
    *,
    vault: Vault,
    source: Annotated[str | None, typer.Option("--source", help="Only what came from this source.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Bring your memories back to how they stood at a time, all or none."""
    with opened(vault, Choice.AUTO) as (memos, _, _):
        named = {each.name for each in memos.snapshots(by=principal(tenant, user))}
        when = since if since in named else moment(since)
        assert when is not None
        done = memos.roll_back(when, by=principal(tenant, user), source=source)
    tell(
        done.model_dump(mode="json"),
        f"{len(done.restored)} restored, {len(done.archived)} archived that had not been there.",
        as_json=as_json,
    )


def snapshot(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call this moment. Without: list.")] = None,
    *,
    vault: Vault,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Give this moment a name to roll back to, or list the names given. It copies nothing; see `backup` for a copy."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        by = principal(tenant, user)
        made = memos.snapshots(by=by) if name is None else [memos.snapshot(name, by=by)]
    if as_json:
        print_json({"snapshots": [each.model_dump(mode="json") for each in made]})
        return
    for each in made:
        say(f"{each.name}  {each.at.isoformat()}")
    if not made:
        say("No snapshot yet.")


def _told(found: list[Decided], *, as_json: bool) -> None:
    if as_json:
        print_json({"decisions": [each.model_dump(mode="json") for each in found]})
        return
    for each in found:
        undone = " (undone)" if each.undone else ""
        say(f"{each.ruling}{undone}: {each.reason}", "bold")
        for proof in each.evidence:
            say(f"  {proof.rule}: {proof.newer!r} / {proof.older!r}")
        say(f"  {each.id}", "dim")
    if not found:
        say("Nothing to decide.")
