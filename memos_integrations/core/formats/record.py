"""One memory on its way between a foreign file and a vault, and what a format is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import model_validator

from memos_integrations.core.conversation import Role, Words
from memos_integrations.core.cube import Json, Label, Labels, Moment, Value, sha256


class Record(Value):
    """What a foreign system holds of one memory.

    `id` is the name it has there: the same id is imported once. `at` is when it was said or written there, in UTC;
    `valid_from`, `valid_to` when it held in the world. `value` keeps what has no field of its own.
    """

    text: Words
    id: Label
    kind: Label = "fact"
    role: Role = "user"
    speaker: Label | None = None
    at: Moment | None = None
    thread: Label | None = None
    session: Label | None = None
    tags: Labels = ()
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    value: Json = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to is before valid_from")
        return self


Reader = Callable[[Path], Iterator[Record]]
Writer = Callable[[Iterable[Record], Path], int]


@dataclass(frozen=True, slots=True)
class Form:
    """A foreign format: how it is read, how it is written where it can be, and what it cannot carry.

    `read(path)` gives records one after another and raises `ImportFormatError`. `write(records, path)` gives how many.
    `import_lost` is what of the format we leave behind, `export_lost` what of ours it has no place for.
    """

    name: str
    read: Reader
    write: Writer | None = None
    import_lost: str = ""
    export_lost: str = ""


class Naming:
    """Gives ids to records that have none: a digest of what they say, counted where the same is said again.

    An export that has grown at its end names what was there before as before.
    """

    def __init__(self) -> None:
        self._met: dict[str, int] = {}

    def name(self, *said: object) -> str:
        """The id of what was said."""
        digest = sha256(json.dumps([str(each) for each in said]).encode())[:32]
        self._met[digest] = count = self._met.get(digest, 0) + 1
        return digest if count == 1 else f"{digest}:{count}"
