from __future__ import annotations

from collections.abc import Iterator

import pytest

from memos_integrations.testing.wire_contract import OpenWire
from tests.wire.brokers import nats_server, redis_server
from tests.wire.opening import opened_wires


@pytest.fixture(scope="session")
def nats_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nats_server(tmp_path_factory.mktemp("nats")) as port:
        yield port


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(params=["in process", "nats", "redis"])
def open_wire(request: pytest.FixtureRequest) -> Iterator[OpenWire]:
    """Opens wires of each kind, and closes them."""
    port = 0 if request.param == "in process" else request.getfixturevalue(f"{request.param}_port")
    with opened_wires(request.param, port) as opened:
        yield opened
