"""Connections of a listening socket: bounds, shares of several servers, and nobody that was let in is lost."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rtbridge import ListenError
from rtbridge.transport import accepting
from rtbridge.transport.accepting import SocketServer, bound
from rtbridge.transport.settings import bind
from tests.certificates import Pair
from tests.contract.test_tls import certificates

__all__ = ["certificates"]

#: asyncio and uvloop give a connection's descriptor back in ways of their own.
EVERY_LOOP = True


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
    servers = [SocketServer(each, make, name="test", shared=True) for each, make in ((listener, one), (copy, other))]
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
    server = SocketServer(listener, one, name="test", shared=True)
    server.start()
    peers = await opened(listener.getsockname()[1], 2)
    async with asyncio.timeout(10):
        while not server._taking:
            await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    assert one.made >= 1
    later = SocketServer(listener, one, name="test", shared=True)
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
    monkeypatch.setattr(accepting, "_PAUSE", 0.05)
    caplog.set_level(logging.ERROR)
    listener = bind("127.0.0.1:0", "test")
    full = Full(listener, 3)
    server = SocketServer(full, counted(), name="test")  # type: ignore[arg-type]
    server.start()
    ((reader, writer),) = await opened(listener.getsockname()[1], 1)
    writer.write(b"x")
    assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
    assert full.fails == 0
    assert [record.getMessage() for record in caplog.records] == [
        "test takes no new connections for now: Too many open files; it tries again every 0.05 s (0 more like it)"
    ]
    writer.close()
    server.close()
    listener.close()


Serve = Callable[..., tuple[SocketServer, int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server of an echo: the server, and its port."""
    started: list[tuple[SocketServer, socket.socket]] = []

    def start(make: Callable[[], asyncio.Protocol] = Echo, **own: Any) -> tuple[SocketServer, int]:
        listener = bind("127.0.0.1:0", "test")
        server = SocketServer(listener, make, name="test", **own)
        started.append((server, listener))
        server.start()
        return server, listener.getsockname()[1]

    yield start
    for server, listener in started:
        server.close()
        listener.close()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a connection is served rather than closed."""
    try:
        writer.write(b"x")
        return await asyncio.wait_for(reader.read(1), 10) == b"x"
    except ConnectionError:
        return False


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not found():
            await asyncio.sleep(0.001)


async def test_the_bound(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Who comes when as many are open as may be is sent away and told why, once; a place that is left is free."""
    server, port = serve(connections=2)
    first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    assert await echoed(*first)
    assert await echoed(*second)
    for _ in range(3):
        other = await asyncio.open_connection("127.0.0.1", port)
        assert not await echoed(*other)
        other[1].close()
    assert [record.getMessage() for record in caplog.records] == [
        "test closed a new connection: 2 are open, and rtbridge.limits.connections is 2 (0 more like it)"
    ]
    first[1].close()
    await until(lambda: len(server._open) < 2)
    third = await asyncio.open_connection("127.0.0.1", port)
    assert await echoed(*third)
    assert await echoed(*second)
    for each in (second, third):
        each[1].close()


async def test_the_bound_and_a_crowd(serve: Serve) -> None:
    """Of many that come at once as many are served as there are places for."""
    _, port = serve(connections=10)
    peers = await opened(port, 200)
    assert sum([await echoed(*peer) for peer in peers]) == 10
    for _, writer in peers:
        writer.close()


async def test_small_answers_leave_at_once(serve: Serve) -> None:
    """Nagle's algorithm is off, as with asyncio's own server."""
    found: list[int] = []

    class Look(Echo):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            found.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    _, port = serve(Look)
    peer = await asyncio.open_connection("127.0.0.1", port)
    assert await echoed(*peer)
    assert found != [0]
    assert len(found) == 1
    peer[1].close()


async def test_a_unix_socket(tmp_path: Path) -> None:
    """The same bounds hold there."""
    listener = bind(f"unix:{tmp_path}/s", "test")
    server = SocketServer(listener, Echo, name="test", connections=1)
    server.start()
    first = await asyncio.open_unix_connection(tmp_path / "s")
    assert await echoed(*first)
    second = await asyncio.open_unix_connection(tmp_path / "s")
    assert not await echoed(*second)
    first[1].close()
    await until(lambda: not server._open)
    third = await asyncio.open_unix_connection(tmp_path / "s")
    assert await echoed(*third)
    for _, writer in (second, third):
        writer.close()
    server.close()
    listener.close()


def tls(certificates: dict[str, Pair]) -> ssl.SSLContext:
    """What a server over TLS has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["server"].cert, certificates["server"].key)
    return context


async def test_handshakes_have_an_end(
    serve: Serve, certificates: dict[str, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who begins with TLS and goes on with nothing has a place for a while, and not for good."""
    monkeypatch.setattr(accepting, "_HANDSHAKE", 0.2)
    server, port = serve(tls=tls(certificates), connections=2)
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    await until(lambda: len(server._open) == 2)
    await until(lambda: not server._open)
    trusting = ssl.create_default_context(cafile=str(certificates["ca"].cert))
    peer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    assert await echoed(*peer)
    for _, writer in (peer, *silent):
        writer.close()


async def test_an_end_waits_for_no_handshake(
    serve: Serve, certificates: dict[str, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are not ready in time are given up."""
    monkeypatch.setattr(accepting, "_SETTLE", 0.05)
    server, port = serve(tls=tls(certificates))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: len(server._taking) == 1)
    server.close()
    await server.wait_closed()
    await until(lambda: not server._open)
    writer.close()


async def test_a_protocol_that_cannot_be_made(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log, and takes no place."""

    def broken() -> asyncio.Protocol:
        raise RuntimeError("a bug")

    server, port = serve(broken, connections=1)
    for _ in range(2):
        peer = await asyncio.open_connection("127.0.0.1", port)
        assert not await echoed(*peer)
        peer[1].close()
    assert caplog.text.count("test could not serve a connection") == 2
    assert not server._open


async def test_a_port_that_is_taken() -> None:
    """Two sockets may be bound to one address where none listens; only one of them can then."""
    one = bind("127.0.0.1:0", "test")
    other = bind(f"127.0.0.1:{one.getsockname()[1]}", "test")
    server = SocketServer(one, Echo, name="test")
    server.start()
    with pytest.raises(ListenError, match="test cannot listen: Address already in use"):
        SocketServer(other, Echo, name="test").start()
    server.close()
    for listener in (one, other):
        listener.close()


def test_files_of_the_process() -> None:
    """No more connections are let in than the process may open files, less an eighth."""
    resource = pytest.importorskip("resource")
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert bound(10_000) == (224, "RLIMIT_NOFILE is 256 (ulimit -n, LimitNOFILE of systemd)")
        assert bound(None).most == 224
        assert bound(100) == (100, "rtbridge.limits.connections is 100")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


class Proactor(asyncio.SelectorEventLoop):
    """A loop without readers, as Windows has it."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]  # whatever it is given
        raise NotImplementedError


def test_a_loop_without_readers() -> None:
    """The same bounds hold there."""

    async def body() -> None:
        listener = bind("127.0.0.1:0", "test")
        server = SocketServer(listener, Echo, name="test", connections=1)
        server.start()
        port = listener.getsockname()[1]
        first = await asyncio.open_connection("127.0.0.1", port)
        assert await echoed(*first)
        second = await asyncio.open_connection("127.0.0.1", port)
        assert not await echoed(*second)
        server.close()
        await server.wait_closed()
        listener.close()
        for _, writer in (first, second):
            writer.close()

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(body())
