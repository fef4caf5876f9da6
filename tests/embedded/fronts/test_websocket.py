"""WebSocket connections over sockets: handshake, messages, control frames, ends; both ways in, on either loop."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import websockets
from websockets.frames import Opcode

from rtbridge.embedded.framing import binary_frame, text_frame
from rtbridge.embedded.fronts.endpoints import Settings
from rtbridge.embedded.wire import UNI_WEBSOCKET_JSON, WEBSOCKET_JSON, WEBSOCKET_PROTOBUF, Wire
from tests.embedded.fronts.conftest import UNI_PATH, Site
from tests.embedded.fronts.raw import BOUND, PATH, Client, accept_of, close, frame, head, soon

EVERY_LOOP = True

Start = Callable[..., Awaitable[Site]]


@pytest.fixture(params=["direct", "kept alive, httptools", "kept alive, h11"])
def arrive(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Site], Awaitable[Client]]:
    """Ways to the handshake: with a connection's first request, or after another one that uvicorn answered."""
    way: str = request.param
    if way.endswith("h11"):
        monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)

    async def dial(site: Site) -> Client:
        client = await site.dial()
        if way != "direct":
            client.send(b"GET /else HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await client.answer() == (200, {"content-length": "10"}, b"GET /else ")
        return client

    return dial


Arrive = Callable[[Site], Awaitable[Client]]


async def test_a_connection(site: Start, arrive: Arrive) -> None:
    """Handshake, a message each way, a proper end."""
    served = await site()
    client = await arrive(served)
    headers = await client.upgrade()
    assert headers["sec-websocket-accept"] == accept_of("dGhlIHNhbXBsZSBub25jZQ==")
    (session,) = served.sessions
    client.send(frame("in"), frame(b"\x00in"))
    await session.until(lambda s: len(s.messages) == 2)
    assert session.messages == [b"in", b"\x00in"]
    session.outlet.write(text_frame(b"out"))
    session.outlet.write(binary_frame(b"\x00out"))
    assert [await client.receive(), await client.receive()] == [(Opcode.TEXT, b"out"), (Opcode.BINARY, b"\x00out")]
    client.send(close(1001))
    assert await client.receive() == (Opcode.CLOSE, b"\x03\xe9")
    assert await client.end() == b""
    await session.until(lambda s: s.gone)
    assert (session.gone, session.closed) == (1, None)


async def test_a_library_of_others(site: Start) -> None:
    """The websockets package connects, talks, is pinged, and closes."""
    served = await site()
    async with websockets.connect(f"ws://127.0.0.1:{served.port}{PATH}", subprotocols=[_JSON]) as peer:
        assert peer.subprotocol == "centrifuge-json"
        await peer.send("hello")
        session = served.sessions[0]
        await session.until(lambda s: s.messages)
        session.outlet.write(text_frame("é".encode() * 1000))
        assert await soon(peer.recv()) == "é" * 1000
        await soon(await peer.ping())
    await session.until(lambda s: s.gone)


_JSON: Any = "centrifuge-json"


WIRES: list[tuple[str, tuple[str, ...], Wire, str | None]] = [
    (PATH, (), WEBSOCKET_JSON, None),
    (PATH + "/", (), WEBSOCKET_JSON, None),
    (PATH, ("Sec-WebSocket-Protocol: centrifuge-json",), WEBSOCKET_JSON, "centrifuge-json"),
    (PATH, ("Sec-WebSocket-Protocol: x, centrifuge-protobuf",), WEBSOCKET_PROTOBUF, "centrifuge-protobuf"),
    (PATH, ("Sec-WebSocket-Protocol: other",), WEBSOCKET_JSON, None),
    (PATH + "?cf_protocol=protobuf", (), WEBSOCKET_PROTOBUF, None),
    (PATH + "?format=protobuf", (), WEBSOCKET_PROTOBUF, None),
    (PATH + "?format=json", (), WEBSOCKET_JSON, None),
    (UNI_PATH + "?format=protobuf", ("Sec-WebSocket-Protocol: centrifuge-json",), UNI_WEBSOCKET_JSON, None),
]


async def test_the_wire(site: Start) -> None:
    """Subprotocol and query say which encoding the client speaks; the subprotocol is confirmed."""
    served = await site()
    for path, lines, wire, confirmed in WIRES:
        client = await served.dial()
        assert (await client.upgrade(path, *lines)).get("sec-websocket-protocol") == confirmed, (path, lines)
        assert served.sessions[-1].wire is wire, (path, lines)


REFUSED = [
    (head("/elsewhere"), 404),
    (head(PATH, "Origin: https://bad.example"), 403),
    (head(PATH, drop="Sec-WebSocket-Key"), 400),
    (head(PATH, "A: " + "a" * 3000), 431),
    (head(UNI_PATH + "?cf_connect=garbage"), 400),
]


async def test_refusals(site: Start, arrive: Arrive) -> None:
    """What is not let in gets an HTTP status, and its connection ends."""
    served = await site(origins=("https://ok.example",), header_size=3000)
    for request, status in REFUSED:
        client = await arrive(served)
        client.send(request)
        assert (await client.answer())[0] == status, request
        assert await client.end() == b""
    assert served.sessions == []
    assert await served.alive()


async def test_origins(site: Start) -> None:
    """An allowed origin is let in, and so is a client that has none."""
    served = await site(origins=("https://ok.example",))
    await served.open(PATH, "Origin: https://ok.example")
    await served.open()


async def test_no_room(site: Start, arrive: Arrive, caplog: pytest.LogCaptureFixture) -> None:
    """Above the limit of connections a client gets 503, the log one line, and later ones get in again."""
    served = await site()
    served.full = True
    for _ in range(3):
        client = await arrive(served)
        client.send(head())
        assert (await client.answer())[0] == 503
    assert caplog.text.count("client.connection_limit") == 1
    served.full = False
    assert await served.alive()


async def test_who_is_connected(site: Start, arrive: Arrive) -> None:
    """A session learns the request's headers and the address, which is the socket's own."""
    served = await site()
    client = await arrive(served)
    await client.upgrade(PATH, "X-Tag: a", "X-Forwarded-For: 203.0.113.7", "Cookie: k=v")
    peer = served.sessions[0].peer
    assert (peer.transport, peer.address) == ("websocket", "127.0.0.1")
    assert (peer.headers["x-tag"], peer.headers["COOKIE"]) == ("a", "k=v")


async def test_behind_a_trusted_proxy(site: Start) -> None:
    """The proxy's word about the address counts."""
    served = await site(trusted=("127.0.0.0/8",))
    await served.open(UNI_PATH, "X-Forwarded-For: 198.51.100.66, 203.0.113.7")
    assert served.sessions[0].peer.transport == "uni_websocket"
    assert served.sessions[0].peer.address == "203.0.113.7"


async def test_frames_behind_the_head(site: Start) -> None:
    """A client that cannot wait for the answer is understood, also when it leaves at once."""
    served = await site()
    client = await served.dial()
    client.send(head(), frame("a"), frame("b"), close())
    assert (await client.answer())[0] == 101
    assert await client.closing() == (1000, "")
    assert served.sessions[0].messages == [b"a", b"b"]


async def test_a_head_in_pieces(site: Start) -> None:
    """The handshake may arrive byte by byte."""
    served = await site()
    client = await served.dial()
    for byte in head():
        client.send(bytes((byte,)))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 101


async def test_a_connect_request_in_the_query(site: Start) -> None:
    """A unidirectional client may send it there; then it is the first message."""
    served = await site()
    _, session = await served.open(UNI_PATH + "?cf_connect=%7B%22data%22%3A%22%C3%A9%22%7D")
    assert session.messages == ['{"data":"é"}'.encode()]
    _, other = await served.open(PATH + "?cf_connect=%7B%7D")
    assert other.messages == []


async def test_pings_of_clients(site: Start) -> None:
    """Each is answered with its own data; pongs that nobody asked for mean nothing."""
    served = await site()
    client, session = await served.open()
    client.send(frame(b"", Opcode.PONG), frame(b"x" * 125, Opcode.PING), frame(b"", Opcode.PING), frame("m"))
    assert [await client.receive(), await client.receive()] == [(Opcode.PONG, b"x" * 125), (Opcode.PONG, b"")]
    await session.until(lambda s: s.messages)


async def test_a_flood_of_pings(site: Start) -> None:
    """A client that pings and reads nothing is sent away; nothing heaps up for it."""
    served = await site(settings=Settings(write_timeout=0.05))
    client, session = await served.open(room=4096)
    session.narrow()
    pings = frame(b"x" * 125, Opcode.PING) * 1000
    with contextlib.suppress(ConnectionError):
        while not session.gone:
            client.send(pings)
            await soon(client.writer.drain())
            await asyncio.sleep(0)
    await session.until(lambda s: s.gone)
    assert session.closed in (None, (3009, "write error"))
    assert await served.alive()


@pytest.mark.parametrize(
    ("path", "asked"), [(UNI_PATH, True), (PATH + "?cf_ws_frame_ping_pong=true", True), (PATH, False)]
)
async def test_ping_frames(site: Start, path: str, asked: bool) -> None:
    """Where the client has no pings of its own, frames keep the connection alive, and the session knows."""
    served = await site(settings=Settings(ping_interval=0.02, pong_timeout=0.01))
    client, session = await served.open(path)
    assert session.native_pings is asked
    if asked:
        # The client's pongs may come late on a busy machine, which ends the connection all the same.
        assert await client.receive() == (Opcode.PING, b"")
        client.send(frame(b"", Opcode.PONG))
        await client.end()
        await session.until(lambda s: s.gone)


async def test_ping_frames_go_on(site: Start) -> None:
    """A client that answers stays."""
    served = await site(settings=Settings(ping_interval=BOUND + 0.01, pong_timeout=BOUND))
    client, session = await served.open(UNI_PATH)
    outlet: Any = session.outlet
    for _ in range(3):
        outlet._ping()
        assert await client.receive() == (Opcode.PING, b"")
        client.send(frame(b"", Opcode.PONG), frame("m"))
        await session.until(lambda s: s.messages.pop() if s.messages else None)
        outlet._check_pong()
    assert not session.gone


async def test_a_client_without_pongs(site: Start) -> None:
    """A client that does not answer ping frames is dropped, without a close frame."""
    served = await site(settings=Settings(ping_interval=0.02, pong_timeout=0.01))
    client, session = await served.open(PATH + "?cf_ws_frame_ping_pong=true")
    assert await client.end() in (b"\x89\x00", b"")
    await session.until(lambda s: s.gone)


BROKEN = [
    (frame(b"x" * 2001), 1009, ""),
    (b"\x81\x05plain", 1002, "incorrect masking"),
    (frame("rsv", rsv1=True), 1002, "reserved bits must be 0"),
    (frame(b"\xff", Opcode.TEXT), 1007, "invalid UTF-8"),
    (b"\x16\x03\x01\x00\xa5\x01\x00\x00", 1002, "incorrect masking"),
]


async def test_broken_frames(site: Start, arrive: Arrive) -> None:
    """The client is told what is wrong, however much it goes on sending, and the connection ends."""
    served = await site(settings=Settings(message_size=2000))
    for data, code, reason in BROKEN:
        client = await arrive(served)
        await client.upgrade()
        session = served.sessions[-1]
        client.send(frame("before"), data, frame(b"after" * 100) * 100)
        assert await client.closing() == (code, reason)
        assert await client.end() == b""
        await session.until(lambda s: s.gone)
        assert (session.messages, session.closed, session.gone) == ([b"before"], None, 1)
    assert await served.alive()


async def test_a_failed_client_that_stays(site: Start) -> None:
    """After broken frames the socket is closed even if the client keeps it open."""
    served = await site(settings=Settings(write_timeout=0.05))
    client, session = await served.open()
    client.send(frame("rsv", rsv1=True))
    await session.until(lambda s: s.gone)
    await soon(gone(served))


async def gone(served: Site) -> None:
    while served.listener.endpoints.open:
        await asyncio.sleep(0.005)


async def test_the_server_closes(site: Start) -> None:
    """What is queued leaves before the close frame, and the client's answer ends the connection."""
    served = await site()
    client, session = await served.open()
    session.outlet.write(text_frame(b"last"))
    session.close(3001, "shutdown")
    session.close(3000, "again")
    session.outlet.write(text_frame(b"too late"))
    client.send(frame("also too late"))
    assert await client.receive() == (Opcode.TEXT, b"last")
    assert await client.closing() == (3001, "shutdown")
    client.send(close(3001))
    assert await client.end() == b""
    await session.until(lambda s: s.gone)
    assert session.messages == []


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_does_not_answer_a_close(site: Start, reads: bool) -> None:
    """Its connection is dropped after a bound, which is shorter where the client does not even read."""
    served = await site(settings=Settings(write_timeout=0.05, close_timeout=0.1, queue_size=100_000_000))
    client, session = await served.open()
    session.outlet.write(text_frame(b"x" * (10 if reads else 20_000_000)))
    session.close(3001, "shutdown")
    if reads:
        assert await client.closing() == (3001, "shutdown")
    await soon(gone(served))
    assert session.gone == 1


async def test_an_answer_to_a_close_during_a_pause(site: Start) -> None:
    """A client that was held back is read again, so that its close frame is seen."""
    served = await site()
    client, session = await served.open()
    session.outlet.pause()
    client.send(frame("held back"), close(3001))
    session.close(3001, "shutdown")
    assert await client.closing() == (3001, "shutdown")
    assert await client.end() == b""
    assert session.messages == []


@pytest.mark.parametrize("how", ["half", "reset"])
async def test_a_client_that_vanishes(site: Start, arrive: Arrive, how: str) -> None:
    """Without a close frame the connection is just gone, also in the middle of a frame."""
    served = await site()
    client = await arrive(served)
    await client.upgrade()
    client.send(frame("half")[:5])
    if how == "half":
        client.writer.write_eof()
    else:
        client.leave()
    await served.sessions[0].until(lambda s: s.gone)
    assert await served.alive()


async def test_broken_frames_after_a_close(site: Start) -> None:
    """A client that answers a close with nonsense gets no second close frame."""
    served = await site()
    client, session = await served.open()
    session.close(3001, "shutdown")
    assert await client.closing() == (3001, "shutdown")
    client.send(frame("rsv", rsv1=True))
    assert await client.end() == b""


async def test_abort(site: Start) -> None:
    """A dropped connection ends without a close frame and without what was queued."""
    served = await site()
    client, session = await served.open()
    session.outlet.write(text_frame(b"never sent"))
    session.outlet.abort()
    session.outlet.write(text_frame(b"neither"))
    assert await client.end() == b""
    await session.until(lambda s: s.gone)


async def test_pauses(site: Start) -> None:
    """A session holds its client back and takes up again where it was, losing nothing, in order."""
    served = await site()
    client, session = await served.open()
    numbers = [str(n).encode() for n in range(2000)]

    def one_at_a_time(_: bytes) -> None:
        session.outlet.pause()
        asyncio.get_running_loop().call_soon(session.outlet.resume)

    session.on_message = one_at_a_time
    client.send(*(frame(number.decode()) for number in numbers))
    await session.until(lambda s: len(s.messages) == len(numbers))
    assert session.messages == numbers


async def test_a_pause_lasts(site: Start) -> None:
    """A client that is held back cannot make the server read on."""
    served = await site()
    client, session = await served.open()
    session.on_message = lambda _: session.outlet.pause()
    client.send(frame("a"), frame("b"))
    await session.until(lambda s: s.messages)
    assert await served.alive()
    assert session.messages == [b"a"]
    session.on_message = lambda _: None
    session.outlet.resume()
    session.outlet.pause()
    assert await served.alive()
    assert session.messages == [b"a"]
    session.outlet.resume()
    client.leave()
    await session.until(lambda s: s.gone)
    session.outlet.pause()
    session.outlet.resume()


async def test_compression(site: Start) -> None:
    """With it on, both directions are compressed for clients that ask, and plain for those that do not."""
    served = await site(settings=Settings(compression=True, message_size=1000))
    async with websockets.connect(f"ws://127.0.0.1:{served.port}{PATH}", compression="deflate") as peer:
        assert [extension.name for extension in peer.protocol.extensions] == ["permessage-deflate"]
        for _ in range(2):
            await peer.send("x" * 5000)
            session = served.sessions[0]
            await session.until(lambda s: s.messages)
            assert session.messages.pop() == b"x" * 5000
            session.outlet.write(text_frame(b"y" * 5000))
            assert await soon(peer.recv()) == "y" * 5000
    client, session = await served.open()
    session.outlet.write(text_frame(b"y" * 500))
    assert await client.receive() == (Opcode.TEXT, b"y" * 500)


@pytest.mark.parametrize("inflated", [0, 5000])
async def test_a_compressed_bomb(site: Start, inflated: int) -> None:
    """A small message that would fill the memory is too big."""
    served = await site(settings=Settings(compression=True, message_size=65536, inflated_size=inflated))
    async with websockets.connect(f"ws://127.0.0.1:{served.port}{PATH}", compression="deflate") as peer:
        await peer.send(b"\0" * 20_000_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await soon(peer.recv())
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1009, "")
    assert served.sessions[0].messages == []
    assert await served.alive()


async def test_compression_is_off_by_default(site: Start) -> None:
    """A client that asks for it gets none."""
    served = await site()
    client = await served.dial()
    assert "sec-websocket-extensions" not in await client.upgrade(PATH, "Sec-WebSocket-Extensions: permessage-deflate")


async def test_no_delay(site: Start) -> None:
    """Small writes leave at once."""
    served = await site()
    _, session = await served.open()
    outlet: Any = session.outlet
    found = outlet._transport.get_extra_info("socket")
    assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert repr(outlet) == "<WebSocket open>"


async def test_a_session_that_fails(site: Start, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a session ends its connection and no other."""
    served = await site()
    client, session = await served.open()

    def fails(_: bytes) -> None:
        raise RuntimeError("a bug")

    session.on_message = fails
    client.send(frame("m"))
    assert await client.end() == b""
    await session.until(lambda s: s.gone)
    assert "a bug" in caplog.text
    assert await served.alive()
