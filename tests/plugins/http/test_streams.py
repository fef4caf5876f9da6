"""Answers that are made while they are sent: by readers that stop, go away or dawdle, and makers that fail."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from rtbridge.http import Site, StreamResponse
from rtbridge.plugins.http import relay, threads
from rtbridge.plugins.http.server import _CONNECTIONS
from rtbridge.transport.settings import bind

CHUNK = b"x" * 1024
CHUNKS = 10_000

#: What may be on its way when nobody reads: sockets' buffers, uvicorn's, and ours in the thread and on the loop.
ON_ITS_WAY = 2000


class Maker:
    """Makes chunks, counts what it was asked for, and knows where it began and was closed."""

    def __init__(self, chunks: int = CHUNKS) -> None:
        self.chunks = chunks
        self.asked = 0
        self.threads: list[str] = []
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def sync(self, _: Request) -> Iterator[bytes]:
        self.threads.append(threading.current_thread().name)
        try:
            for _n in range(self.chunks):
                self.asked += 1
                yield CHUNK
        finally:
            self.threads.append(threading.current_thread().name)
            self._loop.call_soon_threadsafe(self.closed.set)

    async def asynchronous(self, _: Request) -> AsyncIterator[bytes]:
        try:
            for _n in range(self.chunks):
                self.asked += 1
                yield CHUNK
        finally:
            await asyncio.sleep(0)  # a generator that awaits while it is closed
            self.closed.set()

    def site(self) -> Site:
        site = Site()
        site.get("/sync")(self.sync)
        site.get("/async")(self.asynchronous)
        return site


def narrow() -> socket.socket:
    """A listening socket whose connections hold little."""
    listener = bind("127.0.0.1:0", "test")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    return listener


async def slow_peer(site: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that takes in little before it stops the other side."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    peer.setblocking(False)
    host, _, port = site.server.address.rpartition(":")
    await asyncio.get_running_loop().sock_connect(peer, (host, int(port)))
    return await asyncio.open_connection(sock=peer, limit=4096)


async def stands_still(maker: Maker) -> None:
    """Wait until nothing is asked for any more: for as many turns of the loop as would let it."""
    before, same = -1, 0
    async with asyncio.timeout(20):
        while same < 20:
            same = same + 1 if maker.asked == before else 0
            before = maker.asked
            await asyncio.sleep(0.01)


GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_all_of_it(host: Any, kind: str) -> None:
    """What is yielded arrives, and the generator is closed where it ran."""
    maker = Maker()
    answer = await (await host(maker.site())).client.get(f"/{kind}")

    assert answer.content == CHUNK * CHUNKS
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    await asyncio.wait_for(maker.closed.wait(), 10)
    assert maker.threads == ([] if kind == "async" else ["rtbridge-pull"] * 2)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_as_it_yields(host: Any, kind: str) -> None:
    """Each part arrives before the next one is made."""
    go, loop = asyncio.Event(), asyncio.get_running_loop()
    site = Site()

    @site.get("/async")
    async def asynchronous(_: Request) -> AsyncIterator[str]:
        yield "first"
        await go.wait()
        yield "second"

    @site.get("/sync")
    def sync(_: Request) -> Iterator[str]:
        yield "first"
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)
        yield "second"

    served = await host(site)
    async with served.client.stream("GET", f"/{kind}") as answer:
        parts = answer.aiter_raw()
        assert await anext(parts) == b"first"
        go.set()
        assert await anext(parts) == b"second"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_reader_that_stops(host: Any, kind: str) -> None:
    """The generator is asked for what fits into the buffers, and waits; then for the rest."""
    maker = Maker()
    site = await host(maker.site(), listener=narrow())
    reader, writer = await slow_peer(site)
    writer.write(GET % kind.encode())
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    await stands_still(maker)

    assert maker.asked < ON_ITS_WAY
    assert not maker.closed.is_set()
    got = 0
    async with asyncio.timeout(20):
        while not maker.closed.is_set() or got < CHUNKS * 1024:
            got += len(await reader.read(65536))
    writer.close()
    assert maker.asked == CHUNKS


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_reader_that_dawdles(host: Any, kind: str) -> None:
    """One that takes a byte now and then holds the generator back, byte by byte."""
    maker = Maker()
    site = await host(maker.site(), listener=narrow())
    reader, writer = await slow_peer(site)
    writer.write(GET % kind.encode())
    async with asyncio.timeout(20):
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(50):
            await reader.readexactly(1)
            await asyncio.sleep(0.01)
    assert maker.asked < ON_ITS_WAY
    writer.transport.abort()
    await asyncio.wait_for(maker.closed.wait(), 10)
    assert maker.asked < ON_ITS_WAY


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_reader_that_goes_away(host: Any, kind: str) -> None:
    """The generator is closed while it waits for room."""
    maker = Maker()
    site = await host(maker.site(), listener=narrow())
    reader, writer = await slow_peer(site)
    writer.write(GET % kind.encode())
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    await stands_still(maker)
    writer.transport.abort()

    await asyncio.wait_for(maker.closed.wait(), 10)
    assert maker.asked < ON_ITS_WAY
    assert len(set(maker.threads)) <= 1


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_reader_that_stops_for_good(host: Any, kind: str) -> None:
    """It is let go after `send_timeout`."""
    maker = Maker()
    site = await host(maker.site(), listener=narrow(), connections=_CONNECTIONS._replace(send_timeout=0.2))
    reader, writer = await slow_peer(site)
    writer.write(GET % kind.encode())

    await asyncio.wait_for(maker.closed.wait(), 10)
    assert maker.asked < ON_ITS_WAY
    writer.close()
    del reader


async def test_a_generator_that_waits(host: Any) -> None:
    """It is cancelled where it waits, also when it hears of that and goes on, and its request's body was not read."""
    waiting, closed = asyncio.Event(), asyncio.Event()
    seen: list[str] = []
    site = Site()

    @site.post("/")
    async def wait(_: Request) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
            yield b"nobody"
            seen.append("asked for more")
        finally:
            closed.set()

    served = await host(site)
    reader, writer = await served.connect()
    body = b"x" * 300_000
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await asyncio.wait_for(waiting.wait(), 10)
    writer.close()
    await asyncio.wait_for(closed.wait(), 10)
    del reader

    assert seen[0] == "cancelled"


