"""A wire over NATS JetStream; extra `nats`.

It carries numbers of events: whoever hears them asks the vault, which they open themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, TypeVar

from memos_integrations.core.errors import InvalidMemoryError, WireError
from memos_integrations.core.extras import require
from memos_integrations.core.ports import Letter, Posting

require("nats", extra="nats")
import nats  # noqa: E402
from nats.errors import Error as NatsError  # noqa: E402
from nats.js import JetStreamContext  # noqa: E402
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, StreamConfig  # noqa: E402
from nats.js.errors import NoStreamResponseError, NotFoundError, ServiceUnavailableError  # noqa: E402

T = TypeVar("T")
GONE = (NotFoundError, NoStreamResponseError, ServiceUnavailableError)


async def _unheard(_: Exception) -> None:
    """What the client would print with a traceback is raised by the call that it concerns, as `WireError`."""


OPTIONS: dict[str, Any] = {"name": "memos", "max_reconnect_attempts": -1, "error_cb": _unheard}
SHORTEST_WAIT = 0.02


class NatsWire:
    """Fills `Wire` with one JetStream stream on disk; a reader is a durable consumer.

    Args:
        name: The stream's name: letters, digits, `-` and `_`. Its subject is `memos.` and that.
        servers: Where the broker is.
        again_after: Seconds after which what was not acknowledged comes again.
        most_pending: So many unacknowledged letters a reader has at most; the broker then gives it none.
        most: So many postings are kept; of more, the oldest go.
        patience: Seconds that the broker has for an answer.
        options: For `nats.connect`: user, password, token, tls, nkeys. It connects again for ever by default.

    Raises:
        InvalidMemoryError: The name is not one that a stream can have.
        WireError: The broker cannot be reached, or has no JetStream.
    """

    def __init__(
        self,
        name: str,
        servers: str | list[str] = "nats://127.0.0.1:4222",
        *,
        again_after: float = 30.0,
        most_pending: int = 1_000,
        most: int = 1_000_000,
        patience: float = 10.0,
        **options: Any,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise InvalidMemoryError(f"A stream's name is of letters, digits, - and _, not {name!r}.")
        self._name, self._subject, self._most = name, f"memos.{name}", most
        self._again_after, self._most_pending, self._patience = again_after, most_pending, patience
        self._readers: dict[str, JetStreamContext.PullSubscription] = {}
        self._closed, self._closing = False, Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="memos-nats", daemon=True)
        self._thread.start()
        try:
            self._client = self._do(nats.connect(servers, **(OPTIONS | options)))
            self._stream = self._client.jetstream(publish_async_max_pending=10_000)
            self._do(self._make())
        except WireError:
            self._end_loop()
            raise

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._name

    def publish(self, postings: Sequence[Posting]) -> None:
        """Put them on the stream; on the broker's disk on return. The same id within two minutes is there once."""
        self._do(self._again_when_gone(self._publish, postings), len(postings) / 100)

    def join(self, reader: str) -> None:
        """Make the durable consumer, from now on."""
        self._do(self._again_when_gone(self._join, reader))

    def leave(self, reader: str) -> None:
        """Delete the durable consumer."""
        self._do(self._leave(reader))

    def fetch(self, reader: str, limit: int, wait: float) -> list[Letter]:
        """At most *limit* letters; waits up to *wait* seconds for the first."""
        return self._do(self._again_when_gone(self._fetch, reader, limit, wait), 2 * wait)

    def acknowledge(self, reader: str, letters: Sequence[Letter]) -> None:
        """They do not come again. It is sent, and not waited for."""
        self._do(self._acknowledge(letters))

    def close(self) -> None:
        """Leave the broker; one that does not answer is left all the same."""
        with self._closing:
            if self._closed:
                return
            try:
                # Nothing waits in the wire: what was published or acknowledged was sent, or raised.
                with suppress(WireError):
                    self._do(self._client.close())
            finally:
                self._closed = True
                self._end_loop()

    # --- on the loop

    async def _make(self) -> None:
        await self._stream.add_stream(
            StreamConfig(
                name=self._name, subjects=[self._subject], max_msgs=self._most, discard=DiscardPolicy.OLD,
                duplicate_window=120.0,
            )
        )  # fmt: skip

    async def _again_when_gone(self, what: Any, *with_: Any) -> Any:
        """Do it; where somebody deleted the stream or the consumer, make it, and do it again."""
        try:
            return await what(*with_)
        except GONE:
            self._readers.clear()
            await self._make()
            return await what(*with_)

    async def _publish(self, postings: Sequence[Posting]) -> None:
        sent: list[asyncio.Future[Any]] = []
        try:
            for each in postings:
                headers = {"Nats-Msg-Id": each.id}
                sent.append(await self._stream.publish_async(self._subject, each.body, headers=headers))
            for done in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(done, BaseException):
                    raise done
        finally:
            for future in sent:
                future.cancel()

    async def _join(self, reader: str) -> JetStreamContext.PullSubscription:
        if reader not in self._readers:
            self._readers[reader] = await self._stream.pull_subscribe(
                self._subject, durable=reader, stream=self._name,
                config=ConsumerConfig(
                    deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT, ack_wait=self._again_after,
                    max_ack_pending=self._most_pending,
                ),
            )  # fmt: skip
        return self._readers[reader]

    async def _leave(self, reader: str) -> None:
        self._readers.pop(reader, None)
        try:
            await self._stream.delete_consumer(self._name, reader)
        except NotFoundError:
            return

    async def _fetch(self, reader: str, limit: int, wait: float) -> list[Letter]:
        subscription = await self._join(reader)
        try:
            wait = max(wait, SHORTEST_WAIT)
            # The client's own limit was seen to be passed by ten seconds where nothing came.
            found = await _within(subscription.fetch(limit, timeout=wait), wait + 1.0)
        except TimeoutError:
            await self._stream.consumer_info(self._name, reader)
            return []
        return [Letter(str(each.metadata.sequence.stream), each.data, each) for each in found]

    async def _acknowledge(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            await letter.receipt.ack()
        await self._client.flush()

    # --- off the loop

    def _do(self, work: Coroutine[Any, Any, T], more: float = 0.0) -> T:
        if self._closed:
            work.close()
            raise WireError(f"The wire {self._name!r} was closed")
        try:
            return asyncio.run_coroutine_threadsafe(_within(work, self._patience + more), self._loop).result()
        # The client cancels what it is doing when the broker goes while it closes or connects again.
        except (NatsError, OSError, TimeoutError, CancelledError) as exc:
            raise WireError(f"NATS did not answer for {self._name!r}: {type(exc).__name__} {exc}".rstrip()) from exc

    def _end_loop(self) -> None:
        asyncio.run_coroutine_threadsafe(_end_others(self._patience), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._patience)
        self._loop.close()


async def _end_others(patience: float) -> None:
    """Cancel what the client left running: it goes on connecting again after its own end."""
    # What those say of a broker that is gone concerns no caller.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=patience)
    # A connection that was being made closes its socket a turn of the loop later.
    for _ in range(3):
        await asyncio.sleep(0)


async def _within(work: Coroutine[Any, Any, T], patience: float) -> T:
    return await asyncio.wait_for(work, patience)
