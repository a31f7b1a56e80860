"""The commands over a vault. Each opens it, makes one call on behalf of one principal, prints, and closes it."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import (
    hit_as_json,
    note,
    print_json,
    progress,
    recall_as_json,
    say,
    say_cube,
    say_recall,
)
from memos_integrations.core.conversation import Conversation

if TYPE_CHECKING:
    from memos_integrations.core.ports import LogFilters

app = typer.Typer(
    name="memos",
    help="Governed, durable memory from the shell.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit = typer.Typer(help="The audit log: who did what with which memory.", no_args_is_help=True)
app.add_typer(audit, name="audit")

Vault = Annotated[Path, typer.Option("--vault", envvar="MEMOS_VAULT", help="The vault: a folder, or a .db file.")]
Tenant = Annotated[str, typer.Option("--tenant", envvar="MEMOS_TENANT", help="Whose house: the wall around memories.")]
User = Annotated[str | None, typer.Option("--user", envvar="MEMOS_USER", help="Who asks. Default: you, by login name.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
CubeId = Annotated[str, typer.Argument(metavar="ID", help="The id of a memory, as `ask` shows it.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="As known then, ISO 8601 with zone. Default: now.")]
ValidAt = Annotated[str | None, typer.Option("--valid-at", help="As it held in the world then, ISO 8601 with zone.")]
EmbedderChoice = Annotated[Choice, typer.Option("--embedder", help="auto: MiniLM where its weights are, else lexical.")]


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A LoCoMo file, or our own JSON.")],
    *,
    vault: Vault,
    sample: Annotated[str | None, typer.Option("--sample", help="Which of several conversations.")] = None,
    reader: Annotated[list[str] | None, typer.Option("--reader", help="Who else may read it; repeatable.")] = None,
    embedder: EmbedderChoice = Choice.AUTO,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Remember every message of a conversation, each once, with its date and speaker."""
    started = time.perf_counter()
    by = principal(tenant, user)
    conversation = Conversation.load(file, sample=sample)
    with opened(vault, embedder, make=True) as (memos, name, why):
        with progress("Remembering") as report:
            done = memos.ingest(conversation, by=by, readers=reader or (), progress=report)
        with progress("Embedding what had no vector") as report:
            embedded = memos.embed_missing(report) if name else 0
    seconds = time.perf_counter() - started
    if why:
        note(why)
    if as_json:
        summary = {"conversation": done.conversation, "messages": len(done.cubes), "written": done.written}
        summary |= {"forgotten": done.forgotten}
        summary |= {"known": done.known, "embedded_later": embedded, "embedder": name, "note": why}
        print_json(summary | {"vault": str(vault), "owner": by.subject, "milliseconds": round(seconds * 1e3, 1)})
    else:
        known = f", {done.known} were known already" if done.known else ""
        known += f", {done.forgotten} stay forgotten" if done.forgotten else ""
        say(f"{done.conversation}: {done.written} messages remembered{known}, in {seconds:.1f} s.")


@app.command()
def ask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.")],
    *,
    vault: Vault,
    k: Annotated[int, typer.Option("--k", "-k", help="At most so many memories.")] = 8,
    now: Annotated[str | None, typer.Option("--now", help="The present, ISO 8601 with zone. Default: now.")] = None,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
    embedder: EmbedderChoice = Choice.AUTO,
    tenant: Tenant = "local",
    user: User = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan, the path and each score's parts.")] = False,
    as_json: Json = False,
) -> None:
    """Recall what you may know about TEXT: best first, with where each memory is from and why it ranked."""
    at, then = moment(now), _times(as_of, valid_at)
    with opened(vault, embedder) as (memos, name, why):
        recall = memos.recall(text, by=principal(tenant, user), k=k, now=at, needed=True, **then)
    if why:
        note(why)
    if as_json:
        told = {"explanation": recall.explain().model_dump(mode="json")} if explain else {}
        print_json(recall_as_json(recall) | told | {"embedder": name, "note": why})
    elif explain:
        say(str(recall.explain()))
    else:
        say_recall(recall)