async def test_a_thread_that_blocks(host: Any) -> None:
    """Nobody can interrupt it; it is closed at its next yield, in its own thread."""
    maker = Maker()
    go = threading.Event()
    site = Site()

    @site.get("/")
    def block(request: Request) -> Iterator[bytes]:
        yield b"first"
        go.wait(20)
        yield from maker.sync(request)

    served = await host(site)
    reader, writer = await served.connect()
    writer.write(GET % b"")
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    writer.transport.abort()
    go.set()
    await asyncio.wait_for(maker.closed.wait(), 10)
    assert maker.asked < ON_ITS_WAY


async def test_head_and_statuses_without_a_body(host: Any) -> None:
    """The generator is not started, and closed."""
    closed: list[str] = []

    class Source:
        def __iter__(self) -> Iterator[bytes]:
            raise AssertionError

        def close(self) -> None:
            closed.append("sync")

    async def never() -> AsyncIterator[bytes]:
        closed.append("started")
        yield b""

    site = Site()
    site.get("/sync")(lambda _: StreamResponse(Source()))
    site.get("/async")(lambda _: StreamResponse(never()))
    site.get("/none")(lambda _: StreamResponse(never(), 204))
    served = await host(site)
    for path in ("/sync", "/async"):
        answer = await served.client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await served.client.get("/none")).status_code == 204
    assert closed == ["sync"]


