"""What `memos export` takes along: which memories, for how long, and without which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from memos_integrations.cli.output import note
from memos_integrations.cli.redaction import detectors
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.gate import Ruling, WriteGate, word
from memos_integrations.core.interchange.syncing import EVERYTHING
from memos_integrations.core.ports import CubeFilter

Below = Annotated[
    str | None, typer.Option("--below", help="mip: only those below this namespace, its parts between slashes.")
]
Tagged = Annotated[list[str] | None, typer.Option("--tag", help="mip: only those with this tag.")]
From = Annotated[datetime | None, typer.Option("--from", help="mip: only those written down since then (UTC).")]
Until = Annotated[datetime | None, typer.Option("--until", help="mip: only those written down before then (UTC).")]
Owned = Annotated[list[str] | None, typer.Option("--owner", help="mip: only those that this user owns.")]
About = Annotated[str, typer.Option("--about", help="mip: only those that are about these words.")]
Series = Annotated[
    str | None,
    typer.Option(
        "--series",
        help="mip: what changed since the last file of this series, as new files; interrupted, it goes on.",
    ),
]
Most = Annotated[int, typer.Option("--most", help="mip, --series: so many memories in a file.")]
Redact = Annotated[bool, typer.Option("--redact", help="mip: personal identifiers, secrets and files do not go along.")]
Names = Annotated[bool, typer.Option("--names", help="mip: nor do names and places, by a model (extra presidio).")]
Without = Annotated[
    list[str] | None, typer.Option("--without", help="mip: a word that does not go along, wherever it stands.")
]


def lasting(days: float) -> timedelta:
    """For how long a bundle lasts.

    Raises:
        InvalidMemoryError: It could not last so long.
    """
    try:
        return timedelta(days=days)
    except (OverflowError, ValueError) as exc:
        raise InvalidMemoryError(f"A bundle cannot last for {days} days: {exc}.") from exc


def where(below: str | None, tags: Sequence[str] | None, start: datetime | None, end: datetime | None) -> CubeFilter:
    """Which memories go: all, or those that pass."""
    recorded = None
    if start is not None or end is not None:
        first, last = (start or datetime.min).replace(tzinfo=UTC), (end or datetime.max).replace(tzinfo=UTC)
        recorded = first, last
    return replace(
        EVERYTHING, namespace=tuple(below.split("/")) if below else (), tags=tuple(tags or ()), recorded=recorded
    )


def gate(without: Sequence[str], *, redact: bool, names: bool) -> WriteGate | None:
    """What is taken out of what leaves; None: nothing."""
    if not redact and not without and not names:
        return None
    found, missing = detectors(names, ["US"]) if redact or names else ([], "")
    if missing:
        note(missing)
    personal, secrets = (Ruling.REDACT, Ruling.REDACT) if redact or names else (Ruling.REDACT, Ruling.ALLOW)
    return WriteGate(
        personal=personal, secrets=secrets, orders=Ruling.ALLOW, detectors=[*found, *map(word, without)],
        untrusted_ttl=None,
    )  # fmt: skip


def check_whole(wanted: CubeFilter, cut: WriteGate | None, *rest: object) -> None:
    """Refuse to sift where it would not be done.

    Raises:
        InvalidMemoryError: Only a part was asked for, or something was to be taken out.
    """
    if wanted != EVERYTHING or cut is not None or any(rest):
        raise InvalidMemoryError("A part, or memories without words, are written as mip only; leave out --format.")