@app.command()
def answer(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.")],
    *,
    vault: Vault,
    k: Annotated[int, typer.Option("--k", "-k", help="Of at most so many memories.")] = 10,
    now: Annotated[str | None, typer.Option("--now", help="The present, ISO 8601 with zone. Default: now.")] = None,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
    embedder: EmbedderChoice = Choice.AUTO,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Answer TEXT in a few words of what you may know, without a model, and show the memory that says it."""
    at, then = moment(now), _times(as_of, valid_at)
    with opened(vault, embedder) as (memos, name, why):
        found = memos.answer(text, by=principal(tenant, user), k=k, now=at, **then)
    if why:
        note(why)
    if as_json:
        told = {"question": text, "answer": found.text, "abstained": found.abstained, "kind": found.kind}
        told |= {"confidence": found.confidence, "reason": found.reason, "sentence": found.sentence}
        evidence = hit_as_json(found.evidence) if found.evidence else None
        print_json(told | {"evidence": evidence, "embedder": name, "note": why})
        return
    say(str(found), "bold")
    if found.evidence is not None:
        said = f"{found.evidence.said_at:%Y-%m-%d}  {found.evidence.provenance.speaker or ''}: {found.sentence}"
        say(f"  {said}", "dim")
        say(f"  {found.reason}; confidence {found.confidence:.2f}", "dim")


@app.command()
def show(
    cube_id: CubeId,
    *,
    vault: Vault,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show one memory with its whole header."""
    then = _times(as_of, valid_at)
    with opened(vault, Choice.NONE) as (memos, _, _):
        cube = memos.get(cube_id, by=principal(tenant, user), **then)
    if as_json:
        print_json(json.loads(cube.to_json()))
    else:
        say_cube(cube)


@app.command()
def history(
    cube_id: CubeId, *, vault: Vault, tenant: Tenant = "local", user: User = None, as_json: Json = False
) -> None:
    """Show every version of one memory, oldest first."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        versions = memos.history(cube_id, by=principal(tenant, user))
    if as_json:
        print_json({"id": cube_id, "versions": [json.loads(version.to_json()) for version in versions]})
        return
    for version in versions:
        say(f"{version.version:3}  {version.descriptive.recorded_at:%Y-%m-%d %H:%M:%S} UTC  {version.text}")


@app.command()
def forget(
    cube_id: CubeId,
    *,
    vault: Vault,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Erase one memory and what was derived from it, for good, and say what was erased where."""
    by = principal(tenant, user)
    with opened(vault, Choice.NONE) as (memos, _, _):
        if not (yes or as_json) and sys.stdin.isatty():
            typer.confirm("This cannot be undone. Erase it?", abort=True)
        receipt = memos.forget(cube_id, by=by)
        memos.scrub(gently=True)
    if as_json:
        print_json(receipt.model_dump(mode="json"))
        return
    erased = ", ".join(f"{place} {count}" for place, count in receipt.erased.items() if count)
    say(f"Forgotten: {cube_id} ({erased}). Nothing is left of it.")


@audit.command()
def verify(*, vault: Vault, as_json: Json = False) -> None:
    """Walk the whole chain and hold every stored version against it. Exit 1 when something does not fit."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        report = memos.verify_audit()
    if as_json:
        print_json(report.model_dump(mode="json") | {"ok": report.ok})
    else:
        say(f"{'Intact' if report.ok else 'DAMAGED'}: {report.entries} entries, head {report.head}")
        for problem in report.problems:
            say(f"  {problem}")
    if not report.ok:
        raise typer.Exit(1)


@audit.command()
def log(
    *,
    vault: Vault,
    cube_id: Annotated[str | None, typer.Option("--id", help="Only what touched this memory.")] = None,
    operation: Annotated[str | None, typer.Option("--operation", help="Such as remember, recall, forget.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="allowed or denied.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only what this user did.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only what touched this user's memories.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="From this time on, ISO 8601 with zone.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this time, ISO 8601 with zone.")] = None,
    after: Annotated[int, typer.Option("--after", help="Entries with a higher number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 100,
    role: Annotated[list[str] | None, typer.Option("--role", help="auditor: also what others did.")] = None,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """List entries of the audit log, oldest first: your own deeds, or everybody's as auditor."""
    asked: dict[str, object] = {
        "cube_id": cube_id,
        "operation": operation,
        "outcome": outcome,
        "after": after,
        "limit": limit,
    }
    asked |= {"actor": actor, "owner": owner, "since": moment(since, "--since"), "until": moment(until, "--until")}
    filters = cast("LogFilters", {name: value for name, value in asked.items() if value is not None})
    with opened(vault, Choice.NONE) as (memos, _, _):
        entries = memos.audit(by=principal(tenant, user, role), **filters)
    if as_json:
        print_json({"entries": [entry.model_dump(mode="json") for entry in entries]})
        return
    for entry in entries:
        said = entry.record
        about = f" {said.cube_id}" if said.cube_id else ""
        reason = f" ({said.reason})" if said.reason else ""
        when = f"{said.at:%Y-%m-%d %H:%M:%S}"
        say(f"{entry.number:6}  {when}  {said.actor}  {said.operation} {said.outcome}{about}{reason}")


def _times(as_of: str | None, valid_at: str | None) -> dict[str, Any]:
    return {"as_of": moment(as_of, "--as-of"), "valid_at": moment(valid_at, "--valid-at")}


def moment(text: str | None, option: str = "--now") -> datetime | None:
    """The time that an option names; None stays None."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as exc:
        raise typer.BadParameter(
            f"{text!r} is not an ISO 8601 time such as 2026-05-01T12:00Z", param_hint=option
        ) from exc
