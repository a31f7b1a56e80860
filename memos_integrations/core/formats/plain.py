"""JSONL, CSV and Markdown folders: what anybody can write by hand."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from memos_integrations.core.conversation import Role
from memos_integrations.core.cube import canonical_json, sha256, thawed
from memos_integrations.core.errors import ImportFormatError, VaultError
from memos_integrations.core.formats.files import (
    MAX_FILES,
    MAX_PIECE,
    iso,
    lines,
    list_at,
    moment_at,
    name_at,
    new_file,
    object_at,
    recorded,
    refuse,
    text_at,
    text_in,
    write_lines,
)
from memos_integrations.core.formats.record import Naming, Record
from memos_integrations.core.formats.strict import parsed

FIELDS = ("id", "text", "kind", "role", "speaker", "at", "thread", "session", "tags", "valid_from", "valid_to", "value")
_TIMES = ("at", "valid_from", "valid_to")
_NAMES = ("id", "kind", "role", "speaker", "thread", "session")
MAX_MARKDOWN = 50_000_000
_FENCE = re.compile(r"\A---\r?\n(.*?)^---\r?\n?", re.DOTALL | re.MULTILINE)


def read_jsonl(path: Path) -> Iterator[Record]:
    """The records of a JSONL file: an object a line, `text` and any of `FIELDS`; other names are kept in `value`."""
    naming = Naming()
    for where, line in lines(path):
        yield _told(object_at(line, where), where, naming)


def write_jsonl(records: Iterable[Record], path: Path) -> int:
    """Write JSONL."""
    return write_lines((_fields(record) for record in records), path)


def read_csv(path: Path) -> Iterator[Record]:
    """The records of a CSV file with a head line that names `text` and any of `FIELDS`; tags stand between semicolons.

    `value` is JSON; columns of other names are kept in it.
    """
    naming = Naming()
    # Python's own bound is below that of a memory; it is one for the whole process, and is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_PIECE))
    try:
        with text_in(path) as stream:
            rows = csv.DictReader(stream, strict=True)
            rows.fieldnames = _columns(rows.fieldnames or (), f"{path.name}:1")
            for row in rows:
                yield _told(_cells(row, f"{path.name}:{rows.line_num}"), f"{path.name}:{rows.line_num}", naming)
    except csv.Error as exc:
        raise ImportFormatError(f"{path.name}:{rows.line_num + 1}: {exc}") from exc


def write_csv(records: Iterable[Record], path: Path) -> int:
    """Write CSV with all columns of `FIELDS`."""
    count = 0
    with new_file(path) as out:
        rows = csv.DictWriter(out, FIELDS)
        rows.writeheader()
        for record in records:
            row = _fields(record)
            if "tags" in row:
                row["tags"] = ";".join(tag.replace("\\", "\\\\").replace(";", "\\;") for tag in row["tags"])
            if "value" in row:
                row["value"] = json.dumps(row["value"], ensure_ascii=False)
            rows.writerow(row)
            count += 1
    return count


def read_markdown(path: Path) -> Iterator[Record]:
    """The `.md` files of a folder and the folders in it, each a memory; links out of the folder are not followed.

    Lines `name: value` between two lines `---` at the top are fields of `FIELDS`, each value JSON or plain text; other
    names, and what does not fit ours (as `head.NAME`), are kept in `value`. Anything else between such lines is text.
    Without an id, the file's path within the folder is its id.
    """
    if not path.is_dir():
        refuse(path.name, "is not a folder")
    for count, (file, name) in enumerate(_notes(path), start=1):
        if count > MAX_FILES:
            refuse(path.name, f"holds more than {MAX_FILES:,} files")
        with text_in(file, named=name, most=MAX_MARKDOWN) as stream:
            text = stream.read()
        said: dict[str, Any] = {"id": name, "kind": "document"}
        head = _FENCE.match(text)
        if head is not None and (fields := _head(head[1])) is not None:
            said |= fields
            text = text[head.end() :]
        if text.strip():
            yield _told({**said, "text": text}, name, Naming())


def write_markdown(records: Iterable[Record], path: Path) -> int:
    """Write a new folder, a file for each record, named by the digest of its id."""
    try:
        path.mkdir()
    except FileExistsError as exc:
        raise ImportFormatError(f"{path.name} is there already; an export replaces nothing.") from exc
    except OSError as exc:
        raise VaultError(f"{path.name} could not be made: {exc.strerror}.") from exc
    count = 0
    for record in records:
        said = _fields(record)
        text = said.pop("text")
        with new_file(path / f"{sha256(record.id.encode())[:32]}.md") as out:
            out.write("---\n")
            out.writelines(f"{name}: {json.dumps(value)}\n" for name, value in said.items())
            out.write(f"---\n{text}")
        count += 1
    return count


def _notes(folder: Path) -> Iterator[tuple[Path, str]]:
    for place, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(files):
            file = Path(place) / name
            if name.lower().endswith((".md", ".markdown")) and not file.is_symlink():
                yield file, file.relative_to(folder).as_posix()


def _head(text: str) -> dict[str, Any] | None:
    """What stands between the two lines; None where that is no head, but words between two rules."""
    said: dict[str, Any] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip() or line.startswith((" ", "\t", "-", "#")):
            continue  # a list or a comment of a richer YAML than is read here
        if not colon:
            return None
        if value.strip():
            if name.strip() in said:
                return None  # of the two, one would be lost
            said[name.strip()] = _scalar(value.strip())
    tags = said.get("tags")
    if isinstance(tags, str):
        said["tags"] = [each.strip() for each in tags.strip("[]").split(",") if each.strip()]
    elif isinstance(tags, int) and not isinstance(tags, bool):
        said["tags"] = [str(tags)]
    return {name if _fits(name, value) else f"head.{name}": value for name, value in said.items()}


def _fits(name: str, value: Any) -> bool:
    """Whether a field of a head is ours, and not another program's of the same name."""
    try:
        if name in _TIMES:
            moment_at(value, name)
        elif name in _NAMES:
            name_at(value, name)
        elif name == "tags":
            return isinstance(value, list) and all(isinstance(tag, str) for tag in value)
    except ImportFormatError:
        return False
    return name != "text" and (name != "role" or value in get_args(Role))


