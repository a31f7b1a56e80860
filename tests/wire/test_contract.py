"""The three wires keep the same promises, the two brokers real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memos_integrations.testing.wire_contract import DurableWireContract, OpenWire, WireContract
from tests.wire.opening import opened_wires


class TestInProcess(WireContract):
    @pytest.fixture
    def open_wire(self) -> Iterator[OpenWire]:
        with opened_wires("in process", 0) as opened:
            yield opened


class TestNats(DurableWireContract):
    @pytest.fixture
    def open_wire(self, nats_port: int) -> Iterator[OpenWire]:
        with opened_wires("nats", nats_port) as opened:
            yield opened


class TestRedis(DurableWireContract):
    @pytest.fixture
    def open_wire(self, redis_port: int) -> Iterator[OpenWire]:
        with opened_wires("redis", redis_port) as opened:
            yield opened
