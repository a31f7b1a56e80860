"""Brokers that die, come back, or forget everything: news is late, and never lost."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from nats.aio.client import Client
from nats.js import JetStreamContext

from memos_integrations import MemOS
from memos_integrations.backends.nats_wire import NatsWire
from memos_integrations.backends.redis_wire import RedisWire
from memos_integrations.core.errors import InvalidMemoryError, WireError
from memos_integrations.core.ports import Wire
from memos_integrations.core.wire import Relay, WireSubscriber
from tests.wire.brokers import free_port, nats_server, redis_server
from tests.wire.test_sharing import ANA, BEN, RELAY, told

BROKERS = {"nats": nats_server, "redis": redis_server}


@pytest.fixture
def memos(tmp_path: Path) -> Iterator[MemOS]:
    with MemOS.open(tmp_path / "vault") as engine:
        engine.store.subscribe("news", by=BEN)
        yield engine


def opened(kind: str, port: int, stack: ExitStack) -> Wire:
    if kind == "nats":
        wire: Any = NatsWire("acme", f"nats://127.0.0.1:{port}", patience=3.0, reconnect_time_wait=0.2)
    else:
        client = redis.Redis(port=port)
        stack.callback(client.close)
        wire = RedisWire("acme", client)
    stack.callback(wire.close)
    return wire


def patiently(call: Any) -> Any:
    """What *call* gives once the broker is there again."""
    for _ in range(20):
        try:
            return call()
        except WireError:
            continue
    return call()


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_a_broker_that_was_killed_comes_back(memos: MemOS, tmp_path: Path, kind: str) -> None:
    port = free_port()
    with ExitStack() as stack:
        with BROKERS[kind](tmp_path / kind, port):
            wire = opened(kind, port, stack)
            relay, ben = Relay(memos, wire, by=RELAY), WireSubscriber(memos, wire, "news", by=BEN)
            memos.remember("Shelf 1 is free.", by=ANA, readers=["ben"])
            assert relay.run_once() == 1
            ben.acknowledge(ben.pull(wait=5))
        memos.remember("Shelf 2 is free.", by=ANA, readers=["ben"])
        before = relay.published
        with pytest.raises(WireError, match="comes later"):
            relay.run_once()
        with pytest.raises(WireError):
            ben.pull(wait=0.1)
        assert relay.published == before
        with BROKERS[kind](tmp_path / kind, port):
            assert patiently(relay.run_once) == 1
            assert told(patiently(lambda: ben.pull(wait=5))) == [("written", "Shelf 2 is free.")]
            letters = ben.letters
            assert letters >= 2


def test_a_wire_whose_broker_went_closes_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At whatever it was doing: connecting again, waiting for its turn, or not yet aware of it."""
    for n, moment in enumerate((0.0, 0.001, 0.01, 0.05, 0.2)):
        port = free_port()
        with nats_server(tmp_path / str(n), port):
            wire = NatsWire("acme", f"nats://127.0.0.1:{port}", patience=3.0, reconnect_time_wait=0.0)
            wire.join("one")
        time.sleep(moment)
        wire.close()
        gc.collect()
        with pytest.raises(WireError, match="was closed"):
            wire.join("one")
    assert [each.message for each in caplog.records if each.name == "asyncio"] == []


def test_a_client_that_cancels_itself_is_no_end_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = Client.close

    async def cancelled(*_: Any, **__: Any) -> None:
        raise asyncio.CancelledError

    async def closed_and_cancelled(client: Client) -> None:
        await close(client)
        raise asyncio.CancelledError

    with nats_server(tmp_path) as port:
        wire = NatsWire("acme", f"nats://127.0.0.1:{port}", patience=3.0)
        with monkeypatch.context() as patched:
            patched.setattr(JetStreamContext, "delete_consumer", cancelled)
            with pytest.raises(WireError, match="did not answer"):
                wire.leave("one")
            patched.setattr(Client, "close", closed_and_cancelled)
            wire.close()


def forget(kind: str, port: int) -> None:
    """Everything that the broker holds, gone."""
    if kind == "redis":
        with redis.Redis(port=port) as client:
            client.flushall()
        return

    async def delete() -> None:
        import nats

        client = await nats.connect(f"nats://127.0.0.1:{port}")
        await client.jetstream().delete_stream("acme")
        await client.close()

    asyncio.run(delete())


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_a_broker_that_forgot_everything_is_told_anew(memos: MemOS, tmp_path: Path, kind: str) -> None:
    with BROKERS[kind](tmp_path / kind) as port, ExitStack() as stack:
        wire = opened(kind, port, stack)
        relay, ben = Relay(memos, wire, by=RELAY), WireSubscriber(memos, wire, "news", by=BEN)
        memos.remember("Shelf 1 is free.", by=ANA, readers=["ben"])
        relay.run_once()
        forget(kind, port)
        assert told(ben.pull(wait=0.1)) == [("written", "Shelf 1 is free.")]
        forget(kind, port)
        memos.remember("Shelf 2 is free.", by=ANA, readers=["ben"])
        assert relay.run_once() == 1
        batch = ben.pull(wait=0.1)
        ben.acknowledge(batch)
        assert [text for _, text in told(batch)] == ["Shelf 1 is free.", "Shelf 2 is free."]
        memos.remember("Shelf 3 is free.", by=ANA, readers=["ben"])
        heard = ben.letters
        assert relay.run_once() == 1
        assert told(ben.pull(wait=1_000)) == [("written", "Shelf 3 is free.")]
        assert ben.letters > heard, "the wire wakes it again"


def test_no_broker_at_all_is_said() -> None:
    with pytest.raises(WireError, match="NATS did not answer"):
        NatsWire("acme", f"nats://127.0.0.1:{free_port()}", patience=0.5)
    with redis.Redis(port=free_port(), retry=None) as client, pytest.raises(WireError, match="Redis did not answer"):
        RedisWire("acme", client).join("one")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a*", ">", "x" * 65, "ä"])
def test_a_stream_has_a_name_that_a_broker_takes(name: str) -> None:
    with pytest.raises(InvalidMemoryError):
        NatsWire(name)