def _scalar(text: str) -> Any:
    try:
        return parsed(text)
    except (ValueError, RecursionError):
        return text


def _columns(names: Sequence[str], where: str) -> list[str]:
    """The names of the columns; one without a name is named by its number."""
    named = [name or f"column {number}" for number, name in enumerate(names, start=1)]
    if "text" not in named:
        refuse(where, "names no column `text`")
    if twice := [name for name, count in Counter(named).items() if count > 1]:
        refuse(where, f"names the column `{twice[0][:80]}` twice")
    return named


def _cells(row: dict[str, Any], where: str) -> dict[str, Any]:
    if None in row or None in row.values():
        refuse(where, "has more or fewer cells than the head line")
    said: dict[str, Any] = {name: cell for name, cell in row.items() if cell != ""}
    if "tags" in said:
        said["tags"] = [
            re.sub(r"\\(.)", r"\1", each) for each in re.findall(r"(?:\\.|[^;\\])+", said["tags"], re.DOTALL)
        ]
    if "value" in said:
        try:
            said["value"] = parsed(said["value"])
        except (ValueError, RecursionError):
            refuse(where, "value: is not JSON, or says a name twice")
    return said


def _told(said: dict[str, Any], where: str, naming: Naming) -> Record:
    told: dict[str, Any] = {name: name_at(said.get(name), f"{where}: {name}") for name in _NAMES}
    told |= {name: moment_at(said.get(name), f"{where}: {name}") for name in _TIMES}
    told["text"] = text_at(said.get("text"), f"{where}: text")
    tags = list_at(said.get("tags"), f"{where}: tags")
    told["tags"] = tuple(text_at(tag, f"{where}: tags") for tag in tags)
    others = {name: value for name, value in said.items() if name not in FIELDS}
    told["value"] = said.get("value") if not others else {"value": said.get("value"), **others}
    told["id"] = told["id"] or naming.name(*(told[name] for name in ("thread", "session", "at", "speaker", "text")))
    return recorded(where, **{name: value for name, value in told.items() if value is not None})


def _fields(record: Record) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(record, name)
        if value not in (None, ()):
            said[name] = iso(value) if name in _TIMES else [*value] if name == "tags" else thawed(value)
    return json.loads(canonical_json(said)) if record.value is not None else said
