"""One port for WebSocket and HTTP: who gets which connection, bounds on time and size, and the end."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.frames import Opcode

from rtbridge import ListenError
from rtbridge.embedded.framing import text_frame
from rtbridge.embedded.fronts.endpoints import Endpoints, Settings
from rtbridge.embedded.fronts.listener import Listener
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.transport.forwarded import Forwarded
from tests.embedded.fronts.conftest import Site, application
from tests.embedded.fronts.raw import Client, close, frame, head, soon

EVERY_LOOP = True

Start = Callable[..., Awaitable[Site]]

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


async def asked(client: Client, *data: bytes) -> bytes:
    """What the application answers."""
    client.send(*data)
    status, _, body = await client.answer()
    assert status == 200
    return body


async def test_http(site: Start, parser: str) -> None:
    """Requests reach the application, one after the other on a connection, whatever pieces they come in."""
    served = await site()
    client = await served.dial()
    assert await asked(client, POST, b"body") == b"POST /b body"
    assert await asked(client, GET) == b"GET /a "
    for byte in POST + b"more":
        client.send(bytes((byte,)))
        await client.writer.drain()
    assert (await client.answer())[2] == b"POST /b more"
    client.send(GET, GET)
    assert [(await client.answer())[2], (await client.answer())[2]] == [b"GET /a ", b"GET /a "]


async def test_both_on_one_port(site: Start, parser: str) -> None:
    """A GET in pieces is an HTTP request or one for a WebSocket, which its head decides."""
    served = await site()
    for data, answer in ((GET, 200), (head(), 101)):
        client = await served.dial()
        for byte in data:
            client.send(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.answer())[0] == answer


async def test_another_upgrade(site: Start, parser: str) -> None:
    """A wish for another protocol is not granted, and the request is answered as it is."""
    served = await site()
    for protocol in ("h2c", "TLS/1.0"):
        client = await served.dial()
        # httptools sees the end of HTTP in it and answers nothing.
        client.send(head("/a", f"Upgrade: {protocol}", drop="Upgrade"))
        client.writer.write_eof()
        assert (await client.end())[:12] in (b"HTTP/1.1 200", b"")
    assert await served.alive()


JUNK = [
    b"GARBAGE\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"\r\n" * 100,
    b"\0" * 1000,
    b"",
]


async def test_junk(site: Start, parser: str) -> None:
    """Bytes of another protocol end their connection, and the server goes on."""
    served = await site(handshake_timeout=0.1, receive_timeout=0.1, keep_alive=0.1)

    async def send(junk: bytes) -> None:
        client = await served.dial()
        client.send(junk)
        assert (await client.end())[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 200", b""), junk

    await asyncio.gather(*map(send, JUNK))
    assert await served.alive()


async def test_heads_that_are_too_large(site: Start, parser: str) -> None:
    """A head that goes on and on ends its connection, whatever it asks for."""
    served = await site(header_size=2000)
    for start in (GET[:-2], head()[:-2], POST[:-2]):
        client = await served.dial()
        client.send(start)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 2_000_000:
                client.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")
                await client.writer.drain()
                sent += 1000
        assert (await client.end())[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")
    assert await served.alive()


SLOW = [
    b"",
    b"G",
    GET[:-2],
    head()[:-2],
    b"POST / HTTP/1.1\r\n",
    POST,
    POST + b"bod",
    GET + b"GET /",
    GET + POST + b"b",
]


async def test_slow_requests(site: Start, parser: str) -> None:
    """Whoever does not go on is dropped after a bound: a connection costs memory as long as it stays."""
    # A head that begins in the same piece as the request before it is idleness to uvicorn.
    served = await site(handshake_timeout=0.1, receive_timeout=0.1, keep_alive=0.1)

    async def send(start: bytes) -> None:
        client = await served.dial()
        client.send(start)
        assert (await client.end()).count(b"HTTP/1.1 200") <= start.count(GET), start

    await asyncio.gather(*map(send, SLOW))
    assert served.listener.doors == set()
    assert await served.alive()


async def test_a_slow_request_that_goes_on(site: Start, parser: str) -> None:
    """The bound is on the whole request, so that a byte now and then does not prolong it."""
    served = await site(handshake_timeout=0.1, receive_timeout=0.1)
    client = await served.dial()
    client.send(b"POST /b HTTP/1.1\r\n")
    sent = 0
    with contextlib.suppress(ConnectionError, RuntimeError):  # uvloop has the latter for a transport that closed
        while not client.reader.at_eof():
            client.send(b"X: 1\r\n")
            await client.writer.drain()
            await asyncio.sleep(0.01)
            sent += 1
            assert sent < 1000
    assert await served.alive()


async def test_a_slow_answer_is_no_slow_request(site: Start, parser: str) -> None:
    """An application may take longer than a client may."""
    answer = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await answer.wait()
        await application(scope, receive, send)

    served = await site(app=waits, receive_timeout=0.02)
    client = await served.dial()
    client.send(POST, b"body")
    asyncio.get_running_loop().call_later(0.1, answer.set)
    assert (await client.answer())[2] == b"POST /b body"


async def test_idle_connections(site: Start, parser: str) -> None:
    """A connection that is kept open is closed when nothing comes any more."""
    served = await site(keep_alive=0.05)
    client = await served.dial()
    assert await asked(client, GET) == b"GET /a "
    assert await client.end() == b""


async def test_an_answer_that_nobody_reads(site: Start, parser: str) -> None:
    """The connection is dropped after a bound, and the application hears of it."""
    gone = asyncio.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 20_000_000, "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        gone.set()

    served = await site(app=large, send_timeout=0.05)
    client = await served.dial(room=4096)
    client.send(GET)
    await soon(gone.wait())


async def test_an_answer_that_is_read_slowly(site: Start, parser: str) -> None:
    """Whoever reads on gets all of it."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"20000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 20_000_000})

    served = await site(app=large)
    client = await served.dial()
    assert await asked(client, GET) == b"x" * 20_000_000


