"""`memos demo`: a conversation in, governed recall out, and a verdict that does not rest on how well a model talks.

A language model of 135 million parameters answers clumsily. What the demo shows, and checks, is what was recalled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memos_integrations.cli.agent import Answered, remembering_agent, run_question
from memos_integrations.cli.commands import EmbedderChoice, Json, Tenant, User
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import note, plain, print_json, progress, say
from memos_integrations.cli.stories import Question, Story, heron, of_file
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import MemOSError
from memos_integrations.memos import MemOS

if TYPE_CHECKING:
    from memos_integrations.cli.agent import Graph

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold, whether it does, and what was seen."""

    claim: str
    holds: bool
    seen: str


@dataclass(slots=True)
class Transcript:
    """Everything that happened, for `--json`; told as it happens otherwise."""

    quiet: bool
    answering: bool
    questions: list[dict[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def tell(self, text: str = "", style: str = "") -> None:
        """One line for people."""
        if not self.quiet:
            say(text, style)

    def hear(self, piece: str) -> None:
        """A piece of an answer, as the model says it."""
        if not self.quiet:
            typer.echo(plain(piece).replace("\n", " "), nl=False)

    def see(self, found: dict[str, Any]) -> None:
        """What was recalled for a question: from which message and date, and why it ranked."""
        for number, hit in enumerate(found["recalled"]["hits"][:SHOWN], 1):
            source = hit["provenance"]
            self.tell(f"   {number}. {source.get('speaker', '')}: {' '.join(hit['text'].split())}")
            where = f"{source.get('message_id', '')} of {hit['said_at'][:10]}"
            self.tell(f"      {where}; score {hit['score']:.2f} = {hit['why']}", "dim")
        if not found["recalled"]["hits"]:
            self.tell("   nothing that this person may read")
        memory = found["memory"]
        summary = f"{len(memory['cubes'])} memories, {memory['tokens']} tokens, {memory['milliseconds']:.0f} ms"
        self.tell(f"   {summary}; because {memory['reasons'][0]}", "dim")
        self.hear("   answer: " if self.answering else "")

    def check(self, claim: str, holds: bool, seen: str) -> None:
        """Record whether *claim* holds."""
        self.checks.append(Check(claim, holds, seen))
        self.tell(f"   {'ok' if holds else 'FAILED'}: {claim} ({seen})", "green" if holds else "bold red")

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return bool(self.checks) and all(check.holds for check in self.checks)


def demo(
    *,
    conversation: Annotated[Path | None, typer.Option("--conversation", help="Your own file instead of ours.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", help="Which of several conversations.")] = None,
    question: Annotated[list[str] | None, typer.Option("--ask", help="Your own question; repeatable.")] = None,
    vault: Annotated[Path | None, typer.Option("--vault", help="Keep the vault here. Default: it is removed.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="At most so many memories per question.")] = 5,
    embedder: EmbedderChoice = Choice.AUTO,
    model: Annotated[bool, typer.Option("--model/--no-model", help="Let a local model answer from memory.")] = True,
    tenant: Tenant = "demo",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Show the whole walk: ingest, ask, another person, a restart, the audit. Fetches model weights if need be."""
    if (conversation is None) != (not question):
        raise typer.BadParameter("a conversation of your own needs --conversation and at least one --ask")
    story = of_file(conversation, sample, question or (), principal(tenant, user)) if conversation else heron()
    script = Transcript(quiet=as_json, answering=model)
    started = time.perf_counter()
    folders = _weights(embedder, model)
    with ExitStack() as stack:
        place = vault or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memos-demo-")))
        with opened(place, Choice.MINILM if embedder is Choice.AUTO else embedder, make=True) as (memos, name, _):
            _ingest(story, memos, name, script)
            _ask(story, remembering_agent(memos, folders.get("smollm2"), k=k), script)
            script.answering = False
            _probe(story, remembering_agent(memos, None, k=k), script)
        _after_a_restart(story, place, ("--k", str(k), "--embedder", embedder.value), script)
    seconds = time.perf_counter() - started
    if as_json:
        checks = [asdict(check) for check in script.checks]
        head = {"conversation": story.conversation.id, "messages": len(story.conversation.messages)}
        print_json(
            head | {"questions": script.questions, "checks": checks, "ok": script.ok, "seconds": round(seconds, 1)}
        )
    failed = [check for check in script.checks if not check.holds]
    script.tell(f"\n{len(script.checks) - len(failed)} of {len(script.checks)} checks hold; {seconds:.0f} s.", "bold")
    for check in failed:
        typer.echo(f"failed: {check.claim} ({plain(check.seen)})", err=True)
    if not script.ok:
        raise typer.Exit(1)


def _weights(embedder: Choice, model: bool) -> dict[str, Path]:
    from memos_integrations.backends.weights import ensure

    wanted = ["minilm"] * (embedder is not Choice.NONE) + ["smollm2"] * model
    return ensure(only=wanted, say=note)


def _ingest(story: Story, memos: MemOS, embedder: str | None, script: Transcript) -> None:
    with progress("Remembering") as report:
        done = memos.ingest(story.conversation, by=story.teller, readers=story.readers, progress=report)
    dates = [message.at.date() for message in story.conversation.messages if message.at]
    span = f", {min(dates)} to {max(dates)}" if dates else ""
    script.tell(f"{story.conversation.id}: {len(done.cubes)} messages{span}, told to {story.teller.user}.", "bold")
    script.tell(f"Recall by words{' and by meaning, ' + embedder if embedder else ''}.", "dim")
    script.check("every message is remembered", len(done.cubes) == len(story.conversation.messages), str(done.written))


def _ask(story: Story, graph: Graph, script: Transcript) -> None:
    for question in story.questions:
        script.tell(f"\n{story.teller.user} asks: {question.text}", "bold cyan")
        answered = run_question(graph, question.text, story.teller, seen=script.see, heard=script.hear)
        _close_answer(answered, script, question.text, story.teller)
        _check_recall(question, answered.hits, script)


def _probe(story: Story, graph: Graph, script: Transcript) -> None:
    for probe in story.probes:
        script.tell(f"\n{story.other.user} asks: {probe}", "bold cyan")
        answered = run_question(graph, probe, story.other, seen=script.see, heard=script.hear)
        _close_answer(answered, script, probe, story.other)
        _check_hidden(story, answered.hits, f"nothing hidden from {story.other.user} reaches them", script)


def _close_answer(answered: Answered, script: Transcript, question: str, by: Principal) -> None:
    if answered.answer:
        script.tell(f"\n   (the model's words, {answered.answer_ms / 1e3:.1f} s)", "dim")
    script.questions.append(
        {"question": question, "by": by.subject, "answer": answered.answer or None, "hits": answered.hits}
        | {"tokens": answered.memory["tokens"], "reasons": answered.memory["reasons"]}
        | {"milliseconds": {"recall": answered.memory["milliseconds"], "answer": answered.answer_ms}}
    )


def _message_ids(hits: Sequence[dict[str, Any]]) -> list[str]:
    return [hit["provenance"].get("message_id", "?") for hit in hits]


def _check_recall(question: Question, hits: Sequence[dict[str, Any]], script: Transcript) -> None:
    ids = _message_ids(hits)
    wanted = ", ".join(question.answered_by) or "something with its message and date"
    dated = all(hit["provenance"].get("occurred_at") for hit in hits)
    holds = bool(ids) and dated and set(question.answered_by) <= {*ids}
    script.check(f"recalled: {wanted}", holds, f"found {', '.join(ids) or 'nothing'}")


def _check_hidden(story: Story, hits: Sequence[dict[str, Any]], claim: str, script: Transcript) -> None:
    leaked = story.hidden & {*_message_ids(hits)}
    script.check(claim, not leaked, f"{len(hits)} memories, {len(leaked)} hidden ones")


def _after_a_restart(story: Story, place: Path, options: Sequence[str], script: Transcript) -> None:
    """Other processes, which have nothing but the vault: they still know, still hide, and the audit chain holds."""
    script.tell("\nThe process that knew all this is closed. New ones open the vault.", "bold cyan")
    first = story.questions[0]
    known = _in_a_new_process(place, "ask", *options, *_as(story.teller), "--", first.text)
    ids = _message_ids(known["hits"])
    holds = bool(ids) and set(first.answered_by) <= {*ids}
    script.check("a new process still knows", holds, f"found {', '.join(ids) or 'nothing'}")
    probed = _in_a_new_process(place, "ask", *options, *_as(story.other), "--", story.probes[0])
    _check_hidden(story, probed["hits"], "and still hides", script)
    audit = _in_a_new_process(place, "audit", "verify", "--json")
    script.check("the audit chain is intact", audit["ok"], f"{audit['entries']} entries, head {audit['head'][:12]}")


def _as(by: Principal) -> list[str]:
    return ["--tenant", by.tenant, "--user", by.user, "--json"]


def _in_a_new_process(place: Path, *command: str) -> dict[str, Any]:
    """What another `memos` command prints about the vault.

    Raises:
        MemOSError: It failed.
    """
    called = [sys.executable, "-m", "memos_integrations.cli", *command]
    environment = os.environ | {"MEMOS_VAULT": str(place)}
    done = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise MemOSError(f"The new process failed with code {done.returncode}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
