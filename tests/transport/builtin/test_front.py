"""The socket under the core: what takes too long, who does not listen, and how a server ends, on both event loops."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rtbridge.errors import InvalidMessage
from rtbridge.events import METHODS
from rtbridge.transport.builtin import BuiltinTransport, frames
from rtbridge.transport.builtin.front import Times
from rtbridge.transport.settings import GrpcSettings, Tls
from tests.certificates import Pair
from tests.contract.test_tls import certificates
from tests.transport.builtin.stand import Caller, Handler
from tests.transport.builtin.wire import data, message

__all__ = ["certificates"]

#: Their transports differ in what they do when.
EVERY_LOOP = True

RPC = METHODS["rpc"].path
STREAM = METHODS["subscribe_bidirectional"].path
OUT = METHODS["subscribe_unidirectional"].path


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
async def serve(handler: Handler) -> AsyncIterator[Callable[..., Any]]:
    """Starts a server; another call of it changes nothing of the first."""
    started: list[BuiltinTransport] = []
    callers: list[Caller] = []

    async def start(
        settings: dict[int, int] | None = None, times: Times | None = None, **own: Any
    ) -> tuple[BuiltinTransport, Caller]:
        transport = BuiltinTransport(handler, GrpcSettings("127.0.0.1:0", **own))
        if times is not None:
            transport._times = times
        await transport.start()
        started.append(transport)
        caller = Caller(settings)
        callers.append(caller)
        return transport, await caller.dial(transport.address)

    yield start
    for caller in callers:
        await caller.hang_up()
    for transport in started:
        await asyncio.wait_for(transport.stop(5), 15)
        assert (transport._fronts, transport._tasks) == (set(), set())


async def swept(transport: BuiltinTransport, until: Callable[[], bool]) -> None:
    """Look at what takes too long, again and again, without waiting for the server's own look."""
    async with asyncio.timeout(15):
        while not until():
            for front in list(transport._fronts):
                front.sweep()
            await asyncio.sleep(0.01)


async def test_calls(serve: Any, handler: Handler) -> None:
    """Each in a context of its own, however many come at once."""
    _, caller = await serve()
    caller.write(b"".join(caller.unary(number, b"%d" % number, path=RPC) for number in range(1, 41, 2)))
    assert [await caller.reply() for _ in range(20)] == [b"%d" % number for number in range(1, 41, 2)]
    assert handler.seen == ["fresh"] * 20


async def test_a_large_reply_to_a_slow_reader(serve: Any, handler: Handler) -> None:
    """Nothing is read from a peer that does not read; when it does, everything goes on, in fresh contexts."""

    async def large(body: bytes) -> bytes:
        return await handler.echo(body) + b"x" * 8_000_000

    handler.answer = large
    transport, caller = await serve({frames.INITIAL_WINDOW_SIZE: 2**30})
    caller.write(frames.window_update(0, 2**30) + caller.unary(1, b"a", path=RPC))
    async with asyncio.timeout(15):
        while not any(front._paused for front in transport._fronts):
            await asyncio.sleep(0.001)
    caller.write(caller.unary(3, b"b", path=RPC))
    assert len(await caller.reply()) == 8_000_001
    assert len(await caller.reply()) == 8_000_001
    caller.write(caller.unary(5, b"c", path=RPC))
    assert len(await caller.reply()) == 8_000_001
    assert handler.seen == ["fresh"] * 3


async def test_large_messages_of_a_stream(serve: Any, handler: Handler) -> None:
    """Each is more than is made ready at once, and each sender goes on when its message has left."""
    handler.replies = [bytes((number,)) * 3_000_000 for number in range(10)]
    _, caller = await serve({frames.INITIAL_WINDOW_SIZE: 2**30})
    caller.write(frames.window_update(0, 2**30) + caller.unary(1, path=OUT))
    await caller.until(frames.HEADERS)
    found = bytearray()
    while (frame := await caller.frame()).kind != frames.HEADERS:
        found += frame.payload if frame.kind == frames.DATA else b""
    assert frame.fields == {"grpc-status": "0"}
    assert found == message(b"first") + b"".join(message(each) for each in handler.replies)


async def test_a_reader_that_stops(serve: Any, handler: Handler) -> None:
    """One that takes nothing for too long is cut off, and what it called is cancelled."""

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            handler.cancelled.set()

    handler.items = items
    times = Times(0, 0, 1, stall=0.05)
    transport, caller = await serve({frames.INITIAL_WINDOW_SIZE: 2**30}, times)
    caller.write(frames.window_update(0, 2**30) + caller.unary(1, path=OUT))
    await swept(transport, lambda: not transport._fronts)
    await asyncio.wait_for(handler.cancelled.wait(), 15)


