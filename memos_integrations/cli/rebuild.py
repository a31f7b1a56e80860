"""`memos rebuild`: what was computed with another base model, its price, and on request made anew."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, key_of_environment, opened, principal
from memos_integrations.cli.output import note, print_json, say

if TYPE_CHECKING:
    from memos_integrations.backends.rebuilding import Rebuild, RebuildPlan, Rebuilt


def rebuild(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder of the model that is used from now on.")],
    *,
    vault: Vault,
    adapters: Annotated[Path | None, typer.Option("--adapters", help="Where its adapters are; else none is.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only what it would cost is shown.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Try once more what was learnt for this model and did not pass its gates.")
    ] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show what of your computed memory fits another model, and what making it for this one costs; --yes makes it."""
    from memos_integrations.backends.huggingface import HuggingFaceModel
    from memos_integrations.backends.kv import ActivationCubes, ActivationMemory, KVStore
    from memos_integrations.backends.lora import AdapterStore, ParameterCubes, ParameterMemory
    from memos_integrations.backends.rebuilding import Rebuilding

    by, done = principal(tenant, user), None
    with opened(vault, Choice.AUTO) as (memos, _, _), ExitStack() as stack:
        network = HuggingFaceModel(model)
        memory = stack.enter_context(ActivationMemory(KVStore(network)))
        parameters = None
        if adapters is not None:
            learning = stack.enter_context(ParameterMemory(AdapterStore(network, adapters, keys=key_of_environment())))
            parameters = ParameterCubes(memos, learning)
        works = Rebuilding(memos, activations=ActivationCubes(memos, memory), parameters=parameters)
        plan = works.plan(by=by, again=again)
        if yes:
            done = works.run(plan, by=by, progress=lambda each: note(_line(each)))
    _show(plan, done, as_json=as_json)


def _show(plan: RebuildPlan, done: Rebuilt | None, *, as_json: bool) -> None:
    if as_json:
        told = plan.model_dump(mode="json") | {"seconds": plan.seconds, "size": plan.size}
        print_json({"plan": told, "done": None if done is None else done.model_dump(mode="json")})
        return
    for each in plan.rebuilds:
        say(_line(each))
    say(f"{len(plan.due)} to make for {plan.model}: about {plan.seconds:.1f} CPU s, {plan.size:,} B.")
    if done is None:
        say("Nothing was done; --yes does it." if plan.due else "Nothing is to be done.", "dim")
        return
    for old, why in done.left.items():
        say(f"{old}: {why}")
    say(f"{len(done.made)} made, {len(done.left)} left; text stands in for these.")


def _line(each: Rebuild) -> str:
    if each.stays:
        return f"{each.id} {each.tier:<10} stays text: {each.stays}"
    tokens = f", {each.tokens:,} tokens" if each.tokens else ", as it took before"
    return f"{each.id} {each.tier:<10} {each.seconds:.1f} s, {each.size:,} B{tokens}"
