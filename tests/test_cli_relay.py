"""`memos relay` in a process of its own, against real brokers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from memos_integrations import MemOS, Principal
from memos_integrations.backends.nats_wire import NatsWire
from memos_integrations.backends.redis_wire import RedisWire
from memos_integrations.cli import app
from memos_integrations.core.errors import InvalidMemoryError, WireError
from memos_integrations.core.ports import Wire
from memos_integrations.core.wire import WireSubscriber
from tests.wire.brokers import free_port, nats_server, redis_server

ANA, BEN = Principal(tenant="local", user="ana"), Principal(tenant="local", user="ben")


def wired(kind: str, port: int, stack: ExitStack) -> Wire:
    if kind == "nats":
        wire = NatsWire("news", f"nats://127.0.0.1:{port}")
        stack.callback(wire.close)
        return wire
    return RedisWire("news", stack.enter_context(redis.Redis(port=port)))


def words(kind: str, port: int, vault: Path, *more: str) -> list[str]:
    return [
        "relay", f"{kind}://127.0.0.1:{port}", "--stream", "news", "--vault", str(vault), "--user", "relay", *more,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_it_carries_news_until_it_is_stopped(tmp_path: Path, kind: str) -> None:
    server, vault = {"nats": nats_server, "redis": redis_server}[kind], tmp_path / "vault"
    with server(tmp_path / kind) as port, MemOS.open(vault) as memos, ExitStack() as stack:
        memos.store.subscribe("log", by=BEN)
        ben = WireSubscriber(memos, wired(kind, port, stack), "log", by=BEN)
        ben.pull(wait=0.0)
        command = [sys.executable, "-m", "memos_integrations.cli", *words(kind, port, vault, "--json")]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"})
        try:
            for number in range(3):
                memos.remember(f"Shelf {number} is free.", by=ANA, readers=["ben"])
                heard = ben.letters
                until = time.monotonic() + 60
                while ben.letters == heard and time.monotonic() < until:
                    batch = ben.pull(wait=5)
                    ben.acknowledge(batch)
                assert ben.letters > heard, "the relay woke it"
            running.send_signal(signal.SIGTERM)
            said, _ = running.communicate(timeout=60)
        finally:
            running.kill()
            running.wait()
        assert running.returncode == 0
        told = json.loads(said)
        assert (told["stream"], told["events"]) == ("news", 3)


def once(*words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--once", "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_once_publishes_what_is_there_and_what_fails_says_so(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    with MemOS.open(vault) as memos:
        memos.remember("Shelf 1 is free.", by=ANA)
    with redis_server(tmp_path / "redis") as port:
        assert once(*words("redis", port, vault))["events"] == 1
        assert once(*words("redis", port, vault)) == {"stream": "news", "events": 0, "published": 1}
    with MemOS.open(vault) as memos:
        memos.remember("Shelf 2 is free.", by=ANA)
    with pytest.raises(WireError, match="Redis did not answer"):
        once(*words("redis", free_port(), vault))
    with pytest.raises(InvalidMemoryError, match="begins with nats"):
        once(*words("http", port, vault))


def test_a_dead_broker_is_one_sentence(tmp_path: Path) -> None:
    MemOS.open(tmp_path / "vault").close()
    command = [sys.executable, "-m", "memos_integrations.cli"]
    command += words("nats", free_port(), tmp_path / "vault", "--once")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"NO_COLOR": "1"}
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "NATS did not answer" in done.stderr