async def test_a_window_that_does_not_open(serve: Any, handler: Handler) -> None:
    """The stream that nobody reads is reset, its hook is cancelled, and the connection goes on."""

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
        finally:
            handler.cancelled.set()

    handler.items = items
    transport, caller = await serve({frames.INITIAL_WINDOW_SIZE: 5000}, Times(0, 0, 1, stall=0.05))
    caller.write(caller.unary(1, path=OUT))
    await swept(transport, handler.cancelled.is_set)
    assert int.from_bytes((await caller.until(frames.RST_STREAM)).payload) == frames.ENHANCE_YOUR_CALM
    caller.write(caller.unary(3, b"on", path=RPC))
    assert await caller.reply() == b"on"


async def test_the_first_message_is_not_taken(serve: Any, handler: Handler) -> None:
    """A stream whose caller goes away before it began is abandoned."""
    transport, caller = await serve({frames.INITIAL_WINDOW_SIZE: 0})
    caller.write(caller.unary(1, path=OUT))
    await caller.until(frames.HEADERS)
    caller.write(frames.rst_stream(1, frames.CANCEL))
    async with asyncio.timeout(15):
        while not handler.abandoned:
            await asyncio.sleep(0.001)
    assert transport._fronts


async def test_a_request_that_does_not_end(serve: Any) -> None:
    """It is reset after a while."""
    transport, caller = await serve(times=Times(0, 0, 1, stall=0.05))
    caller.write(caller.call(1, path=RPC))
    reading = asyncio.create_task(caller.until(frames.RST_STREAM))
    await swept(transport, reading.done)
    assert int.from_bytes(reading.result().payload) == frames.ENHANCE_YOUR_CALM


async def test_streams_both_ways(serve: Any, handler: Handler) -> None:
    """Messages go both ways, one that is too large fails the stream, and room is made as they are used."""

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        async for each in incoming:
            yield each

    handler.items = items
    _, caller = await serve(message_size=100)
    caller.write(caller.call(1, path=STREAM) + data(1, message(b"hello"), 0))
    await caller.until(frames.HEADERS)
    assert (await caller.until(frames.DATA)).payload == message(b"first")
    for number in range(300):
        caller.write(data(1, message(b"%d" % number), 0))
    for number in range(300):
        assert (await caller.until(frames.DATA)).payload == message(b"%d" % number)
    caller.write(data(1, b"", frames.END_STREAM))
    assert (await caller.until(frames.HEADERS)).fields == {"grpc-status": "0"}
    caller.write(caller.call(3, path=STREAM) + data(3, message(b"hello"), 0) + data(3, message(b"x" * 101), 0))
    await caller.until(frames.HEADERS)
    assert (await caller.until(frames.HEADERS)).fields == {"grpc-status": "13", "grpc-message": "internal error"}


async def test_the_time_of_a_stream(serve: Any, handler: Handler) -> None:
    """When its deadline has passed, its hook is cancelled and the caller is told."""

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        await handler.forever(b"")
        yield b""

    handler.items = items
    _, caller = await serve()
    caller.write(caller.unary(1, path=OUT, grpc_timeout="50m"))
    await caller.until(frames.HEADERS)
    assert (await caller.until(frames.HEADERS)).fields["grpc-status"] == "4"
    await asyncio.wait_for(handler.cancelled.wait(), 15)


@pytest.mark.parametrize("how", ["reset", "hang up", "break", "reset and break"])
async def test_who_goes_away(serve: Any, handler: Handler, how: str) -> None:
    """A call is cancelled by a reset, a lost connection, and a connection that is ended for a fault."""
    handler.answer = handler.forever
    _, caller = await serve()
    caller.write(caller.unary(1, path=RPC))
    await asyncio.wait_for(handler.reached.wait(), 15)
    if how == "reset":
        caller.write(frames.rst_stream(1, frames.CANCEL))
    elif how == "hang up":
        await caller.hang_up()
    else:
        first = frames.rst_stream(1, frames.CANCEL) if how == "reset and break" else b""
        caller.write(first + frames.frame(frames.PING, 0, 0, b"short"))
        assert int.from_bytes((await caller.until(frames.GOAWAY)).payload[4:8]) == frames.FRAME_SIZE_ERROR
        caller.write(caller.unary(3, path=RPC))
        await caller.rest()
    await asyncio.wait_for(handler.cancelled.wait(), 15)


