"""Wires of each kind, opened by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from memos_integrations.core.ports import Wire
from memos_integrations.core.wire import LocalWire
from memos_integrations.testing.wire_contract import OpenWire


@contextmanager
def opened_wires(kind: str, port: int) -> Iterator[OpenWire]:
    with ExitStack() as stack:

        def opened(name: str, **how: Any) -> Wire:
            wire: Wire
            if kind == "nats":
                from memos_integrations.backends.nats_wire import NatsWire

                wire = NatsWire(name, f"nats://127.0.0.1:{port}", **how)
            elif kind == "redis":
                import redis

                from memos_integrations.backends.redis_wire import RedisWire

                client = redis.Redis(port=port)
                stack.callback(client.close)
                wire = RedisWire(name, client, **how)
            else:
                wire = LocalWire(name, **how)
            stack.callback(wire.close)
            return wire

        yield opened
