"""Foreign files read within bounds: what is wrong is named by file and line, and nothing in them is ever run."""

from __future__ import annotations

import io
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pydantic import ValidationError

from memos_integrations.core.cube import first_problem
from memos_integrations.core.errors import ImportFormatError, VaultError
from memos_integrations.core.formats.record import Record
from memos_integrations.core.formats.strict import STRICT, TwiceError, parsed
from memos_integrations.core.regular import opened

MAX_PIECE = 64_000_000
"""Characters of one line, of one element of a list, or of a document that is read whole."""

MAX_FILES = 100_000
"""Files of one folder."""

MAX_BYTES = 8_000_000_000
"""Bytes of one file, unpacked."""

MAX_RATIO, MAX_SMALL = 100, 1 << 20
"""So much larger than it is packed a file of a zip may be, and any of so many bytes."""

_READ = 1 << 16

_NO_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError, RuntimeError, OSError)
"""What the zip library raises of a file that is damaged, cut off, encrypted, or of a later version."""

_SPACE = re.compile(r"\s*")


def refuse(where: str, what: str) -> NoReturn:
    """Refuse a file at a place in it.

    Raises:
        ImportFormatError: Always.
    """
    raise ImportFormatError(f"{where}: {what}")


def recorded(where: str, **fields: Any) -> Record:
    """A record of these fields.

    Raises:
        ImportFormatError: One is not valid; the message names it.
    """
    try:
        return Record(**fields)
    except ValidationError as exc:
        raise ImportFormatError(f"{where}: {first_problem(exc)}") from exc


def object_at(value: Any, where: str) -> dict[str, Any]:
    """The JSON object that has to stand here."""
    return value if isinstance(value, dict) else refuse(where, f"is {_kind(value)}, not an object")


def list_at(value: Any, where: str) -> list[Any]:
    """The JSON list that has to stand here; absent and null are an empty one."""
    return (
        [] if value is None else value if isinstance(value, list) else refuse(where, f"is {_kind(value)}, not a list")
    )


def text_at(value: Any, where: str) -> str:
    """The text that has to stand here; absent and null are an empty one."""
    return "" if value is None else value if isinstance(value, str) else refuse(where, f"is {_kind(value)}, not text")


def name_at(value: Any, where: str) -> str | None:
    """A name or a number that may stand here, as text; None for nothing."""
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    refuse(where, f"is {_kind(value)}, not a name")


def moment_at(value: Any, where: str) -> datetime | None:
    """A time as ISO 8601 or in seconds since 1970; one without a zone is taken as UTC; None for nothing."""
    try:
        match value:
            case None | "":
                return None
            case bool():
                pass
            case int() | float():
                return datetime.fromtimestamp(value, tz=UTC)
            case str():
                at = datetime.fromisoformat(value)
                return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    refuse(where, f"{str(value)[:80]!r} is not a time (ISO 8601, or seconds since 1970)")


def whole(path: Path) -> Any:
    """A JSON document, read whole."""
    with text_in(path) as stream:
        text = _bounded(stream.read(MAX_PIECE + 1), str(path.name))
    return _parsed(text, path.name)


def lines(path: Path, *, named: str | None = None) -> Iterator[tuple[str, Any]]:
    """The documents of a JSONL file, each with its place; empty lines are skipped."""
    name = named or path.name
    with text_in(path) as stream:
        number = 0
        while line := _line(stream, f"{name}:{number + 1}"):
            number += 1
            if line.strip():
                yield f"{name}:{number}", _parsed(line, f"{name}:{number}")


def elements(path: Path, *, member: str = "") -> Iterator[tuple[str, Any]]:
    """The elements of the list that a JSON file is, one after another, each with its place.

    In a zip the members whose name starts with *member* are read.
    """
    if not member or not _is_zip(path):
        with text_in(path) as stream:
            yield from _elements(stream, path.name)
        return
    with _unzipped(path) as archive:
        found = [
            each
            for each in archive.infolist()
            if Path(each.filename).name.startswith(member) and each.filename.endswith(".json")
        ]
        if not found:
            refuse(path.name, f"holds no {member}*.json")
        for each in found:
            if each.file_size > max(MAX_SMALL, MAX_RATIO * each.compress_size):
                refuse(f"{path.name}/{each.filename}", f"would grow to more than {MAX_RATIO} times its packed size")
        for name in sorted(each.filename for each in found):
            try:
                with archive.open(name) as packed, io.TextIOWrapper(packed, "utf-8-sig") as stream:
                    yield from _elements(stream, f"{path.name}/{name}")
            except _NO_ZIP as exc:
                refuse(f"{path.name}/{name}", f"cannot be read: {exc}")


def starts_with_list(path: Path) -> bool:
    """Whether a JSON file is a list."""
    with text_in(path) as stream:
        return stream.read(_READ).lstrip().startswith("[")


def _elements(stream: TextIO, name: str) -> Iterator[tuple[str, Any]]:
    text = _Unread(stream, name)
    if not text.takes("["):
        refuse(name, "is not a list")
    number = 0
    while not text.takes("]"):
        where = f"{name}[{number}]"
        if number and not text.takes(","):
            refuse(where, "a comma or the end of the list has to stand before it")
        yield where, text.value(where)
        number += 1
    if not text.ends():
        refuse(name, "goes on after the end of the list")


