"""Subscribe streams by grpc-go: first message, publications, the client's own publications, and every way to end."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from rtbridge import ClientError, Disconnect, Publication, SubscribeOptionOverride, SubscribeResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

EVERY_BYTE: Final = bytes(range(256))
STREAMS: Final = ("SubscribeUnidirectional", "SubscribeBidirectional")
TEMPORARY: Final = {"code": 100, "message": "internal server error", "temporary": True}


def b64(content: bytes) -> str:
    """Bytes as protobuf's JSON has them."""
    return base64.b64encode(content).decode()


async def subscribe(connection: Any, method: str, request: Any, **options: Any) -> Any:
    """A stream of either kind; the bidirectional one carries the request in its first message."""
    if method == "SubscribeUnidirectional":
        return await connection.open(method, request, **options)
    stream = await connection.open(method, **options)
    await stream.send({"subscribe_request": request})
    return stream


async def until(event: asyncio.Event) -> None:
    """Wait for an event that has to come."""
    async with asyncio.timeout(10):
        await event.wait()


REQUEST: Final = {
    "client": "8f1f1c0e",
    "transport": "websocket",
    "protocol": "json",
    "encoding": "json",
    "user": "ann",
    "channel": "feed:1",
    "token": "jwt",
    "meta": b64(b'{"a":1}'),
    "data": b64(b"[1]"),
    "labels": {"tier": "gold"},
}
SEEN: Final = {
    **{name: REQUEST[name] for name in REQUEST if name not in ("meta", "data")},
    "raw_meta": b'{"a":1}',
    "raw_data": b"[1]",
}


