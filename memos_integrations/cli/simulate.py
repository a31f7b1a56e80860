"""`memos simulate`: what each policy of forms would have cost over a log of uses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memos_integrations.cli.commands import Json
from memos_integrations.cli.output import print_json, say
from memos_integrations.core.costs.usage_log import DISK_RENT, PerToken, compared, read_log
from memos_integrations.core.errors import ImportFormatError

DEFAULT = PerToken()


def simulate(
    log: Annotated[Path, typer.Argument(metavar="LOG", help='A use a line: {"at": …, "memory": …, "tokens": …}.')],
    *,
    rent: Annotated[float, typer.Option("--rent", min=0, help="Seconds for keeping a byte for a second.")] = DISK_RENT,
    read: Annotated[float, typer.Option("--read-s", min=0, help="Seconds to read a token.")] = DEFAULT.read_s,
    load: Annotated[float, typer.Option("--load-s", min=0, help="Seconds to load a token's cache.")] = DEFAULT.load_s,
    learn: Annotated[float, typer.Option("--learn-s", min=0, help="Seconds to learn a token.")] = DEFAULT.learn_s,
    as_json: Json = False,
) -> None:
    """Replay a log of uses: what the cost model and fixed rules would have cost. Nothing is kept or changed."""
    try:
        with log.open(encoding="utf-8") as lines:
            uses, tokens = read_log(lines)
    except (OSError, UnicodeDecodeError) as exc:
        raise ImportFormatError(f"{log} cannot be read as a log: {exc}.") from exc
    bills = compared(uses, tokens, costs=PerToken(read_s=read, load_s=load, learn_s=learn), rent=rent)
    if as_json:
        found = {
            name: {"total_s": bill.total, "using_s": bill.using, "making_s": bill.making, "keeping_s": bill.keeping}
            | {"made": bill.made}
            for name, bill in bills.items()
        }
        print_json({"uses": len(uses), "memories": len(tokens), "policies": found})
        return
    say(f"{len(uses)} uses of {len(tokens)} memories, {uses[-1].at / 86_400:.1f} days; seconds of one core")
    say(f"  {'policy':<14}{'total':>12}{'using':>12}{'making':>12}{'keeping':>12}{'made':>8}", "dim")
    for name, bill in sorted(bills.items(), key=lambda each: each[1].total):
        parts = "".join(f"{part:>12.1f}" for part in (bill.total, bill.using, bill.making, bill.keeping))
        say(f"  {name:<14}{parts}{bill.made:>8}")
