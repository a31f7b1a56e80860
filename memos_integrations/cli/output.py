"""What the commands print. Remembered words are data: they reach a terminal without its control characters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from memos_integrations.core.cube import MemCube, Provenance
from memos_integrations.core.operator import Hit, Recall

Report = Callable[[int, int], None]


def plain(text: str) -> str:
    """The text with control characters (escape sequences among them) made visible as U+FFFD; line breaks stay."""
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def print_json(value: Any) -> None:
    """One JSON document on stdout, ASCII only, so that no locale and no terminal can spoil it."""
    typer.echo(json.dumps(value, indent=2))


def print_error(exc: Exception, *, as_json: bool) -> None:
    """What went wrong, on stderr."""
    if as_json:
        error = {"type": type(exc).__name__, "message": str(exc)}
        typer.echo(json.dumps({"error": error}), err=True)
    else:
        typer.echo(f"error: {plain(str(exc))}", err=True)


def note(text: str) -> None:
    """Something worth knowing that is not the result, on stderr."""
    typer.echo(f"note: {plain(text)}", err=True)


def say(text: str = "", style: str = "") -> None:
    """One line (or several) on stdout, in a style when it is a terminal."""
    Console(highlight=False, soft_wrap=True).print(Text(plain(text), style=style))


def tell(value: dict[str, Any], line: str, *, as_json: bool) -> None:
    """What was done: as JSON, or as a line to read."""
    if as_json:
        print_json(value)
    else:
        say(line)


@contextmanager
def progress(what: str) -> Iterator[Report]:
    """A function that moves a bar on stderr; there is no bar when stderr is not a terminal."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            bars.update(bar, completed=done, total=total)

        yield report


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A function that shows on stderr how many are done, of nobody knows how many."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(what), MofNCompleteColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        bar = bars.add_task(what, total=None)
        yield lambda done: bars.update(bar, completed=done)


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """A hit with everything that explains it, as plain JSON."""
    fields = ("source", "thread_id", "session_id", "message_id", "speaker", "occurred_at")
    return {
        "id": hit.cube.id,
        "version": hit.cube.version,
        "score": round(hit.score, 4),
        "parts": {name: round(share, 4) for name, share in hit.parts.items()},
        "text": hit.text,
        "provenance": hit.provenance.model_dump(mode="json", include=set(fields)),
        "why": hit.why,
        "superseded_by": hit.superseded_by,
        "conflicts_with": list(hit.conflicts_with),
    }


def recall_as_json(recall: Recall) -> dict[str, Any]:
    """A recall: how the question was read and planned, what was found, and what it cost."""
    return {
        "recall": recall.id,
        "question": recall.call.prompt,
        "plan": recall.plan.reason,
        "steps": [{"action": step.action.value, "reason": step.reason} for step in recall.plan.steps],
        "hits": [hit_as_json(hit) for hit in recall.hits],
        "tokens": recall.token_count,
        "milliseconds": round(recall.cost.total_ms, 2),
        "candidates": recall.cost.candidates,
    }


def origin(source: Provenance) -> str:
    """From which message of which conversation a memory is, in words."""
    parts = [source.message_id, source.session_id, source.thread_id, source.source]
    return ", ".join(part for part in parts if part) or "remembered directly"


def say_hits(hits: tuple[Hit, ...], *, limit: int | None = None) -> None:
    """Each hit: date, speaker and words; then where it is from and why it stands where it stands."""
    for number, hit in enumerate(hits[:limit], 1):
        speaker = f"{hit.provenance.speaker}: " if hit.provenance.speaker else ""
        say(f"{number:3}  {hit.score:.2f}  {hit.said_at:%Y-%m-%d}  {speaker}{' '.join(hit.text.split())}", "bold")
        say(f"           {origin(hit.provenance)}; {hit.why}", "dim")


def say_recall(recall: Recall) -> None:
    """A recall for people."""
    if recall.hits:
        say_hits(recall.hits)
    else:
        say("Nothing that you may read answers this." if recall.plan.needed else f"Nothing recalled: {recall.how}.")
    say(f"{recall.plan.reason}; {recall.token_count} tokens, {recall.cost.total_ms:.1f} ms", "dim")


def say_cube(cube: MemCube) -> None:
    """A cube's words, and the parts of its header that people ask for."""
    source, rules = cube.provenance, cube.governance
    when = f"{source.occurred_at:%Y-%m-%d %H:%M} UTC" if source.occurred_at else ""
    say(cube.text, "bold")
    rows = {
        "id": f"{cube.id}, version {cube.version}, {cube.state}",
        "said": f"{source.speaker or ''} {when}".strip(),
        "source": origin(source),
        "type": f"{cube.descriptive.semantic_type} ({cube.descriptive.origin}, {cube.trust.label})",
        "owner": f"{rules.owner}, {rules.layer}" + (f", readers {', '.join(rules.readers)}" if rules.readers else ""),
        "tags": ", ".join(cube.descriptive.tags),
        "links": ", ".join(f"{link.relation} {link.target}" for link in source.links),
        "used": f"{cube.behaviour.reads} times",
        "digest": cube.digest,
    }
    for name, value in rows.items():
        if value:
            say(f"  {name:7} {value}", "dim")
