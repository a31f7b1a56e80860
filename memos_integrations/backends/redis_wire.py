"""A wire over Redis Streams; extra `redis`.

It carries numbers of events: whoever hears them asks the vault, which they open themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, TypeVar

from memos_integrations.core.errors import WireError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import Letter, Posting

require("redis", extra="redis")
import redis  # noqa: E402

T = TypeVar("T")
FIELD = b"body"
CONSUMER = "memos"
AT_ONCE = 1_000
BLOCK = 0.5

ADD_ONCE = """
if redis.call('SET', KEYS[2], 1, 'NX', 'EX', 120) then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'body', ARGV[1])
end
"""


class RedisWire:
    """Fills `Wire` with one Redis stream; a reader is a consumer group. Redis 6.2 or later.

    What the broker holds survives it as far as its own persistence says (`appendonly`, `appendfsync`).

    Args:
        name: The stream's name.
        client: A `redis.Redis`, made by you: where it is, user, password, TLS. Close it yourself.
        again_after: Seconds after which what was not acknowledged comes again.
        most_pending: So many unacknowledged letters a reader has at most.
        most: So many postings are kept, and a few more; the oldest go.
    """

    def __init__(
        self,
        name: str,
        client: redis.Redis,
        *,
        again_after: float = 30.0,
        most_pending: int = 1_000,
        most: int = 1_000_000,
    ) -> None:
        self._name, self._most, self._most_pending = name, most, most_pending
        self._again_ms = int(again_after * 1e3)
        self._client: Any = client  # its types promise either an answer or something to await
        self._key, self._closed = f"{{{name}}}:wire", False
        self._add_once = self._client.register_script(ADD_ONCE)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._name

    def publish(self, postings: Sequence[Posting]) -> None:
        """Put them on the stream, in order. The same id within two minutes is there once."""
        self._do(self._publish, postings)

    def join(self, reader: str) -> None:
        """Make the consumer group, from now on."""
        self._do(self._join, reader)

    def leave(self, reader: str) -> None:
        """Delete the consumer group."""
        self._do(self._leave, reader)

    def fetch(self, reader: str, limit: int, wait: float) -> list[Letter]:
        """At most *limit* letters; waits up to *wait* seconds for the first."""
        until = monotonic() + wait
        while True:
            left = max(0.0, until - monotonic())
            found = self._do(self._again_when_gone, reader, limit, left)
            if found or left == 0.0:
                return found

    def acknowledge(self, reader: str, letters: Sequence[Letter]) -> None:
        """They do not come again."""
        for start in range(0, len(letters), AT_ONCE):
            places = [letter.place for letter in letters[start : start + AT_ONCE]]
            self._do(self._client.xack, self._key, reader, *places)

    def close(self) -> None:
        """Use the broker no more; the client is yours."""
        self._closed = True

    def _publish(self, postings: Sequence[Posting]) -> None:
        for start in range(0, len(postings), AT_ONCE):
            with self._client.pipeline(transaction=False) as pipeline:
                for each in postings[start : start + AT_ONCE]:
                    seen = f"{{{self._name}}}:seen:{each.id}"
                    self._add_once(keys=[self._key, seen], args=[each.body, self._most], client=pipeline)
                pipeline.execute()

    def _join(self, reader: str) -> None:
        try:
            self._client.xgroup_create(self._key, reader, id="$", mkstream=True)
        except redis.ResponseError as exc:
            if not str(exc).startswith("BUSYGROUP"):
                raise

    def _leave(self, reader: str) -> None:
        if self._client.exists(self._key):
            self._client.xgroup_destroy(self._key, reader)

    def _again_when_gone(self, reader: str, limit: int, left: float) -> list[Letter]:
        """Fetch; where somebody deleted the stream or the group, make it, and fetch again."""
        try:
            return self._fetch(reader, limit, left)
        except redis.ResponseError as exc:
            if not str(exc).startswith("NOGROUP"):
                raise
            self._join(reader)
            return self._fetch(reader, limit, left)

    def _fetch(self, reader: str, limit: int, left: float) -> list[Letter]:
        claimed = self._client.xautoclaim(
            self._key, reader, CONSUMER, min_idle_time=self._again_ms, start_id="0-0", count=limit
        )
        found = _letters(claimed[1])
        pending = int(self._client.xpending(self._key, reader)["pending"])
        room = min(limit - len(found), self._most_pending - pending)
        if room > 0:
            block = None if found or left <= 0 else max(1, int(min(left, BLOCK) * 1e3))
            answer = self._client.xreadgroup(reader, CONSUMER, {self._key: ">"}, count=room, block=block)
            for _, entries in answer.items() if isinstance(answer, dict) else answer or ():
                found += _letters(entries)
        return found

    def _do(self, what: Callable[..., T], *with_: Any) -> T:
        if self._closed:
            raise WireError(f"The wire {self._name!r} was closed")
        try:
            return what(*with_)
        except (redis.RedisError, OSError) as exc:
            raise WireError(f"Redis did not answer for {self._name!r}: {type(exc).__name__} {exc}".rstrip()) from exc


def _letters(entries: Iterable[Any]) -> list[Letter]:
    """Entries of a stream as letters; one without our field is a letter with nothing in it, one that went is None."""
    found: list[Letter] = []
    for entry in entries:
        place, fields = entry
        if place is not None:
            body = (fields or {}).get(FIELD) or (fields or {}).get(FIELD.decode()) or b""
            name = place.decode() if isinstance(place, bytes) else str(place)
            found.append(Letter(name, body if isinstance(body, bytes) else body.encode()))
    return found
