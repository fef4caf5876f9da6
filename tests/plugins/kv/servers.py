"""Servers that the tests start, kill and start again, each on a port of its own."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

#: Seconds that a server has to answer after its start.
_START = 20.0


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def binary(name: str) -> str:
    """The path of a server's program; without it the test is skipped, under CI it fails."""
    found = shutil.which(name)
    if found is None:
        text = f"{name} is not installed (Debian: apt-get install {name})"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(text)
        pytest.skip(text)
    return found


class Server:
    """One server process.

    Args:
        command: What starts it; ``{port}`` stands for its port.
        folder: Where it runs.
        hello: What is sent to find out whether it answers.

    Attributes:
        port: Its port, the same after a restart.

    """

    def __init__(self, command: Sequence[str], folder: Path, hello: bytes) -> None:
        self.port = free_port()
        self._command = [part.replace("{port}", str(self.port)) for part in command]
        self._folder = folder
        self._hello = hello
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        end = time.monotonic() + _START
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end, f"{self._command[0]} does not answer"
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(self._hello)
                return bool(probe.recv(64))
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=_START)


def redis_server(folder: Path, *options: str) -> Server:
    """A redis-server that keeps nothing on disk, not yet started."""
    own = ["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Server([binary("redis-server"), *own, *options], folder, b"PING\r\n")


def memcached_server(folder: Path) -> Server:
    """A memcached, not yet started."""
    command = [binary("memcached"), "-p", "{port}", "-l", "127.0.0.1", "-u", "nobody", "-U", "0"]
    return Server(command, folder, b"version\r\n")


def bare_redis(server: Server, **options: Any) -> Any:
    """A bare client of a redis-server."""
    import redis

    return redis.Redis("127.0.0.1", server.port, protocol=2, **options)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for something that a server does in its own time."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
