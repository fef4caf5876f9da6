"""The servers that one suite judges: the embedded one, in this process, and a real Centrifugo."""

import asyncio
import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx

from rtbridge.app import Runtime
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Config, embedded_from
from rtbridge.embedded import EmbeddedServer
from rtbridge.testing import VirtualClock
from tests.centrifugo import BOUND, Centrifugo, merged

#: Rounds of a request and its answer after which everything that was on its way has arrived. A message takes a few
#: turns of the one event loop that client and server share, a round takes more.
_ROUNDS: Final = 3


class Server(ABC):
    """A server under test, on the loopback. Its time is the machine's unless it says otherwise.

    Attributes:
        port: Where it listens.

    """

    port: int

    @property
    def http(self) -> str:
        """Where HTTP requests go."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket(self) -> str:
        """Where WebSocket connections go."""
        return f"ws://127.0.0.1:{self.port}"

    def time(self) -> float:
        """Seconds since the Unix epoch, as the server sees it."""
        return time.time()

    async def left(self, clients: int) -> None:
        """Wait until the server has let everybody go but so many connected clients.

        Raises:
            TimeoutError: It does not.

        """
        async with asyncio.timeout(BOUND):
            while await self._clients() > clients:
                await asyncio.sleep(0.005)

    @abstractmethod
    async def _clients(self) -> int:
        """How many clients are connected; one that went counts until the last of its subscriptions has ended."""

    async def advance(self, seconds: float) -> None:
        """Let so much time pass on the server."""
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, arrival: Awaitable[Any]) -> bool:
        """Whether something happens before so much time has passed on the server."""
        try:
            async with asyncio.timeout(seconds):
                await arrival
        except TimeoutError:
            return False
        return True

    @abstractmethod
    def terminate(self) -> None:
        """Ask it to end, as SIGTERM does."""

    @abstractmethod
    async def stop(self) -> None:
        """End it."""


class Embedded(Server):
    """The embedded server on this event loop.

    Attributes:
        server: The server itself.

    """

    def __init__(self, runtime: Runtime, server: EmbeddedServer) -> None:
        self._runtime = runtime
        self._stopping: asyncio.Task[None] | None = None
        self.server = server
        self.port = int(server.address.rpartition(":")[2])

    @classmethod
    async def start(
        cls, config: Mapping[str, Any], plugins: Iterable[object] = (), clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """One that takes connections.

        Args:
            config: The tree that Centrifugo would get; the address is added.
            plugins: Hooks that answer its events.
            clock: Its time.

        """
        runtime = Runtime(Config(), plugins, clock)
        await runtime.boot()
        address = {"http_server": {"address": "127.0.0.1", "port": 0}}
        server = EmbeddedServer(runtime.handler, embedded_from(merged(config, address)), clock=clock)
        await server.start()
        return cls(runtime, server)

    async def _clients(self) -> int:
        return len(self.server.node.clients)

    def terminate(self) -> None:
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self.server.stop(BOUND))

    async def stop(self) -> None:
        self.terminate()
        assert self._stopping is not None
        async with asyncio.timeout(BOUND):
            await self._stopping
        await self._runtime.shutdown()


class EmbeddedOnVirtualClock(Embedded):
    """The same on a clock that stands still.

    Time passes only where a test waits for something that has not come: then the clock goes from one timer to the next.
    """

    def __init__(self, runtime: Runtime, server: EmbeddedServer) -> None:
        super().__init__(runtime, server)
        assert isinstance(server.node.clock, VirtualClock)
        self._clock = server.node.clock
        self._probe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def time(self) -> float:
        return self._clock.time()

    async def left(self, clients: int) -> None:
        await super().left(clients)
        await self.settle()

    async def settle(self) -> None:
        """Wait until what the server could know of has had its effect."""
        for _ in range(_ROUNDS):
            if self._stopping is None:
                await self._round()
            else:  # it takes no more requests
                await asyncio.sleep(0.01)

    async def _round(self) -> None:
        if self._probe is None:
            self._probe = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._probe
        writer.write(b"GET /no/such/path HTTP/1.1\r\nHost: test\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))

    async def advance(self, seconds: float) -> None:
        end = self._clock.monotonic() + seconds
        await self.settle()
        while await self._tick(end):
            pass
        self._clock.advance(end - self._clock.monotonic())

    async def _tick(self, end: float) -> bool:
        """Go on to the next timer; whether there was one before the end."""
        at = self.server.node.timers.next()
        if at is None or at > end:
            return False
        self._clock.advance(max(0.0, at - self._clock.monotonic()))
        self.server.run_timers()
        await self.settle()
        return True

    async def within(self, seconds: float, arrival: Awaitable[Any]) -> bool:
        end = self._clock.monotonic() + seconds
        waiting = asyncio.ensure_future(arrival)
        await self.settle()
        while not waiting.done() and await self._tick(end):
            pass
        if waiting.done():
            await waiting
            return True
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return False

    async def stop(self) -> None:
        if self._probe is not None:
            self._probe[1].close()
        await super().stop()


class RealCentrifugo(Server):
    """A Centrifugo in a process of its own.

    Attributes:
        process: The process.

    """

    def __init__(self, process: Centrifugo) -> None:
        self.process = process
        self.port = process.port

    @classmethod
    async def start(cls, binary: Path, folder: Path, config: Mapping[str, Any]) -> Self:
        """One that takes connections; see :meth:`tests.centrifugo.Centrifugo.start`."""
        return cls(await Centrifugo.start(binary, folder, merged({"prometheus": {"enabled": True}}, config)))

    async def _clients(self) -> int:
        async with httpx.AsyncClient(trust_env=False, timeout=BOUND) as client:
            metrics = (await client.get(f"{self.http}/metrics")).text
        # One for each transport; Centrifugo changes it where a client leaves its hub (centrifuge: Node.removeClient).
        found = re.findall(r"^centrifugo_client_connections_inflight\{[^}]*\} (\d+)$", metrics, re.MULTILINE)
        return sum(map(int, found))

    def terminate(self) -> None:
        self.process.terminate()

    async def stop(self) -> None:
        self.process.kill()
        await self.process.stop()