async def test_a_crowd(site: Start) -> None:
    """Everybody who comes at once gets in, beside those who only take up room."""
    served = await site()
    idle = [await served.dial() for _ in range(50)]
    clients = await asyncio.gather(*(served.dial() for _ in range(200)))
    await asyncio.gather(*(client.upgrade() for client in clients))
    assert len(served.sessions) == 200
    assert len(served.listener.doors) <= len(idle)


async def test_no_delay(site: Start) -> None:
    """Small writes leave at once."""
    served = await site()
    _, session = await served.open()
    transport: Any = session.outlet._transport
    assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_end(site: Start, parser: str) -> None:
    """No one new gets in, WebSocket clients get their code, requests under way are answered, idle callers leave."""
    reached, answer = asyncio.Event(), asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        reached.set()
        await answer.wait()
        await application(scope, receive, send)

    served = await site(app=waits)
    client, session = await served.open()
    session.outlet.write(text_frame(b"last"))
    quiet = await served.dial()
    busy = await served.dial()
    busy.send(GET)
    await soon(reached.wait())
    stopping = asyncio.create_task(served.listener.stop(10))
    assert await client.receive() == (Opcode.TEXT, b"last")
    assert await client.closing() == (3001, "shutdown")
    client.send(close(3001))
    assert await client.end() == b""
    assert await quiet.end() == b""
    with pytest.raises(OSError, match=r"."):
        await served.dial()
    answer.set()
    assert (await busy.answer())[2] == b"GET /a "
    await soon(stopping)
    assert session.gone == 1


async def test_an_end_that_is_not_waited_for(site: Start, caplog: pytest.LogCaptureFixture) -> None:
    """What does not end in time is ended: clients that do not answer, requests that hang."""
    hanging = asyncio.Event()

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        hanging.set()
        await asyncio.Event().wait()

    served = await site(app=hangs)
    client, session = await served.open()
    busy = await served.dial()
    busy.send(GET)
    await soon(hanging.wait())
    await soon(served.listener.stop(0.1))
    assert await client.closing() == (3001, "shutdown")
    assert await client.end() == b""
    assert session.gone == 1
    assert "dropped 1 connections" in caplog.text
    assert (await busy.end())[:12] in (b"HTTP/1.1 500", b"")


async def test_a_client_that_comes_while_it_stops(site: Start) -> None:
    """A kept connection may still ask for a WebSocket, which the node then refuses."""
    served = await site()
    client = await served.dial()
    assert await asked(client, GET) == b"GET /a "
    served.full = True
    client.send(head())
    assert (await client.answer())[0] == 503


def another(address: str) -> Listener:
    endpoints = Endpoints({}, origins=Origins(()), forwarded=Forwarded())
    return Listener(application, address, endpoints)


async def test_an_address_in_use(site: Start) -> None:
    """A port that is taken is an error that names the address; what never listened can be stopped."""
    served = await site()
    second = another(served.listener.address)
    with pytest.raises(ListenError, match=served.listener.address):
        await second.start()
    await second.stop(1)
    assert await served.alive()


async def test_settings_of_a_path(site: Start) -> None:
    """A message of exactly the configured size is taken."""
    served = await site(settings=Settings(message_size=100_000))
    client, session = await served.open()
    client.send(frame(b"x" * 100_000))
    await session.until(lambda s: s.messages)
    assert session.messages == [b"x" * 100_000]
