"""rtbridge's own gRPC server in a process of its own, what it costs to bother it, and clients that do."""

import asyncio
import contextlib
import json
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.real.conftest import go
from tests.transport.builtin.h2 import BOUND, Client, rpc, window

__all__ = ["go"]  # finds Go

ROOT = Path(__file__).parents[3]

_MEBIBYTE = 2**20


class Server:
    """A server in a process of its own.

    Attributes:
        address: Where it listens.

    """

    def __init__(self, *, files: int = 0, log: Path | None = None, **section: Any) -> None:
        """Start it.

        Args:
            files: How many it may open; 0 for as many as we may.
            log: Takes what it logs; None leaves that to pytest.
            section: Laid over the ``rtbridge`` section of its configuration.

        """
        command = [sys.executable, "-m", "tests.transport.builtin.server", json.dumps(section)]
        if files:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        with contextlib.nullcontext() if log is None else log.open("w") as complaints:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
            )
        self._watched = psutil.Process(self._process.pid)
        assert self._process.stdout is not None
        heard, _, _ = select.select([self._process.stdout], [], [], BOUND)
        self.address = self._process.stdout.readline().strip() if heard else ""
        if not self.address:
            self._process.kill()
            self._process.communicate()
            pytest.fail("the server did not start", pytrace=False)

    def stop(self) -> None:
        """Let it end; it has to, without an error."""
        try:
            self._process.communicate(timeout=BOUND)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.communicate()
        assert self._process.returncode == 0

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return float(sum(self._watched.cpu_times()[:2]))

    def resident(self) -> int:
        """Bytes that it holds."""
        return int(self._watched.memory_info().rss)

    def peak(self) -> int:
        """The most bytes that it held since :meth:`forget_peak`, where the system knows; else what it holds now."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return self.resident()

    def forget_peak(self) -> None:
        """Start again with :meth:`peak`."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    """A server for tests that only look at its answers."""
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server that a test talks to: the shared one where its module says so, else its own."""
    if getattr(request.module, "SHARED", False):
        yield request.getfixturevalue("shared_server")
        return
    started = Server()
    yield started
    started.stop()


Costs = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def costs(server: Server, record_property: Callable[[str, object], None]) -> Costs:
    """Says what a block costs the server, and holds it to so many MiB: ``with costs("pings", within=8):``."""

    @contextlib.contextmanager
    def measured(what: str, *, within: float) -> Iterator[None]:
        server.forget_peak()
        held, used = server.resident(), server.cpu()
        yield
        grown, spent = (server.peak() - held) / _MEBIBYTE, server.cpu() - used
        record_property(what, {"MiB": round(grown, 2), "CPU s": round(spent, 2)})
        print(f"{what}: {grown:.2f} MiB at most, {spent:.2f} s of CPU")
        assert grown <= within, f"{what} took {grown:.1f} MiB, which is more than {within} MiB"

    return measured


Dial = Callable[..., Awaitable[Client]]


@pytest.fixture
async def dial(server: Server) -> AsyncIterator[Dial]:
    """Connects to the server: ``await dial()`` after both prefaces, ``await dial(raw=True)`` before the first byte."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(*, raw: bool = False, **options: Any) -> Client:
            make = Client.connect if raw else Client.open
            client = await make(server.address, **options)
            stack.push_async_callback(client.close)
            return client

        yield connect


class Bystander:
    """Somebody else's connection, on which one call follows the other until it is asked how they went."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._left = False
        self._grown = asyncio.Event()
        self._calling = asyncio.get_running_loop().create_task(self._call())
        self.served = 0

    async def _call(self) -> None:
        while not self._left:
            reply = await self._client.call(rpc())
            assert (reply.status, reply.code) == ("200", 0), reply
            self.served += 1
            self._grown.set()

    async def until(self, served: int) -> None:
        """Wait until so many of its calls are answered."""
        async with asyncio.timeout(BOUND):
            while self.served < served and not self._calling.done():
                self._grown.clear()
                await self._grown.wait()

    async def leave(self) -> None:
        """Have a last call answered; every one so far was."""
        self._left = True
        await self._calling
        assert self.served
        assert self._client.goaways == []


@pytest.fixture
async def bystander(dial: Dial) -> AsyncIterator[Bystander]:
    """Another connection that has to be served all the while."""
    client = await dial()
    await client.send(window(0, 2**30))  # room for all replies to come
    other = Bystander(client)
    yield other
    await other.leave()
