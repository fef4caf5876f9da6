"""Clients that lose the network for a while: what they miss, and what they are told when they are back."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple

import centrifuge
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

CHANNEL: Final = "kept:news"
RATE: Final = 20
MESSAGES: Final = 160
OUTAGE: Final = 2.0

#: Seconds into the run at which the network is cut.
_CUT_AT: Final = 3.0

#: Seconds between two attempts of the plain client.
_RETRY: Final = 0.1

#: The SDK may wait for up to 20 s between two attempts.
_PATIENCE: Final = 45.0

_PATH: Final = "/connection/websocket"


class Received(NamedTuple):
    """What one client got of the messages 0 to ``MESSAGES`` - 1.

    Attributes:
        numbers: The messages, in the order in which they came.
        recovered: The server's word about each return, in order: whether all that was missed is there.
        back: Seconds from the network's return to the client's.

    """

    numbers: list[int]
    recovered: list[bool]
    back: float

    @property
    def lost(self) -> int:
        """How many did not come."""
        return MESSAGES - len(set(self.numbers))

    @property
    def twice(self) -> int:
        """How many came once more."""
        return len(self.numbers) - len(set(self.numbers))

    @property
    def disordered(self) -> int:
        """How many came after a later one."""
        return sum(after < before for before, after in zip(self.numbers, self.numbers[1:], strict=False))

    def figures(self) -> dict[str, Any]:
        """All of it as numbers."""
        return {
            "lost": self.lost,
            "twice": self.twice,
            "disordered": self.disordered,
            "recovered": sum(self.recovered),
            "returns": len(self.recovered),
            "back": self.back,
        }


class Network:
    """What is between clients and a server: a TCP proxy that can be cut."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.up = True
        self.returned_at = 0.0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The address for clients, until the block ends."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self._drop()
            await server.wait_closed()

    async def cut(self, seconds: float) -> None:
        """Drop every connection with what is on its way, and admit none for this long."""
        self.up = False
        self._drop()
        await asyncio.sleep(seconds)
        self.returned_at = asyncio.get_running_loop().time()
        self.up = True

    def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        upstream, other = await asyncio.open_connection(*self._target)
        ends = {writer, other}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, other))
                both.create_task(_carry(upstream, writer))
        finally:
            self._writers -= ends
            for each in ends:
                each.transport.abort()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.transport.abort()


async def plain_client(network: Network, address: str, ready: Callable[[], None]) -> Received:
    """A client without an SDK, which asks for what it missed and looks at the very reply."""
    numbers, recovered = list[int](), list[bool]()
    position: dict[str, Any] = {}
    back = 0.0
    while True:
        try:
            async with connect(f"ws://{address}{_PATH}", compression=None) as connection:
                reply = await _subscribe(connection, position)
                if position:
                    missed = [pub["offset"] for pub in reply.get("publications", ())]
                    gapless = missed == list(range(position["offset"] + 1, position["offset"] + 1 + len(missed)))
                    recovered.append(reply.get("recovered", False) and gapless)
                    back = asyncio.get_running_loop().time() - network.returned_at
                else:
                    position = {"recover": True, "epoch": reply["epoch"], "offset": reply.get("offset", 0)}
                    ready()
                for pub in reply.get("publications", ()):
                    _note(pub, numbers, position)
                while MESSAGES - 1 not in numbers:
                    for line in str(await connection.recv()).split("\n"):
                        if line == "{}":
                            await connection.send("{}")
                        elif pub := json.loads(line).get("push", {}).get("pub"):
                            _note(pub, numbers, position)
                return Received(numbers, recovered, back)
        except (OSError, WebSocketException):
            await asyncio.sleep(_RETRY)


async def _subscribe(connection: ClientConnection, position: dict[str, Any]) -> dict[str, Any]:
    await connection.send('{"id":1,"connect":{}}')
    await connection.recv()
    await connection.send(json.dumps({"id": 2, "subscribe": {"channel": CHANNEL, **position}}))
    reply: dict[str, Any] = json.loads(str(await connection.recv()).split("\n")[0])
    found: dict[str, Any] = reply["subscribe"]
    return found


def _note(pub: dict[str, Any], numbers: list[int], position: dict[str, Any]) -> None:
    position["offset"] = pub["offset"]
    numbers.append(pub["data"]["n"])


async def sdk_client(network: Network, address: str, ready: Callable[[], None]) -> Received:
    """centrifuge-python, which does all of this by itself."""
    numbers, recovered = list[int](), list[bool]()
    complete = asyncio.Event()
    back = 0.0

    async def subscribed(ctx: centrifuge.SubscribedContext) -> None:
        nonlocal back
        if ctx.was_recovering:
            recovered.append(ctx.recovered)
            back = asyncio.get_running_loop().time() - network.returned_at
        else:
            ready()

    async def publication(ctx: centrifuge.PublicationContext) -> None:
        numbers.append(ctx.pub.data["n"])
        if numbers[-1] == MESSAGES - 1:
            complete.set()

    events = centrifuge.SubscriptionEventHandler()
    events.on_subscribed, events.on_publication = subscribed, publication
    client = centrifuge.Client(f"ws://{address}{_PATH}")
    await client.new_subscription(CHANNEL, events=events, recoverable=True).subscribe()
    await client.connect()
    try:
        await complete.wait()
        return Received(numbers, recovered, back)
    finally:
        await client.disconnect()


#: Client → what runs one.
CLIENTS: Final = {"plain": plain_client, "centrifuge-python": sdk_client}


async def outage(address: str, clients: Sequence[str]) -> list[Received | None]:
    """One run with these clients; None for one that never got the last message."""
    logging.getLogger("centrifuge").setLevel(logging.CRITICAL)
    network, ready = Network(address), asyncio.Semaphore(0)
    async with network.open() as front, connect(f"ws://{address}{_PATH}", compression=None) as publisher:
        await publisher.send('{"id":1,"connect":{}}')
        tasks = [asyncio.create_task(CLIENTS[name](network, front, ready.release)) for name in clients]
        async with asyncio.timeout(_PATIENCE):
            for _ in clients:
                await ready.acquire()
        cutting = asyncio.create_task(_cut(network))
        answering = asyncio.create_task(_answer(publisher))
        started = asyncio.get_running_loop().time()
        for number in range(MESSAGES):
            await publisher.send(json.dumps({"id": number + 2, "publish": {"channel": CHANNEL, "data": {"n": number}}}))
            await asyncio.sleep(max(0.0, started + (number + 1) / RATE - asyncio.get_running_loop().time()))
        await cutting
        await asyncio.wait(tasks, timeout=_PATIENCE)
        answering.cancel()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    return [each if isinstance(each, Received) else None for each in results]


async def _cut(network: Network) -> None:
    await asyncio.sleep(_CUT_AT)
    await network.cut(OUTAGE)


async def _answer(publisher: ClientConnection) -> None:
    """Answer pings, and see that no publication is refused."""
    async for message in publisher:
        for line in str(message).split("\n"):
            if line == "{}":
                await publisher.send("{}")
            elif '"error"' in line:
                raise SystemExit(f"a publication was refused: {line}")