class _Unread:
    """What of a stream was not taken yet: the rest, from a place on, of the pieces that were read."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self._held, self._ended, self._read = stream, name, "", False, 0
        self._at = 0
        self._decoder = json.JSONDecoder(**STRICT)

    def takes(self, mark: str) -> bool:
        """Take *mark*, if it comes next."""
        self._skip()
        while self._at == len(self._held) and not self._ended:
            self._more()
            self._skip()
        there = self._held.startswith(mark, self._at)
        self._at += len(mark) if there else 0
        return there

    def ends(self) -> bool:
        """Whether nothing comes any more."""
        return self.takes("") and self._at == len(self._held)

    def value(self, where: str) -> Any:
        """Take the JSON value that comes next."""
        while True:
            self._skip()
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except RecursionError:
                refuse(where, "is nested too deeply")
            except TwiceError as exc:
                refuse(where, str(exc))
            except ValueError as exc:
                if self._ended or len(self._held) - self._at > MAX_PIECE:
                    refuse(where, f"is not JSON, or too large: {str(exc)[:120]}")
            else:
                if end < len(self._held) or self._ended:  # a number may go on
                    self._at = end
                    return value
            self._more()

    def _skip(self) -> None:
        space = _SPACE.match(self._held, self._at)
        self._at = self._at if space is None else space.end()

    def _more(self) -> None:
        # Twice as much each time, so that a large element is not looked at again and again. What was taken is let go
        # only here: to cut it off behind each of many small elements would copy the rest as often.
        left = self._held[self._at :]
        piece = self._stream.read(max(_READ, len(left)))
        self._held, self._at, self._ended, self._read = left + piece, 0, not piece, self._read + len(piece)
        if self._read > MAX_BYTES:
            refuse(self._name, f"is larger than {MAX_BYTES:,} characters")


def _line(stream: TextIO, where: str) -> str:
    return _bounded(stream.readline(MAX_PIECE + 1), where)


def _bounded(text: str, where: str) -> str:
    return refuse(where, f"is longer than {MAX_PIECE:,} characters") if len(text) > MAX_PIECE else text


def _parsed(text: str, where: str) -> Any:
    try:
        return parsed(text)
    except json.JSONDecodeError as exc:
        refuse(where, f"is not JSON (line {exc.lineno}, column {exc.colno}): {exc.msg}")
    except (ValueError, RecursionError) as exc:
        refuse(where, f"is not JSON: {str(exc)[:120]}")


def _is_zip(path: Path) -> bool:
    try:
        with opened(path) as file:
            return zipfile.is_zipfile(file)
    except OSError as exc:
        refuse(path.name, f"cannot be read: {exc.strerror}")


@contextmanager
def _unzipped(path: Path) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as files:
        try:
            archive = zipfile.ZipFile(files.enter_context(opened(path)))
        except _NO_ZIP as exc:
            refuse(path.name, f"is a damaged zip: {exc}")
        yield archive


@contextmanager
def text_in(path: Path, *, named: str = "", most: int = MAX_BYTES) -> Iterator[TextIO]:
    """The text of a file; *named*: what it is called where it is refused.

    Raises:
        ImportFormatError: It is no file, larger than *most* bytes, or no UTF-8.
    """
    name = named or path.name
    try:
        with opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as stream:
            if os.fstat(file.fileno()).st_size > most:
                refuse(name, f"is larger than {most:,} bytes")
            yield stream
    except UnicodeDecodeError as exc:
        raise ImportFormatError(f"{name}: is not UTF-8 at byte {exc.start}") from exc
    except OSError as exc:
        raise ImportFormatError(f"{name}: cannot be read: {exc.strerror}") from exc


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A text file that stands at *path* once all of it is written and on the disk, and not before.

    Raises:
        ImportFormatError: There is one already.
        VaultError: The disk failed; nothing is left.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with half.open("x", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.link(half, path)
    except FileExistsError as exc:
        raise ImportFormatError(f"{path.name} is there already; an export replaces nothing.") from exc
    except OSError as exc:
        raise VaultError(f"{path.name} could not be written: {exc.strerror}. Nothing is left of it.") from exc
    finally:
        with suppress(OSError):
            half.unlink()


def write_list(items: Iterable[Mapping[str, Any]], path: Path, *, before: str = "[", after: str = "]") -> int:
    """Write a JSON list, element by element; how many."""
    count = 0
    with new_file(path) as out:
        out.write(before)
        for item in items:
            out.write(",\n" if count else "\n")
            out.write(json.dumps(item, ensure_ascii=False))
            count += 1
        out.write(f"\n{after}\n")
    return count


def write_lines(items: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write JSONL; how many."""
    count = 0
    with new_file(path) as out:
        for count, item in enumerate(items, start=1):  # noqa: B007
            out.write(json.dumps(item, ensure_ascii=False) + "\n")
    return count


def iso(at: datetime | None) -> str | None:
    """A time in ISO 8601, or None."""
    return None if at is None else at.isoformat()


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
