"""A node without sockets, on a clock that a test moves, and clients that remember what they were sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from rtbridge.app import Runtime
from rtbridge.config import Config, embedded_from
from rtbridge.embedded.connection import Peer
from rtbridge.embedded.node import Node
from rtbridge.embedded.session import Session
from rtbridge.embedded.wire import UNI_WEBSOCKET_JSON, WEBSOCKET_JSON, Wire
from rtbridge.events.call import Headers
from rtbridge.testing import VirtualClock

#: Turns of the loop in which hooks that wait for nothing have answered.
TURNS = 20


class Client:
    """One connection: its session, and what reached it.

    Attributes:
        got: Replies and pushes that nobody took yet.
        closed: Code and reason, once the server has closed it; `aborted` for one that was dropped.

    """

    def __init__(self, node: Node, wire: Wire, peer: Peer) -> None:
        self._wire = wire
        self.got: list[Any] = []
        self.closed: tuple[int, str] | str | None = None
        self.paused = False
        self.session = Session(node, self, wire, peer)

    def write(self, frame: bytes) -> None:
        assert self.closed is None
        body = frame[2:] if frame[1] < 126 else frame[4:] if frame[1] == 126 else frame[10:]
        self.got.append(msgspec.json.decode(body))

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def abort(self) -> None:
        self.closed = "aborted"

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def send(self, *commands: Any) -> None:
        """Send a message of several commands; text is sent as it is."""
        lines = [c.encode() if isinstance(c, str) else msgspec.json.encode(c) for c in commands]
        self.session.receive(b"\n".join(lines))

    def take(self) -> list[Any]:
        """What came since the last time."""
        got, self.got = self.got, []
        return got

    def do(self, command: str, **request: Any) -> Any:
        """The reply to a command that waits for nobody; pushes that came with it stay."""
        self.send({"id": 77, command: request})
        (reply,) = [each for each in self.got if each.get("id") == 77]
        self.got.remove(reply)
        return reply.get("error") or reply[command]


class Desk:
    """A node and its clients.

    Attributes:
        node: The server.
        clock: Its time.

    """

    def __init__(self, node: Node, clock: VirtualClock) -> None:
        self.node = node
        self.clock = clock

    def client(
        self, *, wire: Wire = WEBSOCKET_JSON, headers: Mapping[str, str] | None = None, connect: Any = None
    ) -> Client:
        """A connection; with ``connect`` it is authenticated, and the reply is taken."""
        transport = "uni_websocket" if wire is UNI_WEBSOCKET_JSON else "websocket"
        pairs = list((headers or {}).items())
        client = Client(self.node, wire, Peer(transport, Headers(pairs), "127.0.0.1"))
        if connect is not None:
            client.send({"id": 1, "connect": connect})
        return client

    def user(self, name: str = "") -> Client:
        """A client that is let in without a token, as nobody or through a header as somebody."""
        client = self.client(headers={"x-user": name} if name else {}, connect={})
        assert client.take()[0]["connect"]["client"] == client.session.id
        return client

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.clock.monotonic() + seconds
        while (due := self.node.timers.next()) is not None and due <= end:
            self.clock.advance(max(0.0, due - self.clock.monotonic()))
            self.node.timers.run_due()
        self.clock.advance(end - self.clock.monotonic())

    @staticmethod
    async def settle() -> None:
        """Let hooks answer."""
        for _ in range(TURNS):
            await asyncio.sleep(0)


Start = Callable[..., Any]


@pytest.fixture
async def desk() -> AsyncIterator[Start]:
    """Makes a node: the configuration of Centrifugo as keywords, and plugins."""
    async with AsyncExitStack() as stack:

        async def start(*plugins: object, **config: Any) -> Desk:
            clock = VirtualClock()
            runtime = Runtime(Config(), plugins, clock)
            await runtime.boot()
            stack.push_async_callback(runtime.shutdown)
            return Desk(Node(runtime.handler, embedded_from(config), clock=clock), clock)

        yield start
