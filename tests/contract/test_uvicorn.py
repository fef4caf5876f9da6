"""Our own HTTP server: with either of uvicorn's parsers, connections are kept and heads are bounded."""

import asyncio
import contextlib
import logging
import sys
from typing import Any

import pytest

from rtbridge import RPCResult, hookimpl


class Plugin:
    @hookimpl
    async def on_rpc(self) -> RPCResult:
        return RPCResult(data="in")


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The parser that is there: the extra `fast` brings the first, the second always is."""
    if request.param == "h11":
        monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    return str(request.param)


HEAD = b"POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"


async def connect(peer: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = peer.transport.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Status line and body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head.partition(b"\r\n")[0], await asyncio.wait_for(reader.readexactly(length), 10)


async def test_a_connection_is_kept(socket_http_peer: Any, parser: str) -> None:
    """Calls follow each other on one connection, also when the bytes of a head come one by one."""
    await socket_http_peer.start(Plugin())
    reader, writer = await connect(socket_http_peer)
    for _ in range(3):
        writer.write(HEAD + b"\r\n{}")
        assert await read_answer(reader) == (b"HTTP/1.1 200 OK", b'{"result":{"data":"in"}}')
    for byte in HEAD + b"\r\n{}":
        writer.write(bytes([byte]))
        await writer.drain()
    assert await read_answer(reader) == (b"HTTP/1.1 200 OK", b'{"result":{"data":"in"}}')
    writer.close()


async def test_a_head_without_an_end(socket_http_peer: Any, parser: str, caplog: pytest.LogCaptureFixture) -> None:
    """A head that goes on and on ends its connection, whoever sends it, and the server goes on."""
    caplog.set_level(logging.WARNING)
    await socket_http_peer.start(Plugin(), secret={"key": "x-key", "values": ["s"]})
    reader, writer = await connect(socket_http_peer)
    writer.write(HEAD)
    sent = 0
    try:
        while sent < 4_000_000:
            writer.write(b"X-Filler: " + b"x" * 4000 + b"\r\n")
            await writer.drain()
            sent += 4000
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        answer = b""
    assert not answer or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    writer.close()
    assert await socket_http_peer.call("rpc", headers=[("x-key", "s")]) == {"result": {"data": "in"}}


async def test_a_call_is_cancelled_with_its_connection(socket_http_peer: Any, parser: str) -> None:
    """A caller whose connection breaks is a caller that went away."""
    reached, cancelled = asyncio.Event(), asyncio.Event()

    class Slow:
        @hookimpl
        async def on_rpc(self) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    await socket_http_peer.start(Slow())
    _, writer = await connect(socket_http_peer)
    writer.write(HEAD + b"\r\n{}")
    await asyncio.wait_for(reached.wait(), 10)
    writer.transport.abort()
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_connections(socket_http_peer: Any, parser: str) -> None:
    """With as many connections open as may be, one more is closed; the others are served."""
    await socket_http_peer.start(Plugin(), limits={"connections": 1})
    first, other = await connect(socket_http_peer), await connect(socket_http_peer)
    with contextlib.suppress(ConnectionError):  # a reset says the same
        assert await asyncio.wait_for(other[0].read(), 10) == b""
    first[1].write(HEAD + b"\r\n{}")
    assert await read_answer(first[0]) == (b"HTTP/1.1 200 OK", b'{"result":{"data":"in"}}')
    for _, writer in (first, other):
        writer.close()
