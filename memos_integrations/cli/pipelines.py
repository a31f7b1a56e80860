"""The commands over pipelines: check one, say what it would change, run it."""

from __future__ import annotations

from typing import Annotated

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.errors import PipelineError
from memos_integrations.core.pipeline import MemPipeline, PipelineReport

pipeline = typer.Typer(help="Pipelines: steps over memory, all of them or none.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(metavar="PIPELINE", help="A YAML file, or a template's name.")]
Given = Annotated[list[str] | None, typer.Option("--given", help="A parameter as NAME=VALUE; repeatable.")]


@pipeline.command("list")
def list_templates(*, as_json: Json = False) -> None:
    """List the pipelines that come along."""
    from memos_integrations.backends.pipelines import load_pipeline, templates

    found = [load_pipeline(name) for name in templates()]
    if as_json:
        print_json({"templates": [_told(each) for each in found]})
        return
    for each in found:
        say(f"{each.name} ({', '.join(each.parameters) or 'no parameters'})", "bold")
        say(f"  {each.description}")


@pipeline.command()
def check(source: Source, *, as_json: Json = False) -> None:
    """Read a pipeline without a vault; what is wrong is told with its line and column."""
    loaded = _loaded(source)
    if as_json:
        print_json(_told(loaded))
    else:
        say(f"{loaded.name} version {loaded.version} is valid: {len(loaded.steps)} steps, digest {loaded.digest[:12]}.")


@pipeline.command()
def run(
    source: Source,
    *,
    vault: Vault,
    given: Given = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="The same one is carried out once.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Run a pipeline over your memories in one transaction."""
    loaded, said = _loaded(source), _given(given)
    with opened(vault, Choice.AUTO) as (memos, _, _):
        report = memos.run(loaded, by=principal(tenant, user), given=said, run_id=run_id)
    _say(report, as_json=as_json)


@pipeline.command("dry-run")
def dry_run(
    source: Source,
    *,
    vault: Vault,
    given: Given = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Say what a run would change, and change nothing."""
    loaded, said = _loaded(source), _given(given)
    with opened(vault, Choice.AUTO) as (memos, _, _):
        report = memos.run(loaded, by=principal(tenant, user), given=said, dry_run=True)
    _say(report, as_json=as_json)


def _loaded(source: str) -> MemPipeline:
    from memos_integrations.backends.pipelines import load_pipeline

    return load_pipeline(source)


def _given(said: list[str] | None) -> dict[str, str]:
    pairs = [each.partition("=") for each in said or ()]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise PipelineError(f"A parameter is given as NAME=VALUE, not {wrong[0]!r}.")
    return {name: value for name, _, value in pairs}


def _told(each: MemPipeline) -> dict[str, object]:
    told = {"pipeline": each.name, "version": each.version, "digest": each.digest, "description": each.description}
    return told | {"parameters": list(each.parameters), "steps": len(each.steps)}


def _say(report: PipelineReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    if report.known:
        say(f"Run {report.run} was carried out before; nothing was done again.")
        return
    word = "would change" if report.dry_run else "changed"
    say(f"{report.pipeline}: {len(report.steps)} steps, {len(report.changes) + report.unseen} memories {word}.", "bold")
    for change in report.changes:
        say(str(change))
