"""What `memos export` and `memos import` do with the formats of other systems."""

from __future__ import annotations

from pathlib import Path

from memos_integrations.cli.opening import Choice, opened
from memos_integrations.cli.output import print_json, progress, say
from memos_integrations.core.access import Principal
from memos_integrations.core.errors import InvalidMemoryError
from memos_integrations.core.formats import FORMS, Form

FORMATS = f"mip (signed, complete) or another system's: {', '.join(FORMS)}."


def form_named(name: str) -> Form:
    """The format of this name."""
    if name not in FORMS:
        raise InvalidMemoryError(f"There is no format {name!r}; there is: mip, {', '.join(FORMS)}.")
    return FORMS[name]


def export_form(target: Path, form: Form, vault: Path, by: Principal, *, as_json: bool) -> None:
    """Write what one may read in another system's format."""
    with opened(vault, Choice.NONE) as (memos, _, _):
        count = memos.export_file(target, form, by=by)
    if as_json:
        print_json({"format": form.name, "memories": count, "path": str(target), "lost": form.export_lost})
        return
    say(f"{count} memories: {target}")
    say(f"  the format has no place for: {form.export_lost}", "dim")


def import_form(
    file: Path,
    form: Form,
    vault: Path,
    by: Principal,
    into: tuple[str, ...],
    *,
    dry_run: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Take in what another system wrote."""
    with opened(vault, Choice.AUTO, make=not dry_run) as (memos, _, _), progress("Importing") as report:
        done = memos.import_file(file, form, by=by, into=into, dry_run=dry_run, again=again, progress=report)
    if as_json:
        print_json(done.model_dump(mode="json") | {"lost": form.import_lost})
    elif dry_run:
        say(f"{done.found} memories are in it; nothing was written.")
    else:
        known = f", {done.known} were known already" if done.known else ""
        known += f", {done.forgotten} stay forgotten" if done.forgotten else ""
        say(f"{done.written} memories imported{known}.")