async def test_a_handler_that_fails(serve: Any, handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns that something failed, and the log what."""

    async def bug(body: bytes) -> bytes:
        raise InvalidMessage("a bug")

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        yield await bug(b"")

    async def gives_up(body: bytes) -> bytes:
        raise asyncio.CancelledError

    handler.answer, handler.items = bug, items
    _, caller = await serve()
    for number, path in ((1, RPC), (3, OUT)):
        caller.write(caller.unary(number, path=path))
        while "grpc-status" not in (found := await caller.until(frames.HEADERS)).fields:
            pass
        assert (found.fields["grpc-status"], found.fields["grpc-message"]) == ("13", "internal error")
    assert "a call of RPC failed" in caplog.text
    handler.answer = gives_up
    caller.write(caller.unary(5, path=RPC))
    assert (await caller.until(frames.HEADERS)).fields["grpc-status"] == "1"


class Harsh(BaseException):
    """What ``except Exception`` does not catch."""


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("path", [RPC, OUT])
async def test_a_handler_that_fails_as_none_should(serve: Any, handler: Handler, path: str, waits: bool) -> None:
    """Its caller learns it, and the others of its connection are served."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)

    async def harsh(body: bytes) -> bytes:
        if body == b"well":
            return body
        if waits:
            await asyncio.sleep(0)
        raise Harsh

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        yield await harsh(b"")

    handler.answer, handler.items = harsh, items
    _, caller = await serve()
    caller.write(caller.unary(1, path=path))
    while "grpc-status" not in (found := await caller.until(frames.HEADERS)).fields:
        pass
    assert (found.fields["grpc-status"], found.fields["grpc-message"]) == ("13", "internal error")
    caller.write(caller.unary(3, b"well", path=RPC))
    assert await caller.reply() == b"well"


async def test_faults_do_not_fill_the_log(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One line tells of many of a kind, whatever sizes a peer thinks of."""
    transport, _ = await serve()
    for size in range(20_000, 20_010):
        caller = await Caller().dial(transport.address)
        caller.write(frames.frame(frames.PING, 0, 0, bytes(size)))
        assert b"a frame of " in (await caller.until(frames.GOAWAY)).payload
        await caller.hang_up()
    assert [record.getMessage().count("a frame of 20000 bytes") for record in caplog.records] == [1]


async def test_keepalive(serve: Any) -> None:
    """A silent peer is pinged; one that answers stays, one that does not is cut off."""
    transport, caller = await serve(times=Times(0.01, 0, 1))
    reading = asyncio.create_task(caller.until(frames.PING))
    await swept(transport, reading.done)
    (front,) = transport._fronts
    assert front._pinged
    caller.write(frames.frame(frames.PING, frames.ACK, 0, reading.result().payload))
    async with asyncio.timeout(15):
        while front._pinged:
            await asyncio.sleep(0.001)
    await swept(transport, lambda: front._pinged)
    front._heard -= 30
    front.sweep()
    await caller.rest()


async def test_a_peer_that_says_nothing(serve: Any) -> None:
    """A connection without a greeting ends."""
    transport, _ = await serve()
    reader, writer = await asyncio.open_connection(*transport.address.rsplit(":", 1))
    async with asyncio.timeout(15):
        while len(transport._fronts) < 2:
            await asyncio.sleep(0.001)
    for front in transport._fronts:
        front._made -= 30
        front.sweep()
    try:
        while await asyncio.wait_for(reader.read(65536), 15):
            pass
    except ConnectionError:
        pass
    writer.close()
    assert len(transport._fronts) == 1


async def test_the_age_of_a_connection(serve: Any, handler: Handler) -> None:
    """It is asked to go in two steps, its calls end in peace, and after its grace it is cut."""
    handler.answer = handler.forever
    _, caller = await serve(times=Times(0, 0.05, 0.2))
    caller.write(caller.unary(1, path=RPC))
    first = await caller.until(frames.GOAWAY)
    assert int.from_bytes(first.payload[:4]) == 2**31 - 1
    caller.write(frames.frame(frames.PING, frames.ACK, 0, (await caller.until(frames.PING)).payload))
    second = await caller.until(frames.GOAWAY)
    assert int.from_bytes(second.payload[:4]) == 1
    await caller.rest()
    await asyncio.wait_for(handler.cancelled.wait(), 15)


async def test_stop(serve: Any, handler: Handler) -> None:
    """New connections are refused, calls under way end, what does not end in time is cut."""
    release = asyncio.Event()

    async def waits(body: bytes) -> bytes:
        handler.reached.set()
        if body == b"never":
            return await handler.forever(body)
        await release.wait()
        return body

    handler.answer = waits
    transport, caller = await serve()
    caller.write(caller.unary(1, b"soon", path=RPC) + caller.unary(3, b"never", path=RPC))
    await asyncio.wait_for(handler.reached.wait(), 15)
    stopping = asyncio.create_task(transport.stop(1))
    await caller.until(frames.GOAWAY)
    with pytest.raises(OSError):
        await asyncio.open_connection(*transport.address.rsplit(":", 1))
    release.set()
    assert await caller.reply() == b"soon"
    await asyncio.wait_for(stopping, 15)
    assert handler.cancelled.is_set()
    await caller.rest()


async def test_compressed_replies(handler: Handler) -> None:
    """From a size on, where the caller accepts it: calls with one answer and with several."""

    async def items(incoming: Any) -> AsyncIterator[bytes]:
        yield b"x" * 100

    async def answer(body: bytes) -> bytes:
        return body

    handler.items, handler.answer = items, answer
    transport = BuiltinTransport(handler, GrpcSettings("127.0.0.1:0", compress_from=100))
    await transport.start()
    caller = await Caller().dial(transport.address)
    own = {"grpc_accept_encoding": "identity,gzip"}
    try:
        for number, body, accepted, packed in ((1, 99, own, False), (3, 100, own, True), (5, 100, {}, False)):
            caller.write(caller.unary(number, b"x" * body, path=RPC, **accepted))
            await caller.until(frames.HEADERS)
            found = (await caller.until(frames.DATA)).payload
            assert (gzip.decompress(found[5:]) if found[0] else found[5:]) == b"x" * body
            assert bool(found[0]) == packed
            await caller.until(frames.HEADERS)
        caller.write(caller.unary(7, path=OUT, **own))
        assert (await caller.until(frames.HEADERS)).fields["grpc-encoding"] == "gzip"
        assert (await caller.until(frames.DATA)).payload == message(b"first")
        found = (await caller.until(frames.DATA)).payload
        assert (found[0], gzip.decompress(found[5:])) == (1, b"x" * 100)
        await caller.until(frames.HEADERS)
    finally:
        await caller.hang_up()
        await asyncio.wait_for(transport.stop(5), 15)


async def test_tls(certificates: dict[str, Pair]) -> None:
    """HTTP/2 is agreed upon, and whoever does not ask for it is not served."""
    server, ca = certificates["server"], certificates["ca"]
    context = ssl.create_default_context(cafile=str(ca.cert))
    context.set_alpn_protocols(["h2"])
    transport = BuiltinTransport(Handler(), GrpcSettings("127.0.0.1:0", tls=Tls(Path(server.cert), Path(server.key))))
    await transport.start()
    try:
        caller = await Caller().dial(transport.address, context)
        caller.write(caller.unary(1, b"secret", path=RPC))
        assert await caller.reply() == b"secret"
        await caller.hang_up()
        plain = ssl.create_default_context(cafile=str(ca.cert))
        other = await Caller().dial(transport.address, plain)
        await other.rest()
        await other.hang_up()
    finally:
        await asyncio.wait_for(transport.stop(5), 15)


async def test_an_end_while_somebody_shakes_hands(certificates: dict[str, Pair]) -> None:
    """Those who are there are told at once, without waiting for a handshake that may never end."""
    server, ca = certificates["server"], certificates["ca"]
    context = ssl.create_default_context(cafile=str(ca.cert))
    context.set_alpn_protocols(["h2"])
    transport = BuiltinTransport(Handler(), GrpcSettings("127.0.0.1:0", tls=Tls(Path(server.cert), Path(server.key))))
    await transport.start()
    caller = await Caller().dial(transport.address, context)
    caller.write(caller.unary(1, b"one", path=RPC))
    assert await caller.reply() == b"one"
    _, silent = await asyncio.open_connection(*transport.address.rsplit(":", 1))
    taking = transport._server
    assert taking is not None
    async with asyncio.timeout(15):
        while not taking._taking:
            await asyncio.sleep(0.001)
    stopping = asyncio.create_task(transport.stop(5))
    await caller.until(frames.GOAWAY)
    assert taking._taking
    caller.write(frames.frame(frames.PING, frames.ACK, 0, (await caller.until(frames.PING)).payload))
    await caller.rest()
    await asyncio.wait_for(stopping, 15)
    assert not taking._open
    for writer in (caller.writer, silent):
        writer.close()
