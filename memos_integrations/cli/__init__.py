"""The `memos` command: a vault from the shell, for people and, with `--json`, for programs.

Results go to stdout, progress and notes to stderr. Exit 0: done. Exit 1: a check failed (`audit verify`, `doctor`,
`demo`). Exit 2: the command could not be carried out; one line says why (with `--json`, as `{"error": {...}}`).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from memos_integrations.cli.apart import apart
from memos_integrations.cli.attribution import attribute
from memos_integrations.cli.care import back_up, doctor, restore
from memos_integrations.cli.carry import card, export, import_, key, sync
from memos_integrations.cli.commands import app, audit
from memos_integrations.cli.costs import costs
from memos_integrations.cli.demo import demo
from memos_integrations.cli.keys import app as keys
from memos_integrations.cli.life import consolidate, decisions, move, roll_back, scrub, snapshot, tick, undo
from memos_integrations.cli.output import print_error
from memos_integrations.cli.pipelines import pipeline
from memos_integrations.cli.policy import app as policy
from memos_integrations.cli.proof import check, prove, report, sign, verifier
from memos_integrations.cli.rebuild import rebuild
from memos_integrations.cli.redaction import redact
from memos_integrations.cli.relay import relay
from memos_integrations.cli.share import acknowledge, offers, publish, pull, subscribe, withdraw
from memos_integrations.cli.versions import branch, bring_back, feedback, merge
from memos_integrations.core.errors import MemOSError

__all__ = ["app", "main"]

app.command("backup")(back_up)
app.command()(restore)
app.command()(doctor)
app.command()(consolidate)
app.command()(decisions)
app.command()(undo)
app.command()(move)
app.command("bring-back")(bring_back)
app.command()(merge)
app.command()(feedback)
app.command()(branch)
app.command()(tick)
app.command()(scrub)
app.command()(redact)
app.command()(apart)
app.command("roll-back")(roll_back)
app.command()(snapshot)
app.command()(export)
app.command("import")(import_)
app.command()(key)
app.command()(card)
app.command()(sync)
app.command()(publish)
app.command()(withdraw)
app.command()(offers)
app.command()(subscribe)
app.command()(pull)
app.command()(acknowledge)
app.command()(relay)
app.command()(rebuild)
app.command()(attribute)
app.command()(costs)
app.command()(demo)
app.command()(report)
app.add_typer(policy, name="policy")
app.add_typer(keys, name="keys")
audit.command()(sign)
audit.command()(check)
audit.command()(prove)
audit.command()(verifier)
app.add_typer(pipeline, name="pipeline")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command (default: that of this process) and exit; our errors become one line and exit code 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal shows `?`, and the command does not fail
    try:
        app(given)
    except MemOSError as exc:
        print_error(exc, as_json="--json" in given)
        sys.exit(2)