async def test_lengths_and_empty_parts(host: Any) -> None:
    """A length of one's own is kept to; parts of nothing are nothing, and would end a chunked body."""
    site = Site()
    done: list[int] = []

    async def note() -> None:
        done.append(1)

    @site.get("/length")
    def length(_: Request) -> Response:
        headers = {"content-length": "4"}
        return StreamResponse(
            [b"", "a", bytearray(b"b"), memoryview(b"cd"), ""], headers=headers, background=BackgroundTask(note)
        )

    @site.get("/nothing")
    async def nothing(_: Request) -> AsyncIterator[bytes]:
        yield b""

    served = await host(site)
    answer = await served.client.get("/length")
    assert (answer.text, answer.headers["content-length"]) == ("abcd", "4")
    assert "transfer-encoding" not in answer.headers
    assert (await served.client.get("/nothing")).content == b""
    await served.server.stop(1)
    assert done == [1]


@pytest.mark.parametrize("content", ["text", b"bytes", {"a": 1}, 5])
async def test_what_is_no_stream(host: Any, content: Any) -> None:
    """Text and bytes are iterable, and nobody means their letters."""
    site = Site()
    site.get("/")(lambda _: StreamResponse(content))

    assert (await (await host(site)).client.get("/")).status_code == 500


WHO: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_context_of_the_handler(host: Any, kind: str) -> None:
    """A generator sees what its handler set, in a thread, too, and keeps what it sets itself."""
    site = Site()

    def sync() -> Iterator[str]:
        for letter in "ab":
            yield WHO.get()
            WHO.set(letter)

    async def asynchronous() -> AsyncIterator[str]:
        for letter in "ab":
            yield WHO.get()
            WHO.set(letter)

    @site.get("/{kind}")
    async def answer(request: Request) -> Response:
        WHO.set("handler ")
        return StreamResponse(sync() if request.path_params["kind"] == "sync" else asynchronous())

    served = await host(site)
    assert [(await served.client.get(f"/{kind}")).text for _ in range(2)] == ["handler a"] * 2


async def test_more_streams_than_threads(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes then waits for a thread, and one that was let go is free again."""
    monkeypatch.setattr(threads, "THREADS", 1)
    go = threading.Event()
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    site = Site()

    @site.get("/")
    def one(_: Request) -> Iterator[str]:
        loop.call_soon_threadsafe(began.set)
        go.wait(20)
        yield "done"

    served = await host(site)
    first = asyncio.create_task(served.client.get("/"))
    await asyncio.wait_for(began.wait(), 10)
    second = asyncio.create_task(served.client.get("/"))
    go.set()
    answers = await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert [answer.text for answer in answers] == ["done", "done"]


async def test_a_generator_that_does_not_end(
    host: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has its time to be closed; then the server goes on without it, and says so."""
    monkeypatch.setattr(relay, "CLOSING", 0.05)
    go, going = asyncio.Event(), asyncio.Event()
    site = Site()

    @site.get("/stuck")
    async def stuck(_: Request) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            going.set()
            await go.wait()

    served = await host(site)
    reader, writer = await served.connect()
    writer.write(GET % b"stuck")
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    writer.transport.abort()
    await asyncio.wait_for(going.wait(), 10)
    async with asyncio.timeout(10):
        while "its generator goes on" not in caplog.text:
            await asyncio.sleep(0.01)
    go.set()


async def test_an_exception_that_nobody_waits_for(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One that comes while the generator is closed is logged."""
    site = Site()

    @site.get("/")
    async def broken(_: Request) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("in the end") from None

    served = await host(site)
    reader, writer = await served.connect()
    writer.write(GET % b"")
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while "ValueError: in the end" not in caplog.text:
            await asyncio.sleep(0.01)


async def test_a_body_that_is_refused_meanwhile(host: Any) -> None:
    """What is left of the request is read while the answer is sent; too much of it ends both."""
    site = Site()

    @site.post("/")
    async def forever(_: Request) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    served = await host(site, max_request_size=1)
    chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
    answer = await served.raw(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert b"413" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
