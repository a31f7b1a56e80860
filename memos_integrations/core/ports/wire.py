"""What carries the news that something happened from one process to another. Untrusted, and never the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Posting:
    """What is put on a wire: bytes under an id. The same id within two minutes is put there once."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """What a wire gives a reader. `place` is the same when it comes again; `receipt` is for the wire alone."""

    place: str
    body: bytes
    receipt: Any = None


class Wire(Protocol):
    """A stream of postings with readers that each have a place of their own. Thread-safe; at least once, in order.

    What a reader does not acknowledge comes again after a while; a reader with too many unacknowledged is given none.
    Every call raises `WireError` where the broker cannot be reached or refuses.
    """

    @property
    def name(self) -> str:
        """The stream's name."""
        ...

    def publish(self, postings: Sequence[Posting]) -> None:
        """Put them on the wire, in order; the broker has them on return."""
        ...

    def join(self, reader: str) -> None:
        """From now on, keep what is published for *reader*; nothing happens when it is kept already."""
        ...

    def leave(self, reader: str) -> None:
        """Keep nothing for *reader* any more."""
        ...

    def fetch(self, reader: str, limit: int, wait: float) -> list[Letter]:
        """At most *limit* letters for *reader*; waits up to *wait* seconds for the first."""
        ...

    def acknowledge(self, reader: str, letters: Sequence[Letter]) -> None:
        """They do not come again. Where this is lost, they do."""
        ...

    def close(self) -> None:
        """Let go of the broker. Safe to call twice."""
        ...
