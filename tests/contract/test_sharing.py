"""One listening socket, several servers: each takes its share, and nobody that was let in is lost."""

import asyncio
import errno
import logging
import socket
from typing import Any

import pytest

from rtbridge.transport import sharing
from rtbridge.transport.settings import bind
from rtbridge.transport.sharing import Shared


class Echo(asyncio.Protocol):
    """Counts its connections, and sends back what comes."""

    made = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        type(self).made += 1

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def counted() -> type[Echo]:
    """A class with a count of its own."""
    return type("Counted", (Echo,), {"made": 0})


async def opened(port: int, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """So many connections, begun before anybody could take one."""
    peers = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(count)]
    return [await asyncio.open_connection(sock=peer) for peer in peers]


async def test_each_takes_its_share() -> None:
    """Of connections that wait at once."""
    listener = bind("127.0.0.1:0", "test")
    copy = listener.dup()
    one, other = counted(), counted()
    servers = [Shared(each, make, None, 100) for each, make in ((listener, one), (copy, other))]
    for server in servers:
        server.start()
    peers = await opened(listener.getsockname()[1], 20)
    for reader, writer in peers:
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
    assert one.made + other.made == 20
    assert min(one.made, other.made) >= 5
    for server in servers:
        server.close()
        await server.wait_closed()
        assert server.sockets == ()
    for _, writer in peers:
        writer.close()
    listener.close()
    copy.close()


async def test_who_was_let_in_is_served() -> None:
    """Also where the server stops taking connections meanwhile; those that wait are for the others."""
    listener = bind("127.0.0.1:0", "test")
    one = counted()
    server = Shared(listener, one, None, 100)
    server.start()
    peers = await opened(listener.getsockname()[1], 2)
    async with asyncio.timeout(10):
        while not server._taking:
            await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    assert one.made >= 1
    later = Shared(listener, one, None, 100)
    later.start()
    for reader, writer in peers:
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
        writer.close()
    later.close()
    listener.close()


class Full:
    """A socket of a process that may open nothing more, for a while."""

    def __init__(self, listener: socket.socket, fails: int) -> None:
        self._listener = listener
        self.fails = fails

    def accept(self) -> Any:
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


async def test_no_room(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Said once, and tried again after a while rather than at once."""
    monkeypatch.setattr(sharing, "_PAUSE", 0.05)
    caplog.set_level(logging.ERROR)
    listener = bind("127.0.0.1:0", "test")
    server = Shared(Full(listener, 2), counted(), None, 100)  # type: ignore[arg-type]
    server.start()
    ((reader, writer),) = await opened(listener.getsockname()[1], 1)
    writer.write(b"x")
    assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
    assert caplog.text.count("no connections are taken for 0.05 s: Too many open files") == 2
    writer.close()
    server.close()
    listener.close()
