"""`memos relay`: from a vault's outbox to a broker, until it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from memos_integrations.cli.commands import Json, Tenant, User, Vault
from memos_integrations.cli.opening import Choice, opened, principal
from memos_integrations.cli.output import note, print_json, say
from memos_integrations.core.errors import InvalidMemoryError, WireError

if TYPE_CHECKING:
    from memos_integrations.core.ports import Wire

LONGEST_WAIT_S = 30.0
"""After a broker that does not answer, it is asked again: after half a second, then after twice as long each time."""


def relay(
    broker: Annotated[
        str, typer.Argument(metavar="BROKER", envvar="MEMOS_BROKER", help="nats://HOST:PORT or redis://HOST:PORT.")
    ],
    *,
    vault: Vault,
    stream: Annotated[str, typer.Option("--stream", help="What the stream is called on the broker.")] = "memos",
    every: Annotated[float, typer.Option("--every", help="Seconds between looks when there is nothing.")] = 0.2,
    once: Annotated[bool, typer.Option("--once", help="Publish what is there, and end.")] = False,
    tenant: Tenant = "local",
    user: User = None,
    as_json: Json = False,
) -> None:
    """Tell a broker that something happened, until this is stopped (Ctrl-C, SIGTERM); numbers only, no words.

    Subscribers open the same vault and ask it: the broker wakes them, and takes no memory to another machine.
    The address may hold a user and a password; then better in the environment, as MEMOS_BROKER, than on the line.
    """
    if every <= 0:
        raise InvalidMemoryError("--every is more than 0 seconds.")
    from memos_integrations.core.wire import Relay

    stop, told = Event(), 0
    with opened(vault, Choice.NONE) as (memos, _, _), _wire(broker, stream) as wire, _until_stopped(stop):
        works = Relay(memos, wire, by=principal(tenant, user))
        wait = 0.5
        while not stop.is_set():
            try:
                found = works.run_once()
            except WireError as exc:
                if once:
                    raise
                note(f"{exc} Again in {wait:g} s.")
                stop.wait(wait)
                wait = min(LONGEST_WAIT_S, 2 * wait)
                continue
            told, wait = told + found, 0.5
            if not found:
                if once:
                    break
                stop.wait(every)
        upto = works.published
    if as_json:
        print_json({"stream": stream, "events": told, "published": upto})
    else:
        say(f"{stream}: {told} events, up to number {upto}.")


@contextmanager
def _wire(broker: str, stream: str) -> Iterator[Wire]:
    kind = urlsplit(broker).scheme
    if kind in {"nats", "tls"}:
        from memos_integrations.backends.nats_wire import NatsWire

        nats = NatsWire(stream, broker)
        try:
            yield nats
        finally:
            nats.close()
    elif kind in {"redis", "rediss"}:
        from memos_integrations.core.extras import require

        require("redis", extra="redis")
        import redis

        from memos_integrations.backends.redis_wire import RedisWire

        with redis.Redis.from_url(broker) as client:
            yield RedisWire(stream, client)
    else:
        raise InvalidMemoryError("A broker's address begins with nats://, tls://, redis:// or rediss://.")


@contextmanager
def _until_stopped(stop: Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the loop after what it is at; what is published is noted."""
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, what in before.items():
            signal.signal(each, what)