@pytest.mark.parametrize("method", STREAMS)
async def test_first_message_publications_and_clean_end(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """The result comes first, every publication after it in order, and the generator's end is a clean end."""
    connection = await go_peer.dial((await serve(backend)).address)

    async def feed(event: Any) -> AsyncIterator[Any]:
        yield SubscribeResult(data={"hello": 1}, info=EVERY_BYTE, override=SubscribeOptionOverride(presence=False))
        yield Publication(data=EVERY_BYTE, tags={"kind": "raw"})
        for number in range(500):
            yield Publication(data=number)

    backend.answer = feed
    stream = await subscribe(connection, method, REQUEST, metadata=[("x-multi", b"1"), ("x-multi", b"2")])
    first = await stream.receive()
    event = backend.seen[0]
    assert {name: getattr(event, name) for name in event.__struct_fields__ if name != "call"} == SEEN
    assert event.headers.getall("x-multi") == ["1", "2"]
    assert event.time_remaining() is None
    result = {"data": b64(b'{"hello":1}'), "info": b64(EVERY_BYTE), "override": {"presence": {}}}
    assert (first["reply"], first["unread"]) == ({"subscribe_response": {"result": result}}, [])
    raw = await stream.receive()
    assert raw["reply"] == {"publication": {"data": b64(EVERY_BYTE), "tags": {"kind": "raw"}}}
    for number in range(500):
        message = await stream.receive()
        assert message["reply"] == {"publication": {"data": b64(str(number).encode())}}
    assert await stream.receive() == {"end": True, "code": "OK"}


@pytest.mark.parametrize("method", STREAMS)
async def test_denied_at_the_start(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """A stream that is not let in says so in its first message and ends cleanly."""
    connection = await go_peer.dial((await serve(backend)).address)
    cases: list[tuple[Any, Any]] = [
        (None, {"disconnect": {"code": 4500, "reason": "not handled"}}),
        (Disconnect(4501, "bye"), {"disconnect": {"code": 4501, "reason": "bye"}}),
        (ClientError("PERMISSION_DENIED"), {"error": {"code": 103, "message": "permission denied"}}),
        (RuntimeError("s3cret"), None),
    ]
    for raised, expected in cases:

        async def feed(event: Any, raised: Exception | None = raised) -> AsyncIterator[Any]:
            if raised is not None:
                raise raised
            for nothing in list[Any]():
                yield nothing

        backend.answer = feed
        stream = await subscribe(connection, method, REQUEST)
        if expected is None:  # a bug fails the call, with no detail of it
            assert await stream.receive() == {"code": "Internal", "text": "internal error"}
            continue
        assert (await stream.receive())["reply"] == {"subscribe_response": expected}
        assert await stream.receive() == {"end": True, "code": "OK"}


@pytest.mark.parametrize("method", STREAMS)
async def test_the_end_that_a_hook_makes(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """After its start a stream ends cleanly for an answer, and with INTERNAL and no details for a bug."""
    connection = await go_peer.dial((await serve(backend)).address)
    clean: Any = {"end": True, "code": "OK"}
    failed: Any = {"code": "Internal", "text": "a hook of the stream failed"}
    cases: list[tuple[Any, Any]] = [
        (Disconnect(4501, "bye"), clean),
        (ClientError(1000, "no"), clean),
        (RuntimeError("s3cret"), failed),
        (SubscribeResult(), failed),
    ]
    for last, expected in cases:

        async def feed(event: Any, last: Any = last) -> AsyncIterator[Any]:
            yield SubscribeResult()
            yield Publication(data=1)
            if isinstance(last, Exception):
                raise last
            yield last

        backend.answer = feed
        stream = await subscribe(connection, method, REQUEST)
        assert (await stream.receive())["reply"] == {"subscribe_response": {"result": {}}}
        assert (await stream.receive())["reply"] == {"publication": {"data": b64(b"1")}}
        assert await stream.receive() == expected
    assert (await connection.do("traffic"))["connections"] == 1


@pytest.mark.parametrize("method", STREAMS)
async def test_a_publication_that_cannot_be_written(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """A payload without a JSON form is the hook's bug: INTERNAL, and nothing of it reaches the caller."""
    connection = await go_peer.dial((await serve(backend)).address)
    closed = asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            yield Publication(data={"s3cret": {1, 2}, "object": object()})
        finally:
            closed.set()

    backend.answer = feed
    stream = await subscribe(connection, method, REQUEST)
    await stream.receive()
    assert await stream.receive() == {"code": "Internal", "text": "a hook of the stream failed"}
    await until(closed)


@pytest.mark.parametrize("method", STREAMS)
async def test_unsubscribe(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """A client that unsubscribes cancels the stream, and the generator sees it wherever it waits."""
    connection = await go_peer.dial((await serve(backend)).address)
    closed = asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            await asyncio.Event().wait()
        finally:
            closed.set()

    backend.answer = feed
    stream = await subscribe(connection, method, REQUEST)
    await stream.receive()
    await stream.cancel()
    await until(closed)
    assert (await stream.receive())["code"] == "Canceled"


@pytest.mark.parametrize("method", STREAMS)
async def test_unsubscribe_before_the_first_message(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """A client that goes away while its subscribe is being answered cancels the generator, too."""
    connection = await go_peer.dial((await serve(backend)).address)
    started, closed = asyncio.Event(), asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[Any]:
        started.set()
        try:
            await asyncio.Event().wait()
            yield SubscribeResult()
        finally:
            closed.set()

    backend.answer = feed
    stream = await subscribe(connection, method, REQUEST)
    await until(started)
    await stream.cancel()
    await until(closed)


async def test_connection_lost(backend: Any, serve: Any, go_peer: Any) -> None:
    """A Centrifugo that goes away without a word ends every stream it had."""
    connection = await go_peer.dial((await serve(backend)).address)
    closed = asyncio.Semaphore(0)

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            await asyncio.Event().wait()
        finally:
            closed.release()

    backend.answer = feed
    for method in STREAMS * 5:
        await (await subscribe(connection, method, REQUEST)).receive()
    await connection.do("close")
    async with asyncio.timeout(10):
        for _ in STREAMS * 5:
            await closed.acquire()


async def test_deadline_of_a_stream(backend: Any, serve: Any, go_peer: Any) -> None:
    """A caller that gave its stream a deadline gets DEADLINE_EXCEEDED, and the generator is cancelled."""
    connection = await go_peer.dial((await serve(backend)).address)
    closed = asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            await asyncio.Event().wait()
        finally:
            closed.set()

    backend.answer = feed
    stream = await subscribe(connection, "SubscribeUnidirectional", REQUEST, timeout=0.5)
    assert (await stream.receive())["code"] == "OK"
    assert (await stream.receive())["code"] == "DeadlineExceeded"
    await until(closed)


async def test_publications_of_the_client(backend: Any, serve: Any, go_peer: Any) -> None:
    """What a client publishes into a bidirectional stream arrives in order, as it was, until the client's side ends."""
    connection = await go_peer.dial((await serve(backend)).address)

    async def echo(event: Any) -> AsyncIterator[Any]:
        yield SubscribeResult()
        async for publication in event.incoming:
            yield Publication(data=publication.raw_data, tags=publication.tags)
        yield Publication(data="over")

    backend.answer = echo
    stream = await subscribe(connection, "SubscribeBidirectional", REQUEST)
    await stream.receive()
    sent = [{"data": b64(EVERY_BYTE), "tags": {"a": "1"}}, *({"data": b64(b"%d" % n)} for n in range(200)), {}]
    for publication in sent:
        assert (await stream.send({"publication": publication}))["code"] == "OK"
    await stream.close_send()
    for publication in sent:
        assert (await stream.receive())["reply"] == {"publication": publication}
    assert (await stream.receive())["reply"] == {"publication": {"data": b64(b'"over"')}}
    assert await stream.receive() == {"end": True, "code": "OK"}


async def test_a_publication_that_is_none(backend: Any, serve: Any, go_peer: Any) -> None:
    """Bytes that are no publication fail the stream they came on, and no other."""
    connection = await go_peer.dial((await serve(backend)).address)

    async def echo(event: Any) -> AsyncIterator[Any]:
        yield SubscribeResult()
        async for publication in event.incoming:
            yield Publication(data=publication.raw_data)

    backend.answer = echo
    streams = [await subscribe(connection, "SubscribeBidirectional", REQUEST) for _ in range(2)]
    for stream in streams:
        await stream.receive()
    await streams[0].send(b"\xff\xff\xff")
    assert (await streams[0].receive())["code"] == "Internal"
    await streams[1].send({"publication": {"data": b64(b"1")}})
    assert (await streams[1].receive())["reply"] == {"publication": {"data": b64(b"1")}}


async def test_a_stream_without_a_request(backend: Any, serve: Any, go_peer: Any) -> None:
    """A bidirectional stream whose first message is no request, or that has none, is refused; no hook sees it."""
    connection = await go_peer.dial((await serve(backend)).address)
    for first in ({"publication": {"data": b64(b"1")}}, b"\xff\xff", None):
        stream = await connection.open("SubscribeBidirectional")
        if first is not None:
            await stream.send(first)
        await stream.close_send()
        assert (await stream.receive())["code"] == "InvalidArgument"
    assert backend.seen == []


@pytest.mark.parametrize("method", STREAMS)
async def test_busy_streams_do_not_outlive_the_server(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """A stream that is sending when rtbridge stops ends with an error, too, and its generator is closed."""
    served = await serve(backend)
    connection = await go_peer.dial(served.address)
    closed = asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            while True:
                yield Publication(data=bytes(10_000))
        finally:
            closed.set()

    backend.answer = feed
    stream = await subscribe(connection, method, REQUEST)
    await stream.receive()
    stopping = asyncio.create_task(served.stop())
    while (message := await stream.receive())["code"] == "OK":
        assert "end" not in message
    assert message == {"code": "Internal", "text": "rtbridge stops"}
    await until(closed)
    await stopping


async def test_streams_do_not_outlive_the_server(backend: Any, serve: Any, go_peer: Any) -> None:
    """When rtbridge stops, its streams end with an error, so that clients subscribe again elsewhere."""
    served = await serve(backend)
    connection = await go_peer.dial(served.address)
    closed = []

    async def feed(event: Any) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            await asyncio.Event().wait()
        finally:
            closed.append(event.kind)

    backend.answer = feed
    streams = [await subscribe(connection, method, REQUEST) for method in STREAMS]
    for stream in streams:
        await stream.receive()
    await served.stop()
    assert sorted(closed) == ["subscribe_bidirectional", "subscribe_unidirectional"]
    for stream in streams:
        assert await stream.receive() == {"code": "Internal", "text": "rtbridge stops"}
