"""A wire between the threads of one process: what the brokers are held against, and enough for one program."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition
from time import monotonic

from memos_integrations.core.errors import WireError
from memos_integrations.core.ports import Letter, Posting

DUPLICATE_SECONDS = 120.0


@dataclass(slots=True)
class _Reader:
    """What is still to be given, and since when what was given has been waited for."""

    waiting: OrderedDict[str, Letter] = field(default_factory=OrderedDict)
    given: OrderedDict[str, tuple[float, Letter]] = field(default_factory=OrderedDict)


class LocalWire:
    """Fills `Wire` with memory; it is empty when the process ends.

    Args:
        name: The stream's name.
        again_after: Seconds after which what was not acknowledged comes again.
        most_pending: So many unacknowledged letters a reader has at most.
        most: So many postings are kept for a reader; of more, the oldest go.
    """

    def __init__(
        self, name: str, *, again_after: float = 30.0, most_pending: int = 1_000, most: int = 1_000_000
    ) -> None:
        self._name, self._again_after, self._most_pending, self._most = name, again_after, most_pending, most
        self._readers: dict[str, _Reader] = {}
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._changed, self._next, self._closed = Condition(), 1, False

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._name

    def publish(self, postings: Sequence[Posting]) -> None:
        """Put them before every reader there is."""
        with self._changed:
            self._check_open()
            now = monotonic()
            while self._seen and next(iter(self._seen.values())) < now - DUPLICATE_SECONDS:
                self._seen.popitem(last=False)
            for posting in postings:
                if posting.id not in self._seen:
                    self._seen[posting.id] = now
                    self._put(posting)
            self._changed.notify_all()

    def _put(self, posting: Posting) -> None:
        letter = Letter(str(self._next), posting.body)
        self._next += 1
        for reader in self._readers.values():
            reader.waiting[letter.place] = letter
            if len(reader.waiting) > self._most:
                reader.waiting.popitem(last=False)

    def join(self, reader: str) -> None:
        """Keep what is published from now on for *reader*."""
        with self._changed:
            self._check_open()
            self._readers.setdefault(reader, _Reader())

    def leave(self, reader: str) -> None:
        """Keep nothing for *reader* any more."""
        with self._changed:
            self._readers.pop(reader, None)

    def fetch(self, reader: str, limit: int, wait: float) -> list[Letter]:
        """What is there for *reader*, after at most *wait* seconds."""
        until = monotonic() + wait
        with self._changed:
            while True:
                self._check_open()
                found = self._next_of(self._readers.setdefault(reader, _Reader()), limit)
                left = until - monotonic()
                if found or left <= 0:
                    return found
                self._changed.wait(min(left, self._again_after))

    def _next_of(self, reader: _Reader, limit: int) -> list[Letter]:
        now = monotonic()
        found = [letter for since, letter in reader.given.values() if since <= now - self._again_after][:limit]
        room = min(limit - len(found), self._most_pending - len(reader.given))
        found += [reader.waiting.popitem(last=False)[1] for _ in range(min(room, len(reader.waiting)))]
        reader.given.update((letter.place, (now, letter)) for letter in found)
        return found

    def acknowledge(self, reader: str, letters: Sequence[Letter]) -> None:
        """They do not come again."""
        with self._changed:
            self._check_open()
            given = self._readers.setdefault(reader, _Reader()).given
            for letter in letters:
                given.pop(letter.place, None)
            self._changed.notify_all()

    def close(self) -> None:
        """End it for every reader."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise WireError(f"The wire {self._name!r} was closed")
